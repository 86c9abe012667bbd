"""`isogloss tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.guards import print_guards
from isogloss.cli.options import DeviceOption, columns, place_option, show
from isogloss.cli.settings import with_options
from isogloss.cli.tune_options import TUNE_OPTIONS, as_fields
from isogloss.errors import UsageError
from isogloss.places import Place

if TYPE_CHECKING:
    from isogloss.auditing.remedy import Remedy

MODEL = "embedded/gemma-3-270m"


@with_options(TUNE_OPTIONS)
def tune(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option(help="Adapter folder to write; until then its state is in OUT.partial.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Name or file; its texts become prompts. Default: that of the run.", show_default=False),
    ] = None,
    run: Annotated[Place | None, place_option("Run folder: tune the languages that it found weak.", "--from")] = None,
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
    guard_texts: Annotated[
        int, typer.Option(help="Held-out texts per language and class to guard with; 0: no gains, no guards.", min=0)
    ] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to look for refusals in.", min=0)] = 0,
    report_to: Annotated[str, typer.Option(help="none, wandb, mlflow, trackio or tensorboard.")] = "none",
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 20,
    device: DeviceOption = None,
) -> None:
    """Train an adapter that refuses harmful and engages with harmless text, in the languages that need it (LoRA).

    isogloss tune --from RUN --out ADAPTER tunes what an audit found weak. Half of the pairs are held out: audit the
    adapter on these, with --part held-out. The same command after an interruption goes on.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.cli.gain_change import print_gain_change  # noqa: PLC0415
    from isogloss.corpora.split import split_corpus  # noqa: PLC0415
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415
    from isogloss.models.tune_record import read_tune_record  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

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
    for notice in texts.notices:
        typer.echo(f"{notice.code} {notice.text}", err=True)
    base = ModelRef.parse(remedy.model)
    start = ModelRef(base=base.base, revision=base.revision, adapter=adapter or base.adapter)
    folder = isogloss.tune(
        start, texts, out, config=config, device=device, report_to=report_to, save_every=save_every, track=track
    )
    if n_cut := read_tune_record(folder)["cut_prompts"]:
        typer.echo(f"{n_cut} of {config.records} prompts lost their end at --max-tokens {config.max_tokens}", err=True)
    typer.echo(f"Wrote {folder}", err=True)
    if guard_texts:
        # Gains count from the run's reference, which may have an adapter; without a run, from the bare base.
        reference = base if run else ModelRef(base=base.base, revision=base.revision)
        before = start if start != reference else (ModelRef.parse(remedy.before) if remedy.before else None)
        tuned = ModelRef(base=base.base, revision=base.revision, adapter=str(folder))
        held_out = split_corpus(texts, holdout=config.holdout, seed=config.split_seed)[1] or texts
        print_gain_change(reference, before, tuned, held_out, config=config, device=device)
        pair = ModelPair(name="tuned", reference=start, aligned=tuned, source="isogloss tune")
        print_guards(pair, held_out, texts=guard_texts, generate=generate, device=device, as_json=False)


def _remedy(run: Place | None, corpus: list[str] | None, model: str | None) -> Remedy:
    from isogloss.auditing.remedy import Remedy, remedy_for  # noqa: PLC0415
    from isogloss.report.read_run import read_audit  # noqa: PLC0415

    if run:
        return remedy_for(read_audit(run), corpus=corpus or (), model=model)
    if not corpus:
        raise UsageError("--corpus", found="none", expected="texts to train on", do="name some, or a run with --from")
    return Remedy(corpus=tuple(corpus), model=model or MODEL)


def _norm(adapter: str, model: str) -> float:
    """Read the norm of an adapter's weight change."""
    from isogloss.models.fetch import fetch  # noqa: PLC0415
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
