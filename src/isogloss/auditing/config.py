"""AuditConfig: the choices of an audit besides models and corpus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isogloss.auditing.analysis import Analysis
from isogloss.data.corpus import Corpus
from isogloss.data.languages import known_code
from isogloss.errors import CorpusError, MetricError, UsageError, unknown
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.pairs import MAX_SEED
from isogloss.records import Primary
from isogloss.stats.metric import Metric
from isogloss.stats.metrics import METRICS, STANDARD, metric
from isogloss.stats.scaling import SCALINGS

#: Metric without whose fall no language counts as reversed.
DISTANCE = "class_distance"
COMPONENTS = (2, 10)
LEVEL = 0.95
PRIMARY = Primary(metric="between_class_variance", components=10, layer="")
#: A number of components, as it is written everywhere.
NUMBER = re.compile("0|[1-9][0-9]{0,8}")
#: Fewer permutations give no usable null.
MIN_PERMUTATIONS = 20
#: Controls that need additional forward passes; all are computed by default.
MODEL_CONTROLS = ("untrained", "bits_per_character")
#: Harmless texts per language whose bits are counted. They are few: a small model's LM head costs more than the rest.
BITS_TEXTS = 16
#: Hidden states that may stay in the cache after the audit.
CACHE_STATES = ("none", "final", "all")

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The choices of an audit besides models and corpus.

    Attributes:
        spec: layers, read-out position, prompt format, token limit, dtype.
        metrics: names from METRICS; the primary metric and auroc are always computed. The default is all but published
            ones.
        scaling: name from SCALINGS: what hidden dimensions are divided by before components are fitted.
        primary: the number that verdicts come from; an empty layer means the last of the layers.
        split: split to audit: all, training or held-out (the split that `isogloss tune` uses).
        quarantine: leave out texts for which a model gives no finite numbers, with their partners and translations,
            instead of stopping with an error.
        trained_texts: what to do with texts that an adapter of the pair was trained on: refuse, drop or allow.
        per_class: texts per language and class; None takes what the smallest language has.
        pivot: language that the others are compared with.
        controls: those of MODEL_CONTROLS to compute; each needs additional forward passes.
        analyses: requests of the analyses to add, such as Matched(match=("length",)) or Behaviour().
        permutations: number of label permutations for the null.
        seed: random seed for sampling, permutations, folds and groups.
        workers: languages measured in parallel; changes no number. None takes one per processor core.
        cache_states: hidden states to keep in the cache after the audit: all, final (those of the primary layer) or
            none; changes no number.
    """

    spec: ExtractSpec = field(default_factory=ExtractSpec)
    metrics: tuple[str, ...] = STANDARD
    scaling: str = "none"
    primary: Primary = PRIMARY
    split: str = "all"
    quarantine: bool = False
    trained_texts: str = "refuse"
    per_class: int | None = None
    pivot: str = "en"
    controls: tuple[str, ...] = MODEL_CONTROLS
    analyses: tuple[Any, ...] = ()
    permutations: int = 500
    seed: int = 0
    workers: int | None = None
    cache_states: str = "all"

    def __post_init__(self) -> None:
        """Know the pivot by its canonical code, as corpora do."""
        object.__setattr__(self, "pivot", known_code(self.pivot))

    def request(self, kind: type[RequestT]) -> RequestT | None:
        """Return the request for an analysis; None if it was not requested."""
        return next((request for request in self.analyses if isinstance(request, kind)), None)


def parse_primary(text: str) -> Primary:
    """Parse `metric` or `metric:components`, either followed by `@layer`.

    >>> parse_primary("silhouette:2@12")
    Primary(metric='silhouette', components=2, layer='12')
    """
    score, _, layer = text.partition("@")
    name, _, components = score.partition(":")
    if (":" in score and not NUMBER.fullmatch(components)) or not name or ("@" in text and not layer):
        raise UsageError(
            "--primary", found=repr(text), expected="metric, metric:components or metric:components@layer", do="correct"
        )
    return Primary(metric=name, components=int(components) if components else PRIMARY.components, layer=layer)


def known_metrics(analyses: Sequence[Analysis]) -> dict[str, Metric]:
    """Return the metrics of the core and of analyses by name."""
    return METRICS | {row.name: row for analysis in analyses for row in analysis.metrics}


def metric_rows(config: AuditConfig, requested: Sequence[Analysis], analyses: Sequence[Analysis]) -> list[Metric]:
    """Return the metrics to compute, the primary one first.

    Raises:
        MetricError: a name is unknown.
    """
    added = [row.name for analysis in requested for row in analysis.metrics]
    names = dict.fromkeys((config.primary.metric, "auroc", DISTANCE, *config.metrics, *added))
    return [metric(name, known_metrics(analyses)) for name in names]


def check_config(config: AuditConfig, corpus: Corpus, analyses: Sequence[Analysis]) -> None:
    """Refuse unknown choices and choices that contradict each other, before anything is computed.

    Raises:
        CorpusError: the pivot is not among the languages.
        UsageError: a choice is unknown, or contradicts another.
        MetricError: verdicts cannot come from the primary metric.
    """
    if config.pivot not in corpus.languages:
        raise CorpusError(
            "--pivot",
            found=f"{config.pivot!r}",
            expected=f"a language of the corpus: {', '.join(corpus.languages)}",
            do="choose one, or add the language to --languages",
        )
    if config.cache_states not in CACHE_STATES:
        raise UsageError(
            "--cache-states", found=repr(config.cache_states), expected="none, final or all", do="choose one"
        )
    if config.scaling not in SCALINGS:
        raise unknown(UsageError, "scaling", config.scaling, SCALINGS, "--scaling")
    _check_primary(config.primary, known_metrics(analyses))
    if not 0 <= config.seed <= MAX_SEED:
        raise UsageError(
            "--seed", found=str(config.seed), expected=f"a whole number from 0 to {MAX_SEED}", do="choose another"
        )
    if config.permutations < MIN_PERMUTATIONS:
        raise UsageError(
            "--permutations", found=str(config.permutations), expected=f"at least {MIN_PERMUTATIONS}", do="ask for more"
        )
    if unknown_controls := set(config.controls) - set(MODEL_CONTROLS):
        raise UsageError(
            "--controls", found=min(unknown_controls), expected=f"any of {', '.join(MODEL_CONTROLS)}", do="correct it"
        )
    _check_requests(config, corpus, analyses)


def check_components(primary: Primary, sample: Corpus) -> None:
    """Refuse more components than the texts of a language span: no score and no verdict could be computed.

    Raises:
        UsageError: see above.
    """
    texts = int(sample.frame.group_by("language").len()["len"].min())  # type: ignore[arg-type]  # a corpus has texts
    if primary.components >= texts:
        raise UsageError(
            "--primary",
            found=f"{primary.components} components for {texts} texts a language",
            expected=f"fewer components than texts, such as {PRIMARY.components}",
            do="ask for fewer components",
        )


def _check_requests(config: AuditConfig, corpus: Corpus, analyses: Sequence[Analysis]) -> None:
    kinds = {analysis.request: analysis for analysis in analyses}
    for request in config.analyses:
        if type(request) not in kinds:
            raise UsageError(
                "analyses",
                found=f"a {type(request).__name__}",
                expected=f"requests of {', '.join(kind.__name__ for kind in kinds) or 'no analysis'}",
                do="correct it",
            )
        kinds[type(request)].check(request, config, corpus)
    if len({type(request) for request in config.analyses}) < len(config.analyses):
        raise UsageError("analyses", found="an analysis twice", expected="each once", do="drop one")


def _check_primary(primary: Primary, known: Mapping[str, Metric]) -> None:
    if not metric(primary.metric, known).judges:
        raise MetricError(
            "--primary",
            found=primary.metric,
            expected="a metric of principal components: linear separability stands beside it",
            do="choose between_class_variance, bhattacharyya or silhouette",
        )
    if primary.components < 1:
        raise UsageError("--primary", found=f"{primary.components}", expected="at least 1 component", do="ask for more")
