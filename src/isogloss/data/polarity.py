"""Labels -> harmful, harmless or unlabelled. A polarity that is not certain is asked for, not guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import polars as pl

from isogloss.data.describe import count, describe_value, describe_values
from isogloss.errors import CorpusError

#: Words that say that something is the case, or not; what it is, the name of the column says.
TRUE, FALSE = frozenset({"1", "true", "yes", "y", "t"}), frozenset({"0", "false", "no", "n", "f"})
#: Words of public data sets for the two classes.
HARMFUL = frozenset(
    {
        *("toxic", "harmful", "harm", "hateful", "hate", "hatespeech", "hate speech", "unsafe", "abusive", "abuse"),
        *("offensive", "insult", "insulting", "obscene", "malicious", "dangerous", "jailbreak", "sexist", "racist"),
        *("threat", "profane", "vulgar", "inappropriate", "unethical", "unclean"),
    }
)
HARMLESS = frozenset(
    {
        *("neutral", "harmless", "safe", "benign", "clean", "unharmful", "polite", "normal", "appropriate"),
        *("acceptable", "civil", "untoxic", "unoffensive", "nonhate", "nontoxic"),
    }
)
_NEGATION = re.compile(r"(?:not|non|no)[ ]?(.+)")
#: Longer digits are no label and no score.
LONGEST_NUMBER = 40
#: Spellings of a missing value.
MISSING = frozenset({"", "nan", "null", "n/a", "<na>"})
#: Words in the name of a column that turn its meaning round: true means harmless.
_HARMLESS_WORDS = frozenset(
    {
        *("safe", "harmless", "benign", "clean", "non", "not", "no", "neutral", "polite", "acceptable", "appropriate"),
        *("ok", "okay", "good", "civil", "sfw", "harmlessness", "safety", "compliant", "allowed", "unharmful"),
    }
)


class Comparison(NamedTuple):
    """A score at or above (or below) a threshold."""

    operator: Literal[">=", ">", "<=", "<"]
    threshold: float


def word_polarity(value: str) -> bool | None:
    """Return whether a word means harmful; None if it is not known.

    >>> [word_polarity(word) for word in ("Toxic", "not_hate", "non-toxic", "unharmful", "not safe", "1", "maybe")]
    [True, False, False, False, True, None, None]
    """
    word = fold(value)
    if word in HARMFUL or word in HARMLESS:
        return word in HARMFUL
    negated = _NEGATION.fullmatch(word)
    if negated and (negated[1] in HARMFUL or negated[1] in HARMLESS):
        return negated[1] in HARMLESS
    return None


def truth(value: str) -> bool | None:
    """Return whether a word or number means yes; None if it means neither yes nor no.

    >>> [truth(value) for value in ("1.00", "0", "Yes", "no", "2", "toxic")]
    [True, False, True, False, None, None]
    """
    word = fold(value)
    if word in TRUE or word in FALSE:
        return word in TRUE
    number = as_number(word)
    return bool(number) if number in {0.0, 1.0} else None


def fold(value: str) -> str:
    """Fold case, hyphens, underscores and white space."""
    return value.strip() if as_number(value) is not None else " ".join(re.split(r"[\s_-]+", value.strip().casefold()))


def as_number(value: str) -> float | None:
    """Read a number; None if it is none.

    >>> as_number(" 0.50 "), as_number("-1"), as_number("toxic"), as_number("nan")
    (0.5, -1.0, None, None)
    """
    if not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?\s*", value) or len(value) > LONGEST_NUMBER:
        return None
    return float(value)


def says_harmless(name: str) -> bool:
    """Whether the name of a column says that true means harmless.

    >>> [says_harmless(name) for name in ("is_safe", "nonToxic", "not_hate", "isHarmless", "unsafe", "notes", "label")]
    [True, True, True, True, False, False, False]
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.split(r"[^a-z]+", spaced.lower())
    joined = [re.fullmatch(r"(?:is)?(?:non|not)?(.+)", word) for word in words if word]
    stuck = {
        match[0] for match in joined if match and match[1] != match[0] and (match[1] in HARMFUL or match[1] in HARMLESS)
    }
    return bool(_HARMLESS_WORDS & set(words)) or any(_is_negated(word) for word in stuck)


def _is_negated(word: str) -> bool:
    plain = word.removeprefix("is")
    negated = re.fullmatch(r"(?:non|not)(.+)", plain)
    return plain in HARMLESS or bool(negated and negated[1] in HARMFUL)


def read_labels(
    values: pl.Series, rows: pl.Series, *, name: str, column: str, harmful: Sequence[str], inverted: bool
) -> pl.Series:
    """Decide what each label means; null where a row has none.

    Args:
        values: labels as text, (rows,).
        rows: number of each row, for messages.
        name: of the corpus.
        column: that the labels come from.
        harmful: values that mean harmful, all others harmless; empty: known words decide.
        inverted: whether yes means harmless (a column such as is_safe).

    Returns:
        Boolean (rows,): True is harmful.

    Raises:
        CorpusError: a value is not known, the name of the column contradicts its values, or none of `harmful` occurs.
    """
    different = [value for value in values.unique().drop_nulls().sort() if value.strip().casefold() not in MISSING]
    if harmful:
        meaning: dict[str, bool | None] = _chosen(different, harmful, name=name, column=column)
    else:
        meaning = {value: _known(value, inverted=inverted) for value in different}
        _refuse_unknown(values, rows, meaning, name=name, column=column)
        by_truth = [value for value in different if word_polarity(value) is None]
        if by_truth and not inverted and says_harmless(column):
            raise _uncertain(column, name, describe_values(different))
    return values.replace_strict(list(meaning), list(meaning.values()), default=None, return_dtype=pl.Boolean)


def compare(
    values: pl.Series, rows: pl.Series, comparison: Comparison, *, name: str, column: str, inverted: bool
) -> pl.Series:
    """Compare scores with a threshold; null where a row has no score.

    Returns:
        Boolean (rows,): True is harmful.

    Raises:
        CorpusError: a score is no number, or the name of the column says that a high score is harmless.
    """
    if comparison.operator.startswith(">") and not inverted and says_harmless(column):
        raise _uncertain(column, name, "scores", comparison)
    blank = values.is_null() | values.str.strip_chars().str.to_lowercase().is_in(list(MISSING))
    numbers = values.str.strip_chars().cast(pl.Float64, strict=False)
    strange = rows.filter(~blank & (numbers.is_null() | numbers.is_nan()))
    if strange.len():
        raise CorpusError(
            f"corpus {name}, row {strange[0]}, column {column}"[:200],
            found=f"{count(strange.len(), 'value')} that are no numbers",
            expected="a score in every row",
            do="choose a column of scores, or name the harmful values with --harmful",
        )
    limit = comparison.threshold
    above = {">=": numbers >= limit, ">": numbers > limit, "<=": numbers <= limit, "<": numbers < limit}
    result = above[comparison.operator]
    labels = pl.DataFrame({"blank": blank, "harmful": ~result if inverted else result})
    return labels.select(pl.when(~pl.col("blank")).then(pl.col("harmful"))).to_series()


def _known(value: str, *, inverted: bool) -> bool | None:
    polarity = word_polarity(value)
    if polarity is not None:
        return polarity
    is_true = truth(value)
    return is_true if is_true is None else is_true != inverted


def _chosen(different: Sequence[str], harmful: Sequence[str], *, name: str, column: str) -> dict[str, bool | None]:
    def key(value: str) -> str | float:
        number = as_number(value)
        return fold(value) if number is None else number

    chosen = {key(value): value for value in harmful}
    if missing := [value for choice, value in chosen.items() if choice not in set(map(key, different))]:
        raise CorpusError(
            f"corpus {name}, column {column}"[:200],
            found=f"no row with {describe_value(missing[0])} (values: {describe_values(different)})",
            expected="the values of --harmful in some rows",
            do="choose among its values",
        )
    return {value: key(value) in chosen for value in different}


def _refuse_unknown(
    values: pl.Series, rows: pl.Series, meaning: dict[str, bool | None], *, name: str, column: str
) -> None:
    unknown = [value for value, harmful in meaning.items() if harmful is None]
    if not unknown:
        return
    row = rows.filter(values.is_in(unknown))[0]
    scores = [as_number(value) for value in unknown]
    if all(score is not None for score in scores) and len(unknown) > 1:
        do = f'give a threshold, such as --column "label={column}>=0.5", or the harmful values with --harmful'
    else:
        do = "name the values that mean harmful with --harmful, once each; isogloss preview shows them"
    others = f" (values: {describe_values(meaning)})" if len(meaning) > 1 else ""
    raise CorpusError(
        f"corpus {name}, row {row}, column {column}"[:200],
        found=f"{describe_value(str(values.filter(values.is_in(unknown))[0]))}{others}",
        expected="1 or 0, or words such as toxic and neutral, harmful and harmless, unsafe and safe",
        do=do,
    )


def _uncertain(column: str, name: str, found: str, comparison: Comparison | None = None) -> CorpusError:
    spec = f"{column}{comparison.operator}{comparison.threshold:g}" if comparison else column
    also = "" if comparison else ", or name the harmful value with --harmful"
    return CorpusError(
        f"corpus {name}, column {column}"[:200],
        found=f"a label column whose name says harmless, with {found}",
        expected="to be told which texts are harmful",
        do=f'use --column "harmless={spec}" if true means harmless{also}',
    )
