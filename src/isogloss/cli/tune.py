"""`isogloss tune`: train an adapter for the languages that alignment did not reach."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from isogloss.cli.options import DeviceOption, columns, path_option, show
from isogloss.cli.settings import with_options
from isogloss.cli.side_effects import print_side_effects
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.recipes.settings import Setting
from isogloss.tuning.config import TuneConfig

if TYPE_CHECKING:
    from isogloss.tuning.weak_languages import Remedy


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


MODEL = "embedded/gemma-3-270m"


@with_options(TUNE_OPTIONS)
def tune(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option(help="Adapter folder to write; until then its state is in OUT.partial.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Name or file; its texts become prompts. Default: that of the run.", show_default=False),
    ] = None,
    run: Annotated[AnyPath | None, path_option("Run folder: tune the languages that it found weak.", "--from")] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"Base model to adapt. Default: the run's reference, or {MODEL}.", show_default=False),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--continue", help="Adapter to go on from. Default: a new one.", show_default=False)
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="Name a column of your file.")] = None,
    norm_of: Annotated[
        str | None, typer.Option(help="Scale to the norm of this adapter's weight change.", show_default=False)
    ] = None,
    side_effect_texts: Annotated[
        int, typer.Option(help="Held-out texts per language and class to guard with; 0: no gains, no guards.", min=0)
    ] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to look for refusals in.", min=0)] = 0,
    report_to: Annotated[str, typer.Option(help="none, wandb, mlflow, trackio or tensorboard.")] = "none",
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 20,
    device: DeviceOption = None,
) -> None:
    """Train an adapter that refuses harmful and engages with harmless text, in the languages that need it (LoRA).

    isogloss tune --from RUN --out ADAPTER tunes what an audit found weak. Half of the pairs are held out: audit the
    adapter on these, with --split held-out. The same command after an interruption goes on.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.cli.side_effects import print_gain_change  # noqa: PLC0415
    from isogloss.data.splits import split_corpus  # noqa: PLC0415
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415
    from isogloss.models.tuning_record import read_tune_record  # noqa: PLC0415

    chosen = as_fields(given)
    remedy = _remedy(run, corpus, model)
    if run and "languages" not in chosen:
        if not remedy.weak:
            typer.echo(f"{run}: no language is weak, so there is nothing to tune.", err=True)
            return
        _print_weak(remedy)
        chosen["languages"] = remedy.targets
    needs = remedy.needs if chosen.get("budget") == "need" else None
    norm = _norm(norm_of, model=remedy.model) if norm_of else None
    config = isogloss.TuneConfig(**{"pivot": remedy.pivot, "needs": needs, "norm": norm} | chosen)
    wanted = dict.fromkeys((*config.trained_languages, *remedy.audited))
    texts = isogloss.load_corpus(list(remedy.corpus), languages=tuple(wanted), columns=columns(column))
    for warning in texts.warnings:
        typer.echo(f"{warning.code} {warning.text}", err=True)
    base = ModelRef.parse(remedy.model)
    start = ModelRef(base=base.base, revision=base.revision, adapter=adapter or base.adapter)
    folder = isogloss.tune(
        start, texts, out, config=config, device=device, report_to=report_to, save_every=save_every, track=track
    )
    if n_cut := read_tune_record(folder)["cut_prompts"]:
        typer.echo(f"{n_cut} of {config.records} prompts lost their end at --max-tokens {config.max_tokens}", err=True)
    typer.echo(f"Wrote {folder}", err=True)
    if side_effect_texts:
        # Gains count from the run's reference, which may have an adapter; without a run, from the bare base.
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
        raise UsageError("--corpus", found="none", expected="texts to train on", do="name some, or a run with --from")
    return Remedy(corpus=tuple(corpus), model=model or MODEL)


def _norm(adapter: str, model: str) -> float:
    """Read the norm of an adapter's weight change."""
    from isogloss.models.checkpoints import fetch  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.tuning.norm import folder_norm  # noqa: PLC0415

    base = ModelRef.parse(model)
    found = fetch(ModelRef(base=base.base, revision=base.revision, adapter=adapter)).adapter_folder
    assert found is not None  # noqa: S101 - it was asked for
    return folder_norm(found)


def _print_weak(remedy: Remedy) -> None:
    """Print the weak languages, and which of them cannot be tuned."""
    show({"weak": one.language, "verdict": one.verdict, "lacks": f"{one.lacks:.0%} of the gain"} for one in remedy.weak)
    if left_out := [one.language for one in remedy.weak if one.language not in remedy.targets]:
        typer.echo(f"Left out, for there are no answers in them: {', '.join(left_out)}", err=True)
