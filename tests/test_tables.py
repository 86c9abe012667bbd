"""What a person reads: headline, lines and controls of audits written by hand."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from handmade import HERE, estimate, language_rows, make_audit, small_audit
from isogloss.records import NAN, LanguageVerdict, Row
from isogloss.report.tables import (
    CONTROL_HEADINGS,
    DASH,
    HEADINGS,
    HEADINGS_ALONE,
    SAID,
    caption,
    control_lines,
    control_markdown,
    headings,
    headline,
    lines,
    markdown,
    warning_lines,
)
from isogloss.report.render_terminal import STYLES, print_audit
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS, CodedWarning

CLEAR = (0.25, 0.1, 0.4)
UNCLEAR = "the pivot's gain is not clear of zero"


def with_verdicts(words, *, gain=CLEAR, reason=None):
    rows = [row for code in ("en", *words) for row in language_rows(code, 0.0, 0.3, gain if code == "en" else CLEAR)]
    verdicts = [LanguageVerdict(language="en", verdict="pivot")]
    verdicts += [LanguageVerdict(language=code, verdict=word, reason=reason) for code, word in words.items()]
    return make_audit(rows, verdicts)


# Headline


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("reached", "Of what alignment did in en, 1 of 1 other languages kept 80 % or more: sw."),
        ("weakened", "It weakened in sw."),
        ("lagging", "It lags in sw."),
        ("not reached", "It did not reach sw."),
        ("reversed", "It is reversed in sw."),
        ("confounded", "It is confounded in sw."),
        ("inconclusive", "It cannot be judged from these texts in sw."),
    ],
)
def test_every_verdict_has_its_words(word, said):
    text = headline(with_verdicts({"sw": word}))
    assert text.endswith(said)
    if word != "reached":
        assert text.startswith("Of what alignment did in en, 0 of 1 other languages kept 80 % or more. ")


def test_the_headline_names_all_languages_by_verdict():
    words = {"de": "reached", "fr": "reached", "sw": "not reached", "am": "not reached", "hi": "inconclusive"}
    assert headline(with_verdicts(words)) == (
        "Of what alignment did in en, 2 of 5 other languages kept 80 % or more: de, fr. "
        "It did not reach sw, am; it cannot be judged from these texts in hi."
    )


def test_no_verdict_is_without_words_or_style():
    named = {"reached", "weakened", "lagging", "not reached", "reversed", "confounded", "inconclusive", "not measured"}
    assert set(SAID) == named
    assert set(STYLES) <= named | {"pass", "fail"}  # the gate's


def test_a_language_that_was_not_measured_is_named():
    text = headline(with_verdicts({"sw": "not measured", "de": "reached"}))
    assert (
        text == "Of what alignment did in en, 1 of 2 other languages kept 80 % or more: de. It was not measured in sw."
    )


def test_a_pivot_without_a_clear_gain_is_said_first():
    gain = (0.05, -0.1, 0.2)
    text = headline(with_verdicts({"sw": "inconclusive"}, gain=gain, reason=UNCLEAR))
    start = "Alignment did not clearly raise the separation in en itself"
    assert text == f"{start} (gain +0.050), so no language can be compared with it."


@pytest.mark.parametrize(
    ("gain", "word", "reason", "start"),
    [
        ((0.2, 0.001, 0.4), "inconclusive", UNCLEAR, "Alignment did not clearly raise the separation in en itself"),
        ((0.2, -0.001, 0.4), "not reached", None, "Of what alignment did in en, 0 of 1"),
    ],
)
def test_headline_and_verdicts_never_contradict_each_other(gain, word, reason, start):
    """Gains and retention have different simultaneous critical values; the verdicts count."""
    assert headline(with_verdicts({"sw": word}, gain=gain, reason=reason)).startswith(start)


def test_without_reference_there_is_no_verdict():
    models = {"reference": None, "aligned": {"name": "m", "sha256": "b0"}}
    alone = make_audit([row for row in language_rows("en", 0, 0.3, CLEAR) if row.model == "aligned"], [], models=models)
    assert headline(alone).startswith("No reference model")
    (line,) = lines(alone)
    assert (line.aligned, line.reference, line.gain, line.verdict) == ("0.300", "–", "–", "–")
    score = alone.find(kind="score", metric=alone.primary.metric, components=alone.primary.components)[0].estimate
    assert (line.interval, line.null) == (f"[{score.low:.3f}, {score.high:.3f}]", DASH)
    assert headings(alone) == HEADINGS_ALONE
    assert "gain" not in caption(alone).lower()
    assert markdown(alone).splitlines()[0] == f"| {' | '.join(HEADINGS_ALONE.values())} |"


def test_with_the_pivot_only_there_is_nothing_to_compare():
    assert headline(with_verdicts({})) == "Only English: nothing to compare it with."


def test_an_audit_of_version_1_can_still_be_shown():
    from test_results import GOLDEN

    golden = Audit.from_json(GOLDEN.read_text("utf-8"))
    assert "verdict" in markdown(golden)
    assert {line.verdict for line in lines(golden)} == {"not measured"}
    assert headline(golden) == "No language was compared with en: version 1 had no verdicts."


# Lines


def test_lines_hold_the_numbers_of_the_primary_estimand():
    en, am, sw = lines(small_audit())
    assert [one.language for one in (en, am, sw)] == ["en English", "am Amharic", "sw Swahili"]
    assert (en.reference, en.aligned, en.gain, en.interval) == ("0.050", "0.300", "+0.250", "[+0.188, +0.312]")
    assert (en.retention, en.kept, en.verdict, en.pivot_z, en.detectable) == ("–", "–", "pivot", "8.0", "–")
    assert (sw.retention, sw.kept, sw.detectable) == ("0.12", "≈[-0.25, 0.24]", "0.125")
    assert (am.retention, am.kept, am.gain) == ("1.00", "[0.81, 1.25]", "+0.250")  # not the matched gain
    assert (sw.probe, am.probe) == ("0.60 → 0.90", "0.70 → 0.75")
    assert (sw.codes, am.codes, en.codes) == ("S004", "S009", "")


def test_approximate_intervals_carry_a_sign():
    _, am, sw = lines(small_audit())
    assert sw.interval == "≈[-0.062, +0.125]"
    assert not am.interval.startswith("≈")
    assert "≈: approximate" in caption(small_audit())


def test_the_row_says_that_metrics_disagree():
    en, am, sw = lines(small_audit())
    assert sw.verdict == "not reached, metrics disagree"
    assert (en.verdict, am.verdict) == ("pivot", "confounded")


def test_languages_stand_in_order_of_gain_the_pivot_first():
    gains = {"en": 0.1, "de": 0.05, "sw": 0.3, "am": NAN}
    rows = [
        Row(kind="gain", language=code, estimate=estimate(gain, reason="none" if code == "am" else None), **HERE)
        for code, gain in gains.items()
    ]
    found = lines(make_audit(rows, []))
    assert [line.language[:2] for line in found] == ["en", "sw", "de", "am"]
    assert found[-1].gain == "–"


def test_only_rows_of_the_primary_layer_count():
    other = [row for row in small_audit().rows if row.layer == 4]
    moved = [Row(**{**vars(row), "norm": "pre", "estimate": estimate(0.999)}) for row in other if row.kind == "gain"]
    audit = small_audit()
    assert lines(dataclasses.replace(audit, rows=(*audit.rows, *moved))) == lines(audit)


def test_the_caption_says_what_is_shown():
    text = caption(small_audit())
    for words in (
        "10 principal components",
        "layer 4 (post-norm)",
        "last token",
        "84 texts per class",
        "95% intervals",
    ):
        assert words in text


# Controls


def test_control_lines_stand_beside_the_probe():
    en, am, sw = control_lines(small_audit())
    assert [one.language[:2] for one in (en, am, sw)] == ["en", "am", "sw"]
    assert (sw.probe, am.probe) == ("0.90", "0.75")
    assert (sw.length, sw.ngram, sw.untrained) == ("0.62 / 0.09", "0.70", "–")
    assert (sw.permuted, sw.edit_rate, sw.tokens, sw.bits) == ("0.63", "0.25", "0.44", "–")


def test_markdown_has_all_columns_in_every_line():
    for text, columns in ((markdown(small_audit()), HEADINGS), (control_markdown(small_audit()), CONTROL_HEADINGS)):
        rows = text.splitlines()
        assert len(rows) == 5
        assert {row.count(" | ") for row in rows} == {len(columns) - 1}
        assert [cell.strip() for cell in rows[0].strip("| ").split(" | ")] == list(columns.values())


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
    assert "It did not reach sw; it is confounded in am." in re.sub(r"\s+", " ", text)
    controls = text.split("What else could explain a score")[1]
    for heading in ("probe, aligned", "length", "n-grams", "an untrained model", "edited"):
        assert heading in controls
    assert ("min gap" in text) == (width >= 156)
    assert ("tokens/char" in controls) == (width >= 120)


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
