"""Columns that were asked for -> text: by name, path, flags, comparison or constant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from isogloss.data.describe import describe_names, describe_value, looks_like_header, looks_like_name
from isogloss.data.languages import language_of_name
from isogloss.data.messages import WRITTEN_MESSAGES, parse_messages, step_into, user_turn
from isogloss.data.polarity import Comparison, says_harmless, truth
from isogloss.data.raw_table import RawTable
from isogloss.errors import CorpusError, unknown

#: Names that isogloss gives to the columns of any corpus.
OUR_COLUMNS = ("text", "label", "harmless", "language", "toxic", "neutral", "pair_id", "item_id", "source")
#: Columns that hold one text a row.
TEXTS = ("text", "toxic", "neutral")
#: Names of public data sets for our columns, for suggestions.
USUAL: dict[str, tuple[str, ...]] = {
    "text": (
        *("text", "prompt", "instruction", "question", "comment", "comment_text", "sentence", "query", "content"),
        *("messages", "conversation", "conversations", "input", "tweet", "test_case", "goal", "behavior", "request"),
        *("toxic_sentence", "original_text", "prompt_text", "user_prompt"),
    ),
    "label": (
        *("label", "labels", "toxic", "is_toxic", "toxicity", "harmful", "is_harmful", "unsafe", "hate", "is_hate"),
        *("prompt_harm_label", "label_gold", "prompt_label", "harm_label", "class", "category", "offensive", "target"),
    ),
    "harmless": ("is_safe", "safe", "harmless", "benign", "is_benign", "non_toxic", "not_toxic"),
    "language": ("language", "lang", "language_code", "lang_code", "locale", "iso_code", "langcode"),
    "toxic": ("toxic", "toxic_sentence", "toxic_text", "chosen_harmful"),
    "neutral": ("neutral", "neutral_sentence", "non_toxic", "non_toxic_sentence", "detoxified", "polite"),
}
#: Columns of a pair of texts.
PAIR = ("toxic", "neutral")
MOST_ANSWERS = 10
#: Longer names of columns are no codes of languages.
LONGEST_CODE = 8
_COMPARISON = re.compile(r"(?P<column>.*?\S)\s*(?P<operator>>=|<=|>|<)\s*(?P<threshold>\S+)")


@dataclass(frozen=True, kw_only=True)
class ColumnChoice:
    """What `--column OURS=...` asks for.

    Attributes:
        ours: our column.
        names: columns of the table: one, or several flags.
        constant: the value of every row; None if columns are named.
        comparison: a threshold for scores, or None.
    """

    ours: str
    names: tuple[str, ...] = ()
    constant: str | None = None
    comparison: Comparison | None = None

    @property
    def written(self) -> str:
        """The choice as a reader would write it after `--column OURS=`."""
        if self.constant is not None:
            return f"={self.constant}"
        compared = self.comparison
        return "|".join(self.names) + (f"{compared.operator}{compared.threshold:g}" if compared else "")


def choose(ours: str, wanted: str, table: RawTable, name: str) -> ColumnChoice:
    """Read what stands after `--column OURS=` and find its columns.

    Raises:
        CorpusError: our column or the table's is unknown, or a threshold is no number.
    """
    if ours not in OUR_COLUMNS:
        raise unknown(CorpusError, "column", ours[:40], OUR_COLUMNS, "--column")
    if wanted.startswith("="):
        return ColumnChoice(ours=ours, constant=wanted[1:].strip())
    if whole := find_column(table, wanted):
        return ColumnChoice(ours=ours, names=(whole,))
    if ours not in {"label", "harmless"}:
        raise _missing(table, name, wanted, ours)
    compared = _COMPARISON.fullmatch(wanted)
    flags = (compared["column"] if compared else wanted).split("|")
    names = tuple(find_column(table, flag.strip()) or "" for flag in flags)
    if missing := [flag for flag, column in zip(flags, names, strict=True) if not column]:
        raise _missing(table, name, missing[0].strip(), ours)
    return ColumnChoice(ours=ours, names=names, comparison=_threshold(compared) if compared else None)


def _threshold(compared: re.Match[str]) -> Comparison:
    try:
        number = float(compared["threshold"])
    except ValueError:
        number = float("nan")
    if number != number:  # noqa: PLR0124 - NaN is no threshold
        found = describe_value(compared["threshold"])
        raise CorpusError("--column", found=f"the threshold {found}", expected="a number", do="correct it")
    return Comparison(compared["operator"], number)  # type: ignore[arg-type]  # the pattern has no other


def find_column(table: RawTable, wanted: str) -> str | None:
    """Find a column by its name, else by its name without case and outer spaces, else as the start of a path.

    Returns:
        The name of a column, with the rest of the path where it leads into lists; None if there is none.
    """
    columns = table.frame.columns
    if wanted in columns:
        return wanted
    folded = [column for column in columns if column.strip().casefold() == wanted.strip().casefold()]
    if len(folded) == 1:
        return folded[0]
    head, dot, _ = wanted.rpartition(".")
    while dot:
        if head in columns and table.nested(head):
            return wanted
        head, dot, _ = head.rpartition(".")
    return None


def suggest(table: RawTable, ours: Sequence[str]) -> str:
    """Suggest `--column` options for columns that a table lacks, by names that public data sets use.

    Returns:
        Options; for a column without a usual name, one with dots in place of the name.
    """
    columns = {column.strip().casefold(): column for column in table.frame.columns}
    numbered = [str(number) for number in range(1, table.frame.width + 1)]
    if table.frame.columns != numbered and not looks_like_header(table.frame.columns):
        numbers = dict(zip(ours, range(1, len(ours) + 1), strict=True))
        return "--no-header " + " ".join(f"--column {column}={number}" for column, number in numbers.items())
    short = [column for column in table.frame.columns if len(column) <= LONGEST_CODE and column.lower() != "id"]
    languages = [column for column in short if language_of_name(column)]
    wide = len(languages) > 1 and "text" in ours
    options = [f"--wide {','.join(languages)}"] if wide else []
    missing = [column for column in ours if not wide or column not in {"text", "language"}]
    pair = {column: next((columns[name] for name in USUAL[column] if name in columns), None) for column in PAIR}
    if "text" in missing and all(pair.values()) and all(_holds_texts(table, str(name)) for name in pair.values()):
        options += [f"--column {column}={name}" for column, name in pair.items() if column != name]
        missing = [column for column in missing if column not in {"text", "label"}]
    options += [_suggest_column(table, column, columns) for column in missing]
    return " ".join(options)


def _holds_texts(table: RawTable, column: str) -> bool:
    return not table.nested(column) and table.frame.schema[column] == pl.String and not holds_answers(table, column)


def holds_answers(table: RawTable, column: str) -> bool:
    """Whether all cells of a column say yes or no, so that they are labels and no texts."""
    if table.nested(column):
        return False
    cells = table.written(column, "").drop_nulls().unique().head(MOST_ANSWERS)
    return cells.len() > 0 and all(truth(cell) is not None for cell in cells)


def _suggest_column(table: RawTable, ours: str, columns: Mapping[str, str]) -> str:
    usual = next((columns[guess] for guess in USUAL.get(ours, ()) if guess in columns), None)
    if ours == "text" and usual is None:
        usual = next((columns[column] for column in columns if column.endswith((".content", ".text"))), None)
    inverse = next((columns[guess] for guess in USUAL["harmless"] if guess in columns), None)
    if ours == "language" and usual is None:
        return "--column language==CODE"
    if ours != "label" or (usual is None and inverse is None):
        return f"--column {ours}={usual or '...'}"
    if usual is None:
        return f"--column harmless={inverse}"
    threshold = _suggest_threshold(table, usual)
    return f'--column "label={usual}>={threshold}"' if threshold else f"--column label={usual}"


def _suggest_threshold(table: RawTable, column: str) -> str:
    """Suggest a threshold for a column of scores; nothing for labels."""
    if table.nested(column) or table.frame.schema[column].is_temporal():
        return ""
    numbers = table.frame[column].drop_nulls().cast(pl.Float64, strict=False)
    if not numbers.len() or numbers.null_count() or set(numbers.unique()) <= {0.0, 1.0}:
        return ""
    low, high = numbers.to_numpy().min(), numbers.to_numpy().max()
    return "0.5" if low >= 0 and high <= 1 else "THRESHOLD"


def _missing(table: RawTable, name: str, wanted: str, ours: str) -> CorpusError:
    shown = f" {describe_value(wanted)}" if looks_like_name(wanted) else ""
    return CorpusError(
        f"corpus {name}",
        found=describe_names(table.frame.columns),
        expected=f"a column{shown} (for {ours!r})",
        do="correct --column; isogloss preview shows the columns",
    )


@dataclass(frozen=True, kw_only=True)
class TextColumn:
    """A column of texts, and what was done to make them texts.

    Attributes:
        texts: String (rows,).
        conversations: number of cells that held chat messages.
        left_out: number of these with other messages than the user turn, which were left out.
    """

    texts: pl.Series
    conversations: int = 0
    left_out: int = 0


def read_column(table: RawTable, column: str, name: str) -> pl.Series:
    """Return a column as text, also by a path into lists.

    Raises:
        CorpusError: its cells are lists, bytes or durations.
    """
    if column in table.frame.columns:
        return table.written(column, name)
    head, steps = _split_path(table, column)
    cells = [step_into(value, steps) for value in table.values(head)]
    if any(isinstance(cell, list | dict) for cell in cells):
        raise CorpusError(
            f"corpus {name}, column {column}"[:200], found="lists", expected="text or numbers", do="choose a field"
        )
    return pl.Series([None if cell is None else str(cell) for cell in cells], dtype=pl.String)


def read_texts(table: RawTable, column: str, rows: pl.Series, name: str) -> TextColumn:
    """Return a column of texts; of chat messages, the user turn.

    Raises:
        CorpusError: a cell holds several user turns, or something that is no text.
    """
    if column not in table.frame.columns:
        head, steps = _split_path(table, column)
        return _user_turns([step_into(value, steps) for value in table.values(head)], rows, name, column)
    if table.nested(column):
        return _user_turns(table.values(column), rows, name, column)
    texts = table.written(column, name)
    chats = texts.str.contains(WRITTEN_MESSAGES.pattern).fill_null(value=False)
    if not chats.any():
        return TextColumn(texts=texts)
    cells = [
        parse_messages(text) or [] if chat else text
        for text, chat in zip(texts.to_list(), chats.to_list(), strict=True)
    ]
    unread = rows.filter(pl.Series([cell == [] for cell in cells]))
    if unread.len():
        raise _no_text(unread[0], name, column, "chat messages that are not JSON")
    return _user_turns(cells, rows, name, column)


def _user_turns(cells: Sequence[Any], rows: pl.Series, name: str, column: str) -> TextColumn:
    turns = [user_turn(cell) for cell in cells]
    for row, turn in zip(rows.to_list(), turns, strict=True):
        if turn.fault:
            raise _no_text(row, name, column, turn.fault)
    return TextColumn(
        texts=pl.Series([turn.text for turn in turns], dtype=pl.String),
        conversations=sum(not isinstance(cell, str) and cell is not None for cell in cells),
        left_out=sum(turn.others > 0 for turn in turns),
    )


def _no_text(row: int, name: str, column: str, found: str) -> CorpusError:
    short = column if len(column) <= len("a column of a long name ...") else f"{column[:24]}..."
    return CorpusError(
        f"corpus {name}, row {row}, column {short}",
        found=found,
        expected="a text, or chat messages with one user turn",
        do=f"choose one message, such as --column text={short}.0.content (the first), or remove these rows",
    )


def _split_path(table: RawTable, column: str) -> tuple[str, list[str]]:
    head, steps = column, list[str]()
    while head not in table.frame.columns:
        head, _, step = head.rpartition(".")
        steps.insert(0, step)
    return head, steps


def refuse_doubled(choice: ColumnChoice, table: RawTable, name: str) -> None:
    """Refuse a column whose name stands twice in the header: nothing says which of them is meant."""
    doubled = [column for column in choice.names if f"{column}_duplicated_0" in table.frame.columns]
    if doubled:
        raise CorpusError(
            f"corpus {name}",
            found=f"two columns named {describe_value(doubled[0])}",
            expected="names that differ",
            do="rename one of them",
        )


def refuse_harmless_flags(choice: ColumnChoice, name: str) -> None:
    """Refuse flags of which one says that true means harmless, beside others."""
    harmless = [column for column in choice.names if says_harmless(column)]
    if len(choice.names) > 1 and harmless and choice.ours == "label":
        raise CorpusError(
            f"corpus {name}",
            found=f"the flag {describe_value(harmless[0])}, whose name says harmless",
            expected="flags that are true for harmful texts",
            do="leave it out",
        )
