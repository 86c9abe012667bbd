"""Load a corpus: a name of the CORPORA table, files, a data set on the hub, a table in memory, or several of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.addresses import (
    HubName,
    address_name,
    is_named,
    is_on_hub,
    language_in_name,
    languages_of_files,
    list_files,
    split_options,
)
from isogloss.data.corpus import Corpus
from isogloss.data.corpus_options import CorpusOptions, OneClass, Treatment
from isogloss.data.curate import Conflicts, unique_rows, with_text_ids
from isogloss.data.hub_data import read_hub
from isogloss.data.language_checks import check_languages
from isogloss.data.language_columns import canonical_codes
from isogloss.data.named_corpora import CORPORA, source
from isogloss.data.raw_table import RawTable
from isogloss.data.shapes import Rows, read_rows, to_rows
from isogloss.data.sources import SourceRows, read_source
from isogloss.data.tables import memory_table, read_table
from isogloss.errors import CorpusError, UsageError
from isogloss.warnings import CodedWarning

#: A name, file or data set (str, Path), or a table in memory.
Address = Any
#: Files that a warning names, at most.
MOST_FILES = 6


@dataclass(frozen=True, kw_only=True)
class CorpusPart:
    """One table of a corpus, or a named corpus.

    Attributes:
        address: as it was given, without its options.
        name: of the file or data set.
        frame: rows, with the columns of ROW_SCHEMA.
        rows: how the table was understood; None for a named corpus.
        table: as it was read; None for a named corpus.
        revision: commit of a data set on the hub, or None.
        licence: None where it is not known.
        warnings: of a named corpus: what was dropped.
    """

    address: Address
    name: str
    frame: pl.DataFrame
    rows: Rows | None = None
    table: RawTable | None = None
    revision: str | None = None
    licence: str | None = None
    warnings: tuple[CodedWarning, ...] = ()


def load_corpus(
    where: Address | Sequence[Address],
    *,
    languages: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    conflicts: Conflicts = "drop",
    harmful: Sequence[str] = (),
    label: OneClass | None = None,
    wide: Mapping[str, str] | Sequence[str] = (),
    header: bool = True,
    encoding_errors: Treatment = "refuse",
    incomplete_pairs: Treatment = "drop",
) -> Corpus:
    """Load a corpus: read it, select the wanted languages, remove duplicates and contradictions.

    Args:
        where: a name of CORPORA; a file, folder or pattern; a data set on the hub (org/name, org/name@revision,
            org/name:config/split); a pandas, Polars or Arrow table, a data set of `datasets`, or a list of dicts; or
            several of these, which are put together (for example harmful prompts from one and harmless ones from
            another). What follows a question mark holds for one of them: "de.csv?language==de&label=is_toxic".
        languages: codes or English names of the wanted languages; None takes all.
        columns: our column name -> the file's, for example {"text": "comment"}. A value may also be a path
            ("meta.text"), flags ("toxic|obscene"), a comparison ("toxicity>=0.5") or a constant ("=de"). The column
            "harmless" is true for harmless texts.
        conflicts: what to do with texts under both labels.
        harmful: label values that mean harmful; all others mean harmless. Without them, known words decide.
        label: the class of all texts, for a corpus that holds only one.
        wide: languages that have columns side by side, or language -> column.
        header: whether the first line of a table of text names its columns; otherwise they are named 1, 2, 3.
        encoding_errors: what to do with rows that are not UTF-8.
        incomplete_pairs: what to do with pairs of which one text is missing.

    Raises:
        CorpusError: see `isogloss.data.tables`, `isogloss.data.shapes` and `isogloss.data.curate`.
        UsageError: options contradict each other.

    >>> load_corpus("mini", languages=["en", "sw"]).languages
    ('en', 'sw')
    """
    reading = CorpusOptions(
        columns=dict(columns or {}),
        harmful=tuple(harmful),
        label=label,
        wide=dict(wide) if isinstance(wide, Mapping) else {code: code for code in wide},
        header=header,
        encoding_errors=encoding_errors,
        incomplete_pairs=incomplete_pairs,
    )
    wanted, warnings = canonical_codes(languages) if languages else (None, ())
    return make_corpus(read_parts(where, wanted, reading), wanted, conflicts=conflicts, warnings=warnings)


def read_parts(
    where: Address | Sequence[Address], languages: tuple[str, ...] | None, reading: CorpusOptions
) -> tuple[CorpusPart, ...]:
    """Read all tables of a corpus, before duplicates are dropped.

    Args:
        where: as for `load_corpus`.
        languages: canonical codes of the wanted languages; None takes all.
        reading: how the tables are to be understood; named corpora need no options.

    Raises:
        CorpusError: a table cannot be read or understood.
        UsageError: options are given, but every corpus is a named one.
    """
    addresses = list_addresses(where)
    if reading.changed and all(isinstance(address, str) and is_named(address) for address in addresses):
        raise UsageError(
            "options of a corpus",
            found=f"the named corpus {addresses[0]}",
            expected="a file, or a data set on the hub",
            do="leave them out: named corpora need none",
        )
    return tuple(part for address in addresses for part in _read(address, languages, reading))


def make_corpus(
    parts: Sequence[CorpusPart],
    languages: tuple[str, ...] | None,
    *,
    conflicts: Conflicts,
    warnings: tuple[CodedWarning, ...] = (),
) -> Corpus:
    """Put tables together, and remove duplicates and contradictions.

    Raises:
        CorpusError: a wanted language has no texts, nothing is left, or a text stands under both labels and these are
            to be refused.
    """
    name = "+".join(dict.fromkeys(address_name_of(part) for part in parts))
    frames = [part.frame for part in parts]
    if len(parts) > 1:  # pair ids are unique within a table only
        numbered = enumerate(frames)
        frames = [frame.with_columns(pair_id=pl.format(f"{n}:{{}}", pl.col("pair_id"))) for n, frame in numbered]
    rows = pl.concat(frames)
    if languages and (missing := sorted(set(languages) - set(rows["language"]))):
        raise CorpusError(
            f"corpus {name}",
            found=f"no texts in {', '.join(missing)}",
            expected="texts in every language asked for",
            do="leave these languages out of --languages",
        )
    if not rows.height:
        raise CorpusError(f"corpus {name}", found="no rows", expected="texts", do="check the file")
    mixed = 0 < rows["pair_id"].null_count() < rows.height
    if mixed:
        rows = rows.with_columns(pair_id=pl.lit(None, dtype=pl.String))
    rows, curated = unique_rows(rows, name=name, conflicts=conflicts)
    warnings += tuple(warning for part in parts for warning in (part.rows or part).warnings)
    warnings += (*curated, *check_languages(rows))
    if mixed:
        warnings += (CodedWarning(code="C007", detail="pair every text to have the pairs used"),)
    if any(part.licence is None for part in parts):
        warnings += (CodedWarning(code="C006", detail="check its terms before you share results with texts"),)
    return Corpus(
        name=name,
        frame=with_text_ids(rows),
        revision=_joined([part.revision for part in parts]),
        licence=_joined([part.licence for part in parts]),
        warnings=_merge_names(tuple(dict.fromkeys(warnings))),
    )


def _merge_names(warnings: tuple[CodedWarning, ...]) -> tuple[CodedWarning, ...]:
    """Make one warning of those about the languages of several files (C013)."""
    names = [warning.detail for warning in warnings if warning.code == "C013"]
    if len(names) < 2:  # noqa: PLR2004 - nothing to merge
        return warnings
    more = f" and {len(names) - MOST_FILES} more" if len(names) > MOST_FILES else ""
    merged = CodedWarning(code="C013", detail=", ".join(names[:MOST_FILES]) + more)
    return (merged, *(warning for warning in warnings if warning.code != "C013"))


def address_name_of(part: CorpusPart) -> str:
    """Return the name by which an audit knows the corpus that a table belongs to."""
    return address_name(part.address) if isinstance(part.address, str | Path) else "table"


def list_addresses(where: Address | Sequence[Address]) -> list[Address]:
    """Tell several addresses from one; a list of dicts is one table."""
    several = isinstance(where, list | tuple) and not (where and all(isinstance(item, Mapping) for item in where))
    addresses = list(where) if several else [where]
    if not addresses:
        raise CorpusError("corpus", found="none", expected="at least one", do="name one")
    return addresses


def _joined(names: Sequence[str | None]) -> str | None:
    known = [name for name in names if name]
    return " + ".join(dict.fromkeys(known)) or None


def _read(given: Address, languages: tuple[str, ...] | None, reading: CorpusOptions) -> list[CorpusPart]:
    if not isinstance(given, str | Path):
        table = memory_table(given)
        return [_make_part(given, "table", table, languages, reading, source="table")]
    address, options = split_options(given)
    if options:
        reading = replace(reading, **_merge(reading, options))
    if is_named(address):
        row = source(str(address))
        if row.name == "mini":
            read = SourceRows(_read_mini(languages or row.languages), row.revision, ())
        else:
            read = read_source(row, languages)
        return [CorpusPart(address=address, name=row.name, licence=row.licence, **read._asdict())]
    if is_on_hub(address):
        hub = HubName.parse(str(address))
        table, revision = read_hub(hub)
        fallback = language_in_name(hub.config or "")
        named = str(address)
        part = _make_part(address, named, table, languages, reading, source=named, fallback=fallback)
        return [replace(part, revision=revision)]
    paths = list_files(address)
    codes = languages_of_files(paths)
    return [
        _make_part(
            address,
            str(path),
            read_table(path, reading),
            languages,
            reading,
            source=path.name,
            fallback=codes.get(path),
        )
        for path in paths
    ]


def _merge(reading: CorpusOptions, options: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that the options of one corpus change; a class of its own replaces that of all."""
    columns = dict(reading.columns)
    if {"label", "harmless"} & set(options):
        columns = {ours: column for ours, column in columns.items() if ours not in {"label", "harmless"}}
        return {"columns": columns | dict(options), "label": None, "harmful": ()}
    return {"columns": columns | dict(options)}


def _make_part(
    address: Address,
    name: str,
    table: RawTable,
    languages: tuple[str, ...] | None,
    reading: CorpusOptions,
    *,
    source: str,
    fallback: str | None = None,
) -> CorpusPart:
    single = languages[0] if languages and len(languages) == 1 else None
    if fallback and single and fallback != single and "language" not in reading.columns:
        from_name = None if _has_language(table) else fallback
        if from_name:
            raise CorpusError(
                f"corpus {name}",
                found=f"a name that says {fallback}, and no column for the language",
                expected=f"texts in {single}",
                do=f"use --column language=={single} if they are",
            )
    rows = read_rows(table, reading, name=name, source=source, languages=languages, fallback=fallback or single)
    remarks = tuple(CodedWarning(code=code, detail=detail) for code, detail in table.remarks)
    if fallback and not _has_language(table) and "language" not in reading.columns and not reading.wide:
        remarks += (CodedWarning(code="C013", detail=f"{source}: {fallback}"),)
    rows = replace(rows, warnings=remarks + rows.warnings)
    return CorpusPart(address=address, name=name, frame=rows.frame, rows=rows, table=table)


def _has_language(table: RawTable) -> bool:
    return any(column.strip().casefold() == "language" for column in table.frame.columns)


def _read_mini(languages: tuple[str, ...]) -> pl.DataFrame:
    folder = files("isogloss.data") / "mini"
    frames = []
    for code in languages:
        file = Path(str(folder / f"{code}.tsv"))
        if not file.is_file():
            raise CorpusError(
                "corpus mini",
                found=f"no texts in {code}",
                expected=f"some of {', '.join(CORPORA['mini'].languages)}",
                do="choose other languages",
            )
        table = read_table(file).frame.with_columns(language=pl.lit(code), pair_id=pl.col("item_id"))
        frames.append(to_rows(table, name=f"mini ({code})", columns={}, source="mini"))
    return pl.concat(frames)
