"""Valid files with faults in them are read, or refused in one line that prints no text of theirs.

`make fuzz` draws more examples, other ones in every run.
"""

import csv
import io
import json
import os
import re
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import isogloss
from conftest import parallel_rows
from isogloss.errors import IsoglossError
from isogloss.gating.rules import read_rules
from isogloss.recipes.recipe import read_recipe
from isogloss.report.read_run import read_run
from test_cases_border import PLAIN, SMALL
from test_report_pairs import PLAIN as POINTS
from test_report_pairs import points

#: Examples a kind of file: few in the suite, many with `make fuzz`.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
FUZZ = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: Part of every text, so that a message which prints one is found.
SECRET = "zqxjkv"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\u202a-\u202e\u2066-\u2069]")

WORDS = [f"{SECRET} {word}" for word in ("alpha", "beta", "gamma", "delta")]
#: Values that files of others hold where a text, a label, a language or an id should be.
STRANGE = (
    None, "", " ", "null", "NaN", "-", 0, 1, -1, 2, 0.5, 1e308, float("inf"), float("nan"), True, False, 10**30, [],
    {}, ["a"], {"a": {"b": [None]}}, "\x00", "\ufeff", "\u202e", "\ud800", "\u200b", '"', "'", ",", ";", "\t", "\r",
    "\n", "\u2028", "a" * 5_000, "😀", "en", "EN", "zz", "harmful", "harmless", "not harmful", "1.0", "yes", "=1+1",
    [{"role": "user", "content": "x"}], [{"role": "assistant", "content": None}],
)  # fmt: skip
NAMES = (
    "text",
    "label",
    "language",
    "pair_id",
    "item_id",
    "source",
    "toxic",
    "neutral",
    "is_safe",
    "",
    "Text",
    "x\x1b[31m",
)


def labelled():
    return [
        {
            "text": f"{WORDS[i % 4]} {i}",
            "label": ("harmful", "harmless")[i % 2],
            "language": ("en", "de")[i // 2 % 2],
            "item_id": f"i{i // 4}",
        }
        for i in range(100)
    ]


def parallel():
    return [
        row | {"toxic": f"{SECRET} {row['toxic']}", "neutral": f"{SECRET} {row['neutral']}"}
        for row in parallel_rows(n=24)
    ]


@st.composite
def mutated_rows(draw):
    """Rows of a valid corpus with one to three faults."""
    rows = draw(st.sampled_from((labelled, parallel)))()
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.sampled_from(FAULTS))(draw, rows)
    return rows


def change_cell(draw, rows):
    number = draw(st.integers(0, len(rows) - 1))
    name = draw(st.sampled_from(list(rows[number]) or ["text"]))
    return [row | {name: draw(st.sampled_from(STRANGE))} if i == number else row for i, row in enumerate(rows)]


def change_column(draw, rows):
    name, value = draw(st.sampled_from(list(rows[0]) or ["text"])), draw(st.sampled_from(STRANGE))
    return [row | {name: value} for row in rows]


def drop_column(draw, rows):
    name = draw(st.sampled_from(list(rows[0]) or ["text"]))
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def rename_column(draw, rows):
    name, other = draw(st.sampled_from(list(rows[0]) or ["text"])), draw(st.sampled_from(NAMES))
    return [{other if key == name else key: value for key, value in row.items()} for row in rows]


def add_column(draw, rows):
    name, value = draw(st.sampled_from(NAMES)), draw(st.sampled_from(STRANGE))
    return [row | {name: value} for row in rows]


def repeat_rows(draw, rows):
    return rows + rows[: draw(st.integers(1, 5))]


def keep_few(draw, rows):
    return rows[: draw(st.integers(0, 30))] or rows[:1]


def drop_cell(draw, rows):
    number = draw(st.integers(0, len(rows) - 1))
    name = draw(st.sampled_from(list(rows[number]) or ["text"]))
    return [{key: value for key, value in row.items() if i != number or key != name} for i, row in enumerate(rows)]


FAULTS = (
    change_cell,
    change_cell,
    change_column,
    drop_column,
    rename_column,
    add_column,
    repeat_rows,
    keep_few,
    drop_cell,
)


@st.composite
def spoilt(draw, content):
    """Bytes of a file, of which some are cut, changed, doubled or moved; most of the time none."""
    data = bytearray(content)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("cut", "flip", "insert", "double")))
        if kind == "cut":
            data = data[:at]
        elif kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(
                st.sampled_from((b"\x00", b"\xff\xfe", b"\xf0\x9f", b"\n", b'"', b"[" * 2_000, b"9" * 5_000))
            )
        else:
            data[at:at] = data[at : at + 50]
    return bytes(data)


def write_csv(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def write_jsonl(rows):
    return "\n".join(map(json.dumps, rows)).encode()


def write_json(rows):
    return json.dumps(rows).encode()


def write_parquet(rows):
    """A Parquet file; a column of mixed values becomes one of texts."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["text"]
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pl.Series(name, values, strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError, UnicodeError):
            plain = [None if value is None else str(value).encode("utf-8", "replace").decode() for value in values]
            columns[name] = pl.Series(name, plain, dtype=pl.String)
    buffer = io.BytesIO()
    pl.DataFrame([series for series in columns.values() if series.dtype != pl.Object]).write_parquet(buffer)
    return buffer.getvalue()


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "json": write_json, "parquet": write_parquet}


def assert_plain(error):
    message = str(error)
    assert len(message) <= 600
    assert not CONTROL.search(message), message
    assert SECRET not in message, message


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_t18_corpora_are_read_or_refused_in_one_line(kind, tmp_path):
    path = tmp_path / f"corpus.{kind}"

    @FUZZ
    @given(st.data())
    def read(data):
        path.write_bytes(data.draw(spoilt(WRITERS[kind](data.draw(mutated_rows())))))
        try:
            isogloss.load_corpus(path)
        except IsoglossError as error:
            assert_plain(error)

    read()


#: Columns of kinds that a corpus never has.
KINDS = {
    "duration": [timedelta(seconds=i) for i in range(40)],
    "date": [date(2026, 1, 1 + i % 28) for i in range(40)],
    "decimal": [Decimal(i % 2) for i in range(40)],
    "binary": [bytes([i]) for i in range(40)],
    "list": [[i] for i in range(40)],
    "struct": [{"a": i} for i in range(40)],
    "null": [None] * 40,
    "u64": pl.Series([2**64 - 1 - i for i in range(40)], dtype=pl.UInt64),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["text", "label", "language", "item_id", "other"])
def test_t18_parquet_columns_of_any_kind(kind, column, tmp_path):
    rows = labelled()[:40]
    frame = pl.DataFrame(rows).with_columns(pl.Series(KINDS[kind]).alias(column))
    frame.write_parquet(tmp_path / "c.parquet")
    try:
        isogloss.load_corpus(tmp_path / "c.parquet")
    except IsoglossError as error:
        assert_plain(error)


def places(data, path=()):
    """The paths of everything in JSON."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = {"plain": (PLAIN, list(places(PLAIN))), "small": (SMALL, list(places(SMALL)))}
JSON_STRANGE = [value for value in STRANGE if value == value]  # noqa: PLR0124 - NaN is no JSON


@pytest.mark.slow
def test_t18_run_folders_are_read_or_refused_in_one_line(tmp_path):
    points(POINTS).with_columns(pc1=0.5, pc2=None, fold=0).write_parquet(tmp_path / "points.parquet")
    sound = (tmp_path / "points.parquet").read_bytes()

    @settings(FUZZ, max_examples=EXAMPLES or 80)
    @given(st.data())
    def read(data):
        content, paths = PLACES[data.draw(st.sampled_from(list(PLACES)))]
        content = json.loads(json.dumps(content))
        for _ in range(data.draw(st.integers(0, 3))):
            *path, last = data.draw(st.sampled_from(paths))
            place = content
            try:
                for key in path:
                    place = place[key]
                if data.draw(st.booleans()):
                    place[last] = data.draw(st.sampled_from(JSON_STRANGE))
                else:
                    del place[last]
            except (LookupError, TypeError):
                pass  # an earlier fault has removed this place
        text = json.dumps(content, allow_nan=True).encode()
        (tmp_path / "audit.json").write_bytes(data.draw(spoilt(text)))
        (tmp_path / "points.parquet").write_bytes(data.draw(spoilt(sound)))
        (tmp_path / "run.json").write_bytes(data.draw(spoilt(b'{"finished": "2026-11-21"}')))
        try:
            run = read_run(tmp_path)
            isogloss.gate(run.audit, {"min_retention": 0.5, "no_verdicts": ["reversed"], "no_warnings": ["S001"]})
        except IsoglossError as error:
            assert_plain(error)

    read()


RULES = b"""min_retention = 0.5
no_verdicts = ['reversed']
[class.5]
min_gain = 0.1
[language.hi]
no_reversed = true
"""
RECIPE = b"""seed = 0
layers = ['final']
[[models]]
name = 'a'
pair = 'embedded'
[[corpora]]
name = 'c'
corpus = 'mini'
"""


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "content"), [(read_rules, RULES), (read_recipe, RECIPE)])
def test_t18_rules_and_recipes_are_read_or_refused_in_one_line(reader, content, tmp_path):
    @FUZZ
    @given(st.data())
    def read(data):
        (tmp_path / "file.toml").write_bytes(data.draw(spoilt(content)))
        try:
            reader(str(tmp_path / "file.toml"))
        except IsoglossError as error:
            assert_plain(error)

    read()
