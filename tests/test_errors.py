"""Errors and coded warnings: one line that says what was found, what was expected and what to do."""

import pytest

from isogloss import errors
from isogloss.errors import CorpusError, IsoglossError, MetricError, UsageError, missing_extra, unknown
from isogloss.warnings import WARNINGS, CodedWarning

KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, IsoglossError) and value is not IsoglossError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_kind_of_the_base_and_says_what_it_is(kind):
    assert kind.__bases__ == (IsoglossError,)
    assert kind.__doc__
    error = kind("file a", found="b", expected="c", do="do d")
    assert str(error) == "file a: found b; expected c; do d."
    assert (error.what, error.found, error.expected, error.do) == ("file a", "b", "c", "do d")


def test_there_are_five_kinds():
    assert {kind.__name__ for kind in KINDS} == {"CorpusError", "ModelError", "StoreError", "MetricError", "UsageError"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x0b", "\t \t"])
def test_message_is_one_line_whatever_the_parts_hold(end):
    message = str(CorpusError(f"a{end}b", found=f"c{end}d", expected=f"e{end}", do=f"{end}f"))
    assert len(message.splitlines()) == 1
    assert message.replace(" ;", ";") == "a b: found c d; expected e; f."


@pytest.mark.parametrize(
    ("name", "do"),
    [
        ("silhuette", "did you mean 'silhouette'"),
        ("aurocc", "did you mean 'auroc'"),
        ("qqqq", "choose one that is listed"),
        ("", "choose one that is listed"),
    ],
)
def test_unknown_name_gets_the_list_and_the_nearest_one(name, do):
    error = unknown(MetricError, "metric", name, {"silhouette": 1, "auroc": 2})
    assert isinstance(error, MetricError)
    assert str(error) == f"unknown metric: found {name!r}; expected one of auroc, silhouette; {do}."


def test_missing_extra_gives_the_install_line():
    error = missing_extra("trl", "tune")
    assert isinstance(error, UsageError)
    assert "trl" in error.what
    assert 'pip install "isogloss[tune]"' in str(error)


# Reports are read long after they were written: a code may be added, but never change what it says.
MEANINGS = {
    "C001": "duplicate texts",
    "C002": "both labels",
    "C003": "two identical texts",
    "C004": "share a text with an earlier pair",
    "C005": "cut to the size of the smallest",
    "C006": "licence",
    "M001": "token limit",
    "M002": "no public reference model",
    "S001": "a score was not computed",
    "S002": "length alone",
    "S003": "character n-grams alone",
    "S004": "class variance share and linear separability",
    "S005": "nearly tied",
    "S006": "gain in the pivot language is not clear",
}


@pytest.mark.parametrize(("code", "meaning"), MEANINGS.items())
def test_warning_codes_keep_their_meaning(code, meaning):
    assert meaning in WARNINGS[code].meaning


def test_warning_is_one_line_that_names_its_language():
    assert CodedWarning(code="C003", detail="4 pairs dropped", language="uk").text == (
        "uk: pairs of two identical texts were dropped (4 pairs dropped)"
    )
    assert CodedWarning(code="C006", detail="check").text == "the corpus comes without a licence (check)"


def test_warning_of_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="unknown warning code 'C999'"):
        CodedWarning(code="C999", detail="x")
