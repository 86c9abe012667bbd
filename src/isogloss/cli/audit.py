"""`isogloss audit`: one audit, or those of a recipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import console, show
from isogloss.cli.settings import with_settings
from isogloss.engines.config import EngineConfig
from isogloss.errors import UsageError
from isogloss.recipes.settings import Settings

if TYPE_CHECKING:
    from isogloss.auditing.plan import AuditConfig
    from isogloss.corpora.corpus import Corpus
    from isogloss.recipes.recipe import Recipe
    from isogloss.recipes.run import Outcome

RUNS = Path("runs")


@with_settings
def audit(
    given: dict[str, Any],
    engine: EngineConfig,
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe (TOML) with models, corpora and settings.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; with a recipe the folder of its runs. Default: runs/<corpus>-<hash>, runs/<recipe>."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Where hidden states are kept. Default: your cache.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Default: a GPU if there is one.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Languages measured side by side; changes no number.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Compare an aligned model with its reference, language by language.

    Without options: the embedded pair (Gemma 3 270M, and an adapter aligned in English only) on the bundled corpus.

    With a recipe: each of its models on each of its corpora; options stand above its settings.
    """
    if recipe is not None:
        _run(recipe, given, out, store=store, device=device, workers=workers, engine=engine, as_json=as_json)
        return
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.recipes.build import config_of, corpus_of, pair_of  # noqa: PLC0415
    from isogloss.report.terminal import print_audit, track  # noqa: PLC0415

    settings = Settings(**given)
    texts = corpus_of(settings)
    config = config_of(settings, workers=workers)
    if len(settings.aligned) > 1:
        _several(settings, texts, config, out=out, store=store, device=device, engine=engine, as_json=as_json)
        return
    result = isogloss.audit(
        pair_of(settings),
        texts,
        config=config,
        out=out,
        runs=None if out else RUNS,
        store=store,
        device=device,
        engine=engine,
        track=track,
    )
    if as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        print_audit(result, console())
    folder = out or result.folder_in(RUNS)
    typer.echo(f"Wrote {folder}; open {folder / 'report.html'}", err=True)


def _several(
    settings: Settings,
    texts: Corpus,
    config: AuditConfig,
    *,
    out: Path | None,
    store: Path | None,
    device: str | None,
    engine: EngineConfig,
    as_json: bool,
) -> None:
    """Audit several descendants of one reference, a run folder each, and print them side by side."""
    from isogloss.auditing.descendants import audit_descendants  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.report.descendants import CAPTION, descendant_rows  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

    if settings.pair:
        raise UsageError("models", found="--pair and --aligned", expected="one way to name them", do="drop one")
    audits = audit_descendants(
        ModelRef.parse(settings.reference) if settings.reference else None,
        [ModelRef.parse(one) for one in settings.aligned],
        texts,
        config=config,
        out=out,
        runs=None if out else RUNS,
        store=store,
        device=device,
        engine=engine,
        track=track,
    )
    if as_json:
        typer.echo(json.dumps({name: json.loads(one.to_json()) for name, one in audits.items()}, ensure_ascii=False))
    else:
        show(descendant_rows(audits))
        typer.echo(f"\n{CAPTION}")
    for name, one in audits.items():
        typer.echo(f"Wrote {out / name if out else one.folder_in(RUNS)}", err=True)


def _run(
    name: str,
    given: dict[str, Any],
    out: Path | None,
    *,
    store: Path | None,
    device: str | None,
    workers: int | None,
    engine: EngineConfig,
    as_json: bool,
) -> None:
    from isogloss.recipes.recipe import read_recipe  # noqa: PLC0415
    from isogloss.recipes.run import run_recipe  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

    recipe = read_recipe(name, given)
    outcomes = []
    for one in run_recipe(
        recipe, runs=out or RUNS / recipe.name, store=store, device=device, workers=workers, engine=engine, track=track
    ):
        outcomes.append(one)
        typer.echo(f"{len(outcomes)} of {len(recipe.jobs)}: {_line(one)}", err=True)
    if as_json:
        typer.echo(json.dumps([_record(one) for one in outcomes], indent=1))
    else:
        show({"model": one.job.model, "corpus": one.job.corpus, "result": _result(one)} for one in outcomes)
        for command in comparisons(recipe, outcomes):
            typer.echo(f"To compare: {command}", err=True)
    if failed := sum(one.error is not None for one in outcomes):
        typer.echo(
            f"isogloss: {failed} of {len(outcomes)} audits failed; run the same command to try them again", err=True
        )
        sys.exit(1)


def comparisons(recipe: Recipe, outcomes: list[Outcome]) -> list[str]:
    """Write the command for each corpus that puts its models side by side."""
    by_corpus: dict[str, list[str]] = {job.corpus: [] for job in recipe.jobs}
    for one in outcomes:
        if one.folder:
            by_corpus[one.job.corpus].append(str(one.folder))
    return [f"isogloss compare {' '.join(folders)}" for folders in by_corpus.values() if len(folders) > 1]


def _line(one: Outcome) -> str:
    return f"{one.job.model} on {one.job.corpus}: {_result(one)}"


def _result(one: Outcome) -> str:
    return f"failed: {one.error}" if one.error else str(one.folder)


def _record(one: Outcome) -> dict[str, Any]:
    return {
        "model": one.job.model,
        "corpus": one.job.corpus,
        "folder": str(one.folder) if one.folder else None,
        "error": str(one.error) if one.error else None,
    }
