"""Recipes: one table for file and command line, errors of one line, and runs that go on after a failure."""

import json
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

import isogloss
from isogloss.auditing import run as audit_module
from isogloss.auditing.config import AuditConfig
from isogloss.cli import app
from isogloss.cli.settings import _make_option
from isogloss.engines.config import EngineConfig
from isogloss.errors import UsageError
from isogloss.models.pairs import MODEL_PAIRS, ModelRef
from isogloss.recipes.build import config_of, pair_of
from isogloss.recipes.recipe import bundled, read_recipe
from isogloss.recipes.settings import SETTINGS, Settings, read_value

ROOT = Path(__file__).resolve().parents[1]
#: Options that say where and how to run, not what: no keys of a recipe.
MACHINE = {"cache_states", "runs", "recipe", "out", "store", "device", "workers", "as_json"} | {
    one.name for one in fields(EngineConfig)
}


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "own.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def options(command):
    return {one.name: one for one in get_command(app.app).commands[command].params}


def test_the_command_line_and_the_table_agree():
    found = options("audit")
    assert set(found) == set(SETTINGS) | MACHINE
    for name, row in SETTINGS.items():
        assert found[name].opts == [row.option]
        assert found[name].help == row.about
        default = found[name].default
        as_text = ",".join(default) if isinstance(default, list) else default
        expected = ",".join(row.default) if isinstance(row.default, tuple) else row.default
        assert (as_text or None) == (expected or None)


def test_the_options_of_the_engine_are_those_of_its_table():
    found = options("audit")
    for one in fields(EngineConfig):
        assert found[one.name].opts == [f"--{one.name.replace('_', '-')}"]
        assert (found[one.name].help, found[one.name].default) == (one.metadata["about"], one.default)
    assert "engine" not in options("plan")


def test_the_comparison_would_notice_an_option_of_its_own(monkeypatch):
    monkeypatch.delitem(SETTINGS, "pivot")
    assert set(options("audit")) != set(SETTINGS) | MACHINE


def test_the_defaults_are_those_of_the_library():
    assert config_of(Settings()) == AuditConfig()
    assert pair_of(Settings()) == MODEL_PAIRS["embedded"]


@pytest.mark.parametrize("row", SETTINGS.values(), ids=lambda row: row.name)
def test_every_setting_is_documented_and_read_from_both_sides(row):
    text = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {row.name} |")]
    assert line.endswith(f"| {row.about} |")
    assert _make_option(row).name == row.name
    value = {str: "x", int: 500, bool: True, Path: "x", tuple: ["x"], ModelRef: "x"}[row.kind]
    # A model stays the text that names it until a pair is made of it.
    assert read_value(row.name, value, "here") == (value if row.kind is ModelRef else row.kind(value))


def test_the_papers_recipe_is_seven_models_on_two_corpora_in_nine_languages():
    recipe = read_recipe("verma2025")
    seven = {"llama-2-7b", "llama-3.1-8b", "llama-guard-3-8b", "qwen-2.5-7b", "gemma-2-9b", "gemma-3-12b", "phi-4"}
    assert {(job.model, job.corpus) for job in recipe.jobs} == {
        (model, corpus) for model in seven for corpus in ("multilingual_toxicity", "multiparadetox")
    }
    for job in recipe.jobs:
        config = config_of(job.settings)
        assert pair_of(job.settings) is MODEL_PAIRS[job.model]
        assert set(job.settings.languages) == set(isogloss.CORPORA[job.corpus].languages)
        assert len(job.settings.languages) == 9
        assert (config.spec.position, config.spec.prompt_format, config.spec.layers) == ("last", "raw", ("final",))
        assert config.primary == AuditConfig().primary


@pytest.mark.parametrize("name", bundled())
def test_recipes_that_come_with_isogloss_can_be_named_in_three_ways(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = read_recipe(name)
    assert found == read_recipe(f"recipes/{name}.toml") == read_recipe(bundled()[name])
    assert found.about
    for job in found.jobs:
        assert config_of(job.settings)
        assert pair_of(job.settings)


BOTH = '[[models]]\npair = "phi-4"\n[[corpora]]\ncorpus = "mini"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("languges = ['en']", "recipe own.toml: unknown key: found 'languges'; .*did you mean 'languages'"),
        ("seed = 'one'", "recipe own.toml: seed: found 'one'; expected a whole number; correct it"),
        ("seed = true", "recipe own.toml: seed: found True; expected a whole number"),
        ("permutations = 5", "permutations: found 5; expected at least 100"),
        ("languages = [1]", r"languages: found \[1\]; expected a list of texts"),
        ("about = 3", "about: found 3; expected a text"),
        ("seed =", "own.toml: found Invalid value .*; expected a TOML file"),
        ("out = 'x'", "unknown key: found 'out'"),
        ("models = []", r"recipe own.toml, models: found \[\]; expected a list of tables, at least one"),
        ("[[models]]\nseed = 1", "models 1: found no pair; expected pair or reference; say what it is"),
        ("[[models]]\npairs = 'x'", "models 1: unknown key: found 'pairs'; .*did you mean 'pair'"),
        ("[[models]]\npair = 'phi-4'\nname = 3", "models 1: name: found 3; expected a text"),
        ("pair = 'phi-4'\n[[models]]\npair = 'phi-4'", "models: found pair beside the list; expected it in the list"),
        ("[[models]]\npair = 'phi-4'\n[[models]]\npair = 'phi-4'", "found phi-4 on mini twice; expected other names"),
        (BOTH.replace("'mini'", "'mini'") + "seed = 1\n[[models]]\npair='x'\nseed = 2", "seed with a model and with"),
    ],
)
def test_a_wrong_recipe_is_one_line(text, message, write):
    with pytest.raises(UsageError, match=message) as error:
        read_recipe(write(text))
    assert "\n" not in str(error.value)


def test_unknown_recipes_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(UsageError, match=r"found no such file; expected a \.toml file, or embedded, verma2025"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"unknown recipe: found 'verma2052'; .*did you mean 'verma2025'"):
        read_recipe("verma2052")


def test_a_setting_stands_in_the_file_with_a_model_or_on_the_command_line(write):
    path = write(
        'seed = 1\nlanguages = ["en", "hi"]\n'
        '[[models]]\npair = "phi-4"\ndtype = "bfloat16"\n'
        '[[models]]\nreference = "org/a"\naligned = "org/b@main"\nname = "mine"\n'
        '[[corpora]]\ncorpus = ["a.csv", "b.csv"]\ncolumn = ["text=comment"]\n'
        '[[corpora]]\ncorpus = "mini"\nlanguages = ["am"]\npivot = "am"\n'
    )
    jobs = read_recipe(path, {"seed": 7}).jobs
    assert [(job.model, job.corpus) for job in jobs] == [
        ("phi-4", "a+b"),
        ("phi-4", "mini"),
        ("mine", "a+b"),
        ("mine", "mini"),
    ]
    assert {job.settings.seed for job in jobs} == {7}
    assert [job.settings.dtype for job in jobs] == ["bfloat16"] * 2 + ["float32"] * 2
    assert [job.settings.languages for job in jobs[:2]] == [("en", "hi"), ("am",)]
    assert jobs[0].settings.column == ("text=comment",)
    assert read_recipe(path, {"pair": "mine", "corpus": ("mini",)}).jobs == tuple(read_recipe(path).jobs[3:])


def test_descendants_of_one_reference_are_an_audit_each(write):
    path = write('[[models]]\nname = "ours"\nreference = "org/base"\naligned = ["org/sft", "org/dpo@v1"]')
    jobs = read_recipe(path).jobs
    assert [(job.model, job.settings.aligned) for job in jobs] == [
        ("ours-org-sft", ("org/sft",)),
        ("ours-org-dpo-v1", ("org/dpo@v1",)),
    ]
    assert {str(pair_of(job.settings).reference) for job in jobs} == {"org/base"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"aligned": "org/a"},
            "--aligned: found it beside the recipe verma2025.toml; expected models and corpora from",
        ),
        ({"pair": "phi4"}, "--pair: recipe verma2025.toml: unknown model: found 'phi4'; .*did you mean 'phi-4'"),
        ({"corpus": ("mini",)}, "--corpus: recipe verma2025.toml: unknown corpus: found 'mini'"),
    ],
)
def test_options_that_contradict_a_recipe_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        read_recipe("verma2025", given)


# Runs


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def two_by_one(write, tiny_folder, other_folder, adapter_folder, parallel_file):
    """Three models on one file; the second model does not exist."""
    return write(
        f"""permutations = 100
controls = []
metrics = ["between_class_variance"]
corpus = "{parallel_file}"
[[models]]
name = "adapted"
reference = "{tiny_folder}"
aligned = "{tiny_folder}+{adapter_folder}"
[[models]]
aligned = "missing.gguf"
[[models]]
name = "other"
aligned = "{other_folder}"
"""
    )


def test_a_recipe_goes_on_after_a_failure_and_does_not_repeat_what_is_done(command, two_by_one, monkeypatch, tmp_path):
    code, out, err = command("audit", two_by_one, "--store", "store")
    assert code == 1
    assert "1 of 3 audits failed; run the same command to try them again" in err
    assert "missing.gguf on pairs: failed: model missing.gguf: found no such file" in err
    folders = sorted((tmp_path / "runs" / "own").glob("*/pairs-*"))
    assert [folder.parent.name for folder in folders] == ["adapted", "other"]
    assert all((folder / "audit.json").is_file() for folder in folders)
    relative = [folder.relative_to(tmp_path) for folder in folders]
    assert f"To compare: isogloss compare {relative[0]} {relative[1]}" in err
    assert "bad " not in out + err

    def never(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(audit_module, "measure", never)
    code, out, _ = command("audit", two_by_one, "--store", "store", "--json")
    assert code == 1
    found = json.loads(out)
    assert [one["folder"] for one in found] == [str(relative[0]), None, str(relative[1])]
    assert "no such file" in found[1]["error"]


def test_a_result_of_other_versions_is_computed_again(command, two_by_one, monkeypatch):
    command("audit", two_by_one, "--pair", "other", "--store", "store")
    measured = []
    real = audit_module.measure
    monkeypatch.setattr(audit_module, "measure", lambda *given, **also: measured.append(1) or real(*given, **also))
    assert command("audit", two_by_one, "--pair", "other", "--store", "store")[0] == 0
    assert not measured
    monkeypatch.setattr(audit_module, "library_versions", lambda: {"isogloss": "another"})
    assert command("audit", two_by_one, "--pair", "other", "--store", "store")[0] == 0
    assert measured


def test_a_wrong_setting_stops_a_recipe_before_anything_runs(command, write, tiny_folder, tmp_path):
    path = write(
        f'[[models]]\naligned = "{tiny_folder}"\n[[models]]\nname = "b"\naligned = "x"\nprompt_format = "chatt"'
    )
    code, out, err = command("audit", path)
    assert (code, out) == (2, "")
    assert "--prompt-format: found 'chatt'" in err
    assert not (tmp_path / "runs").exists()


def test_options_override_a_recipe_and_out_is_the_folder_of_its_runs(command, two_by_one, tmp_path):
    code, _, _ = command(
        "audit", two_by_one, "--pair", "other", "--languages", "en", "--per-class", 20, "--out", "here"
    )
    assert code == 0
    (folder,) = (tmp_path / "here" / "other").iterdir()
    found = isogloss.Audit.load(folder)
    assert found.languages == ("en",)
    assert found.config["per_class"] == 20
