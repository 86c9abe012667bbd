"""Data sets of the CORPORA table -> rows, from the hub or the web."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.describe import count
from isogloss.data.hub_data import DATA_FILES, fetch, load
from isogloss.data.raw_table import RawTable
from isogloss.data.shapes import read_rows
from isogloss.data.source import Source, SourceFile
from isogloss.data.tables import dataset_table
from isogloss.errors import CorpusError
from isogloss.io.hub import Snapshot
from isogloss.warnings import CodedWarning

#: What a decoder writes where bytes are no UTF-8.
UNDECODED = "\ufffd"


class SourceRows(NamedTuple):
    """Rows of ROW_SCHEMA, the revision that was read (None where it cannot be known), and what was dropped."""

    frame: pl.DataFrame
    revision: str | None
    warnings: tuple[CodedWarning, ...]


def read_source(row: Source, languages: tuple[str, ...] | None) -> SourceRows:
    """Read a data set of the CORPORA table from the hub or the web.

    Args:
        row: the data set.
        languages: canonical codes of the wanted languages; None takes all.

    Raises:
        CorpusError: it lacks a wanted language, cannot be reached, or does not have the columns of its row.
    """
    if missing := sorted(set(languages or ()) - set(row.languages)):
        raise CorpusError(
            f"corpus {row.name}",
            found=f"no texts in {', '.join(missing)}",
            expected=f"some of {', '.join(row.languages)}",
            do="choose other languages",
        )
    wanted = [file for file in row.files if languages is None or file.language in (None, *languages)]
    patterns = row.patterns or DATA_FILES
    names = dict.fromkeys(file.hub for file in wanted if file.hub)
    repos = {repo: fetch(repo, row.revision, patterns) for repo in names}
    frames, warnings = [], []
    for file in wanted:
        name = f"{row.name} ({file.language})" if file.language else row.name
        table, dropped = _prepare(_read_file(file, repos), row, file)
        rows = read_rows(table, _reading(row, file), name=name, source=row.name, languages=languages or row.languages)
        frames.append(rows.frame)
        # How a public data set writes its languages is known and no reason to warn (L001).
        warnings += [warning for warning in (*dropped, *rows.warnings) if warning.code != "L001"]
    revisions = [f"{repo}@{read.revision}" if len(repos) > 1 else read.revision for repo, read in repos.items()]
    return SourceRows(pl.concat(frames), row.revision or ", ".join(revisions) or None, tuple(dict.fromkeys(warnings)))


def _reading(row: Source, file: SourceFile) -> CorpusOptions:
    columns = dict(row.columns)
    if file.language:
        columns["language"] = f"={file.language}"
    if file.text:
        columns["text"] = file.text
    if file.label is None:
        return CorpusOptions(columns=columns, harmful=row.harmful, incomplete_pairs="refuse")
    return CorpusOptions(
        columns=columns, label="harmful" if file.label == "1" else "harmless", incomplete_pairs="refuse"
    )


def _prepare(table: RawTable, row: Source, file: SourceFile) -> tuple[RawTable, list[CodedWarning]]:
    """Number the rows of a file of translations, and leave out rows that cannot be used."""
    frame, warnings = table.frame, []
    if file.items:
        numbers = pl.int_range(1, pl.len() + 1).cast(pl.String)
        frame = frame.with_columns(item_id=pl.format(f"{file.items}-{{}}", numbers))
    text = file.text or row.columns.get("text", "text")
    if file.url and text in frame.columns:
        whole = frame.filter(~pl.col(text).str.contains(UNDECODED, literal=True).fill_null(value=False))
        if n := frame.height - whole.height:
            warnings.append(CodedWarning(code="C012", detail=f"{count(n, 'row')} dropped", language=file.language))
        frame = whole
    label = row.columns.get("label", "")
    if row.dropped and label in frame.columns:
        kept = frame.filter(~pl.col(label).cast(pl.String).is_in(list(row.dropped)).fill_null(value=False))
        if n := frame.height - kept.height:
            detail = f"{count(n, 'row')} labelled {' or '.join(row.dropped)} dropped"
            warnings.append(CodedWarning(code="C010", detail=detail, language=file.language))
        frame = kept
    return RawTable(**vars(table) | {"frame": frame}), warnings


def _read_file(file: SourceFile, repos: Mapping[str, Snapshot]) -> RawTable:
    if file.hub:
        options = {"split": file.split} | ({"name": file.config} if file.config else {})
        return dataset_table(load(str(repos[file.hub].folder), file.hub, options))
    kind = "json" if str(file.url).endswith(".json") else "csv"
    web: dict[str, object] = {"data_files": file.url, "split": "train"}
    if kind == "csv":
        web["keep_default_na"] = False  # "null" and "NA" are texts
    if kind == "csv" and not file.header:
        web["column_names"] = ["text", "unused"]  # a comma at the end of each line begins a second column
    if file.separator != ",":
        web |= {"sep": file.separator, "encoding_errors": "replace"}
    return dataset_table(load(kind, str(file.url), web))
