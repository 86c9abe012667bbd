"""`isogloss corpora`, `models`, `languages` and `metrics`: the names that options take."""

from __future__ import annotations

from typing import Annotated

import typer

from isogloss.cli.options import show
from isogloss.errors import CorpusError


def corpora(
    check: Annotated[
        str | None, typer.Option(metavar="NAME", help="Read one corpus, and compare it with what the list says.")
    ] = None,
) -> None:
    """List the named corpora, or check one of them where the hub can be reached."""
    from isogloss.data.named_corpora import CORPORA  # noqa: PLC0415

    if check is not None:
        _check_corpus(check)
        return
    show(
        {
            "corpus": row.name,
            "kind": row.kind,
            "languages": " ".join(row.languages),
            "licence": row.licence or "not stated",
            "checked": row.checked,
            "about": row.about,
        }
        for row in CORPORA.values()
    )


def _check_corpus(name: str) -> None:
    """Print what a named corpus holds.

    Raises:
        CorpusError: it cannot be read, or differs from its row.
    """
    from isogloss.data.check_source import check_source  # noqa: PLC0415
    from isogloss.data.load import load_corpus  # noqa: PLC0415
    from isogloss.data.named_corpora import source  # noqa: PLC0415

    row = source(name)
    result = check_source(row, load_corpus(row.name))
    show(
        {"language": code, "harmful": str(harmful), "harmless": str(harmless)}
        for code, harmful, harmless in result.counts.iter_rows()
    )
    for warning in result.warnings:
        typer.echo(warning)
    typer.echo(f"Read at revision {result.revision or 'unknown'}; listed as: {row.checked}.")
    if result.differences:
        raise CorpusError(
            f"corpus {name}",
            found="; ".join(result.differences),
            expected="what `isogloss corpora` lists",
            do="use the languages that are there, and report the difference",
        )
    typer.echo("Columns, languages and classes are as listed.")


def models() -> None:
    """List the named model pairs."""
    from isogloss.models.pairs import MODEL_PAIRS  # noqa: PLC0415

    show(
        {
            "pair": row.name,
            "reference": str(row.reference or "none published"),
            "aligned": str(row.aligned),
            "checked": row.checked,
            "source": row.source,
        }
        for row in MODEL_PAIRS.values()
    )


def languages(
    codes: Annotated[
        list[str] | None, typer.Argument(metavar="[CODE]...", help="Codes, tags or names to look up; any language.")
    ] = None,
) -> None:
    """List the languages with a known resource class (0 to 5, Joshi et al. 2020), or look up any language."""
    from isogloss.data.languages import LANGUAGES, language  # noqa: PLC0415

    rows = [(text, language(text)) for text in codes or LANGUAGES]
    show(
        ({"written": text} if codes else {})
        | {
            "code": row.code,
            "language": row.name,
            "script": row.script or "unknown",
            "resource class": "unknown" if row.resource_class is None else str(row.resource_class),
        }
        for text, row in rows
    )


def metrics() -> None:
    """List the metrics."""
    from isogloss.analyses.audit import METRICS  # noqa: PLC0415

    show(
        {
            "metric": row.name,
            "family": row.family,
            "range": f"{row.low:g} to {row.high:g}",
            "chance": f"{row.chance:g}",
            "about": row.about,
            "source": row.source,
        }
        for row in METRICS.values()
    )
