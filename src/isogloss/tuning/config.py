"""TuneConfig: everything that determines what an adapter learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isogloss.data.languages import known_code
from isogloss.errors import UsageError
from isogloss.models.pairs import MAX_SEED

#: Training mixture -> the languages that it trains on.
MIXTURES = {
    "mixed": "the pivot and the target languages",
    "target-only": "the target languages without the pivot",
    "pivot-only": "the pivot only, with the same budget",
}
#: Loss -> what the model learns from a record.
LOSSES = {
    "dpo": "prefer the chosen answer to the rejected one (Rafailov et al. 2023)",
    "kto": "judge one answer per text, labelled good or bad (Ethayarajh et al. 2024)",
    "sft": "write the chosen answer",
}
#: Budget -> how records are distributed over languages.
BUDGETS = {"even": "the same for each language", "need": "in proportion to the share of the gain that a language lacks"}
#: Schedule of the learning rate -> what it does.
SCHEDULES = {"constant": "stays constant", "linear": "falls to 0 over the steps"}
#: Reference model of DPO and KTO -> which model it is.
LOSS_REFERENCES = {"base": "the base model, before any alignment", "start": "the adapter that training continues from"}
#: What a budget counts.
UNITS = {"records": "preference records", "tokens": "tokens of prompts and answers"}


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """The recipe of an adapter.

    Attributes:
        languages: target languages.
        mixture: mixed (pivot and targets), target-only or pivot-only.
        pivot: language that the others are compared with.
        loss: dpo, kto or sft.
        steps: optimiser steps of `batch_size` times `gradient_accumulation` records each.
        batch_size: records per forward pass.
        gradient_accumulation: forward passes per step.
        learning_rate: learning rate at the first step.
        schedule: constant or linear (the learning rate falls to 0).
        beta: inverse temperature of DPO and KTO.
        loss_reference: base or start: the model that DPO and KTO measure margins from when an adapter is continued. (A
            new adapter starts as its base.) From the base, existing preferences count, and texts where the adapter
            already has them weigh less. From the start, every language begins at a margin of 0 again.
        rank: rank of the LoRA matrices on all linear layers, and half of alpha. A continued adapter keeps its rank.
        max_tokens: tokens of prompt and answer together. Longer prompts lose their end; answers are never cut.
        seed: random seed for the draw, the order, the answers and the initial weights of the adapter.
        budget: even or need.
        unit: whether a budget counts records or tokens.
        needs: language -> share of the gain that it lacks, for the budget "need" (see `weak_languages`).
        passes: how often a text may be trained on; answers are drawn again each time.
        holdout: share of the pairs of the corpus that are held out for audits.
        split_seed: random seed for the split. Do not change it between adapters that are compared.
        shuffle_labels: replace the label of each pair by a coin toss, the same for both of its texts. This makes a
            placebo adapter, which learns the answers and the texts but nothing about harm.
        norm: scale the finished adapter so that its weight change has this Frobenius norm (see `folder_norm`); None
            leaves it unscaled.

    Raises:
        UsageError: a setting has an unknown value, or two settings do not go together.
    """

    languages: tuple[str, ...] = ("en",)
    mixture: str = "mixed"
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
        """Know languages by their canonical codes, and check what can be checked without a corpus."""
        object.__setattr__(self, "languages", tuple(map(known_code, self.languages)))
        object.__setattr__(self, "pivot", known_code(self.pivot))
        for option, value, known in (
            ("--mixture", self.mixture, MIXTURES),
            ("--loss", self.loss, LOSSES),
            ("--budget", self.budget, BUDGETS),
            ("--budget-unit", self.unit, UNITS),
            ("--schedule", self.schedule, SCHEDULES),
            ("--loss-reference", self.loss_reference, LOSS_REFERENCES),
        ):
            if value not in known:
                raise UsageError(option, found=repr(value), expected=f"one of {', '.join(known)}", do="choose one")
        _check_numbers(self)
        if self.loss == "kto" and self.batch_size < 2:  # noqa: PLR2004 - KTO pairs answers with other texts of the batch
            raise UsageError("--batch-size", found="1 with --loss kto", expected="2 or more", do="raise it")
        if not self.trained_languages:
            raise UsageError(
                "--mixture target-only",
                found=f"no language but the pivot {self.pivot}",
                expected="a target language",
                do="name some with --languages",
            )
        if self.budget == "need" and (missing := [code for code in self.targets if code not in (self.needs or {})]):
            raise UsageError(
                "--budget need",
                found=f"no need for {', '.join(missing)}",
                expected="an audit that shows how weak each target is",
                do="name it with --from RUN, or choose --budget even",
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """Target languages without the pivot, each once."""
        return tuple(code for code in dict.fromkeys(self.languages) if code != self.pivot)

    @property
    def trained_languages(self) -> tuple[str, ...]:
        """Languages that the mixture trains on, the pivot first."""
        if self.mixture == "pivot-only":
            return (self.pivot,)
        return self.targets if self.mixture == "target-only" else (self.pivot, *self.targets)

    @property
    def records(self) -> int:
        """Number of preference records of the whole training."""
        return self.steps * self.batch_size * self.gradient_accumulation

    @property
    def weights(self) -> dict[str, float]:
        """Relative share of the budget of each trained language.

        With the budget "need", the pivot gets the mean share of the targets. It lacks nothing, but must not lose its
        gain.
        """
        codes = self.trained_languages
        if self.budget == "even" or not self.targets:
            return dict.fromkeys(codes, 1.0)
        needs = dict(self.needs or {})
        mean = sum(needs[code] for code in self.targets) / len(self.targets)
        return {code: needs.get(code, mean) for code in codes}


def _check_numbers(config: TuneConfig) -> None:
    for name in ("steps", "batch_size", "gradient_accumulation", "rank", "max_tokens", "passes"):
        if getattr(config, name) < 1:
            found = str(getattr(config, name))
            raise UsageError(f"--{name.replace('_', '-')}", found=found, expected="at least 1", do="correct it")
    for name in ("learning_rate", "beta", "norm"):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"--{name.replace('_', '-')}", found=str(value), expected="above 0", do="correct it")
    for name in ("seed", "split_seed"):
        if not 0 <= (seed := getattr(config, name)) <= MAX_SEED:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(option, found=str(seed), expected=f"0 to {MAX_SEED}", do="choose another")
    if not 0 <= config.holdout < 1:
        raise UsageError("--holdout", found=str(config.holdout), expected="from 0 to below 1", do="correct it")


def record_shares(weights: Mapping[str, float], tokens: Mapping[str, float] | None) -> dict[str, float]:
    """Turn a budget into shares of records, which add up to 1.

    Args:
        weights: language -> its relative share of the budget, above 0.
        tokens: language -> mean number of tokens of a record, if the budget counts tokens; None if it counts records.

    >>> record_shares({"en": 1, "am": 1}, {"en": 20.0, "am": 60.0})
    {'en': 0.75, 'am': 0.25}
    """
    raw = {code: weight / (tokens[code] if tokens else 1) for code, weight in weights.items()}
    return {code: weight / sum(raw.values()) for code, weight in raw.items()}


def deal(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide a total into whole numbers by the largest remainder; of equal remainders, the first language wins.

    >>> deal(10, {"en": 0.5, "hi": 0.25, "am": 0.25})
    {'en': 5, 'hi': 3, 'am': 2}
    """
    exact = {code: total * share for code, share in shares.items()}
    whole = {code: int(share) for code, share in exact.items()}
    by_remainder: Sequence[str] = sorted(exact, key=lambda code: whole[code] - exact[code])
    for code in by_remainder[: total - sum(whole.values())]:
        whole[code] += 1
    return whole
