"""The column dictionary: every column says what it holds, and docs/columns.md is what the code says."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from handmade import small_audit
from isogloss.analyses.audit import ANALYSES
from isogloss.auditing.points import POINT_COLUMNS
from isogloss.report.column_dictionary import REPORT_TABLES, render_dictionary, undescribed
from isogloss.report.read_run import POINTS

DOCS = Path(__file__).parents[1] / "docs"
KINDS = [*REPORT_TABLES, *(kind for analysis in ANALYSES for kind in analysis.tables)]


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("columns_script", DOCS / "columns.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_column_has_a_description():
    assert undescribed(POINT_COLUMNS, KINDS) == []


def test_the_check_of_descriptions_can_fail():
    first, *rest = KINDS
    silent = replace(first, columns=(*first.columns[:-1], replace(first.columns[-1], description="")))
    assert undescribed(POINT_COLUMNS, [silent, *rest]) == [f"{first.key}: {first.columns[-1].key}"]
    assert undescribed(POINT_COLUMNS | {"new": ""}, KINDS) == ["points.parquet: new"]


def test_the_file_is_what_the_code_says(script):
    assert (DOCS / "columns.md").read_text("utf-8") == script.columns(), "run python docs/columns.py"


def test_a_changed_description_makes_the_file_old(script):
    first, *rest = KINDS
    changed = replace(first, columns=(*first.columns[:-1], replace(first.columns[-1], description="Another.")))
    assert render_dictionary(POINT_COLUMNS, [changed, *rest]) != script.columns()


def test_the_descriptions_are_of_the_columns_that_are_written():
    assert list(POINT_COLUMNS) == list(POINTS)
    text = render_dictionary(POINT_COLUMNS, KINDS)
    assert all(f"| `{name}` |" in text for name in small_audit().table().columns)


def test_no_two_tables_have_the_same_key():
    keys = [kind.key for kind in KINDS]
    assert len(set(keys)) == len(keys)
