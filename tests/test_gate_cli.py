"""`isogloss gate` on run folders: verdicts as exit codes, files, and what it refuses; and the action that calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer
import yaml

import isogloss
from conftest import make_model, parallel_rows
from gates import sound, with_method
from isogloss.cli import app
from isogloss.gating.rules import RULES
from planted import moved, plant

ROOT = Path(__file__).resolve().parents[1]
GOOD, UNSURE, BAD = (0.6, 0.5, 0.7), (0.5, 0.4, 0.6), (0.1, 0.0, 0.2)
DOOR = typer.main.get_command(app.app).commands["gate"]


def save(folder, audit):
    folder.mkdir()
    audit.save(folder)
    return folder


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Run folders: good, unsure, bad, and an older one of another model."""
    monkeypatch.chdir(tmp_path)
    for name, kept in (("good", GOOD), ("unsure", UNSURE), ("bad", BAD), ("old", GOOD)):
        save(tmp_path / name, sound({"hi": kept, "de": GOOD}, name=name))
    return tmp_path


@pytest.fixture
def gate(monkeypatch, capsys, runs):
    def command(*arguments, door="gate"):
        monkeypatch.setattr(sys, "argv", ["isogloss", door, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return command


@pytest.mark.parametrize(
    ("run", "options", "code"),
    [
        ("good", [], 0),
        ("unsure", [], 4),
        ("unsure", ["--inconclusive", "fail"], 3),
        ("unsure", ["--inconclusive", "pass"], 0),
        ("bad", [], 3),
        ("bad", ["--inconclusive", "pass"], 3),
    ],
)
def test_the_verdict_is_the_exit_code(run, options, code, gate):
    stopped, out, err = gate(run, "--min-retention", 0.5, *options)
    assert (stopped, err) == (code, "")
    word = {"good": "pass", "unsure": "inconclusive", "bad": "fail"}[run]
    assert f"isogloss gate: {word}" in out
    assert "hi Hindi" in out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--min-gain", -0.1], 0),
        (["--min-gain", 0.5], 3),
        (["--no-reversed"], 0),
        (["--no-verdicts", "reversed,not-reached"], 3),
        (["--no-verdicts", "reversed"], 0),
        (["--no-warnings", "C001,S001"], 0),
        (["--no-warnings", "S009"], 4),
        (["--margin", 0.8, "--baseline", "old"], 0),
        (["--margin", 0.1, "--baseline", "old"], 3),
        (["--gain-margin", 0.2, "--baseline", "old"], 0),
        (["--gain-margin", 0.14, "--baseline", "old"], 4),
        (["--min-retention", 0.5, "--languages", "de"], 0),
        (["--min-gain", 0.5, "--estimand", "between_class_variance:10@4-post"], 3),
    ],
)
def test_every_rule_has_its_option(options, code, gate):
    assert gate("bad", *options)[0] == code


def test_the_options_are_the_rules():
    options = {option for parameter in DOOR.params for option in parameter.opts}
    for name, rule in RULES.items():
        assert f"--{name.replace('_', '-')}" in options
        assert next(one for one in DOOR.params if one.name == name).help == rule.about


def test_rules_come_from_a_file_and_options_stand_above_it(gate, runs):
    (runs / "gate.toml").write_text("min_retention = 0.5\n[language.de]\nmin_retention = 0.4\n", "utf-8")
    assert gate("unsure", "--rules", "gate.toml")[0] == 4
    assert gate("unsure", "--rules", "gate.toml", "--min-retention", 0.3)[0] == 0
    assert gate("unsure", "--rules", "gate.toml", "--languages", "de")[0] == 0


def test_several_files_are_written_at_once(gate, runs):
    (runs / "rules").mkdir()
    (runs / "rules" / "my gate.toml").write_text("min_retention = 0.5", "utf-8")
    files = [f"made/gate{ending}" for ending in (".json", ".xml", ".sarif", ".md")]
    out_options = [word for file in files for word in ("--out", file)]
    code, out, err = gate("bad", "--rules", "rules/my gate.toml", "--format", "github", *out_options)
    assert code == 3
    assert out.startswith("::error title=isogloss gate%3A min_retention fail::hi Hindi: retention 0.10 [0.00, 0.20]")
    assert err.splitlines() == [f"Wrote {file}" for file in files]
    assert json.loads((runs / files[0]).read_text("utf-8"))["verdict"] == "fail"
    assert ET.parse(runs / files[1]).getroot().get("failures") == "1"
    sarif = json.loads((runs / files[2]).read_text("utf-8"))
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "rules/my%20gate.toml"}
    assert (runs / files[3]).read_text("utf-8").startswith("**isogloss gate: fail**")


def test_without_a_rules_file_findings_are_shown_at_the_run(gate, runs):
    for run in ("bad", runs / "bad"):
        place = json.loads(gate(run, "--min-retention", 0.5, "--format", "sarif")[1])["runs"][0]["results"][0][
            "locations"
        ]
        assert place[0]["physicalLocation"]["artifactLocation"]["uri"] == "bad/audit.json"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bad"], 2, "no rule"),
        (["bad", "--no-verdicts", ""], 2, "at least one"),
        (["bad", "--languages", ",", "--no-reversed"], 2, "at least one"),
        (["bad", "--min-retention", "nan"], 2, "a number"),
        (["bad", "--min-retention", 50], 2, "0 to 2"),
        (["bad", "--min-retention", 0.5, "--languages", "hu"], 2, "unknown language"),
        (["bad", "--min-retention", 0.5, "--estimand", "aurok"], 2, "unknown metric"),
        (["bad", "--no-verdicts", "revered"], 2, "did you mean 'reversed'"),
        (["bad", "--margin", 0.1], 2, "no baseline"),
        (["bad", "--min-retention", 0.5, "--baseline", "old"], 2, "margin or gain_margin as well"),
        (["bad", "--margin", 0.1, "--baseline", "bad"], 2, "the run itself"),
        (["bad", "--margin", 0.1, "--baseline", "none"], 1, "no audit.json"),
        (["bad", "--no-reversed", "--inconclusive", "maybe"], 2, "separate, fail or pass"),
        (["bad", "--no-reversed", "--format", "jsn"], 2, "did you mean 'json'"),
        (["bad", "--no-reversed", "--out", "gate.txt"], 2, ".sarif (sarif)"),
        (["bad", "--no-reversed", "--out", "old"], 2, "old"),
        (["bad", "--rules", "none.toml"], 2, "a TOML file"),
        (["none", "--no-reversed"], 1, "no audit.json"),
        (["bad", "--no-reversed", "--out", "/proc/nowhere/x.md"], 1, "writing"),
    ],
)
def test_what_cannot_be_judged_is_one_line(arguments, code, words, gate):
    stopped, out, err = gate(*arguments)
    assert (stopped, out) == (code, "")
    assert words in err
    assert err.startswith("isogloss: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_text("{"), "expected JSON"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "expected JSON"),
        (
            lambda path: path.write_text(path.read_text("utf-8").replace('"version": 3', '"version": 2')),
            "found format version 2; expected format version 3",
        ),
        (lambda path: path.write_text(path.read_text("utf-8").replace('"level": 0.95', '"level": "high"')), "strange"),
        (lambda path: path.rename(path.with_name("run.json")), "no audit.json; expected a finished run"),
    ],
)
@pytest.mark.parametrize("place", ["bad", "old"])
def test_a_spoilt_run_or_baseline_is_one_line(spoil, words, place, gate, runs):
    spoil(runs / place / "audit.json")
    stopped, out, err = gate("bad", "--margin", 0.1, "--baseline", "old")
    assert (stopped, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_run_with_intervals_of_another_kind_does_not_pass(gate, runs):
    save(runs / "other", with_method(sound({"hi": GOOD}), "percentile bootstrap"))
    assert gate("other", "--no-reversed")[0] == 4


def test_an_audit_that_was_just_made_is_judged_and_shows_no_text(gate, runs, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0, "sw": 2.0, "am": 0.0}))
    rows = [row | {"item_id": row["pair_id"]} for row in parallel_rows(n=40, languages=("en", "sw", "am"))]
    (runs / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    base, tuned = (make_model(runs / f"model{seed}", seed=seed) for seed in (0, 1))
    options = ["--aligned", tuned, "--reference", base, "--corpus", "pairs.jsonl", "--controls", "none"]
    code, _, err = gate(*options, "--permutations", 100, "--out", "made", door="audit")
    assert code == 0, err
    shown = [
        gate("made", "--min-retention", 0.5, "--languages", code, "--format", name)
        for code in ("sw", "am")
        for name in ("json", "junit", "sarif", "github", "markdown")
    ]
    assert {code for code, *_ in shown[:5]} <= {0, 4}
    assert {code for code, *_ in shown[5:]} == {3}
    for _, out, err in (*shown, gate("made", "--no-reversed", "--no-warnings", "S002,S003,S007")):
        assert " bad " not in out + err
        assert " good " not in out + err


def surroundings(**changes):
    return dict(os.environ) | {"PYTHONPATH": str(Path(isogloss.__file__).parents[1])} | changes


def test_no_model_is_needed(runs):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "isogloss", "gate", "good", "--min-retention", "0.5"],
        check=True,
        cwd=runs,
        capture_output=True,
        text=True,
        env=surroundings(),
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "polars" in loaded
    assert not loaded & {"torch", "transformers", "peft", "datasets"}


# The action


ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step.get("id") or step.get("name") or step["uses"]: step for step in ACTION["runs"]["steps"]}


def test_the_action_is_a_composite_one_and_hands_inputs_over_as_variables():
    assert ACTION["runs"]["using"] == "composite"
    assert {"name", "description", "inputs", "outputs", "runs"} <= set(ACTION)
    used = set()
    for step in ACTION["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        if "run" in step:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"]  # an input in a script would be run by the shell
        used |= set(inputs_of(step))
    assert used == set(ACTION["inputs"])
    for one in ACTION["inputs"].values():
        assert isinstance(one["default"], str)
        assert one["description"]
    assert STEPS["gate"]["id"] in ACTION["outputs"]["verdict"]["value"]


def inputs_of(step):
    words = json.dumps(step).replace("}", " ").replace('"', " ").split()
    return [word.removeprefix("inputs.") for word in words if word.startswith("inputs.")]


@pytest.fixture
def step(runs):
    """Run the script of a step of the action as a runner does: input values as variables, bash with -e."""
    (runs / "bin").mkdir()
    for name, command in (("isogloss", f'"{sys.executable}" -m isogloss "$@"'), ("python", f'"{sys.executable}" "$@"')):
        (runs / "bin" / name).write_text(f"#!/bin/sh\nexec {command}\n", "utf-8")
        (runs / "bin" / name).chmod(0o755)
    (runs / "temp").mkdir()

    def run(name, **inputs):
        values = {key: one["default"] for key, one in ACTION["inputs"].items()} | {
            key.replace("_", "-"): value for key, value in inputs.items()
        }
        variables = {}
        for key, word in STEPS[name]["env"].items():
            variables[key] = values[word.removeprefix("${{ inputs.").removesuffix(" }}")]
        runner = {name: str(runs / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in runner.values():
            Path(path).write_text("", "utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]],
            check=False,
            cwd=runs,
            capture_output=True,
            text=True,
            env=surroundings(
                PATH=f"{runs / 'bin'}:{os.environ['PATH']}", RUNNER_TEMP=str(runs / "temp"), **runner, **variables
            ),
        )
        outputs = dict(line.split("=", 1) for line in Path(runner["GITHUB_OUTPUT"]).read_text("utf-8").splitlines())
        return done, outputs, Path(runner["GITHUB_STEP_SUMMARY"]).read_text("utf-8")

    return run


@pytest.mark.parametrize(
    ("run", "more", "code", "verdict"),
    [
        ("good", {}, 0, "pass"),
        ("bad", {}, 3, "fail"),
        ("unsure", {}, 4, "inconclusive"),
        ("unsure", {"fail_on_inconclusive": "false"}, 0, "inconclusive"),
        ("good", {"baseline": "old", "arguments": "--margin 0.5 --languages hi,de"}, 0, "pass"),
    ],
)
def test_the_action_judges_as_the_command_does(run, more, code, verdict, step, runs):
    (runs / "my gate.toml").write_text("min_retention = 0.5", "utf-8")
    done, outputs, summary = step("gate", run=run, rules="my gate.toml", **more)
    assert done.returncode == code, done.stderr
    assert outputs["verdict"] == verdict
    assert summary.startswith(f"**isogloss gate: {verdict}**")
    assert ("::error" in done.stdout) == (verdict == "fail")
    assert {path.name for path in Path(outputs["results"]).iterdir()} == {
        "gate.json",
        "gate.xml",
        "gate.sarif",
        "gate.md",
    }


def test_the_action_stops_where_the_command_does(step):
    done, outputs, summary = step("gate", run="good", arguments="--min-retentoin 0.5")
    assert done.returncode == 2
    assert "verdict" not in outputs
    assert summary == ""
    done, outputs, _ = step("gate", run="good", arguments="--min-retention 0.5; touch made")
    assert done.returncode == 2
    assert not (Path(outputs["results"]).parents[1] / "made").exists()


def test_the_action_calls_commands_that_exist(step, runs):
    door = typer.main.get_command(app.app).commands["audit"]
    door.make_context("audit", ["--languages", "en,hi", "--out", "runs/gate"])
    done, *_ = step("Audit", audit="--corpus none.csv --languages en", run="made")
    assert done.returncode == 1
    assert "none.csv" in done.stderr
