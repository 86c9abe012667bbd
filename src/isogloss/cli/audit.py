"""`isogloss audit`: run one audit, or the audits of a recipe."""

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
class RunOptions:
    """Options that change no number: where and how audits run, what they write and what they print."""

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
        str | None, typer.Argument(help="Recipe (TOML) with models, corpora and settings.", show_default=False)
    ] = None,
    out: Annotated[
        AnyPath | None,
        path_option("Run folder; with a recipe, the folder of its runs. Default: runs/<corpus>-<hash>, runs/<recipe>."),
    ] = None,
    runs: Annotated[AnyPath, path_option("Folder for run folders that --out does not name.", show_default=True)] = RUNS,
    store: StoreOption = None,
    device: DeviceOption = None,
    workers: Annotated[
        int | None, typer.Option(help="Languages measured in parallel; changes no number.", min=1)
    ] = None,
    cache_states: Annotated[
        str,
        typer.Option(
            help="Hidden states to keep in the cache after the audit: all, final (the primary layer's) or none."
        ),
    ] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Compare an aligned model with its reference, language by language.

    Without options: the embedded pair (Gemma 3 270M, and an adapter aligned in English only) on the bundled corpus.

    With a recipe: each of its models on each of its corpora; options override its settings.
    """
    options = RunOptions(
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
        _audit_recipe(recipe, given, options)
        return
    from isogloss.recipes.build import config_of, corpus_of  # noqa: PLC0415 - `isogloss --help` must not wait for it

    settings = make_settings(given)
    texts = corpus_of(settings)
    config = config_of(settings, workers=workers, cache_states=cache_states)
    (_audit_descendants if len(settings.aligned) > 1 else _audit_pair)(settings, texts, config, options)


def _audit_pair(settings: Settings, texts: Corpus, config: AuditConfig, options: RunOptions) -> None:
    """Audit one pair and print the result."""
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.analyses.audit import audit_sections  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.build import pair_of  # noqa: PLC0415
    from isogloss.report.render_terminal import print_audit  # noqa: PLC0415

    result = isogloss.audit(
        pair_of(settings),
        texts,
        config=config,
        out=options.out,
        runs=None if options.out else options.runs,
        store=options.store,
        device=options.device,
        engine=options.engine,
        track=track,
    )
    if options.as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        print_audit(result, console(), audit_sections(result))
    folder = options.out or result.folder_in(options.runs)
    typer.echo(f"Wrote {folder}; open {folder / 'report.html'}", err=True)
    _print_removal(folder, config.cache_states)


def _print_removal(folder: AnyPath, cache_states: str) -> None:
    from isogloss.auditing.cache_policy import kept_line  # noqa: PLC0415
    from isogloss.report.read_run import read_run  # noqa: PLC0415

    if cache_states != "all" and (record := read_run(folder).record):
        typer.echo(kept_line(record["cache_states"]), err=True)


def _audit_descendants(settings: Settings, texts: Corpus, config: AuditConfig, options: RunOptions) -> None:
    """Audit several descendants of one reference, each in a run folder, and print one table of all."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.recipes.descendants import audit_descendants  # noqa: PLC0415
    from isogloss.report.comparison.runs import descendant_table  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    if settings.pair:
        raise UsageError("models", found="--pair and --aligned", expected="one way to name them", do="drop one")
    audits = audit_descendants(
        ModelRef.parse(settings.reference) if settings.reference else None,
        [ModelRef.parse(name) for name in settings.aligned],
        texts,
        config=config,
        out=options.out,
        runs=None if options.out else options.runs,
        store=options.store,
        device=options.device,
        engine=options.engine,
        track=track,
    )
    if options.as_json:
        typer.echo(
            json.dumps({name: json.loads(result.to_json()) for name, result in audits.items()}, ensure_ascii=False)
        )
    else:
        print_table(descendant_table(audits), console())
    for name, result in audits.items():
        folder = options.out / name if options.out else result.folder_in(options.runs)
        typer.echo(f"Wrote {folder}", err=True)
        _print_removal(folder, config.cache_states)


def _audit_recipe(name: str, given: dict[str, Any], options: RunOptions) -> None:
    """Run the audits of a recipe, and print the folder of each."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.recipe import read_recipe  # noqa: PLC0415
    from isogloss.recipes.run_recipe import run_recipe  # noqa: PLC0415

    recipe = read_recipe(name, given)
    outcomes = []
    for outcome in run_recipe(
        recipe,
        runs=options.out or options.runs / recipe.name,
        store=options.store,
        device=options.device,
        workers=options.workers,
        cache_states=options.cache_states,
        engine=options.engine,
        track=track,
    ):
        outcomes.append(outcome)
        typer.echo(f"{len(outcomes)} of {len(recipe.jobs)}: {_format_outcome(outcome)}", err=True)
        if outcome.folder:
            _print_removal(outcome.folder, options.cache_states)
    if options.as_json:
        typer.echo(json.dumps([_make_record(outcome) for outcome in outcomes], indent=1))
    else:
        show(
            {"model": outcome.job.model, "corpus": outcome.job.corpus, "result": _format_result(outcome)}
            for outcome in outcomes
        )
        for command in comparisons(recipe, outcomes):
            typer.echo(f"To compare: {command}", err=True)
    if failed := sum(outcome.error is not None for outcome in outcomes):
        typer.echo(
            f"isogloss: {failed} of {len(outcomes)} audits failed; run the same command to try them again", err=True
        )
        sys.exit(1)


def comparisons(recipe: Recipe, outcomes: list[Outcome]) -> list[str]:
    """Write the command for each corpus that compares its models."""
    by_corpus: dict[str, list[str]] = {job.corpus: [] for job in recipe.jobs}
    for outcome in outcomes:
        if outcome.folder:
            by_corpus[outcome.job.corpus].append(str(outcome.folder))
    return [f"isogloss compare {' '.join(folders)}" for folders in by_corpus.values() if len(folders) > 1]


def _format_outcome(outcome: Outcome) -> str:
    return f"{outcome.job.model} on {outcome.job.corpus}: {_format_result(outcome)}"


def _format_result(outcome: Outcome) -> str:
    return f"failed: {outcome.error}" if outcome.error else str(outcome.folder)


def _make_record(outcome: Outcome) -> dict[str, Any]:
    return {
        "model": outcome.job.model,
        "corpus": outcome.job.corpus,
        "folder": str(outcome.folder) if outcome.folder else None,
        "error": str(outcome.error) if outcome.error else None,
    }
