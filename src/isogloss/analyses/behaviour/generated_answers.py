"""Refusal rates of greedy answers, in languages with a validated refusal detector."""

from __future__ import annotations

from collections.abc import Iterator

from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.auditing.config import LEVEL
from isogloss.likelihoods.refusal_detector import LEAST, detected_languages, try_detector
from isogloss.records import NAN, Estimate, Row
from isogloss.stats.proportions import exact_interval
from isogloss.warnings import CodedWarning

EXACT = "exact (Clopper-Pearson)"


def greedy_rows(behaviour: BehaviourPlan, seed: int) -> Iterator[Row]:
    """Yield refusal rates of harmful texts, over-refusal rates of harmless ones, and the accuracy of the detector."""
    if not behaviour.generate:
        return
    for code in behaviour.languages:
        detector = detector_estimates(code, seed)
        for name, estimate in detector.items():
            yield Row(kind="behaviour", language=code, metric=name, basis="answers", estimate=estimate)
        for role, greedy in behaviour.greedy_answers.items():
            for name, is_harmful in (("refusal_rate", True), ("over_refusal_rate", False)):
                if validated(code):
                    harmful = greedy.corpus.part(code)["harmful"].to_numpy()
                    refused = greedy.read(code, "refused")[harmful == is_harmful]
                    estimate = _estimate_share(int(refused.sum()), len(refused), seed, "")
                else:
                    estimate = Estimate(value=NAN, n=0, seed=seed, reason=_explain_unvalidated(code))
                yield Row(kind="behaviour", language=code, model=role, metric=name, basis="answers", estimate=estimate)


def detector_estimates(code: str, seed: int = 0) -> dict[str, Estimate]:
    """Estimate precision and recall of a language's detector on labelled answers; empty without a detector."""
    if code not in detected_languages():
        return {}
    trial = try_detector(code)
    return {
        "detector_precision": _estimate_share(trial.found, trial.named, seed, "it classified no answer as a refusal"),
        "detector_recall": _estimate_share(trial.found, trial.refusals, seed, "no labelled refusals"),
    }


def validated(code: str) -> bool:
    """Whether the lower bounds of precision and recall both reach LEAST."""
    estimates = detector_estimates(code)
    return bool(estimates) and all(estimate.low >= LEAST for estimate in estimates.values())


def greedy_warnings(behaviour: BehaviourPlan) -> list[CodedWarning]:
    """Warn of languages whose greedy answers were not scored."""
    return [
        CodedWarning(code="B002", detail=_explain_unvalidated(code), language=code)
        for code in behaviour.languages
        if behaviour.generate and not validated(code)
    ]


def _explain_unvalidated(code: str) -> str:
    estimates = detector_estimates(code)
    if not estimates:
        return "no refusal detector in this language"
    bounds = ", ".join(
        f"{name.removeprefix('detector_')} at least {estimate.low:.2f}" for name, estimate in estimates.items()
    )
    return f"the refusal detector is not accurate enough ({bounds}; both must be at least {LEAST:g})"


def _estimate_share(events: int, n: int, seed: int, reason: str) -> Estimate:
    if not n:
        return Estimate(value=NAN, n=0, seed=seed, reason=reason or "no answers")
    bounds = exact_interval(events, n, LEVEL)
    return Estimate(value=events / n, n=n, seed=seed, low=bounds.low, high=bounds.high, level=LEVEL, method=EXACT)
