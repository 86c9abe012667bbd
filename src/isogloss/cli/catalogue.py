"""`isogloss corpora`, `models`, `languages` and `metrics`: the names that options take."""

from __future__ import annotations

from isogloss.cli.options import show


def corpora() -> None:
    """List the named corpora."""
    from isogloss.data.named_corpora import CORPORA  # noqa: PLC0415

    show(
        {
            "corpus": row.name,
            "kind": row.kind,
            "languages": " ".join(row.languages),
            "licence": row.licence or "not stated",
            "about": row.about,
        }
        for row in CORPORA.values()
    )


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


def languages() -> None:
    """List the languages with their resource class (0 to 5, Joshi et al. 2020)."""
    from isogloss.data.languages import LANGUAGES  # noqa: PLC0415

    show(
        {
            "code": row.code,
            "language": row.name,
            "script": row.script,
            "resource class": "" if row.resource_class is None else str(row.resource_class),
        }
        for row in LANGUAGES.values()
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
