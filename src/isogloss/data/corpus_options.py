"""CorpusOptions: how the columns and values of a corpus are to be understood, where its file does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from isogloss.errors import UsageError

Treatment = Literal["drop", "refuse"]
OneClass = Literal["harmful", "harmless"]


@dataclass(frozen=True, kw_only=True)
class CorpusOptions:
    """Options of a corpus.

    Attributes:
        columns: our column name -> the file's, as `--column` takes it: a name, a path such as `a.b`, flags such as
            `toxic|obscene`, a comparison such as `toxicity>=0.5`, or a constant such as `=de`.
        harmful: label values that mean harmful; all others mean harmless. Empty: known words decide.
        label: the class of every text, for a corpus that holds only one.
        wide: language -> the column that holds its texts, where languages have columns side by side.
        header: whether the first line of a table of text names its columns; without one they are named 1, 2, 3.
        encoding_errors: what to do with rows that hold bytes or characters that are not UTF-8.
        incomplete_pairs: what to do with rows that hold only one text of a pair.

    Raises:
        UsageError: a value is unknown, or two options contradict each other.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    harmful: tuple[str, ...] = ()
    label: OneClass | None = None
    wide: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    encoding_errors: Treatment = "refuse"
    incomplete_pairs: Treatment = "drop"

    def __post_init__(self) -> None:
        """Refuse values that are unknown and options that contradict each other."""
        for name, words in (
            ("label", (None, *get_args(OneClass))),
            ("encoding_errors", get_args(Treatment)),
            ("incomplete_pairs", get_args(Treatment)),
        ):
            if getattr(self, name) not in words:
                raise UsageError(
                    f"--{name.replace('_', '-')}",
                    found=repr(getattr(self, name))[:40],
                    expected=" or ".join(word for word in words if word),
                    do="choose one",
                )
        given = [option for option, value in self._polarities().items() if value]
        if len(given) > 1:
            raise UsageError(
                "the classes of the texts", found=" and ".join(given), expected="one way to name them", do="drop one"
            )
        if self.label and self.harmful:
            raise UsageError("--harmful", found="--label as well", expected="one of them", do="drop one")
        if self.wide and (named := {"text", "toxic", "neutral", "language"} & set(self.columns)):
            raise UsageError(
                "--wide", found=f"--column {min(named)}= as well", expected="one of them", do="name texts by --wide"
            )

    def _polarities(self) -> dict[str, bool]:
        """Return the ways to say which texts are harmful, and which of them are used."""
        return {
            "--label": self.label is not None,
            "--column label=": "label" in self.columns,
            "--column harmless=": "harmless" in self.columns,
        }

    @property
    def changed(self) -> bool:
        """Whether an option is set at all."""
        return self != CorpusOptions()


def parse_columns(options: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Parse options such as text=comment; a second equals sign begins a constant.

    >>> parse_columns(["text=comment", "language==de"])
    {'text': 'comment', 'language': '=de'}

    Raises:
        UsageError: an option has no equals sign, or nothing on one side of it.
    """
    renamed: dict[str, str] = {}
    for option in options:
        column, equals, file_column = (part.strip() for part in option.partition("="))
        if not (column and equals and file_column.removeprefix("=")):
            raise UsageError(
                "--column",
                found=repr(option[:60]),
                expected="column=file_column, such as text=comment",
                do="correct it",
            )
        if renamed.get(column, file_column) != file_column:
            raise UsageError("--column", found=f"{column!r} twice", expected="it once", do="drop one")
        renamed[column] = file_column
    return renamed


def parse_wide(items: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Parse the items of --wide: a language, or a language and the column that holds its texts.

    >>> parse_wide(["en", "de=prompt_de"])
    {'en': 'en', 'de': 'prompt_de'}

    Raises:
        UsageError: a language or a column is missing.
    """
    wide = {}
    for item in items:
        code, equals, column = (part.strip() for part in item.partition("="))
        if not code or (equals and not column):
            raise UsageError(
                "--wide", found=repr(item[:60]), expected="languages, such as en,de or en=prompt_en", do="correct it"
            )
        wide[code] = column or code
    return wide
