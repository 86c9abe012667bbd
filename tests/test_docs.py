"""The documentation says what the tables say, and its commands are commands."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from families import FAMILIES
from isogloss.analyses.behaviour.metrics import BEHAVIOURS
from isogloss.analyses.published_metrics.metrics import PUBLISHED
from isogloss.cli.app import app
from isogloss.data.named_corpora import CORPORA
from isogloss.gating.formats import FORMATS
from isogloss.gating.rules import RULES, rules_from
from isogloss.models.pairs import MODEL_PAIRS
from isogloss.stats.metrics import METRICS
from isogloss.stats.text_controls import CONTROLS
from isogloss.warnings import WARNINGS

ROOT = Path(__file__).resolve().parents[1]
METHODS = (ROOT / "docs" / "methods.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
REPORT = (ROOT / "docs" / "report.md").read_text("utf-8")
GATE = (ROOT / "docs" / "gate.md").read_text("utf-8")
TUNE = (ROOT / "docs" / "tune.md").read_text("utf-8")
BEHAVIOUR = (ROOT / "docs" / "behaviour.md").read_text("utf-8")
DOORS = typer.main.get_command(app)


@pytest.mark.parametrize(("code", "kind"), WARNINGS.items())
def test_every_code_is_explained_in_its_own_words(code, kind):
    line = re.search(rf"^\| {code} \| (.*?) \|$", METHODS, re.MULTILINE)
    assert line is not None
    assert kind.meaning in line.group(1)


@pytest.mark.parametrize("name", [*METRICS, *PUBLISHED, *CONTROLS])
def test_every_number_is_defined(name):
    assert re.search(rf"^\| {name} \| .+ \|$", METHODS, re.MULTILINE)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_number_of_behaviour_is_defined(name):
    assert re.search(rf"^\| {name} \| .+ \|$", BEHAVIOUR, re.MULTILINE)


def test_every_family_has_its_row():
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    pairs = {str(row.aligned): name for name, row in MODEL_PAIRS.items()}
    for family in FAMILIES:
        pair = f"`--pair {pairs[family.repo]}`" if family.repo in pairs else "–"
        assert f"| {family.name} | {family.repo} | {pair} | {family.model} | " in page
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / target).exists(), target


def test_the_readme_names_every_corpus_and_its_links_exist():
    for name in CORPORA:
        assert name in README
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def commands(text):
    """The lines of code blocks that call isogloss, with lines that go on joined."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("isogloss ")]


@pytest.mark.parametrize(
    "line", [*commands(README), *commands(REPORT), *commands(GATE), *commands(TUNE), *commands(BEHAVIOUR)]
)
def test_every_command_that_is_shown_is_one(line):
    _, name, *arguments = shlex.split(line, comments=True)
    DOORS.commands[name].make_context(name, arguments)


def test_a_command_that_is_none_would_be_noticed():
    assert len(commands(REPORT)) >= 10
    with pytest.raises(Exception, match="No such option"):
        DOORS.commands["report"].make_context("report", ["RUN", "--no-such-option"])


@pytest.mark.parametrize("name", ["report", "compare"])
def test_the_report_is_documented_with_all_its_options(name):
    door = DOORS.commands[name]
    options = [option for parameter in door.params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if option not in REPORT] == []


@pytest.mark.parametrize(
    "text", [REPORT, METHODS, GATE, TUNE, BEHAVIOUR], ids=["report", "methods", "gate", "tune", "behaviour"]
)
def test_links_of_other_pages_exist(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / "docs" / target).exists(), target


def test_the_gate_is_documented_with_all_its_rules_and_formats():
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.about} | `{name} = " in GATE
    for name, one in FORMATS.items():
        assert f"| {name} | {one.ending}" in GATE
    options = [option for parameter in DOORS.commands["gate"].params for option in parameter.opts]
    rules = {f"--{name.replace('_', '-')}" for name in RULES}
    others = [option for option in options if option.startswith("--") and option not in rules]
    assert [option for option in others if option not in GATE] == []


def test_the_rules_and_files_for_pipelines_that_are_shown_can_be_read():
    blocks = re.findall(r"^```(toml|yaml)\n(.*?)^```", GATE, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == ["toml", "yaml", "yaml", "yaml"]
    rules_from(tomllib.loads(blocks[0][1]))
    for rule in re.findall(r"\| `(\w+ = .*?)` \|$", GATE, re.MULTILINE):
        rules_from(tomllib.loads(rule))
    workflow, gitlab, hooks = (yaml.safe_load(text) for _, text in blocks[1:])
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    (step,) = [one for one in workflow["jobs"]["reach"]["steps"] if one.get("id") == "gate"]
    assert set(step["with"]) <= set(inputs)
    (hook,) = hooks["repos"][0]["hooks"]
    shown = [hook["entry"], *gitlab["reach"]["script"], f"isogloss gate RUN {step['with']['arguments']}"]
    shown.append(f"isogloss audit {step['with']['audit']}")
    for line in shown:
        _, name, *arguments = shlex.split(line)
        DOORS.commands[name].make_context(name, arguments)
