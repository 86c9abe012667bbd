"""The pairs that lose most as lines: ids, texts in which nothing is hidden, and what the numbers are."""

import io

import polars as pl
import pytest
from rich.console import Console

import isogloss
from conftest import parallel_rows
from handmade import small_audit
from isogloss.errors import StoreError
from isogloss.report.lost_pairs import lost_pairs_table, most_lost
from isogloss.report.render_terminal import print_table
from planted import load
from test_report_pairs import PLAIN, points

BAD = "x\u202e\x1b[31m [red]中文[/red] \n:smile:"


@pytest.fixture
def lost():
    return most_lost(small_audit(), points(PLAIN), 5)


def sample_of(tmp_path, texts):
    """A corpus whose text ids are those of the points: its frame is made by hand."""
    corpus = load(tmp_path / "t.jsonl", parallel_rows(n=25, languages=("en", "sw")))
    rows = [
        {
            "text_id": f"{code}{number}{'+' if harmful else '-'}",
            "pair_id": f"p{number}",
            "item_id": f"i{number}",
            "language": code,
            "text": f"{texts} {code} {number} {harmful}",
            "harmful": harmful,
            "source": "t",
        }
        for code in ("en", "sw")
        for number in range(3)
        for harmful in (True, False)
    ]
    return isogloss.Corpus(name=corpus.name, frame=pl.DataFrame(rows, schema=corpus.frame.schema))


def pair_rows(audit, lost, sample=None):
    """The rows of the table as text, by heading."""
    table = lost_pairs_table(audit, lost, sample)
    return [{column.heading: cell.line for column, cell in zip(table.columns, row, strict=True)} for row in table.rows]


def test_only_ids_are_shown_unless_texts_are_asked_for(lost):
    rows = pair_rows(small_audit(), lost)
    assert rows[0] == {
        "language": "sw Swahili",
        "pair": "i1",
        "margin, pivot": "+2.00",
        "margin, aligned": "+0.00",
        "loss": "2.00",
        "harmful text": "sw1+",
        "harmless text": "sw1-",
    }
    assert [row["pair"] for row in rows] == ["i1", "i2"]  # i0 loses nothing


def test_the_layer_is_that_of_the_verdicts_and_the_number_is_kept():
    other = points(PLAIN, layer=2, norm="")
    assert most_lost(small_audit(), other, 5).is_empty()
    assert most_lost(small_audit(), pl.concat([other, points(PLAIN)]), 1)["item_id"].to_list() == ["i1"]


def test_texts_come_with_that_of_the_pivot_and_nothing_in_them_is_hidden(lost, tmp_path):
    rows = pair_rows(small_audit(), lost, sample_of(tmp_path, BAD))
    assert rows[0]["harmful text"] == "x⟨U+202E⟩␛[31m [red]中文[/red] ␊:smile: sw 1 True"
    assert rows[0]["harmless text"].endswith("sw 1 False")
    assert rows[0]["harmful text in the pivot"].endswith("en 1 True")


@pytest.mark.parametrize("column", ["harmful_id", "harmless_id", "item_id"])
def test_points_of_other_texts_are_refused(lost, tmp_path, column):
    other = lost.with_columns(pl.lit("strange").alias(column))
    with pytest.raises(StoreError, match="texts that the audit did not read"):
        pair_rows(small_audit(), other, sample_of(tmp_path, ""))


def test_a_terminal_shows_texts_as_they_are_in_columns_of_true_width(lost, tmp_path):
    console = Console(width=200, file=io.StringIO(), record=True)
    print_table(lost_pairs_table(small_audit(), lost, sample_of(tmp_path, "[bold]中文字[/bold] :smile:")), console)
    shown = console.export_text()
    assert "[bold]中文字[/bold] :smile: sw 1 True" in shown
    from rich.cells import cell_len

    rows = [line for line in shown.splitlines() if "sw 1" in line or "sw 2" in line]
    starts = {cell_len(row[: row.index("[bold]", row.index("[bold]") + 1)]) for row in rows}
    assert len(rows) == 2
    assert len(starts) == 1


def test_what_the_numbers_are_is_said(lost):
    said = lost_pairs_table(small_audit(), lost).description
    assert "Margin, pivot: margin of the same item in the pivot" in said
    assert "not findings" in said
    without = most_lost(small_audit(), points(PLAIN, items=False), 5)
    assert list(pair_rows(small_audit(), without)[0])[2:4] == ["margin, reference", "margin, aligned"]
