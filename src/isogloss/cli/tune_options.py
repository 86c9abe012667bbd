"""Options for every setting of a training, made from TuneConfig: its defaults stand in one place."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

from isogloss.recipes.settings import Setting
from isogloss.tuning.config import TuneConfig


class _Help(NamedTuple):
    about: str
    least: int | None = None


#: Field of TuneConfig -> its help, and the smallest number that it takes. `needs` is of the run, `norm` of --norm-of.
HELP = {
    "languages": _Help("Target languages, such as hi,am. Default: the run's weak ones, or en."),
    "arm": _Help("mixed (pivot and targets), target-only or pivot-only."),
    "pivot": _Help("Default: that of the run, or en."),
    "loss": _Help("dpo, kto or sft."),
    "budget": _Help("even, or need: more for a language that lacks more (--from)."),
    "unit": _Help("What the budget counts: records or tokens."),
    "steps": _Help("Optimiser steps.", 1),
    "batch_size": _Help("Records in a forward pass.", 1),
    "gradient_accumulation": _Help("Forward passes in a step.", 1),
    "learning_rate": _Help("At the first step."),
    "schedule": _Help("What the learning rate does: constant, or linear (it falls to 0)."),
    "beta": _Help("Inverse temperature of DPO and KTO."),
    "loss_reference": _Help("What DPO and KTO measure margins from: base, or start (the adapter of --continue)."),
    "rank": _Help("Of the LoRA matrices.", 1),
    "max_tokens": _Help("Of prompt and answer; longer prompts lose their end.", 8),
    "passes": _Help("Most times that a text is used.", 1),
    "holdout": _Help("Share of the pairs that are held out for audits; 0: none."),
    "split_seed": _Help("Of the split; keep it where adapters are compared."),
    "shuffle_labels": _Help("Learn from labels by a coin: a placebo (--placebo of audit)."),
    "seed": _Help("Of draw, order, answers and the first weights."),
}
#: Options whose name says more than that of the field.
LONGER = {"unit": "budget_unit"}
#: Fields that a run may fill, so that there is no default to print.
FROM_RUN = ("languages", "pivot")

_DEFAULTS = {one.name: one.default for one in fields(TuneConfig)}
TUNE_OPTIONS: dict[str, Setting] = {
    LONGER.get(name, name): Setting(
        LONGER.get(name, name),
        type(_DEFAULTS[name]),
        None if name in FROM_RUN else _DEFAULTS[name],
        help_.about,
        help_.least,
    )
    for name, help_ in HELP.items()
}


def as_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Name what was typed as TuneConfig does."""
    shorter = {long: short for short, long in LONGER.items()}
    return {shorter.get(name, name): value for name, value in given.items()}
