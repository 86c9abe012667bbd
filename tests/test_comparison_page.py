"""The page of several audits without a browser: its numbers are the audits', and it says what cannot be compared."""

import html
import math
import re
from dataclasses import replace

import pytest

from handmade import estimate, make_audit, small_audit
from isogloss.records import LanguageVerdict
from isogloss.report.comparison.heatmap import BLANK, LINES, SIGNS, column_names
from isogloss.report.comparison.page import comparison_headline, comparison_html
from isogloss.report.comparison.tables import BASELINES, QUANTITIES
from isogloss.report.palette import DARK, LIGHT
from isogloss.report.view import view
from pages import data_of, rows_of, without_reference
from test_comparison_matrix import HIGH, LOW, OTHERS, WIDE, model, pair
from test_page import Elements


def cells_of(page):
    """Cells of the heat map by quantity."""
    return {one["name"]: rows_of(one["cells"]) for one in data_of(page)["figures"]["heatmap"]["quantities"]}


def table(page, name):
    """Lines of a table as text, with what each cell has in its data-value."""
    body = re.search(rf'data-table="{name}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    lines = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [
        [
            (" ".join(html.unescape(re.sub(r"<[^>]*>", " ", inner)).split()), float(value) if value else None)
            for value, inner in re.findall(r'<t[hd][^>]*?(?:data-value="([^"]*)")?>(.*?)</t[hd]>', line, re.DOTALL)
        ]
        for line in lines
    ]


# Numbers


def test_every_cell_is_the_audits():
    audits = [("one", small_audit()), ("two", model("two", LOW))]
    found = cells_of(comparison_html(audits))
    assert list(found) == ["retention", "gain", "separation", "verdict"]
    names = {"English": "en", "Amharic": "am", "Swahili": "sw", "German": "de"}
    for quantity in QUANTITIES[:3]:
        assert len(found[quantity.name]) == 4 * 2
        for one in found[quantity.name]:
            audit = dict(audits)[one["name"]]
            number = audit.value(
                kind=quantity.kind,
                model=quantity.model,
                language=names[one["label"]],
                metric="between_class_variance",
                sample="all",
            )
            expected = [getattr(number, part, math.nan) for part in ("value", "low", "high")]
            assert [one[part] for part in ("value", "low", "high")] == [
                None if math.isnan(part) else part for part in expected
            ]
            assert one["approximate"] == bool(number and number.approximate)
    verdicts = {(one["name"], one["label"]): one["verdict"] for one in found["verdict"]}
    assert verdicts["one", "Swahili"] == "not reached"
    assert verdicts["two", "German"] == "lagging"
    assert verdicts["two", "Swahili"] == "–"


def test_every_number_in_the_tables_is_the_audits():
    audits = [("one", small_audit()), ("two", model("two", LOW))]
    known = {number for _, audit in audits for row in audit.rows for number in (row.pivot_z, row.estimate.value)}
    page = comparison_html(audits)
    for name in ("cells", "runs"):
        values = [value for line in table(page, name) for _, value in line if value is not None]
        assert len(values) > 3
        counts = {0.0, 1.0, 2.0} if name == "runs" else set()
        assert set(values) <= known | counts


def test_colour_grows_with_the_number_and_ends_where_the_scale_says():
    found = data_of(comparison_html(pair()))["figures"]["heatmap"]["quantities"]
    retention, gain, _, verdict = found
    assert retention["end"] == 1.0
    assert gain["end"] == 0.3
    shades = dict(zip(gain["cells"]["value"], gain["cells"]["shade"], strict=True))
    assert shades[0.3] == 1.0
    assert shades[0.1] == pytest.approx(1 / 3)
    assert set(verdict["cells"]["shade"]) == {None}
    assert all(verdict["cells"]["worded"])


def test_a_verdict_is_told_by_word_and_sign_too():
    found = cells_of(comparison_html(pair()))["retention"]
    german = [(one["over"], one["under"], one["sign"]) for one in found if one["label"] == "German"]
    assert german == [("0.25", "lagging", "◔"), ("0.75", "lagging", "◔")]
    assert set(SIGNS) == set(LIGHT.verdicts)
    definite = [sign for word, sign in SIGNS.items() if word not in {"confounded", "inconclusive"}]
    assert len(set(definite)) == len(definite)


def test_equal_audits_give_equal_pages():
    assert comparison_html(pair()) == comparison_html(pair())


# What is said


def said(audits):
    return "".join(
        part.text for part in comparison_headline([name for name, _ in audits], [view(audit) for _, audit in audits])
    )


START = "Languages that retain at least 80 % of the pivot's gain: "


def reaching(name, *words):
    """An audit whose languages have these verdicts."""
    audit = model(name, LOW)
    codes = ("de", "fr", "hi")[: len(words)]
    rows = [row for row in audit.rows if row.language == "en"]
    rows += [replace(row, language=code) for code in codes for row in audit.rows if row.language == "de"]
    verdicts = [LanguageVerdict(language=code, verdict=word) for code, word in zip(codes, words, strict=True)]
    return name, replace(audit, rows=tuple(rows), verdicts=(LanguageVerdict(language="en", verdict="pivot"), *verdicts))


@pytest.mark.parametrize(
    ("audits", "text"),
    [
        (
            [reaching("a", "reached", "reached"), reaching("b", "reached", "lagging")],
            f"{START}2 of 2 in a and 1 of 2 in b.",
        ),
        (
            [reaching("a", "reached"), reaching("b", "lagging"), reaching("c", "reached")],
            f"{START}1 of 1 in a, 0 of 1 in b and 1 of 1 in c.",
        ),
        (
            [reaching("a", "reached"), reaching("b", "reached")],
            f"{START}1 of 1 in both runs.",
        ),
        (
            [reaching("a", "inconclusive", "reached"), reaching("b", "reached", "reached")],
            "Languages that demonstrably retain at least 80 % of the pivot's gain: 1 of 2 in a and 2 of 2 in b.",
        ),
        (
            [
                reaching("a", "reached", "reached"),
                reaching("b", "reached", "lagging"),
                reaching("c", "reached", "lagging"),
                reaching("d", "reversed", "lagging"),
            ],
            f"{START}from 0 of 2 in d to 2 of 2 in a.",
        ),
        (
            [("a", without_reference()), ("b", without_reference())],
            "None of these audits can say how many languages alignment reached.",
        ),
    ],
)
def test_the_headline_counts_what_was_reached(audits, text):
    assert said(audits) == text


@pytest.mark.parametrize(("what", "changes"), OTHERS.items())
def test_what_is_not_comparable_is_said_before_anything_else(what, changes):
    audits = pair()
    audits[1] = ("second", replace(audits[1][1], **changes))
    page = comparison_html(audits)
    body = page[page.index("<main") :]
    assert "These audits are not comparable." in body
    assert body.index("Not comparable: these audits differ in") < body.index("<figure")
    assert what in body
    assert "retain at least" not in body
    assert "not comparable" not in comparison_html(pair())


def test_settings_that_differ_are_said():
    audits = pair(config=pair()[0][1].config | {"position": "mean"})
    assert "Settings that differ, run by run: position: last, mean." in comparison_html(audits)


def test_the_chance_of_a_wrong_word_grows_with_the_runs():
    assert "at most 10% for two runs (" in comparison_html(pair())
    three = comparison_html([*pair(), ("third", model("third", WIDE))])
    assert "at most 10% for two runs, and at most 15% for all of them at once" in three
    config = {name: value for name, value in pair()[0][1].config.items() if name != "level"}
    assert "at most" not in comparison_html(pair(config=config)).split('id="differ"')[1].split("<table")[0]


@pytest.mark.parametrize(
    ("one", "other", "word", "sign"),
    [
        (LOW, HIGH, "higher", 1.0),
        (HIGH, LOW, "lower", -1.0),
        (LOW, WIDE, "overlap", 0.0),
        (LOW, None, "–", None),
    ],
)
def test_every_run_is_held_against_every_other(one, other, word, sign):
    lines = table(comparison_html(pair(one, other)), "against")
    assert [line[1][0] for line in lines] == ["first", "second"]
    assert lines[0][0][0] == "German de"  # the pivot has no retention
    text, value = lines[0][3]
    assert text.split()[0] == word
    assert value == sign


def test_of_many_runs_some_are_held_against_the_others():
    many = [(f"m{i}", model(f"m{i}", LOW)) for i in range(BASELINES + 2)]
    page = comparison_html(many)
    assert len(table(page, "against")) == BASELINES
    assert "the first 12 can be held against the others" in page
    assert "can be held against the others" not in comparison_html(many[:BASELINES])


def test_warnings_are_counted_by_run():
    lines = table(comparison_html([("one", small_audit()), ("two", model("two", LOW))]), "codes")
    assert [line[0][0].split()[0] for line in lines] == ["C005", "S004", "S009"]
    assert [cell for cell, _ in lines[0][1:]] == ["yes", "–"]
    assert [cell for cell, _ in lines[1][1:]] == ["1 of 3 languages", "–"]


def test_what_was_run_and_its_command_are_there():
    page = comparison_html(pair())
    assert page.count("isogloss audit --reference") == 2
    assert "sha256 first" in page
    assert "sha256 second" in page


# Unusual audits


def test_audits_without_a_reference_show_separation():
    page = comparison_html([("a", without_reference()), ("b", without_reference())])
    found = cells_of(page)
    assert {one["value"] for one in found["retention"]} == {None}
    assert 0.3 in {one["value"] for one in found["separation"]}
    assert table(page, "runs")[0][3:] == [("–", None)] * 5


def test_a_number_that_does_not_exist_has_its_reason():
    audit = model("a", LOW)
    rows = tuple(
        replace(row, estimate=estimate(math.nan, reason="the pivot's gain is not clear of zero"))
        if row.kind == "retention"
        else row
        for row in audit.rows
    )
    page = comparison_html([("a", replace(audit, rows=rows)), ("b", model("b", HIGH))])
    (cell,) = [one for one in cells_of(page)["retention"] if (one["name"], one["label"]) == ("a", "German")]
    assert (cell["value"], cell["reason"], cell["over"]) == (None, "the pivot's gain is not clear of zero", "–")


def test_one_language_can_be_compared():
    rows = [row for row in model("a", LOW).rows if row.language == "en"]
    alone = make_audit(rows, [LanguageVerdict(language="en", verdict="pivot")])
    assert "None of these audits" in comparison_html([("a", alone), ("b", alone)])


# Names


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["org/a", "org/b"], ["a", "b"]),
        (["x/a", "y/a"], ["x/a", "y/a"]),
        (["a", "b/"], ["a", "b"]),
        (["a long name of words", "b"], ["a long name \nof words", "b"]),
        (["a" * 60, "a" * 61], [f"1: {'a' * 10}\n{'a' * 13}\n{'a' * 12}…", f"2: {'a' * 10}\n{'a' * 13}\n{'a' * 12}…"]),
    ],
)
def test_names_above_columns_are_short_and_tell_runs_apart(names, columns):
    found = column_names(names)
    assert [one.lstrip("\n" + BLANK) for one in found] == columns
    assert {one.count("\n") for one in found} == {LINES - 1}
    assert len(set(found)) == len(names)


# Safety


def test_the_page_asks_for_nothing_and_runs_only_its_own():
    elements = Elements(comparison_html(pair())).found
    assert {tag for tag, _ in elements} & {"link", "img", "iframe", "object", "embed", "base"} == set()
    for tag, attributes in elements:
        assert not {"src", "style", *(name for name in attributes if name.startswith("on"))} & set(attributes), tag
        assert attributes.get("href", "#").startswith("#")
    (policy,) = [attributes["content"] for _, attributes in elements if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("text", ["<b>x</b>", "</script><script>pwned(1)</script>", "\u202ea{{ 7*7 }}", "x" * 500])
def test_names_of_runs_are_text(text):
    page = comparison_html([(text, model(text, LOW)), ("other", model("other", HIGH))])
    assert "<b>" not in page
    assert "<script>pwned" not in page
    assert "\u202e" not in page
    assert len(re.findall(r"<script", page)) == len(re.findall(r"<script", comparison_html(pair())))


def test_no_fill_is_too_strong_for_the_words_on_it():
    """WCAG 2.2: 4.5 to 1, at the ends of the scale and on verdicts at 30 % over paper."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def mixed(colour, paper):
        parts = [round(0.3 * int(colour[i : i + 2], 16) + 0.7 * int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
        return "#" + "".join(f"{part:02x}" for part in parts)

    for theme in (LIGHT, DARK):
        fills = [theme.heat_low, theme.heat_zero, theme.heat_high]
        fills += [mixed(colour, theme.paper) for colour in theme.verdicts.values()]
        for fill in fills:
            one, other = sorted((luminance(theme.ink), luminance(fill)))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (theme.name, fill)
