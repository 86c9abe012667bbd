"""What a gate writes, read back by independent parsers: nothing breaks out, what is open never looks like a pass."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

import isogloss
from gates import control, run_of
from hostile import HOSTILE
from isogloss.errors import UsageError
from isogloss.gating.formats import FORMATS, format_of, gate_table
from isogloss.gating.judgement import EXIT, format_found, format_required, summary_sentence
from isogloss.gating.rules import RULES
from isogloss.warnings import CodedWarning

REQUIRED = {"min_retention": 0.5, "no_reversed": True, "no_warnings": ["S003"]}
POLICIES = ("separate", "fail", "pass")


@pytest.fixture
def judgement():
    """One of all: de passes, hi is inconclusive, am fails and has a warning, sw has no number."""
    kept = {"de": (0.6, 0.5, 0.7), "hi": (0.5, 0.4, 0.6), "am": (0.1, -0.1, 0.2), "sw": None}
    controls = [control(code, "probe_minus_ngram_auroc") for code in ("en", *kept)]
    return isogloss.gate(
        run_of(kept, more=controls, warnings=(CodedWarning(code="S003", detail="x", language="am"),)), REQUIRED
    )


def passing():
    return isogloss.gate(run_of({"de": (0.6, 0.5, 0.7)}), {"min_retention": 0.5})


def written(judgement, name, *, inconclusive="separate", location="gate.toml"):
    return FORMATS[name].write(judgement, location=location, inconclusive=inconclusive)


# JSON


@pytest.mark.parametrize("policy", POLICIES)
def test_json_holds_every_finding_in_full(judgement, policy):
    read = json.loads(written(judgement, "json", inconclusive=policy))
    assert (read["verdict"], read["exit_code"], read["version"]) == ("fail", 3, 1)
    assert len(read["findings"]) == len(judgement.findings) == 13
    mine = {(one["rule"], one["language"]): one for one in read["findings"]}
    assert mine["min_retention", "hi"]["low"] == 0.4
    assert mine["min_retention", "hi"]["verdict"] == "inconclusive"
    assert mine["min_retention", "sw"]["value"] is None
    assert mine["min_retention", "sw"]["reason"] == "the pivot's gain is not clear of zero"
    assert mine["no_warnings", "am"]["observed"] == ["S003"]
    assert read["max_false_fail_rate"] == 0.05
    assert read["run"]["pivot"] == "en"
    unsure = isogloss.gate(run_of({"hi": (0.5, 0.4, 0.6)}), {"min_retention": 0.5})
    assert json.loads(written(unsure, "json", inconclusive=policy))["exit_code"] == unsure.exit_code(policy)


# JUnit XML


@pytest.mark.parametrize(
    ("policy", "kind", "other"),
    [("separate", "error", "skipped"), ("fail", "error", "skipped"), ("pass", "skipped", "error")],
)
def test_junit_tells_failures_from_what_is_open(judgement, policy, kind, other):
    root = ET.fromstring(written(judgement, "junit", inconclusive=policy))
    assert root.tag == "testsuites"
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == int(root.get("tests")) == len(cases) == 13
    assert int(suite.get("failures")) == len(suite.findall(".//failure")) == 2
    plural = {"error": "errors", "skipped": "skipped"}
    missing = 2 if policy == "pass" else 0  # a number that is missing is never skipped
    assert int(suite.get(plural[kind])) == len(suite.findall(f".//{kind}")) == 4 - missing
    assert int(suite.get(plural[other])) == len(suite.findall(f".//{other}")) == missing
    assert {case.get("classname") for case in cases} == {f"isogloss.gate.{rule}" for rule in REQUIRED}
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == 13
    told = next(case for case in cases if case.find("failure") is not None).find("failure")
    assert told.get("message") == told.text
    assert "required ≥ 0.50: fail" in told.text
    assert all(case.get("time") == "0" for case in cases)


# SARIF


def test_sarif_is_what_the_standard_describes(judgement):
    text = written(judgement, "sarif")
    Sarif.model_validate_json(text)
    read = json.loads(text)
    (run,) = read["runs"]
    assert read["version"] == "2.1.0"
    kinds = [(one["kind"], one["level"]) for one in run["results"]]
    assert kinds == [("fail", "error")] * 2 + [("open", "none")] * 4  # 3.27.10: what is no fail has level none
    for one in run["results"]:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        (place,) = one["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "gate.toml"
    prints = [one["partialFingerprints"]["isogloss/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)
    assert json.loads(written(passing(), "sarif"))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda read: read.update(version="2.0.0"),
        lambda read: read["runs"][0]["tool"]["driver"].pop("name"),
        lambda read: read["runs"][0]["results"][0].update(level="bad"),
        lambda read: read["runs"][0]["results"][0].pop("message"),
        lambda read: read["runs"][0]["results"][0].update(strange=1),
    ],
)
def test_the_reader_of_sarif_notices_a_fault(judgement, spoil):
    read = json.loads(written(judgement, "sarif"))
    spoil(read)
    with pytest.raises(ValueError, match="validation error"):
        Sarif.model_validate_json(json.dumps(read))


def test_the_numbers_of_a_finding_do_not_change_which_alert_it_is():
    prints = [
        json.loads(written(isogloss.gate(run_of({"hi": kept}), {"min_retention": 0.5}), "sarif"))["runs"][0]["results"][
            0
        ]
        for kept in ((0.1, 0.0, 0.2), (0.5, 0.4, 0.6))
    ]
    assert prints[0]["partialFingerprints"] == prints[1]["partialFingerprints"]
    assert prints[0]["message"] != prints[1]["message"]


# GitHub


@pytest.mark.parametrize(("policy", "level"), [("separate", "warning"), ("fail", "error"), ("pass", "notice")])
def test_annotations_are_one_a_rule_and_verdict(judgement, policy, level):
    lines = written(judgement, "github", inconclusive=policy).splitlines()
    commands = [re.fullmatch(r"::(\w+) title=([^:,]*)::(.*)", line) for line in lines if line.startswith("::")]
    assert [(one[1], one[2]) for one in commands] == [
        ("error", "isogloss gate%3A min_retention fail"),
        ("error", "isogloss gate%3A no_warnings fail"),
        (level, "isogloss gate%3A min_retention inconclusive"),
        (level, "isogloss gate%3A no_reversed inconclusive"),
    ]
    assert "%0Asw Swahili: retention the pivot's gain is not clear of zero" in commands[2][3]
    assert lines[len(commands)] == summary_sentence(judgement)
    assert not any(line.startswith("::") for line in written(passing(), "github").splitlines())


# The table


def test_the_table_says_every_finding_and_one_sentence(judgement):
    table = gate_table(judgement)
    assert [column.heading for column in table.columns] == ["language", "rule", "found", "required", "verdict"]
    rows = [tuple(cell.text for cell in row) for row in table.rows]
    assert rows[0] == ("am Amharic", "min_retention", "0.10 [-0.10, 0.20]", "≥ 0.50", "fail")
    assert rows[1] == ("am Amharic", "no_warnings", "S003", "no S003", "fail")
    missing = "lagging; the pivot's gain is not clear of zero"
    assert ("sw Swahili", "no_reversed", missing, "not below 0", "inconclusive") in rows
    assert table.notes[0] == (
        "Fail: min_retention in am; no_warnings in am. Inconclusive: min_retention in hi, sw; no_reversed in am, sw."
    )
    assert "is 5%" in " ".join(table.notes)
    assert summary_sentence(passing()) == "Pass: the rule is met."


def test_markdown_is_the_table(judgement):
    text = written(judgement, "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 13
    assert text.startswith("**isogloss gate: fail**")
    assert "| am Amharic | min\\_retention | 0.10 [-0.10, 0.20] | ≥ 0.50 | fail |" in rows


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        ("min_retention", 0.5, "≥ 0.50"),
        ("min_retention", 0.333, "≥ 0.333"),
        ("min_retention", 0.0, "≥ 0.00"),
        ("min_gain", -0.02, "≥ -0.020"),
        ("gain_margin", 0.01, "≥ -0.010 against the baseline"),
        ("no_reversed", True, "not below 0"),
    ],
)
def test_what_is_asked_is_not_rounded_away(rule, value, words):
    assert format_required(rule, value) == words


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.4999), (0.49996, 0.7), (0.5, 0.7), (0.2, 0.5), (0.4, 0.6)])
def test_a_bound_never_looks_like_what_is_asked_unless_it_is(low, high):
    (one,) = isogloss.gate(run_of({"hi": ((low + high) / 2, low, high)}), {"min_retention": 0.5}).findings
    shown = [float(number) for number in re.findall(r"-?[0-9.]+", format_found(one))][1:]
    assert [number == 0.5 for number in shown] == [low == 0.5, high == 0.5]


def test_what_is_approximate_or_a_difference_is_marked():
    run = run_of({"hi": (0.5, 0.4, 0.6)}, name="new")
    rows = tuple(
        replace(row, estimate=replace(row.estimate, approximate="few")) if row.kind == "retention" else row
        for row in run.rows
    )
    judgement = isogloss.gate(
        replace(run, rows=rows), {"margin": 0.3}, baseline=run_of({"hi": (0.4, 0.3, 0.5)}, name="old")
    )
    (one,) = judgement.findings
    assert format_found(one) == "+0.10 ≈[-0.10, +0.30]"
    assert any(note.startswith("≈") for note in judgement.remarks)


# Whatever a run holds


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_breaks_out_of_any_format(text):
    kept = {text: (0.1, 0.0, 0.2), "hi": None}
    corpus = {"name": text, "sha256": "c0", "revision": None, "licence": None}
    run = run_of(kept, name=text, corpus=corpus)
    rows = tuple(
        replace(row, estimate=replace(row.estimate, reason=text)) if row.estimate.reason else row for row in run.rows
    )
    judgement = isogloss.gate(replace(run, rows=rows), REQUIRED | {"no_warnings": ["C006"]})
    shown = {name: written(judgement, name) for name in FORMATS}
    assert len(json.loads(shown["json"])["findings"]) == 7
    suite = ET.fromstring(shown["junit"].encode("utf-8")).find("testsuite")
    assert [child.tag for child in suite] == ["testcase"] * 7 + ["system-out"]
    Sarif.model_validate_json(shown["sarif"])
    commands = [line for line in shown["github"].splitlines() if line.startswith("::")]
    assert len(commands) == 3
    assert all(re.fullmatch(r"::(error|warning) title=[^:,]*::.*", line) for line in commands)
    assert len(shown["github"].split("\n")) == len(shown["github"].splitlines()) + 1
    assert sum(line.startswith("|") for line in shown["markdown"].split("\n")) == 9
    assert not re.search(r"(?<!\\)<", shown["markdown"])
    for one in shown.values():
        one.encode("utf-8")


def test_files_are_known_by_their_endings():
    for name, one in FORMATS.items():
        if one.ending:
            assert format_of(f"made/gate{one.ending.upper()}") is one, name
    for name in ("gate.txt", "gate", "md"):
        with pytest.raises(UsageError, match=r"\.sarif \(sarif\)"):
            format_of(name)


def test_exit_codes_are_none_of_those_of_errors():
    assert sorted(EXIT.values()) == [0, 3, 4]
    assert set(REQUIRED) <= set(RULES)
