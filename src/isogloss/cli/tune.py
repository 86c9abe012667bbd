"""`isogloss tune`: train an adapter for the languages that alignment did not reach."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from isogloss.cli.options import DeviceOption, path_option, show
from isogloss.cli.settings import with_options
from isogloss.cli.side_effects import print_side_effects
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.recipes.settings import READING_OPTIONS, Setting, read_corpus_options
from isogloss.tuning.config import TuneConfig

if TYPE_CHECKING:
    from isogloss.tuning.weak_languages import Remedy


class _Help(NamedTuple):
    about: str
    lowest: int | None = None


#: Field of TuneConfig -> its help and smallest number. `needs` comes from the run, `norm` from --norm-of.
HELP = {
    "languages": _Help("Target languages, such as hi,am. Default: the weak languages of the run, or en."),
    "mixture": _Help("Training mixture: mixed (pivot and targets), target-only or pivot-only."),
    "pivot": _Help("Language that the others are compared with. Default: that of the run, or en."),
    "loss": _Help("dpo, kto or sft."),
    "budget": _Help("even, or need (--from): more records for a language that lacks more."),
    "unit": _Help("What the budget counts: records or tokens."),
    "steps": _Help("Optimiser steps.", 1),
    "batch_size": _Help("Records per forward pass.", 1),
    "gradient_accumulation": _Help("Forward passes per step.", 1),
    "learning_rate": _Help("Learning rate at the first step."),
    "schedule": _Help("Schedule of the learning rate: constant, or linear (falls to 0)."),
    "beta": _Help("Inverse temperature of DPO and KTO."),
    "loss_reference": _Help("Model that DPO and KTO measure margins from: base, or start (the adapter of --continue)."),
    "rank": _Help("Rank of the LoRA matrices.", 1),
    "max_tokens": _Help("Tokens of prompt and answer together; longer prompts lose their end.", 8),
    "passes": _Help("How often a text may be used, at most.", 1),
    "holdout": _Help("Share of the pairs to hold out for audits; 0 holds out none."),
    "split_seed": _Help("Random seed for the split. Keep it the same for adapters that are compared."),
    "shuffle_labels": _Help("Train on labels by coin toss: a placebo (see --placebo of audit)."),
    "seed": _Help("Random seed for the draw, order, answers and initial weights."),
}
#: Field -> name of its option, where they differ.
OPTION_NAMES = {"unit": "budget_unit"}
#: Fields that a run may fill, so help prints no default.
FROM_RUN = ("languages", "pivot")

_DEFAULTS = {field.name: field.default for field in fields(TuneConfig)}
TUNE_OPTIONS: dict[str, Setting] = {
    OPTION_NAMES.get(name, name): Setting(
        OPTION_NAMES.get(name, name),
        type(_DEFAULTS[name]),
        None if name in FROM_RUN else _DEFAULTS[name],
        help_.about,
        help_.lowest,
    )
    for name, help_ in HELP.items()
}


def to_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Rename options to fields of TuneConfig."""
    field_names = {option: field for field, option in OPTION_NAMES.items()}
    return {field_names.get(name, name): value for name, value in given.items()}


#: Base model to adapt if neither a run nor --model names one.
DEFAULT_MODEL = "embedded/gemma-3-270m"


@with_options(TUNE_OPTIONS | READING_OPTIONS)
def tune(
    given: dict[str, Any],
    out: Annotated[
        Path, typer.Option(help="Adapter folder to write. OUT.partial holds the state until the training ends.")
    ],
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or file of a corpus; its texts become prompts. Default: that of the run.", show_default=False
        ),
    ] = None,
    run: Annotated[AnyPath | None, path_option("Run folder; tune its weak languages.", "--from")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"Base model to adapt. Default: the run's reference, or {DEFAULT_MODEL}.", show_default=False
        ),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--continue", help="Adapter to continue. Default: a new adapter.", show_default=False)
    ] = None,
    norm_of: Annotated[
        str | None, typer.Option(help="Scale to the norm of this adapter's weight change.", show_default=False)
    ] = None,
    side_effect_texts: Annotated[
        int,
        typer.Option(
            help="Held-out texts per language and class to measure gains and side effects on; 0: measure neither.",
            min=0,
        ),
    ] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to search for refusals.", min=0)] = 0,
    report_to: Annotated[
        str, typer.Option(help="Service that follows the training: none, wandb, mlflow, trackio or tensorboard.")
    ] = "none",
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 20,
    device: DeviceOption = None,
) -> None:
    """Train a LoRA adapter that refuses harmful text and engages with harmless text, in the languages that need it.

    isogloss tune --from RUN --out ADAPTER tunes the weak languages of an audit. Half of the pairs are held out: audit
    the adapter on these with --split held-out. After an interruption, the same command resumes the training.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.cli.side_effects import print_gain_change  # noqa: PLC0415
    from isogloss.data.splits import split_corpus  # noqa: PLC0415
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415
    from isogloss.models.tuning_record import read_tune_record  # noqa: PLC0415

    settings = to_fields({name: value for name, value in given.items() if name not in READING_OPTIONS})
    remedy = _remedy(run, corpus, model)
    if run and "languages" not in settings:
        if not remedy.weak:
            typer.echo(f"{run}: no language is weak, so there is nothing to tune.", err=True)
            return
        _print_weak(remedy)
        settings["languages"] = remedy.targets
    needs = remedy.needs if settings.get("budget") == "need" else None
    norm = _norm(norm_of, model=remedy.model) if norm_of else None
    config = isogloss.TuneConfig(**{"pivot": remedy.pivot, "needs": needs, "norm": norm} | settings)
    languages = dict.fromkeys((*config.trained_languages, *remedy.audited))
    options = read_corpus_options(given)
    texts = isogloss.load_corpus(list(remedy.corpus), languages=tuple(languages), **options)
    for warning in texts.warnings:
        typer.echo(f"{warning.code} {warning.text}", err=True)
    base = ModelRef.parse(remedy.model)
    start = ModelRef(base=base.base, revision=base.revision, adapter=adapter or base.adapter)
    folder = isogloss.tune(
        start, texts, out, config=config, device=device, report_to=report_to, save_every=save_every, track=track
    )
    if n_cut := read_tune_record(folder)["cut_prompts"]:
        typer.echo(f"{n_cut} of {config.records} prompts were truncated at --max-tokens {config.max_tokens}", err=True)
    typer.echo(f"Wrote {folder}", err=True)
    if side_effect_texts:
        # Gains are measured from the run's reference, which may have an adapter; without a run, from the base alone.
        reference = base if run else ModelRef(base=base.base, revision=base.revision)
        before = start if start != reference else (ModelRef.parse(remedy.before) if remedy.before else None)
        tuned = ModelRef(base=base.base, revision=base.revision, adapter=str(folder))
        held_out = split_corpus(texts, holdout=config.holdout, seed=config.split_seed)[1] or texts
        print_gain_change(reference, before, tuned, held_out, config=config, device=device)
        pair = ModelPair(name="tuned", reference=start, aligned=tuned, source="isogloss tune")
        print_side_effects(pair, held_out, texts=side_effect_texts, generate=generate, device=device, as_json=False)


def _remedy(run: AnyPath | None, corpus: list[str] | None, model: str | None) -> Remedy:
    from isogloss.report.read_run import read_audit  # noqa: PLC0415
    from isogloss.tuning.weak_languages import Remedy, remedy_for  # noqa: PLC0415

    if run:
        return remedy_for(read_audit(run), corpus=corpus or (), model=model)
    if not corpus:
        raise UsageError(
            "--corpus", found="none", expected="texts to train on", do="name a corpus, or a run with --from"
        )
    return Remedy(corpus=tuple(corpus), model=model or DEFAULT_MODEL)


def _norm(adapter: str, model: str) -> float:
    """Read the norm of an adapter's weight change."""
    from isogloss.models.checkpoints import fetch  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.tuning.adapter_folder import folder_norm  # noqa: PLC0415

    base = ModelRef.parse(model)
    folder = fetch(ModelRef(base=base.base, revision=base.revision, adapter=adapter)).adapter_folder
    assert folder is not None  # noqa: S101 - the reference names an adapter
    return folder_norm(folder)


def _print_weak(remedy: Remedy) -> None:
    """Print the weak languages, and those of them that cannot be tuned."""
    show(
        {"weak language": row.language, "verdict": row.verdict, "shortfall": f"{row.shortfall:.0%} of the gain"}
        for row in remedy.weak
    )
    if left_out := [row.language for row in remedy.weak if row.language not in remedy.targets]:
        typer.echo(f"Left out because the answer table lacks them: {', '.join(left_out)}", err=True)
