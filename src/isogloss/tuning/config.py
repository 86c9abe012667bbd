"""TuneConfig: everything that decides what an adapter learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from isogloss.errors import UsageError

#: Arm -> which languages it trains on.
ARMS = {
    "mixed": "the pivot and the target languages",
    "target-only": "the target languages without the pivot",
    "pivot-only": "the pivot alone, with the same budget",
}
#: Loss -> what it learns from a record.
LOSSES = {
    "dpo": "prefer the chosen to the rejected answer (Rafailov et al. 2023)",
    "kto": "one answer a text, labelled good or bad (Ethayarajh et al. 2024)",
    "sft": "write the chosen answer",
}
#: Budget -> how records are dealt out to languages.
BUDGETS = {"even": "the same for each language", "need": "in proportion to the share of the gain that a language lacks"}
#: Schedule of the learning rate -> what it does.
SCHEDULES = {"constant": "stay as it is", "linear": "fall to 0 over the steps"}
#: What DPO and KTO measure margins from -> which model that is.
LOSS_REFERENCES = {"base": "the base, before any alignment", "start": "the adapter that is gone on from"}
#: Fields that earlier records lack -> the value that they had then.
LATER = {"shuffle_labels": False, "norm": None, "schedule": "constant", "loss_reference": "start"}
#: What a budget counts.
UNITS = {"records": "preference records", "tokens": "tokens of prompts and answers"}


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """The recipe of an adapter.

    Attributes:
        languages: target languages.
        arm: mixed (pivot and targets), target-only or pivot-only.
        pivot: the language that alignment is compared with.
        loss: dpo, kto or sft.
        steps: optimiser steps, of `batch_size` times `gradient_accumulation` records each.
        batch_size: records in a forward pass.
        gradient_accumulation: forward passes in a step.
        learning_rate: at the first step.
        schedule: constant or linear: what the learning rate does from there.
        beta: inverse temperature of DPO and KTO.
        loss_reference: base or start: the model that DPO and KTO measure margins from, where an adapter is gone on
            from (a new adapter starts as its base). From the base, what the adapter prefers already counts, and
            texts where it does weigh less; from the start, every language begins at a margin of 0 again.
        rank: of the LoRA matrices on all linear layers; alpha is twice the rank. An adapter that is trained on keeps
            its own.
        max_tokens: of prompt and answer together; longer prompts lose their end, answers never.
        seed: of draw, order, answers and the first weights of the adapter.
        budget: even or need.
        unit: whether a budget counts records or tokens.
        needs: language -> how weak an audit found it, for the budget need (see `weak_languages`).
        passes: most times that one text is trained on, each time with answers drawn anew.
        holdout: share of the pairs of the corpus that are held out for audits.
        split_seed: of the split; leave it alone where adapters are compared.
        shuffle_labels: learn whether a text is harmful from a coin, one for both twins, in place of its label: an
            adapter to set others against, which learns answers and texts but nothing of harm.
        norm: scale the adapter in the end so that its weight change has this Frobenius norm (see `folder_norm`); None
            leaves it as it was learnt.

    Raises:
        UsageError: a setting has no such value, or settings do not go together.
    """

    languages: tuple[str, ...] = ("en",)
    arm: str = "mixed"
    pivot: str = "en"
    loss: str = "dpo"
    steps: int = 90
    batch_size: int = 16
    gradient_accumulation: int = 1
    learning_rate: float = 3e-4
    schedule: str = "constant"
    beta: float = 0.1
    loss_reference: str = "base"
    rank: int = 16
    max_tokens: int = 96
    seed: int = 0
    budget: str = "even"
    unit: str = "records"
    needs: Mapping[str, float] | None = None
    passes: int = 4
    holdout: float = 0.5
    split_seed: int = 0
    shuffle_labels: bool = False
    norm: float | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a corpus."""
        for option, chosen, known in (
            ("--arm", self.arm, ARMS),
            ("--loss", self.loss, LOSSES),
            ("--budget", self.budget, BUDGETS),
            ("--budget-unit", self.unit, UNITS),
            ("--schedule", self.schedule, SCHEDULES),
            ("--loss-reference", self.loss_reference, LOSS_REFERENCES),
        ):
            if chosen not in known:
                raise UsageError(option, found=repr(chosen), expected=f"one of {', '.join(known)}", do="choose one")
        for name in ("steps", "batch_size", "gradient_accumulation", "rank", "max_tokens", "passes"):
            if getattr(self, name) < 1:
                found = str(getattr(self, name))
                raise UsageError(f"--{name.replace('_', '-')}", found=found, expected="at least 1", do="correct it")
        for name in ("learning_rate", "beta", "norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')}", found=str(value), expected="above 0", do="correct it")
        if self.loss == "kto" and self.batch_size < 2:  # noqa: PLR2004 - it pairs answers with other texts of the batch
            raise UsageError("--batch-size", found="1 with --loss kto", expected="2 or more", do="raise it")
        if not self.trained_languages:
            raise UsageError(
                "--arm target-only",
                found=f"no language but the pivot {self.pivot}",
                expected="a target language",
                do="name some with --languages",
            )
        if self.budget == "need" and (missing := [code for code in self.targets if code not in (self.needs or {})]):
            raise UsageError(
                "--budget need",
                found=f"no need of {', '.join(missing)}",
                expected="an audit that says how weak each target is",
                do="name it with --from RUN, or choose --budget even",
            )

    @property
    def settings(self) -> dict[str, object]:
        """All fields as they are recorded; what came later is left out where it is as it was before."""
        return {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}

    @property
    def targets(self) -> tuple[str, ...]:
        """Target languages without the pivot, each once."""
        return tuple(code for code in dict.fromkeys(self.languages) if code != self.pivot)

    @property
    def trained_languages(self) -> tuple[str, ...]:
        """Languages that the arm trains on, the pivot first."""
        if self.arm == "pivot-only":
            return (self.pivot,)
        return self.targets if self.arm == "target-only" else (self.pivot, *self.targets)

    @property
    def records(self) -> int:
        """Number of preference records of the whole training."""
        return self.steps * self.batch_size * self.gradient_accumulation

    @property
    def weights(self) -> dict[str, float]:
        """What part of the budget each trained language gets, relative to the others.

        With the budget need the pivot, which lacks nothing, gets as much as the targets get on average: what it has
        must be kept.
        """
        codes = self.trained_languages
        if self.budget == "even" or not self.targets:
            return dict.fromkeys(codes, 1.0)
        needs = dict(self.needs or {})
        mean = sum(needs[code] for code in self.targets) / len(self.targets)
        return {code: needs.get(code, mean) for code in codes}


def record_shares(weights: Mapping[str, float], tokens: Mapping[str, float] | None) -> dict[str, float]:
    """Turn a budget into shares of records, which add up to 1.

    Args:
        weights: language -> its part of the budget, above 0.
        tokens: language -> tokens of a record on average, where the budget counts tokens; None: it counts records.

    >>> record_shares({"en": 1, "am": 1}, {"en": 20.0, "am": 60.0})
    {'en': 0.75, 'am': 0.25}
    """
    raw = {code: weight / (tokens[code] if tokens else 1) for code, weight in weights.items()}
    return {code: one / sum(raw.values()) for code, one in raw.items()}


def deal(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Deal whole things out by the method of the largest remainder; equal remainders go to who is named first.

    >>> deal(10, {"en": 0.5, "hi": 0.25, "am": 0.25})
    {'en': 5, 'hi': 3, 'am': 2}
    """
    exact = {code: total * share for code, share in shares.items()}
    found = {code: int(one) for code, one in exact.items()}
    rest: Sequence[str] = sorted(exact, key=lambda code: found[code] - exact[code])
    for code in rest[: total - sum(found.values())]:
        found[code] += 1
    return found
