"""Several audits side by side: which may be compared, and what their tables say."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from handmade import estimate, language_rows, make_audit, small_audit
from isogloss.errors import UsageError
from isogloss.records import LanguageVerdict, Primary
from isogloss.report.comparison.comparable import differences, name_audits, refuse_differences, remarks, warning
from isogloss.report.comparison.tables import comparison_frame, comparison_tables
from isogloss.report.render_csv import render_csv
from isogloss.report.render_latex import render_latex
from isogloss.report.render_markdown import render_markdown
from isogloss.report.render_terminal import STYLES, _style, print_table
from isogloss.report.table import Cell
from test_exports import NASTY, check_latex


def model(name, kept, **changes):
    """An audit of a model whose retention in German is `kept`."""
    rows = [*language_rows("en", 0.0, 0.3, (0.3, 0.2, 0.4)), *language_rows("de", 0.1, 0.2, (0.1, 0.0, 0.2), kept)]
    verdicts = [LanguageVerdict(language="en", verdict="pivot"), LanguageVerdict(language="de", verdict="lagging")]
    models = {"reference": {"name": "base", "sha256": "a0"}, "aligned": {"name": name, "sha256": name}}
    return make_audit(rows, verdicts, models=models, **changes)


LOW, HIGH, WIDE = (0.25, 0.125, 0.5), (0.75, 0.625, 1.0), (0.5, 0.25, 0.75)


def texts(table):
    """The cells of a table as lines of text."""
    return tuple(tuple(cell.line for cell in row) for row in table.rows)


def pair(one=LOW, other=HIGH, **changes):
    return [("first", model("first", one)), ("second", model("second", other, **changes))]


# Names


@pytest.mark.parametrize(
    ("models", "folders", "names"),
    [
        (("a", "b"), ("r/1", "r/2"), ["a", "b"]),
        (("a", "a"), ("r/1", "r/2"), ["1", "2"]),
        (("a", "a"), ("r/1", "s/1"), ["r/1", "s/1"]),
        (("a\u202e", "b"), ("r/1", "r/2"), ["a⟨U+202E⟩", "b"]),
    ],
)
def test_audits_are_called_by_what_tells_them_apart(models, folders, names):
    found = name_audits([Path(one) for one in folders], [model(name, LOW) for name in models])
    assert [name for name, _ in found] == names


def test_a_run_is_compared_with_others_only(tmp_path):
    with pytest.raises(UsageError, match="a run twice"):
        name_audits([tmp_path / "a", tmp_path / "b" / ".." / "a"], [model("a", LOW)] * 2)


# What may be compared

OTHERS = {
    "corpus": {"corpus": {"name": "mini", "sha256": "c1"}},
    "pivot": {"pivot": "de"},
    "primary metric": {"primary": Primary(metric="between_class_variance", components=2, layer="4-post")},
}


@pytest.mark.parametrize(("what", "changes"), OTHERS.items())
def test_audits_of_other_things_are_refused_and_named(what, changes):
    audits = pair()
    audits[1] = ("second", replace(audits[1][1], **changes))
    assert list(differences(audits)) == [what]
    with pytest.raises(UsageError, match=f"different {what}.*--anyway") as caught:
        refuse_differences(audits)
    assert "\n" not in str(caught.value)
    assert what in warning(audits)


def test_audits_of_the_same_are_not_refused():
    moved = {"name": "copy.csv", "sha256": "c0", "revision": None}  # a name is no difference
    audits = pair(corpus=moved)
    refuse_differences(audits)
    assert differences(audits) == {}
    assert warning(audits) is None
    assert remarks(audits) == []


def test_settings_that_differ_are_said():
    config = pair()[0][1].config | {"position": "mean", "analyses": {"matched": {"match": ["length"]}}}
    audits = pair(config=config, primary=Primary(metric="between_class_variance", components=10, layer="6"))
    (text,) = remarks(audits)
    assert (
        text == "Settings that differ, run by run: position: last, mean; matched: none, match length; layer: 4-post, 6."
    )


# Tables


def test_the_tables_hold_retention_with_verdict_gain_and_separation():
    kept, gain, separation, _ = comparison_tables(pair())
    assert [column.heading for column in kept.columns] == ["language", "first", "second"]
    assert texts(kept) == (
        ("en English", "pivot", "pivot"),
        ("de German", "0.25 lagging [0.12, 0.50]", "0.75 lagging [0.62, 1.00]"),
    )
    assert texts(gain)[1] == ("de German", "+0.100 [+0.000, +0.200]", "+0.100 [+0.000, +0.200]")
    assert texts(separation)[0] == ("en English", "0.300 [0.250, 0.350]", "0.300 [0.250, 0.350]")
    assert texts(comparison_tables(pair(), intervals=False)[0])[1] == ("de German", "0.25 lagging", "0.75 lagging")


def test_a_language_that_only_one_has_is_a_dash_in_the_other():
    audits = [("three", small_audit()), ("two", model("two", LOW))]
    rows = {row[0]: row[1:] for row in texts(comparison_tables(audits)[0])}
    assert list(rows) == ["en English", "am Amharic", "de German", "sw Swahili"]
    assert rows["sw Swahili"][1] == "–"
    assert rows["de German"] == ("–", "0.25 lagging [0.12, 0.50]")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (LOW, HIGH, "higher 0.75 [0.62, 1.00]"),
        (HIGH, LOW, "lower 0.25 [0.12, 0.50]"),
        (LOW, WIDE, "overlap 0.50 [0.25, 0.75]"),
        (LOW, (0.75, 0.5, 1.0), "overlap 0.75 [0.50, 1.00]"),  # they touch
        (LOW, None, "–"),
    ],
)
def test_two_audits_say_whether_their_intervals_exclude_each_other(one, other, said):
    table = comparison_tables(pair(one, other))[-1]
    assert [row[0] for row in texts(table)] == ["de German"]  # the pivot has no retention
    assert texts(table)[0][3] == said
    assert "at most 10%" in table.caption


def test_three_audits_are_not_held_against_each_other():
    audits = [*pair(), ("third", model("third", WIDE))]
    assert [table.key for table in comparison_tables(audits)] == [
        "comparison-retention",
        "comparison-gain",
        "comparison-separation",
    ]


def test_what_is_not_comparable_says_so_above_every_table():
    audits = pair(**OTHERS["corpus"])
    tables = comparison_tables(audits)
    for table in tables[:3]:
        assert table.title.startswith("Not comparable: these audits differ in corpus: mini c0, mini c1.")
    assert "Not comparable" in tables[3].caption
    assert "caution" in comparison_frame(audits).columns
    assert "caution" not in comparison_frame(pair()).columns


def test_the_frame_holds_all_rows_of_all_runs():
    frame = comparison_frame(pair())
    assert frame.columns[:3] == ["run", "reference", "aligned"]
    assert frame.height == sum(len(audit.rows) for _, audit in pair())
    assert frame.filter(run="second", kind="retention")["value"].to_list() == [0.75]


@pytest.mark.parametrize("text", NASTY)
def test_names_of_runs_do_not_break_out(text):
    audits = name_audits([Path("a"), Path("b")], [model(text, LOW), model("other", HIGH)])
    tables = comparison_tables(audits)
    check_latex(render_latex(tables))
    rows = [line for line in render_markdown(tables).splitlines() if line.startswith("|")]
    assert len(rows) == 3 * 4 + 3
    assert "\n=" not in render_csv(comparison_frame(audits))


def test_an_interval_that_is_only_approximate_keeps_its_sign():
    audits = pair()
    row = next(row for row in audits[0][1].rows if row.kind == "retention")
    about = replace(row, estimate=estimate(*LOW, approximate="few texts"))
    rows = tuple(about if one is row else one for one in audits[0][1].rows)
    audits[0] = ("first", replace(audits[0][1], rows=rows))
    assert texts(comparison_tables(audits)[0])[1][1] == "0.25 lagging ≈[0.12, 0.50]"


def test_every_verdict_has_its_own_colour_in_the_terminal():
    assert [_style(Cell(text="0.12", tag=word)) for word in STYLES] == list(STYLES.values())
    assert _style(Cell(text="pivot", tag="pivot")) == ""


# In a terminal


def printed(table, width):
    screen = Console(width=width, file=io.StringIO(), color_system=None)
    print_table(table, screen)
    return screen.file.getvalue()


def test_columns_that_do_not_fit_stand_below():
    audits = [(f"model-number-{i}", model(str(i), (i / 8, 0.0, 1.0))) for i in range(7)]
    table = comparison_tables(audits, intervals=False)[0]
    for width, parts in ((80, 2), (200, 1), (30, 7)):
        lines = printed(table, width).splitlines()
        assert sum(line.startswith("de German") for line in lines) == parts
        assert all(cell_len(line) <= width for line in lines)
        whole = " ".join(" ".join(lines).split())
        assert all(f"{i / 8:.2f} lagging" in whole for i in range(7)) or width == 30
        assert all(f"model-number-{i}" in whole for i in range(7)) or width == 30


def test_wide_letters_are_counted_by_what_they_take():
    audits = [(f"模型模型模型{i}", model(str(i), LOW)) for i in range(7)]
    lines = printed(comparison_tables(audits, intervals=False)[0], 80).splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    assert "模型模型模型6" in "".join(lines)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_cut_in_a_narrow_terminal(width):
    words = printed(comparison_tables(pair())[-1], width).split()
    for word in ("0.25", "[0.12,", "0.50]", "higher", "0.75", "[0.62,", "1.00]"):
        assert word in words
