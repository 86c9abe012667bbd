"""`isogloss preview`: what was understood of a corpus, before any model runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import console
from isogloss.cli.settings import REPEATED, with_options
from isogloss.errors import CorpusError
from isogloss.recipes.settings import READING_OPTIONS, SETTINGS, read_corpus_options

if TYPE_CHECKING:
    from isogloss.data.preview import CorpusPreview

#: Settings that say which texts are read, beside the corpus itself.
PREVIEW_OPTIONS = READING_OPTIONS | {name: SETTINGS[name] for name in ("languages", "conflicts")}


@with_options(PREVIEW_OPTIONS)
def preview(
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Argument(help="Corpus name, file, folder, pattern, or org/name:config/split.", show_default=False),
    ],
    show_text: Annotated[  # noqa: FBT002
        bool, typer.Option("--show-text", help="Print the examples, which may be offensive; otherwise covered.")
    ] = False,
) -> None:
    """Show what isogloss understands of a corpus, before any model runs.

    Columns, polarity with two examples a class, languages with counts, what was dropped and why, and the command that
    audits the corpus.
    """
    from isogloss.data.corpus_options import CorpusOptions  # noqa: PLC0415 - keeps `isogloss --help` fast
    from isogloss.data.found_columns import find_columns  # noqa: PLC0415
    from isogloss.data.preview import preview_corpus  # noqa: PLC0415
    from isogloss.recipes.build import check_conflicts  # noqa: PLC0415

    options = CorpusOptions(**read_corpus_options(given))
    conflicts = check_conflicts(given.get("conflicts", "drop"))
    try:
        understood = preview_corpus(corpus, languages=given.get("languages"), options=options, conflicts=conflicts)
    except CorpusError:
        found, suggestion = find_columns(corpus, options)
        _print_found(found, _command("preview", corpus, given, suggestion) if suggestion else "")
        raise
    _print(understood, corpus, given, show_text=show_text)


def _print(understood: CorpusPreview, corpus: list[str], given: dict[str, Any], *, show_text: bool) -> None:
    from isogloss.report.corpus_tables import corpus_tables  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415
    from isogloss.text import sanitize  # noqa: PLC0415

    for name, form in understood.forms.items():
        typer.echo(sanitize(f"{name}: {form}"))
    for table in corpus_tables(understood, show_text=show_text):
        print_table(table, console())
    if understood.pairs or understood.items:
        typer.echo(f"{understood.pairs:,} text pairs; {understood.items:,} items that stand in several languages.\n")
    if understood.warnings:
        typer.echo("Dropped, decided or doubtful:")
        for warning in understood.warnings:
            typer.echo(sanitize(f"  {warning.code} {warning.text}"))
        typer.echo()
    if understood.refusal:
        typer.echo(f"An audit would refuse this corpus: {understood.refusal}")
        return
    typer.echo(f"An audit draws {understood.per_class} texts per language and class:")
    typer.echo(f"  {_command('audit', corpus, given)}")


def _print_found(found: Any, command: str) -> None:  # noqa: ANN401 - tuple of FoundColumn, imported when needed
    from isogloss.report.corpus_tables import found_columns_table  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    if found:
        print_table(found_columns_table(found), console())
    if command:
        typer.echo(f"Try, with your columns:\n  {command}\n")


def _command(name: str, corpus: list[str], given: dict[str, Any], more: str = "") -> str:
    """Write a command of isogloss with the options that were given."""
    words = ["isogloss", name]
    words += corpus if name == "preview" else [word for address in corpus for word in ("--corpus", address)]
    for key, value in given.items():
        option = SETTINGS[key].option
        if value is True:
            words.append(option)
        elif key in REPEATED:
            words += [word for item in value for word in (option, str(item))]
        else:
            words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
    return " ".join(filter(None, (shlex.join(words), more)))
