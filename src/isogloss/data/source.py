"""Source: one public data set that can be named, with where it is and how its columns are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["labelled", "parallel", "harmful-only"]

UNCHECKED = "not checked against the hub"


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file or split of a source.

    Attributes:
        language: of all its rows, as a canonical code; None if a column names the language of each row.
        hub: a data set on the hub.
        config: the configuration of that data set; None if it has one only.
        split: the split of that data set.
        url: a single file on the web, with its commit.
        label: "1" if the file holds harmful texts only, "0" if it holds harmless ones only.
        header: whether the file names its columns; without a header it is one column of texts.
        separator: what separates the columns of the file.
        text: the column of this language, where languages have columns side by side.
        items: prefix of the item ids of a file whose rows are translations of the same rows in other files. Rows are
            numbered from 1.
    """

    language: str | None = None
    hub: str | None = None
    config: str | None = None
    split: str = "train"
    url: str | None = None
    label: str | None = None
    header: bool = True
    separator: str = ","
    text: str | None = None
    items: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that can be named on the command line.

    Attributes:
        name: by which it is named.
        kind: labelled texts, pairs, or harmful texts only.
        about: what it holds, in one sentence.
        languages: canonical codes.
        licence: as its authors state it; None if they state none.
        citation: authors, year, title.
        homepage: where it is described.
        revision: commit that is read; None reads the current one, which is recorded.
        per_class: number of texts per language and class that its card states; None if it states none.
        columns: our column -> its column, as `--column` takes it.
        harmful: labels that mean harmful; empty: known words decide.
        dropped: labels of rows that are left out, because they are neither harmful nor harmless.
        checked: the date on which columns, languages and counts were compared with the files, or UNCHECKED.
        patterns: files of the hub to download, if not all tables.
        files: where it is.
    """

    name: str
    kind: Kind
    about: str
    languages: tuple[str, ...]
    licence: str | None
    citation: str
    homepage: str
    revision: str | None = None
    per_class: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    harmful: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    checked: str = UNCHECKED
    patterns: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()
