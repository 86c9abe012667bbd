"""Inputs that people really have, at the border: run folders that were edited, and values of options."""

import copy
import errno
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import isogloss
from gates import sound
from handmade import small_audit
from isogloss.cli import app
from isogloss.errors import IsoglossError, StoreError
from isogloss.report.read_run import read_audit

PLAIN = json.loads(sound({"hi": (0.6, 0.5, 0.7), "de": (0.1, 0.0, 0.2)}).to_json())
SMALL = json.loads(small_audit().to_json())
RULES = {"min_retention": 0.4, "no_reversed": True, "no_verdicts": ["not reached"], "min_gain": 0.0}


def read(folder, data):
    """Read an audit.json that holds this, text or JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    (folder / "audit.json").write_text(text, encoding="utf-8")
    return read_audit(folder)


def edited(*path, value, data=PLAIN):
    """The run with another value at a path."""
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


def row_of(kind, language, data=PLAIN, **wanted):
    """The number of the row of a kind and language."""
    rows = [
        number
        for number, row in enumerate(data["rows"])
        if row["kind"] == kind and row["language"] == language and all(row[k] == v for k, v in wanted.items())
    ]
    return rows[0]


def in_row(kind, language, key, value, **wanted):
    return edited("rows", row_of(kind, language, **wanted), key, value=value)


def in_estimate(kind, language, key, value, **wanted):
    return edited("rows", row_of(kind, language, **wanted), "estimate", key, value=value)


def without_rows(**wanted):
    rows = [row for row in PLAIN["rows"] if not all(row[key] == value for key, value in wanted.items())]
    return PLAIN | {"rows": rows}


def test_the_runs_that_are_edited_here_are_sound(tmp_path):
    assert read(tmp_path, PLAIN).languages == ("en", "de", "hi")
    assert read(tmp_path, SMALL) == small_audit()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        # What an issue lists.
        (edited("verdicts", value=[]), "no verdict of"),
        (edited("verdicts", 1, "verdict", value="splendid"), "the verdict 'splendid'"),
        (in_estimate("retention", "hi", "n", -5), "n -5"),
        (in_estimate("retention", "hi", "level", 2.0), "the level 2"),
        (in_estimate("retention", "hi", "value", 0.9), "the value 0.9 outside its interval"),
        (json.dumps(in_estimate("retention", "hi", "value", float("nan"))), "NaN, which JSON does not have"),
        # Languages.
        (edited("verdicts", 1, "language", value="fr"), "no verdict of 'hi'|no verdict of 'de'"),
        (edited("verdicts", value=[*PLAIN["verdicts"], PLAIN["verdicts"][1]]), "two verdicts of"),
        (edited("pivot", value="hi"), "pivot|hi"),
        (in_row("gain", "hi", "language", "fr"), "rows of 'fr', which has no score"),
        (in_row("score", "hi", "language", "x\u202ey"), "the language"),
        (without_rows(language="hi"), "a verdict of 'hi'"),
        (without_rows(language="hi", kind="retention"), "no retention of hi"),
        (without_rows(language="hi", kind="gain"), "no gain of hi"),
        (without_rows(language="hi", kind="score", model="aligned"), "no score of hi"),
        # Words.
        (in_row("gain", "hi", "kind", "profit"), "the kind 'profit'"),
        (in_row("gain", "hi", "kind", ""), "the kind ''"),
        (in_row("score", "hi", "model", "other"), "the model 'other'"),
        (in_row("score", "hi", "norm", "mid"), "the norm 'mid'"),
        (in_row("score", "hi", "sample", "some"), "the sample 'some'"),
        (in_row("score", "hi", "scale", "cubic"), "the scale 'cubic'"),
        (in_row("score", "hi", "verdict", "fine"), "the verdict 'fine'"),
        (in_row("score", "hi", "verdict", "reversed"), "two verdicts of 'hi'"),
        (in_row("score", "hi", "metric", "<script>"), "the metric '<script>'"),
        (in_row("score", "hi", "layer", 7), "the layer 7-post"),
        (edited("warnings", value=[{"code": "Q1", "detail": "", "language": None}]), "unknown warning code"),
        # Numbers.
        (in_estimate("retention", "hi", "low", 0.8), "the interval 0.8 to 0.7"),
        (in_estimate("retention", "hi", "low", None), "one bound alone"),
        (in_estimate("retention", "hi", "high", 0.65), "two intervals of retention of hi"),
        (in_estimate("retention", "hi", "value", 0.55), "where the other numbers give 0.6"),
        (in_estimate("gain", "hi", "value", 0.16), "where the other numbers give 0.15"),
        (in_estimate("retention", "hi", "value", None), "needs a reason"),
        (in_estimate("score", "hi", "p_value", 1.5), "p_value 1.5"),
        (in_estimate("score", "hi", "p_family", -0.1), "p_family -0.1"),
        (in_estimate("score", "hi", "fdr", 2), "fdr 2"),
        (in_estimate("score", "hi", "plug_in", 1.5), "plug in 1.5"),
        (in_estimate("score", "hi", "null_low", "0"), "strange field"),
        (in_estimate("score", "hi", "n", 0), "0 texts"),
        (in_estimate("score", "hi", "n", 10**30), "n 1000000"),
        (in_estimate("score", "hi", "seed", -1), "seed -1"),
        (in_estimate("score", "hi", "level", 0.5), "the level 0.5"),
        (in_row("gain", "hi", "mde", -1.0), "minimum detectable gap -1"),
        (in_row("gain", "hi", "components", 0), "components"),
        (edited("thresholds", "reached", value=-5.0), "the thresholds"),
        (edited("thresholds", "not_reached", value=0.9), "the thresholds"),
        (edited("config", "level", value=0.0), "the level of confidence"),
        (edited("config", "seed", value=2**63), "the seed"),
        (edited("primary", "components", value=0), "0 components"),
        (edited("primary", "layer", value="9"), "which was not read"),
        # Verdicts against their intervals.
        (edited("verdicts", 1, "verdict", value="reached"), "for 'weakened'"),
        (edited("verdicts", 2, "verdict", value="weakened"), "for 'not reached'"),
        (edited("verdicts", 1, "low", value=0.85), "two intervals of retention of hi"),
        (edited("verdicts", 1, "cross_check", value="lagging"), "for 'confounded'"),
        (edited("verdicts", 1, "cross_check", value="maybe"), "the cross-check 'maybe'"),
        (edited("verdicts", 0, "verdict", value="reached"), "the verdict 'reached' of en"),
        # JSON itself.
        (json.dumps(PLAIN)[:-1] + ', "pivot": "en"}', "a key of an object twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"version": ' + "9" * 5_000 + "}", "digits|too large|4300"),
        (json.dumps(PLAIN).replace("0.6", "1e999", 1), "too large"),
        (edited("rows", row_of("score", "hi"), "estimate", "value", value=10**400), "found"),
    ],
)  # fmt: skip
def test_m06_an_edited_run_is_refused(data, words, tmp_path):
    with pytest.raises(StoreError, match=words) as caught:
        read(tmp_path, data)
    assert_one_line(caught.value)


def assert_one_line(error):
    text = str(error)
    assert len(text) <= 600
    assert text.isprintable() or not any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def test_m06_auroc_and_shares_stay_between_0_and_1(tmp_path):
    number = row_of("control", "en", SMALL, metric="length_auroc")
    for value, words in ((1.25, "the value 1.25"), (-0.5, "the value -0.5")):
        data = edited("rows", number, "estimate", value=SMALL["rows"][number]["estimate"], data=SMALL)
        data["rows"][number]["estimate"] |= {"value": value, "low": value, "high": value}
        with pytest.raises(StoreError, match=words):
            read(tmp_path, data)


#: Values that no field of numbers or words can hold, and some that a few can.
STRANGE = (None, "", "splendid", "en", True, False, -5, 0, 2.0, -1.0, 1e300, 10**30, [], {}, [1], {"a": 1}, "x" * 9000)


def leaves(data, path=()):
    """The paths of everything in JSON."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from leaves(value, (*path, key))


@pytest.mark.slow
def test_m06_no_mutation_of_a_run_is_a_traceback_or_a_pass(tmp_path):
    rng = random.Random(0)
    findings = isogloss.gate(read(tmp_path, PLAIN), RULES).findings
    before = {(finding.rule, finding.language): finding.verdict for finding in findings}
    refused = accepted = 0
    for path in leaves(PLAIN):
        for value in rng.sample(STRANGE, 6):
            try:
                audit = read(tmp_path, edited(*path, value=value))
                judged = isogloss.gate(audit, RULES)
            except IsoglossError as error:
                refused += 1
                assert_one_line(error)
                continue
            accepted += 1
            after = {(finding.rule, finding.language): finding.verdict for finding in judged.findings}
            assert [key for key in before if after[key] == "pass" != before[key]] == [], (path, value)
    assert refused > 5 * accepted


def test_m06_every_field_of_the_record_of_a_run_may_be_lost(tmp_path):
    for path in leaves(PLAIN):
        data = copy.deepcopy(PLAIN)
        place = data
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        try:
            judged = isogloss.gate(read(tmp_path, data), RULES)
        except IsoglossError as error:
            assert_one_line(error)
        else:
            assert judged.verdict != "pass", path


def test_m06_a_missing_number_passes_no_gate(tmp_path):
    """Retention is missing where the pivot's gain is not clear of zero: no option makes a pass of that."""
    run = sound({"hi": (0.6, 0.5, 0.7)})
    rows = tuple(
        replace(row, estimate=isogloss.results.Estimate(value=float("nan"), n=84, seed=0, reason="not clear of zero"))
        if row.kind == "retention"
        else row
        for row in run.rows
    )
    verdicts = tuple(
        replace(verdict, verdict="inconclusive", low=float("nan"), high=float("nan"), reason="not clear of zero")
        if verdict.language == "hi"
        else verdict
        for verdict in run.verdicts
    )
    data = json.loads(replace(run, rows=rows, verdicts=verdicts).to_json())
    judged = isogloss.gate(read(tmp_path, data), {"min_retention": 0.5})
    assert judged.exit_code() == judged.exit_code("pass") == 4
    assert judged.exit_code("fail") == 3


# Values of options, and what the system refuses: `isogloss` in a process of its own, as a shell starts it.


def run(*arguments, cwd, stdout=subprocess.PIPE, **environment):
    """Run a command; its environment has no network."""
    names = {"HF_HUB_OFFLINE": "1", "ISOGLOSS_CACHE": str(cwd / "cache"), **environment}
    command = [sys.executable, "-m", "isogloss", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, stdout=stdout, stderr=subprocess.PIPE, env=os.environ | names, check=False)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def assert_refused(code, err, words):
    assert code in {1, 2}, err
    assert err.startswith("isogloss: ")
    assert err.count("\n") == 1, err
    assert len(err) <= 620
    assert re.search(words, err), err
    assert "Traceback" not in err


@pytest.fixture
def pair_options(tiny_folder, other_folder, parallel_file):
    return ["--reference", tiny_folder, "--aligned", other_folder, "--corpus", parallel_file, "--controls", "none"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", 2**63], "--seed: found 9223372036854775808"),
        (["--seed", 10**30], "--seed"),
        (["--seed", -1], "seed"),
        (["--seed", "0x10"], "seed"),
        (["--seed", "1.5"], "seed"),
        (["--seed", "9" * 5000], "seed"),
        (["--device", "tpu"], "--device: found 'tpu'; expected a device of this machine"),
        (["--device", "cuda:99"], "--device: found 'cuda:99'"),
        (["--device", "meta"], "--device: found 'meta'"),
        (["--device", "cpu:7"], "--device: found 'cpu:7'"),
        (["--device", ""], "--device"),
        (["--languages", ""], "--languages: found an empty"),
        (["--languages", ",, "], "--languages: found an empty list"),
        (["--layers", ""], "--layers: found an empty"),
        (["--layers", "01"], "--layers: found '01'"),
        (["--layers", "٣"], "--layers"),
        (["--layers", "-1"], "--layers"),
        (["--layers", "9" * 5000], "--layers"),
        (["--layers", "1.0"], "--layers"),
        (["--metrics", ""], "--metrics: found an empty"),
        (["--controls", ""], "--controls: found an empty"),
        (["--match", ""], "--match: found an empty"),
        (["--primary", ""], "--primary: found an empty"),
        (["--pivot", ""], "--pivot: found an empty"),
        (["--pair", " "], "--pair: found an empty"),
        (["--corpus", ""], "--corpus: found an empty"),
        (["--column", ""], "--column: found an empty"),
        (["--quantize", ""], "--quantize: found an empty"),
        (["--primary", "silhouette:10000"], "--primary: found 10000 components for 60 texts"),
        (["--primary", "silhouette:60"], "--primary: found 60 components"),
        (["--primary", "silhouette:010"], "--primary"),
        (["--primary", "silhouette:"], "--primary"),
        (["--primary", "silhouette:٣"], "--primary"),
        (["--primary", "silhouette:0"], "--primary"),
        (["--primary", "silhouette:-3"], "--primary"),
        (["--primary", ":10"], "--primary"),
        (["--primary", "silhouette@"], "--primary"),
        (["--primary", "silhouette:" + "9" * 5000], "--primary"),
        (["--max-tokens", 2], "max.tokens"),
        (["--max-tokens", 10**30], "max.tokens"),
        (["--permutations", 0], "permutations"),
        (["--permutations", "nan"], "permutations"),
        (["--per-class", 10**30], "per.class|texts"),
        (["--per-class", 0], "per.class"),
        (["--workers", 0], "workers"),
        (["--corpus", "x" * 5000], "found"),
        (["--corpus", "x" * 5000 + ".csv"], "found"),
        (["--reference", "x" * 5000], "found"),
        (["--chat-template", "x" * 5000], "chat-template"),
        (["--out", "x" * 5000], "found"),
        (["--runs", "/dev/null/runs"], "found"),
        (["--store", "/dev/null/store"], "found"),
        (["--no-such-option"], "such option"),
        (["--dtype", "float64"], "--dtype"),
        (["--cache-states", "some"], "--cache-states"),
        (["--engine", "slurm"], "engine"),
        (["x" * 5000], "found"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_t18_t19_a_value_that_cannot_be_used_is_one_line(options, words, command, pair_options):
    code, out, err = command("audit", *pair_options, *options)
    assert out == ""
    assert_refused(code, err, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gate", "run", "--min-retention", "nan"], "min_retention"),
        (["gate", "run", "--min-retention", "inf"], "min_retention"),
        (["gate", "run", "--min-retention", "x"], "min-retention"),
        (["gate", "run", "--languages", ""], "languages"),
        (["gate", "run", "--no-verdicts", ","], "no_verdicts"),
        (["gate", "x" * 5000, "--min-gain", 0], "found"),
        (["gate", "run", "--rules", "x" * 5000], "found"),
        (["gate", "run", "--rules", "deep.toml"], "deep.toml"),
        (["gate", "run", "--rules", "long.toml"], "long.toml"),
        (["report", "x" * 5000], "found"),
        (["report", "run", "--pairs", -1], "pairs"),
        (["compare", "run", "x" * 5000], "found"),
        (["audit", "deep.toml"], "deep.toml"),
        (["audit", "long.toml"], "long.toml"),
        (["audit", "empty.toml"], "languages"),
        (["plan", "--flops", "nan"], "flops"),
        (["plan", "--flops", "inf"], "flops"),
        (["plan", "--gpus", 0], "gpus"),
        (["plan", "--languages", ""], "--languages"),
        (["doctor", "x" * 5000], "found"),
        (["side-effects", "--aligned", "embedded/english-dpo", "--languages", ","], "--languages: found an empty list"),
        (["tune", "--corpus", "mini", "--out", "a", "--seed", 2**63, "--languages", "hi"], "seed"),
        (["tune", "--corpus", "mini", "--out", "a", "--learning-rate", "nan", "--languages", "hi"], "learning.rate"),
        (["tune", "--corpus", "mini", "--out", "a", "--beta", "inf", "--languages", "hi"], "beta"),
        (["tune", "--corpus", "mini", "--out", "a", "--holdout", "7", "--languages", "hi"], "holdout"),
        (["nothing"], "nothing"),
    ],
    ids=lambda value: " ".join(map(str, value))[:50] if isinstance(value, list) else value,
)
def test_t18_t19_other_commands_refuse_values_in_one_line(arguments, words, command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "audit.json").write_text(json.dumps(PLAIN), "utf-8")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000, "utf-8")
    (tmp_path / "long.toml").write_text("seed = " + "9" * 5000, "utf-8")
    (tmp_path / "empty.toml").write_text("languages = []", "utf-8")
    code, _, err = command(*arguments)
    assert_refused(code, err, words)


def test_t18_a_full_output_is_one_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = run("languages", cwd=tmp_path, stdout=full)
    assert_refused(ended.returncode, ended.stderr.decode(), "space|written")


def test_t18_a_reader_that_leaves_is_no_fault(tmp_path):
    command = f"{sys.executable} -m isogloss languages | head -n 1"
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert ended.stderr == b""


@pytest.mark.slow
def test_t18_a_missing_or_unwritable_tmpdir_is_one_line_or_none(tmp_path, tiny_folder, parallel_file):
    options = ["--aligned", tiny_folder, "--corpus", parallel_file, "--controls", "none", "--permutations", 100]
    ended = run("audit", *options, "--store", tmp_path / "s", cwd=tmp_path, TMPDIR=str(tmp_path / "missing"))
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr


def test_t18_a_full_folder_for_passing_files_is_one_line(monkeypatch, command, pair_options):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/isogloss-x")

    monkeypatch.setattr("isogloss.auditing.run.TemporaryDirectory", full)
    code, _, err = command("audit", *pair_options)
    assert_refused(code, err, "No space left on device")
