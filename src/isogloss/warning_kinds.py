"""What a row of the table of warnings holds: meaning, advice, section of the report, and the rows that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

#: The part of a report whose numbers a warning qualifies.
SectionKey = Literal["measured", "noise", "text"]


class RowsNeeded(NamedTuple):
    """The rows of a language without which a warning cannot be raised.

    Attributes:
        fields: names of fields of `Row` and the values that such a row has.
        about: what a sentence calls these rows.
        of_pivot: whether the pivot language has such rows as well.
    """

    fields: Mapping[str, str]
    about: str
    of_pivot: bool = True


class WarningKind(NamedTuple):
    """One row of WARNINGS.

    Attributes:
        meaning: what is the case, without a full stop; the detail of each warning follows it.
        advice: one sentence, what it means for the reader and what to do.
        section: the part of the report that it qualifies: what was measured, is it noise, could the text explain it.
        needs: the rows that it is read from; None where every audit can raise it.
        levels: whether it qualifies levels of separation only, so that gains do not suffer from it.
    """

    meaning: str
    advice: str
    section: SectionKey
    needs: RowsNeeded | None = None
    levels: bool = False
