"""A row of the CORPORA table against its files: can they be read, and do they hold what the row says?"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.data.source import Source


@dataclass(frozen=True, kw_only=True)
class SourceCheck:
    """What a named corpus holds, and how that differs from its row.

    Attributes:
        revision: commit that was read; None where it cannot be known.
        counts: columns language, harmful, harmless: texts, without duplicates and contradictions.
        differences: what is not as the row says, in words; empty if everything is.
        warnings: what was dropped, and what is remarkable about the texts.
    """

    revision: str | None
    counts: pl.DataFrame
    differences: tuple[str, ...]
    warnings: tuple[str, ...]


def check_source(row: Source, corpus: Corpus) -> SourceCheck:
    """Compare a named corpus with its row.

    Args:
        row: of the CORPORA table.
        corpus: as it was loaded, with all languages.
    """
    counts = corpus.counts()
    differences = []
    if missing := sorted(set(row.languages) - set(corpus.languages)):
        differences.append(f"no texts in {', '.join(missing)}")
    for name in ("harmful", "harmless"):
        lacking = counts.filter(pl.col(name) == 0)["language"].to_list()
        if lacking and not (row.kind == "harmful-only" and name == "harmless"):
            differences.append(f"no {name} texts in {', '.join(lacking)}")
    if row.kind == "harmful-only" and int(counts["harmless"].sum()):
        differences.append("harmless texts as well")
    if row.per_class and (most := int(counts.select(pl.max_horizontal("harmful", "harmless").max()).item())):
        differences += [f"{most} texts in a class, not {row.per_class}"] if most > row.per_class else []
    foreign = [warning.language or "" for warning in corpus.warnings if warning.code == "L003"]
    if foreign:
        differences.append(f"another script than that of the language in {', '.join(foreign)}")
    return SourceCheck(
        revision=corpus.revision,
        counts=counts,
        differences=tuple(differences),
        warnings=tuple(warning.text for warning in corpus.warnings),
    )
