"""`isogloss sensitivity`: does the result depend on arbitrary choices?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import DeviceOption, StoreOption, deliver, show
from isogloss.cli.settings import with_settings
from isogloss.errors import IsoglossError
from isogloss.recipes.settings import make_settings

if TYPE_CHECKING:
    import polars as pl

#: A language is counted if its gain is below this share of the pivot's gain.
HALF = 0.5
CHOICE = ("prompt_format", "position", "norm", "scope", "components")


@with_settings
def sensitivity(
    given: dict[str, Any],
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe (TOML). Default: the audit that the options describe.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write as well, with one line per number.")] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
) -> None:
    """Show the gains of the primary metric under other read-outs, norms, components and fits of components.

    The gains are plug-in values without intervals. With --prompt-format chat or --compare-chat, read-outs in the chat
    template are added.
    """
    import polars as pl  # noqa: PLC0415 - `isogloss --help` must not wait for it

    import isogloss  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.build import config_of, corpus_of, pair_of  # noqa: PLC0415
    from isogloss.recipes.recipe import read_recipe, single  # noqa: PLC0415

    recipe_of_audits = read_recipe(recipe, given) if recipe is not None else single(make_settings(given))
    audits = [(job, pair_of(job.settings), config_of(job.settings)) for job in recipe_of_audits.jobs]
    tables, failed = [], 0
    for job, pair, config in audits:
        typer.echo(f"{job.model} on {job.corpus}, {config.primary.metric}:")
        try:
            texts = corpus_of(job.settings)
            table = isogloss.sensitivity(pair, texts, config=config, store=store, device=device, track=track)
        except IsoglossError as error:
            if len(audits) == 1:
                raise
            failed += 1
            typer.echo(f"failed: {error}\n")
            continue
        tables.append(table.select(pl.lit(job.model).alias("model"), pl.lit(job.corpus).alias("corpus"), pl.all()))
        show(_make_lines(table, config.pivot))
        typer.echo(f"\n{_summarise(table, config.pivot)}\n")
    if out is not None and tables:
        deliver(pl.concat(tables).write_csv(), out)
    if failed:
        sys.exit(1)


def _make_lines(table: pl.DataFrame, pivot: str) -> list[dict[str, str]]:
    """Make a line for each combination: the gain of the pivot, then of each language; levels without a reference."""
    shown = "gain" if table["gain"].count() else "aligned"
    sign = "+" if shown == "gain" else ""
    codes = [pivot, *sorted(set(table["language"]) - {pivot})]
    lines = []
    for choices, combination in table.drop_nulls(shown).group_by(CHOICE, maintain_order=True):
        values = dict(combination.select("language", shown).iter_rows())
        cells = dict(zip(CHOICE, map(str, choices), strict=True))
        lines.append(cells | {code: f"{values[code]:{sign}.3f}" for code in codes})
    return lines


def _summarise(table: pl.DataFrame, pivot: str) -> str:
    """Count the combinations in which each language gained, and gained less than half as much as the pivot."""
    if not table["gain"].count():
        return "No reference model: these are levels of the aligned model, not gains."
    known = table.drop_nulls("gain")
    counts = []
    for code in [pivot, *sorted(set(known["language"]) - {pivot})]:
        gains = known.filter(language=code)
        half = "" if code == pivot else f", under half of {pivot}'s in {(gains['retention'] < HALF).sum()}"
        counts.append(f"{code} rises in {(gains['gain'] > 0).sum()} of {gains.height}{half}")
    return f"Combinations: {'; '.join(counts)}."
