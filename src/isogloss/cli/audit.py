"""`isogloss audit`: one audit, or those of a recipe."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import DeviceOption, StoreOption, console, path_option, show
from isogloss.cli.settings import with_settings
from isogloss.engines.config import EngineConfig
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.recipes.settings import Settings, make_settings

if TYPE_CHECKING:
    from isogloss.auditing.config import AuditConfig
    from isogloss.data.corpus import Corpus
    from isogloss.recipes.recipe import Recipe
    from isogloss.recipes.run_recipe import Outcome

RUNS = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How audits are run, kept and told: options that change no number."""

    out: AnyPath | None
    runs: AnyPath
    store: AnyPath | None
    device: str | None
    workers: int | None
    cache_states: str
    engine: EngineConfig
    as_json: bool


@with_settings
def audit(
    given: dict[str, Any],
    engine: EngineConfig,
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe (TOML) with models, corpora and settings.", show_default=False)
    ] = None,
    out: Annotated[
        AnyPath | None,
        path_option("Run folder; with a recipe the folder of its runs. Default: runs/<corpus>-<hash>, runs/<recipe>."),
    ] = None,
    runs: Annotated[
        AnyPath, path_option("Folder for run folders that have no name of their own.", show_default=True)
    ] = RUNS,
    store: StoreOption = None,
    device: DeviceOption = None,
    workers: Annotated[
        int | None, typer.Option(help="Languages measured side by side; changes no number.", min=1)
    ] = None,
    cache_states: Annotated[
        str,
        typer.Option(help="States that stay in the store after measuring: all, final (the primary layer's) or none."),
    ] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Compare an aligned model with its reference, language by language.

    Without options: the embedded pair (Gemma 3 270M, and an adapter aligned in English only) on the bundled corpus.

    With a recipe: each of its models on each of its corpora; options stand above its settings.
    """
    manner = Manner(
        out=out,
        runs=runs,
        store=store,
        device=device,
        workers=workers,
        cache_states=cache_states,
        engine=engine,
        as_json=as_json,
    )
    if recipe is not None:
        _run(recipe, given, manner)
        return
    from isogloss.recipes.build import config_of, corpus_of  # noqa: PLC0415 - `isogloss --help` must not wait for it

    settings = make_settings(given)
    texts = corpus_of(settings)
    config = config_of(settings, workers=workers, cache_states=cache_states)
    (_several if len(settings.aligned) > 1 else _one)(settings, texts, config, manner)


def _one(settings: Settings, texts: Corpus, config: AuditConfig, manner: Manner) -> None:
    """Audit one pair and print what was found."""
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.analyses.audit import audit_sections  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.build import pair_of  # noqa: PLC0415
    from isogloss.report.render_terminal import print_audit  # noqa: PLC0415

    result = isogloss.audit(
        pair_of(settings),
        texts,
        config=config,
        out=manner.out,
        runs=None if manner.out else manner.runs,
        store=manner.store,
        device=manner.device,
        engine=manner.engine,
        track=track,
    )
    if manner.as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        print_audit(result, console(), audit_sections(result))
    folder = manner.out or result.folder_in(manner.runs)
    typer.echo(f"Wrote {folder}; open {folder / 'report.html'}", err=True)
    _say_kept(folder, config.cache_states)


def _say_kept(folder: AnyPath, cache_states: str) -> None:
    from isogloss.auditing.cache_policy import kept_line  # noqa: PLC0415
    from isogloss.report.read_run import read_run  # noqa: PLC0415

    if cache_states != "all" and (record := read_run(folder).record):
        typer.echo(kept_line(record["cache_states"]), err=True)


def _several(settings: Settings, texts: Corpus, config: AuditConfig, manner: Manner) -> None:
    """Audit several descendants of one reference, a run folder each, and print them side by side."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.recipes.descendants import audit_descendants  # noqa: PLC0415
    from isogloss.report.comparison.runs import descendant_table  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    if settings.pair:
        raise UsageError("models", found="--pair and --aligned", expected="one way to name them", do="drop one")
    audits = audit_descendants(
        ModelRef.parse(settings.reference) if settings.reference else None,
        [ModelRef.parse(one) for one in settings.aligned],
        texts,
        config=config,
        out=manner.out,
        runs=None if manner.out else manner.runs,
        store=manner.store,
        device=manner.device,
        engine=manner.engine,
        track=track,
    )
    if manner.as_json:
        typer.echo(json.dumps({name: json.loads(one.to_json()) for name, one in audits.items()}, ensure_ascii=False))
    else:
        print_table(descendant_table(audits), console())
    for name, one in audits.items():
        folder = manner.out / name if manner.out else one.folder_in(manner.runs)
        typer.echo(f"Wrote {folder}", err=True)
        _say_kept(folder, config.cache_states)


def _run(name: str, given: dict[str, Any], manner: Manner) -> None:
    """Do the audits of a recipe, and say after each where it is."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.recipe import read_recipe  # noqa: PLC0415
    from isogloss.recipes.run_recipe import run_recipe  # noqa: PLC0415

    recipe = read_recipe(name, given)
    outcomes = []
    for one in run_recipe(
        recipe,
        runs=manner.out or manner.runs / recipe.name,
        store=manner.store,
        device=manner.device,
        workers=manner.workers,
        cache_states=manner.cache_states,
        engine=manner.engine,
        track=track,
    ):
        outcomes.append(one)
        typer.echo(f"{len(outcomes)} of {len(recipe.jobs)}: {_line(one)}", err=True)
        if one.folder:
            _say_kept(one.folder, manner.cache_states)
    if manner.as_json:
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
