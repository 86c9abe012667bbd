"""`isogloss tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isogloss.cli.guards import print_guards
from isogloss.cli.options import columns, show, split
from isogloss.errors import UsageError
from isogloss.places import Place, parse_place

if TYPE_CHECKING:
    from isogloss.results import Audit
    from isogloss.tuning.weak import WeakLanguage

MODEL = "embedded/gemma-3-270m"


def tune(
    out: Annotated[Path, typer.Option(help="Adapter folder to write; until then its state is in OUT.partial.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Name or file; its texts become prompts. Default: that of the run.", show_default=False),
    ] = None,
    run: Annotated[
        Place | None,
        typer.Option(
            "--from",
            help="Run folder: tune the languages that it found weak.",
            show_default=False,
            parser=parse_place,
            metavar="<path>",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"Base model to adapt. Default: the run's reference, or {MODEL}.", show_default=False),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--continue", help="Adapter to go on from. Default: a new one.", show_default=False)
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="Name a column of your file.")] = None,
    languages: Annotated[
        str | None, typer.Option(help="Target languages, such as hi,am. Default: the run's weak ones, or en.")
    ] = None,
    arm: Annotated[str, typer.Option(help="mixed (pivot and targets), target-only or pivot-only.")] = "mixed",
    pivot: Annotated[str | None, typer.Option(help="Default: that of the run, or en.", show_default=False)] = None,
    loss: Annotated[str, typer.Option(help="dpo, kto or sft.")] = "dpo",
    budget: Annotated[str, typer.Option(help="even, or need: more for a language that lacks more (--from).")] = "even",
    budget_unit: Annotated[str, typer.Option(help="What the budget counts: records or tokens.")] = "records",
    steps: Annotated[int, typer.Option(help="Optimiser steps.", min=1)] = 90,
    batch_size: Annotated[int, typer.Option(help="Records in a forward pass.", min=1)] = 16,
    gradient_accumulation: Annotated[int, typer.Option(help="Forward passes in a step.", min=1)] = 1,
    learning_rate: Annotated[float, typer.Option(help="Constant.")] = 3e-4,
    beta: Annotated[float, typer.Option(help="Inverse temperature of DPO and KTO.")] = 0.1,
    rank: Annotated[int, typer.Option(help="Of the LoRA matrices.", min=1)] = 16,
    max_tokens: Annotated[int, typer.Option(help="Of prompt and answer; longer prompts lose their end.", min=8)] = 96,
    passes: Annotated[int, typer.Option(help="Most times that a text is used.", min=1)] = 4,
    holdout: Annotated[float, typer.Option(help="Share of the pairs that are held out for audits; 0: none.")] = 0.5,
    split_seed: Annotated[int, typer.Option(help="Of the split; keep it where adapters are compared.")] = 0,
    seed: Annotated[int, typer.Option(help="Of draw, order, answers and the first weights.")] = 0,
    guard_texts: Annotated[
        int, typer.Option(help="Held-out texts per language and class to guard with; 0: no guards.", min=0)
    ] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to look for refusals in.", min=0)] = 0,
    report_to: Annotated[str, typer.Option(help="none, wandb, mlflow, trackio or tensorboard.")] = "none",
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 20,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Default: a GPU if there is one.")] = None,
) -> None:
    """Train an adapter that refuses harmful and engages with harmless text, in the languages that need it (LoRA).

    isogloss tune --from RUN --out ADAPTER tunes what an audit found weak. Half of the pairs are held out: audit the
    adapter on these, with --part held-out. The same command after an interruption goes on.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.corpora.split import split_corpus  # noqa: PLC0415
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415
    from isogloss.models.tune_record import read_tune_record  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

    asked = _from_run(run, corpus, model) if run else _Asked(corpus=_needed(corpus), model=model or MODEL)
    codes = split(languages)
    if run and not codes:
        codes = _targets(asked.weak)
        if not codes:
            typer.echo(f"{run}: no language is weak, so there is nothing to tune.", err=True)
            return
    pivot = pivot or asked.pivot
    config = isogloss.TuneConfig(
        languages=codes or ("en",),
        arm=arm,
        pivot=pivot,
        loss=loss,
        steps=steps,
        batch_size=batch_size,
        gradient_accumulation=gradient_accumulation,
        learning_rate=learning_rate,
        beta=beta,
        rank=rank,
        max_tokens=max_tokens,
        seed=seed,
        budget=budget,
        unit=budget_unit,
        needs={one.language: one.lacks for one in asked.weak} if budget == "need" else None,
        passes=passes,
        holdout=holdout,
        split_seed=split_seed,
    )
    wanted = dict.fromkeys((*config.trained_languages, *asked.languages))
    texts = isogloss.load_corpus(asked.corpus, languages=tuple(wanted), columns=columns(column))
    for notice in texts.notices:
        typer.echo(f"{notice.code} {notice.text}", err=True)
    held_out = split_corpus(texts, holdout=holdout, seed=split_seed)[1] or texts if guard_texts else texts
    base = ModelRef.parse(asked.model)
    start = ModelRef(base=base.base, revision=base.revision, adapter=adapter or base.adapter)
    folder = isogloss.tune(
        start,
        texts,
        out,
        config=config,
        device=device,
        report_to=report_to,
        save_every=save_every,
        track=track,
    )
    if n_cut := read_tune_record(folder)["cut_prompts"]:
        typer.echo(f"{n_cut} of {config.records} prompts lost their end at --max-tokens {max_tokens}", err=True)
    typer.echo(f"Wrote {folder}", err=True)
    if guard_texts:
        tuned = ModelRef(base=base.base, revision=base.revision, adapter=str(folder))
        pair = ModelPair(name="tuned", reference=start, aligned=tuned, source="isogloss tune")
        print_guards(pair, held_out, texts=guard_texts, generate=generate, device=device, as_json=False)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the command line leaves to a run: corpus, base, pivot, languages to guard, and those that are weak."""

    corpus: list[str]
    model: str
    pivot: str = "en"
    languages: tuple[str, ...] = ()
    weak: tuple[WeakLanguage, ...] = ()


def _needed(corpus: list[str] | None) -> list[str]:
    if not corpus:
        raise UsageError("--corpus", found="none", expected="texts to train on", do="name some, or a run with --from")
    return corpus


def _from_run(run: Place, corpus: list[str] | None, model: str | None) -> _Asked:
    import isogloss  # noqa: PLC0415
    from isogloss.report.read_run import read_audit  # noqa: PLC0415

    audit = read_audit(run)
    return _Asked(
        corpus=corpus or _corpus(audit),
        model=model or _reference(audit),
        pivot=audit.pivot,
        languages=audit.languages,
        weak=isogloss.weak_languages(audit),
    )


def _corpus(audit: Audit) -> list[str]:
    from isogloss.report.command import named_sources  # noqa: PLC0415

    if found := named_sources(audit):
        return list(found)
    raise UsageError(
        "--from",
        found=f"a run on {audit.corpus['name']}, a local file whose place it does not hold",
        expected="that file",
        do="name it with --corpus (and its columns with --column)",
    )


def _reference(audit: Audit) -> str:
    before = audit.models.get("reference")
    if before and before.get("given"):
        return str(before["given"])
    raise UsageError(
        "--from",
        found=f"a run whose reference {before['name']} was a local path" if before else "a run without a reference",
        expected="the base model to adapt",
        do="name it with --model",
    )


def _targets(weak: tuple[WeakLanguage, ...]) -> tuple[str, ...]:
    """Print the weak languages, and keep those that have answers."""
    from isogloss.behaviour.answers import answered_languages  # noqa: PLC0415

    if not weak:
        return ()
    show({"weak": one.language, "verdict": one.verdict, "lacks": f"{one.lacks:.0%} of the gain"} for one in weak)
    codes = tuple(one.language for one in weak)
    answered = tuple(code for code in codes if code in answered_languages())
    if left_out := [code for code in codes if code not in answered]:
        typer.echo(f"Left out, for there are no answers in them: {', '.join(left_out)}", err=True)
    return answered or codes  # with none left, `preferences` says so
