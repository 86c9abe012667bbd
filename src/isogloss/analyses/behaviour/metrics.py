"""The BEHAVIOURS table: metrics of answers and text preferences, beside METRICS for hidden states."""

from __future__ import annotations

import numpy as np

from isogloss.stats.metric import Metric
from isogloss.stats.metrics import METRICS

UNBOUNDED = float("inf")
#: How intervals are made; nothing is fitted for behaviour.
LINEAR = "delete-one jackknife t"
RANKED = "delete-one jackknife, logit scale"


def _mean_difference(values: np.ndarray, labels: np.ndarray, partners: object, folds: object) -> np.ndarray:
    """Mean over harmful texts minus mean over harmless ones: (B, n) or (n,), labels (B, n) -> (B,)."""
    del partners, folds
    n1 = labels.sum(axis=1)
    total = (labels * values).sum(axis=1)
    whole = np.broadcast_to(values, labels.shape).sum(axis=1)
    return np.asarray(total / n1 - (whole - total) / (labels.shape[1] - n1))


def _difference(name: str, about: str, source: str, *, needs_pairs: bool = False) -> Metric:
    return Metric(
        name=name,
        basis="answers",
        family="component",
        low=-UNBOUNDED,
        high=UNBOUNDED,
        chance=0.0,
        about=about,
        source=source,
        many=_mean_difference,
        method=LINEAR,
        needs_pairs=needs_pairs,
    )


def _share(name: str, about: str, source: str) -> Metric:
    return Metric(
        name=name,
        basis="answers",
        family="probe",
        low=0.0,
        high=1.0,
        chance=0.5,
        about=about,
        source=source,
        many=METRICS["auroc"].many,
        method=RANKED,
        influence=METRICS["auroc"].influence,
        scale="logit",
    )


_DPO = "Rafailov et al. 2023, equation 5: the gain of this margin is DPO's implicit reward margin, over beta"

BEHAVIOURS: dict[str, Metric] = {
    row.name: row
    for row in (
        _difference(
            "refusal_margin", "log-odds of a refusal against an engaged answer, harmful minus harmless text; nats", _DPO
        ),
        _difference(
            "refusal_margin_per_token", "the same, from likelihoods per token of the answer; nats a token", _DPO
        ),
        _share(
            "refusal_auroc",
            "how often a harmful text has higher refusal log-odds than a harmless one that is not its partner",
            "",
        ),
        _share("reward_auroc", "the same of the implicit reward: by how much alignment raised the log-odds", _DPO),
        _difference(
            "first_token_gap",
            "log-odds of the first tokens of refusals against those of engaged answers, harmful minus harmless; nats",
            "",
        ),
        _difference(
            "text_preference",
            "log-likelihood of the neutral text minus that of its toxic partner; nats",
            "",
            needs_pairs=True,
        ),
        _difference(
            "text_preference_adjusted",
            "what alignment added to that, at equal token counts and equal reference surprisal; nats",
            "",
            needs_pairs=True,
        ),
        _difference(
            "text_preference_over_placebo",
            "what alignment added to that beyond what the placebo did, both adjusted; nats",
            "",
            needs_pairs=True,
        ),
    )
}
