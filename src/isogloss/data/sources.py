"""Data sets of the CORPORA table -> rows, from the hub or the web."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from isogloss.data.hub_data import fetch, load
from isogloss.data.named_corpora import Source, SourceFile
from isogloss.data.shapes import to_rows
from isogloss.errors import CorpusError
from isogloss.io.hub import Snapshot


def read_source(row: Source, languages: tuple[str, ...] | None) -> tuple[pl.DataFrame, str | None]:
    """Read a data set of the CORPORA table from the hub or the web.

    Returns:
        Rows of ROW_SCHEMA, and the revision that was read (None where it cannot be known).
    """
    if missing := sorted(set(languages or ()) - set(row.languages)):
        raise CorpusError(
            f"corpus {row.name}",
            found=f"no texts in {', '.join(missing)}",
            expected=f"some of {', '.join(row.languages)}",
            do="choose other languages",
        )
    wanted = [file for file in row.files if languages is None or file.language in languages]
    repos = {repo: fetch(repo, row.revision) for repo in dict.fromkeys(file.hub for file in wanted if file.hub)}
    frames = []
    for file in wanted:
        table = _read_file(file, repos)
        columns = dict(row.columns) | ({"text": file.text} if file.text else {})
        table = table.with_columns(language=pl.lit(file.language)) if file.language else table
        if file.label is not None:
            table = table.with_columns(label=pl.lit(file.label))
        frames.append(to_rows(table, name=f"{row.name} ({file.language})", columns=columns, source=row.name))
    revisions = [f"{repo}@{read.revision}" if len(repos) > 1 else read.revision for repo, read in repos.items()]
    return pl.concat(frames), row.revision or ", ".join(revisions) or None


def _read_file(file: SourceFile, repos: Mapping[str, Snapshot]) -> pl.DataFrame:
    if file.hub:
        data = load(str(repos[file.hub].folder), file.hub, {"split": file.split})
    else:
        kind = "json" if str(file.url).endswith(".json") else "csv"
        options: dict[str, object] = {"data_files": file.url, "split": "train"}
        if kind == "csv" and not file.header:
            options["column_names"] = ["text"]
        data = load(kind, str(file.url), options)
    return pl.DataFrame(data.to_dict()).cast(pl.String)
