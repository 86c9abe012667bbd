"""What a person reads: headline, tables and controls of audits written by hand."""

import dataclasses
import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from handmade import HERE, estimate, language_rows, make_audit, small_audit
from isogloss.records import NAN, LanguageVerdict, Row
from isogloss.report.audit_tables import LANGUAGES, language_table
from isogloss.report.control_table import CONTROLS, control_table
from isogloss.report.estimates import DASH
from isogloss.report.exports import export_tables
from isogloss.report.render_markdown import render_markdown
from isogloss.report.render_terminal import STYLES, column_width, fit_table, print_audit
from isogloss.report.sentences import VERDICTS, headline, rests_on, verdict_meanings, warning_lines
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import view
from isogloss.stats.thresholds import Thresholds
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS, CodedWarning

CLEAR = (0.25, 0.1, 0.4)
UNCLEAR = "the pivot's gain is not clear of zero"


def with_verdicts(words, *, gain=CLEAR, reason=None):
    rows = [row for code in ("en", *words) for row in language_rows(code, 0.0, 0.3, gain if code == "en" else CLEAR)]
    verdicts = [LanguageVerdict(language="en", verdict="pivot")]
    verdicts += [LanguageVerdict(language=code, verdict=word, reason=reason) for code, word in words.items()]
    return make_audit(rows, verdicts)


def said(audit, names="code"):
    return headline(view(audit), names=names).text


def rows_of(table):
    """The rows of a table as text, by column key."""
    return [{column.key: cell.line for column, cell in zip(table.columns, row, strict=True)} for row in table.rows]


def lines(audit):
    return rows_of(language_table(view(audit)))


# Headline


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("reached", "1 of 1 language retains at least 80 % of the English gain. Reached: sw."),
        ("weakened", "0 of 1 language retains at least 80 % of the English gain. Weakened: sw."),
        ("lagging", "0 of 1 language retains at least 80 % of the English gain. Lagging: sw."),
        ("not reached", "0 of 1 language retains at least 80 % of the English gain. Not reached: sw."),
        ("reversed", "0 of 1 language retains at least 80 % of the English gain. Reversed: sw."),
        ("confounded", "0 of 1 language demonstrably retains at least 80 % of the English gain. Confounded: sw."),
        ("inconclusive", "0 of 1 language demonstrably retains at least 80 % of the English gain. Inconclusive: sw."),
    ],
)
def test_every_verdict_has_its_words(word, end):
    assert said(with_verdicts({"sw": word})) == end


def test_the_headline_names_all_languages_by_verdict():
    words = {"de": "reached", "fr": "reached", "sw": "not reached", "am": "not reached", "hi": "inconclusive"}
    audit = with_verdicts(words)
    assert said(audit) == (
        "2 of 5 languages demonstrably retain at least 80 % of the English gain. Reached: de, fr. "
        "Not reached: am, sw. Inconclusive: hi."
    )
    assert said(audit, "name").endswith(
        "Reached: German and French. Not reached: Amharic and Swahili. Inconclusive: Hindi."
    )


def test_no_verdict_is_without_words_or_style():
    named = {"reached", "weakened", "lagging", "not reached", "reversed", "confounded", "inconclusive", "not measured"}
    assert set(VERDICTS) == named
    assert set(STYLES) <= named | {"pass", "fail"}  # the gate's


def test_a_language_that_was_not_measured_is_named():
    text = said(with_verdicts({"sw": "not measured", "de": "reached"}))
    assert text == (
        "1 of 2 languages demonstrably retains at least 80 % of the English gain. Reached: de. Not measured: sw."
    )


def test_thresholds_in_words_are_those_of_the_audit():
    audit = dataclasses.replace(small_audit(), thresholds=Thresholds(reached=0.7, not_reached=0.1))
    assert "at least 70 % of" in said(audit)
    assert "at least 70 % of" in rests_on(view(audit))
    meanings = verdict_meanings(audit.thresholds)
    assert meanings["weakened"] == "retains between 10 % and 70 % of the gain"


def test_a_pivot_without_a_clear_gain_is_said_first():
    gain = (0.05, -0.1, 0.2)
    text = said(with_verdicts({"sw": "inconclusive"}, gain=gain, reason=UNCLEAR))
    start = "Alignment did not clearly raise the separation in English"
    assert text == f"{start} (gain +0.050), so no language can be compared with it."


@pytest.mark.parametrize(
    ("gain", "word", "reason", "start"),
    [
        ((0.2, 0.001, 0.4), "inconclusive", UNCLEAR, "Alignment did not clearly raise the separation in English"),
        ((0.2, -0.001, 0.4), "not reached", None, "0 of 1 language"),
    ],
)
def test_headline_and_verdicts_never_contradict_each_other(gain, word, reason, start):
    """Gains and retention have different simultaneous critical values; the verdicts count."""
    assert said(with_verdicts({"sw": word}, gain=gain, reason=reason)).startswith(start)


def test_without_reference_there_is_no_verdict():
    models = {"reference": None, "aligned": {"name": "m", "sha256": "b0"}}
    alone = make_audit([row for row in language_rows("en", 0, 0.3, CLEAR) if row.model == "aligned"], [], models=models)
    assert said(alone).startswith("No reference model")
    (line,) = lines(alone)
    score = alone.find(kind="score", metric=alone.primary.metric, components=alone.primary.components)[0].estimate
    assert line["aligned"] == f"0.300 [{score.low:.3f}, {score.high:.3f}]"
    assert line["null"] == DASH
    assert not {"reference", "gain", "retention", "verdict", "mde"} & set(line)
    table = language_table(view(alone))
    assert "hold for each language by itself" in table.caption
    assert [column.key for column in export_tables(view(alone))[0].columns] == ["language", "aligned"]


def test_with_the_pivot_only_there_is_nothing_to_compare():
    assert said(with_verdicts({})) == "Only English was measured, so there is nothing to compare it with."


def test_languages_that_were_not_compared_say_why():
    text = said(with_verdicts({"sw": "not measured"}, reason="the pivot has too few texts"))
    assert text == "No language was compared with English: the pivot has too few texts."


# Lines


def test_lines_hold_the_numbers_of_the_primary_estimand():
    en, am, sw = lines(small_audit())
    assert [line["language"] for line in (en, am, sw)] == ["en English", "am Amharic", "sw Swahili"]
    assert en["reference"] == "0.050 [0.010, 0.090]"
    assert (en["aligned"], en["gain"]) == ("0.300 [0.250, 0.350]", "+0.250 [+0.188, +0.312]")
    assert (en["retention"], en["verdict"], en["mde"]) == (DASH, "pivot", DASH)
    assert (sw["retention"], sw["mde"]) == ("0.12 ≈[-0.25, 0.24]", "0.125")
    assert (am["retention"], am["gain"]) == ("1.00 [0.81, 1.25]", "+0.250 [+0.125, +0.375]")  # not the matched gain
    assert (sw["probe"], am["probe"]) == ("0.60 → 0.90", "0.70 → 0.75")
    assert (sw["warnings"], am["warnings"], en["warnings"]) == ("S004", "S009", DASH)


def test_approximate_intervals_carry_a_sign():
    _, am, sw = lines(small_audit())
    assert sw["gain"] == "+0.031 ≈[-0.062, +0.125]"
    assert "≈" not in am["gain"]
    assert "≈: approximate" in language_table(view(small_audit())).caption


def test_the_row_says_that_metrics_disagree():
    en, am, sw = lines(small_audit())
    assert sw["verdict"] == "not reached, metrics disagree"
    assert (en["verdict"], am["verdict"]) == ("pivot", "confounded")


def test_languages_stand_in_order_of_gain_the_pivot_first():
    gains = {"en": 0.1, "de": 0.05, "sw": 0.3, "am": NAN}
    rows = [
        Row(kind="gain", language=code, estimate=estimate(gain, reason="none" if code == "am" else None), **HERE)
        for code, gain in gains.items()
    ]
    found = lines(make_audit(rows, []))
    assert [line["language"][:2] for line in found] == ["en", "sw", "de", "am"]
    assert found[-1]["gain"] == DASH


def test_a_name_with_spaces_is_never_read_back_as_a_code():
    """The order of languages comes from their codes, not from how they are shown."""
    rows = [
        row
        for code, gain in (("en", 0.4), ("Old Norse", 0.1), ("Old Irish", 0.3))
        for row in language_rows(code, 0.0, gain, (gain, 0.0, 0.5), None if code == "en" else (gain / 0.4, 0.0, 1.0))
    ]
    found = lines(make_audit(rows, []))
    assert [line["language"] for line in found] == ["en English", "Old Irish", "Old Norse"]


def test_only_rows_of_the_primary_layer_count():
    audit = small_audit()
    moved = [
        Row(**{**vars(row), "norm": "pre", "estimate": estimate(0.999)})
        for row in audit.rows
        if row.layer == 4 and row.kind == "gain"
    ]
    assert lines(dataclasses.replace(audit, rows=(*audit.rows, *moved))) == lines(audit)


def test_the_caption_says_what_is_shown():
    text = language_table(view(small_audit())).description
    for words in (
        "10 principal components",
        "layer 4 (post-norm)",
        "last token",
        "84 texts per class",
        "95 % intervals",
        "The English gain is 8.0 standard errors from zero.",
        "MDE: minimum detectable gap",
    ):
        assert words in text


# Controls


def test_control_lines_stand_beside_the_probe():
    en, am, sw = rows_of(control_table(view(small_audit())))
    assert [line["language"][:2] for line in (en, am, sw)] == ["en", "am", "sw"]
    assert (sw["probe"], am["probe"]) == ("0.90", "0.75")
    assert (sw["length"], sw["ngrams"], sw["untrained"]) == ("0.62 / 0.09", "0.70", DASH)
    assert (sw["null"], sw["edit_rate"], sw["tokens"], sw["bits"]) == (
        "0.63",
        "0.25 [0.20, 0.30]",
        "0.44 [0.40, 0.50]",
        DASH,
    )


def test_every_number_that_a_table_shows_has_the_value_that_it_sorts_by():
    """Formatted numbers sort as strings: +0.250 before -0.5, and 10 before 9."""
    shown = view(small_audit())
    for table in (language_table(shown), control_table(shown), *export_tables(shown)):
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if re.match(r"[+<-]?\s?\d", cell.text):
                    assert cell.value is not None, (table.key, column.key)
                    assert cell.value == cell.value, "NaN does not sort"


def test_a_cell_refuses_a_number_that_does_not_sort():
    with pytest.raises(ValueError, match="NaN"):
        Cell(text="nan", value=NAN)


def test_a_table_has_the_columns_that_its_rows_name_and_no_others():
    kind = TableKind(
        key="k", title="t", columns=tuple(Column(key=key, heading=key, description="d.") for key in ("a", "b", "c"))
    )
    table = kind.fill([{"a": Cell(text="x"), "c": Cell(text="1", value=1)}])
    assert [column.key for column in table.columns] == ["a", "c"]
    with pytest.raises(KeyError, match="'d'"):
        kind.fill([{"d": Cell()}])
    with pytest.raises(ValueError, match="other columns"):
        Table(key="k", title="t", columns=kind.columns, rows=((Cell(),),))
    with pytest.raises(ValueError, match="same key"):
        Table(key="k", title="t", columns=kind.columns * 2, rows=())


def test_reasons_for_missing_numbers_name_their_rows():
    audit = small_audit()
    (distance,) = [table for table in export_tables(view(audit)) if table.key == "bhattacharyya-10"]
    assert distance.reasons == ("– sw: fewer than 100 texts per class for 10 components.",)


def test_markdown_has_all_columns_in_every_line():
    shown = view(small_audit())
    for table, kind in ((language_table(shown), LANGUAGES), (control_table(shown), CONTROLS)):
        rows = [line for line in render_markdown([table]).splitlines() if line.startswith("|")]
        assert len(rows) == 5
        assert {row.count(" | ") for row in rows} == {len(table.columns) - 1}
        headings = [cell.strip() for cell in rows[0].strip("| ").split(" | ")]
        assert set(headings) <= {column.heading for column in kind.columns}


# Terminal


def printed(audit, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_audit(audit, console)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120, 160, 220])
def test_nothing_that_counts_is_cut_off(width):
    text = printed(small_audit(), width)
    assert "…" not in text
    for words in ("en English", "not reached, metrics disagree", "confounded", "What else could explain a score"):
        assert words in text
    assert "Not reached: sw. Confounded: am." in re.sub(r"\s+", " ", text)
    controls = text.split("What else could explain a score")[1]
    for heading in ("probe, aligned", "length", "n-grams", "untrained", "edit rate"):
        assert heading in controls
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", range(60, 240, 20))
def test_a_narrow_terminal_drops_the_columns_of_least_importance_and_squeezes_none(width):
    whole = language_table(view(small_audit()))
    fitted = fit_table(whole, width)
    kept = [column.key for column in fitted.columns]
    dropped = [column for column in whole.columns if column.key not in kept]
    if dropped:
        least = min(column.priority for column in dropped)
        assert all(column.priority <= least for column in fitted.columns)
    if width >= 80:
        assert sum(column_width(fitted, number) + 2 for number in range(len(kept))) - 2 <= width
    assert {"language", "verdict", "retention"} <= set(kept)
    assert all(column.heading not in fitted.description.split(": ") for column in dropped)


def test_warnings_are_printed_with_their_codes():
    text = printed(small_audit(), 160)
    assert "  S009 am: the verdict changes on matched texts" in text
    assert re.findall(r"^  ([CMS]\d{3}) ", text, re.MULTILINE) == ["C005", "S004", "S009"]


def test_warnings_of_many_languages_are_one_line_and_those_of_few_keep_their_details():
    many = [CodedWarning(code="S003", detail="auroc 0.9", language=code) for code in ("en", "de", "de", "sw")]
    few = [CodedWarning(code="S002", detail="auroc 0.8", language="en"), CodedWarning(code="C006", detail="check")]
    found = warning_lines([*many, *few])
    assert [line.split()[0] for line in found] == ["C006", "S002", "S003"]
    assert found[1].startswith("S002 en: ")
    assert found[1].endswith("(auroc 0.8)")
    assert found[2] == f"S003 en, de, sw: {WARNINGS['S003'].meaning}"


@pytest.mark.parametrize(
    "text", ["[red]x[/red]", "[/bold]", "a\x1b[31mb", "x\u202ey", ":smile:", "[link=http://e]l[/link]"]
)
def test_names_of_strangers_are_printed_as_they_are(text):
    audit = small_audit(
        corpus={"name": text, "sha256": "c0"},
        models={"reference": {"name": "base", "sha256": "a0"}, "aligned": {"name": text, "sha256": "b0"}},
        warnings=(CodedWarning(code="C005", detail=text),),
    )
    audit = dataclasses.replace(audit, verdicts=(LanguageVerdict(language="en", verdict=text),))
    shown = printed(audit, 220)
    assert shown.count(sanitize(text)) == 4
    assert "\x1b" not in shown
    assert "\u202e" not in shown
