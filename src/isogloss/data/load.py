"""Load a corpus: a name of the CORPORA table, a file, a data set on the hub, or several of these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.data.curate import Conflicts, unique_rows, with_text_ids
from isogloss.data.language_checks import check_languages
from isogloss.data.language_columns import canonical_codes, select_languages
from isogloss.data.named_corpora import CORPORA, source
from isogloss.data.readers import SUFFIXES, read_hub, read_source, read_table, to_rows
from isogloss.errors import CorpusError
from isogloss.warnings import CodedWarning

#: A data set on the hub: organisation/name, with or without @revision.
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def load_corpus(
    where: str | Path | Sequence[str | Path],
    *,
    languages: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    conflicts: Conflicts = "drop",
) -> Corpus:
    """Load a corpus: read it, select the wanted languages, remove duplicates and contradictions.

    Args:
        where: a name of CORPORA, a .csv, .tsv, .jsonl, .json or .parquet file, a data set on the hub (org/name or
            org/name@revision), or several of these, which are put together (for example harmful prompts from one and
            harmless ones from another).
        languages: codes of the wanted languages; None takes all.
        columns: our column name -> the file's, for example {"text": "comment"}.
        conflicts: what to do with texts under both labels.

    Raises:
        CorpusError: see `isogloss.data.readers` and `isogloss.data.curate`.

    >>> load_corpus("mini", languages=["en", "sw"]).languages
    ('en', 'sw')
    """
    addresses = [where] if isinstance(where, str | Path) else list(where)
    wanted, warnings = canonical_codes(languages) if languages else (None, ())
    frames, revisions, licences = [], [], []
    for number, address in enumerate(addresses):
        rows, revision, licence = _read(address, wanted, columns or {})
        if len(addresses) > 1:  # pair ids are unique within a source only
            rows = rows.with_columns(pair_id=pl.format(f"{number}:{{}}", pl.col("pair_id")))
        frames.append(rows)
        revisions.append(revision)
        licences.append(licence)
    name = "+".join(str(address) if _is_named(address) else Path(address).name for address in addresses)
    rows = pl.concat(frames)
    rows, dropped = select_languages(rows, wanted, name=name)
    if wanted and (missing := sorted(set(wanted) - set(rows["language"]))):
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
    rows, duplicates = unique_rows(rows, name=name, conflicts=conflicts)
    warnings += (*dropped, *duplicates, *check_languages(rows))
    if mixed:
        warnings += (CodedWarning(code="C007", detail="pair every text to have the pairs used"),)
    if any(licence is None for licence in licences):
        warnings += (CodedWarning(code="C006", detail="check its terms before you share results with texts"),)
    return Corpus(
        name=name,
        frame=with_text_ids(rows),
        revision=_joined(revisions),
        licence=_joined(licences),
        warnings=warnings,
    )


def _joined(names: list[str | None]) -> str | None:
    known = [name for name in names if name]
    return " + ".join(known) or None


def _is_file(where: str | Path) -> bool:
    return isinstance(where, Path) or where not in CORPORA


def _is_on_hub(where: str | Path) -> bool:
    path = Path(where)
    return bool(HUB_ID.fullmatch(str(where))) and not path.exists() and path.suffix.lower() not in SUFFIXES


def _is_named(where: str | Path) -> bool:
    """Whether an address has the same name everywhere; only the last step of a path is a name."""
    return not _is_file(where) or _is_on_hub(where)


def _read(
    where: str | Path, languages: tuple[str, ...] | None, columns: Mapping[str, str]
) -> tuple[pl.DataFrame, str | None, str | None]:
    if not _is_file(where):
        row = source(str(where))
        if row.name == "mini":
            return _read_mini(languages or row.languages), row.revision, row.licence
        rows, revision = read_source(row, languages)
        return rows, revision, row.licence
    path, name = Path(where), str(where)
    if _is_on_hub(where):
        table, revision = read_hub(name)
        return (
            to_rows(_with_language(table, languages, columns), name=name, columns=columns, source=name),
            revision,
            None,
        )
    if not path.suffix and not path.exists():
        source(str(where))  # not a file name: say which corpora there are
    table = _with_language(read_table(path), languages, columns)
    rows = to_rows(table, name=str(where), columns=columns, source=path.name)
    return rows, None, None


def _with_language(table: pl.DataFrame, languages: tuple[str, ...] | None, columns: Mapping[str, str]) -> pl.DataFrame:
    """Add the language column to a table without one, if only one language is wanted."""
    if languages and len(languages) == 1 and "language" not in {*table.columns, *columns}:
        return table.with_columns(language=pl.lit(languages[0]))
    return table


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
        table = read_table(file).with_columns(language=pl.lit(code), pair_id=pl.col("item_id"))
        frames.append(to_rows(table, name=f"mini ({code})", columns={}, source="mini"))
    return pl.concat(frames)
