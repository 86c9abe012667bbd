"""`isogloss sensitivity`: does the answer depend on choices that could have been others?"""

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

#: Share of the pivot's gain below which a language is counted.
HALF = 0.5
CHOICE = ("prompt_format", "position", "norm", "scope", "components")


@with_settings
def sensitivity(
    given: dict[str, Any],
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe (TOML); without one, the audit that the options name.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write as well: a line a number.")] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
) -> None:
    """Show the primary metric's gains under other read-outs, norms, components and fits of them.

    Plug-in values without intervals, from one forward pass per read-out; with --compare-chat also in the
    chat template.
    """
    import polars as pl  # noqa: PLC0415 - `isogloss --help` must not wait for it

    import isogloss  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.recipes.build import config_of, corpus_of, pair_of  # noqa: PLC0415
    from isogloss.recipes.recipe import read_recipe, single  # noqa: PLC0415

    wanted = read_recipe(recipe, given) if recipe is not None else single(make_settings(given))
    settled = [(job, pair_of(job.settings), config_of(job.settings)) for job in wanted.jobs]
    tables, failed = [], 0
    for job, pair, config in settled:
        typer.echo(f"{job.model} on {job.corpus}, {config.primary.metric}:")
        try:
            texts = corpus_of(job.settings)
            table = isogloss.sensitivity(pair, texts, config=config, store=store, device=device, track=track)
        except IsoglossError as error:
            if len(settled) == 1:
                raise
            failed += 1
            typer.echo(f"failed: {error}\n")
            continue
        tables.append(table.select(pl.lit(job.model).alias("model"), pl.lit(job.corpus).alias("corpus"), pl.all()))
        show(_lines(table, config.pivot))
        typer.echo(f"\n{_summary(table, config.pivot)}\n")
    if out is not None and tables:
        deliver(pl.concat(tables).write_csv(), out)
    if failed:
        sys.exit(1)


def _lines(table: pl.DataFrame, pivot: str) -> list[dict[str, str]]:
    """A line a combination: the pivot's gain, then each language's gain; levels where there is no reference."""
    shown = "gain" if table["gain"].count() else "aligned"
    sign = "+" if shown == "gain" else ""
    codes = [pivot, *sorted(set(table["language"]) - {pivot})]
    lines = []
    for keys, part in table.drop_nulls(shown).group_by(CHOICE, maintain_order=True):
        values = dict(part.select("language", shown).iter_rows())
        place = dict(zip(CHOICE, map(str, keys), strict=True))
        lines.append(place | {code: f"{values[code]:{sign}.3f}" for code in codes})
    return lines


def _summary(table: pl.DataFrame, pivot: str) -> str:
    """Say in how many combinations each language gained, and kept less than half of what the pivot gained."""
    if not table["gain"].count():
        return "No reference model: these are levels of the aligned model, not gains."
    known = table.drop_nulls("gain")
    said = []
    for code in [pivot, *sorted(set(known["language"]) - {pivot})]:
        part = known.filter(language=code)
        half = "" if code == pivot else f", under half of {pivot}'s in {(part['retention'] < HALF).sum()}"
        said.append(f"{code} rises in {(part['gain'] > 0).sum()} of {part.height}{half}")
    return f"Combinations: {'; '.join(said)}."
