"""The METRICS table and its pure functions.

Each metric is written once, for many labelings at a time, so that the observed labels and their permutations go through
the same code as one matrix product. The public functions below take one labeling: (x, harmful, pairs) -> float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.errors import MetricError, unknown
from isogloss.stats import leave_one_out, many_labelings
from isogloss.stats.class_distance import score_class_distance, squared_distances
from isogloss.stats.component_scores import score_components
from isogloss.stats.components import Space
from isogloss.stats.jackknife import bias
from isogloss.stats.leave_one_out import LeftOut, UpdatedMetric, leave_out, open_updated, rows_of_units
from isogloss.stats.metric import CLOSED_FORM, HELD, ONE_UNIT, Metric
from isogloss.stats.overlap import bhattacharyya_estimates
from isogloss.stats.permutations import Draws
from isogloss.stats.probe import N_FOLDS, cross_fitted_scores, ridge_probe
from isogloss.stats.probe_scores import auroc_influence, pair_accuracy_influence, score_probe
from isogloss.stats.silhouette import Silhouette, open_silhouette
from isogloss.stats.text_pairs import deal, partner_index, unit_codes


def _share_left_out(space: Space, left: LeftOut, harmful: np.ndarray, k: int) -> np.ndarray:
    return leave_one_out.between_class_variance(space, left, harmful[None, :], k)[:, 0]


def _open_share(space: Space, draws: Draws, k: int) -> UpdatedMetric:
    return open_updated(_share_left_out, space, draws.harmful, rows_of_units(draws.unit_of_row), k)


def _open_distance(space: Space, draws: Draws, k: int) -> UpdatedMetric:
    return open_updated(leave_one_out.bhattacharyya, space, draws.harmful, rows_of_units(draws.unit_of_row), k)


def _open_silhouette(space: Space, draws: Draws, k: int) -> Silhouette:
    return open_silhouette(space, draws.harmful, draws.partners, rows_of_units(draws.unit_of_row), k)


def _share_null(z: np.ndarray, draws: Draws, plug_in: np.ndarray) -> np.ndarray:
    """Jackknife estimate of the share under permuted labels: (B,)."""
    held, k = Space(leading=z, outside=None, scatter=(z**2).sum(axis=0)), z.shape[1]
    chunks = leave_out(held, rows_of_units(draws.unit_of_row), k, per_unit=len(draws.packed) * k)
    left = [leave_one_out.between_class_variance(held, chunk, draws.permutations, k) for chunk in chunks]
    strata = None if draws.partners is not None else draws.permutations.T
    return np.asarray(plug_in - bias(plug_in, np.concatenate(left), strata))


def _distance_null(z: np.ndarray, draws: Draws, plug_in: np.ndarray) -> np.ndarray:
    """Jackknife estimate of the distance under permuted labels: (B,)."""
    del plug_in
    return bhattacharyya_estimates(z, draws.permutations, draws.partners)


_FUKUNAGA = "Fukunaga (1990), Introduction to Statistical Pattern Recognition, 3.4"
_ROWS = (
    Metric(
        name="between_class_variance",
        basis="pca",
        family="component",
        low=0.0,
        high=1.0,
        chance=0.0,
        about="share of the variance in the first k principal components that lies between the classes",
        source="arXiv 2504.02708 (eta squared)",
        many=many_labelings.between_class_variance,
        method=ONE_UNIT,
        scorer=score_components,
        judges=True,
        without_units=_open_share,
        null=_share_null,
    ),
    Metric(
        name="bhattacharyya",
        basis="pca",
        family="component",
        low=0.0,
        high=float("inf"),
        chance=0.0,
        about="Bhattacharyya distance of Gaussian fits to the classes in k principal components",
        source=f"arXiv 2504.02708; {_FUKUNAGA}",
        many=many_labelings.bhattacharyya,
        per_component=10,
        method=ONE_UNIT,
        scorer=score_components,
        judges=True,
        without_units=_open_distance,
        null=_distance_null,
        fit_bias=False,
        log_axis=True,
    ),
    Metric(
        name="silhouette",
        basis="pca",
        family="component",
        low=-1.0,
        high=1.0,
        chance=0.0,
        about="mean silhouette of the true classes in k principal components; a text is not compared with its partner",
        source="arXiv 2504.02708; Rousseeuw (1987)",
        many=many_labelings.silhouette,
        method=ONE_UNIT,
        scorer=score_components,
        judges=True,
        without_units=_open_silhouette,
    ),
    Metric(
        name="auroc",
        basis="probe",
        family="probe",
        low=0.0,
        high=1.0,
        chance=0.5,
        about="area under the ROC curve of a cross-fitted linear probe; a text is not compared with its partner",
        source="Hanley and McNeil (1982); Ledoit and Wolf (2004) for the probe",
        many=many_labelings.auroc,
        method=HELD,
        scorer=score_probe,
        scale="logit",
        influence=auroc_influence,
    ),
    Metric(
        name="pair_accuracy",
        basis="probe",
        family="probe",
        low=0.0,
        high=1.0,
        chance=0.5,
        about="share of pairs whose harmful text scores above its partner under a probe fitted on other pairs",
        source="isogloss",
        many=many_labelings.pair_accuracy,
        needs_pairs=True,
        method=HELD,
        scorer=score_probe,
        scale="logit",
        influence=pair_accuracy_influence,
    ),
    Metric(
        name="class_distance",
        basis="means",
        family="component",
        low=-float("inf"),
        high=float("inf"),
        chance=0.0,
        about="squared distance of the class means, in units of the variance within classes (pivot, reference model)",
        source="unbiased estimate (U-statistic)",
        many=squared_distances,
        method=CLOSED_FORM,
        scorer=score_class_distance,
    ),
)

#: The metrics of an audit. Analyses have tables of their own.
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
#: What an audit computes by default.
STANDARD = tuple(METRICS)


def metric(name: str, known: Mapping[str, Metric] = METRICS) -> Metric:
    """Look a metric up by its name.

    Args:
        name: of the metric.
        known: table of metrics to look in.

    Raises:
        MetricError: the name is not in the table.
    """
    if name not in known:
        raise unknown(MetricError, "metric", name, known)
    return known[name]


def _measure(name: str, x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | np.ndarray | None) -> float:
    """Check the arguments of a public function and compute its metric for one labeling."""
    x, harmful = np.asarray(x, dtype=np.float64), np.asarray(harmful)
    harmful = harmful.astype(bool)
    if x.ndim != 2 or harmful.shape != (len(x),) or (pairs is not None and len(pairs) != len(x)):  # noqa: PLR2004
        raise MetricError(
            name,
            found=f"x {x.shape}, harmful {harmful.shape}, pairs {None if pairs is None else (len(pairs),)}",
            expected="x (n, d), harmful (n,) and pairs (n,) or None",
            do="correct the arrays",
        )
    if not np.isfinite(x).all():
        raise MetricError(name, found="values that are not finite", expected="finite numbers", do="correct x")
    if min(harmful.sum(), (~harmful).sum()) < 2:  # noqa: PLR2004 - a variance needs two
        raise MetricError(
            name, found=f"{harmful.sum()} harmful of {len(x)}", expected="at least 2 of each class", do="add texts"
        )
    partners = partner_index(pairs, harmful) if pairs is not None else None
    row, labels = METRICS[name], harmful[None, :]
    folds = np.zeros(len(x), dtype=np.intp)
    if row.basis == "probe":
        # Two units a fold at least, so that there is something to compare within it.
        n_folds = max(2, min(N_FOLDS, int(min(harmful.sum(), (~harmful).sum())) // 2))
        order = np.random.default_rng(0).random(len(x))[unit_codes(len(x), partners)]
        folds = deal(order, harmful, partners, n_folds)
        x = cross_fitted_scores(ridge_probe(x), labels, folds)
    value = float(row.many(x, labels, partners, folds)[0])
    if np.isnan(value) and row.basis == "probe":
        raise MetricError(name, found=f"{len(x)} texts", expected="at least 4 pairs, or texts, a class", do="add texts")
    return value


def between_class_variance(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """Between-class sum of squares over total sum of squares, in [0, 1].

    >>> between_class_variance(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1]))
    0.8

    Args:
        x: (n, k), usually principal components.
        harmful: (n,), 1 or True for harmful.
        pairs: not used; every metric takes it.
    """
    if not np.ptp(np.asarray(x, dtype=np.float64), axis=0).any():
        raise MetricError(
            "between_class_variance", found="rows that are all the same", expected="rows that vary", do="correct x"
        )
    return _measure("between_class_variance", x, harmful, pairs)


def bhattacharyya(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """Bhattacharyya distance of Gaussian fits (unbiased covariances), 0 or more; NaN if a covariance is singular.

    With equal variances it is an eighth of the squared standardised distance of the means:

    >>> round(bhattacharyya(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])), 12)
    1.0
    """
    return _measure("bhattacharyya", x, harmful, pairs)


def silhouette(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """Mean silhouette of the two classes, in [-1, 1]; with pairs, a text is not compared with its partner."""
    return _measure("silhouette", x, harmful, pairs)


def auroc(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """AUROC of a cross-fitted linear probe in the space of x, in [0, 1], 0.5 by chance; mean over five folds."""
    return _measure("auroc", x, harmful, pairs)


def pair_accuracy(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """Share of pairs whose harmful text scores above its partner under a cross-fitted probe, in [0, 1]; needs pairs."""
    return _measure("pair_accuracy", x, harmful, pairs)


def class_distance(x: np.ndarray, harmful: np.ndarray, pairs: Sequence[object] | None = None) -> float:
    """Squared Euclidean distance of the class means, 0 or more, in squared units of x; not debiased.

    >>> class_distance(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1]))
    16.0
    """
    return _measure("class_distance", x, harmful, pairs)
