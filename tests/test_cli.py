"""The command line: exit codes, one-line errors, tables, and what stands on which stream."""

import json
import subprocess
import sys

import pytest

from isogloss.cli import app


@pytest.fixture
def isogloss_command(monkeypatch, capsys, tmp_path):
    """Run a command in-process in an empty folder; return exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())  # main ends with SystemExit itself, except where a command just returns
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def models(tiny_folder, adapter_folder):
    return ("--reference", tiny_folder, "--aligned", f"{tiny_folder}+{adapter_folder}")


def test_an_audit_prints_its_table_and_writes_its_folder(isogloss_command, models, parallel_file, tmp_path):
    code, out, err = isogloss_command("audit", *models, "--corpus", parallel_file, "--permutations", 100)
    assert code == 0
    table, controls = out.split("What else could explain a score")
    for words in (
        "en English",
        "de German",
        "verdict",
        "retention",
        "pivot",
        "MDE",
        "Alignment did not clearly raise",
    ):
        assert words in table
    for words in ("en English", "n-grams", "untrained", "null 97.5%", "edit rate", "bits/char", "S006"):
        assert words in controls
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("pairs-")
    assert f"Wrote runs/{folder.name}" in err
    assert (folder / "audit.json").is_file()


def test_json_is_the_only_thing_on_stdout_and_holds_the_options(isogloss_command, models, parallel_file):
    options = ["--primary", "silhouette:3@final", "--match", "edit,length", "--controls", "none", "--workers", 2]
    code, out, _ = isogloss_command(
        "audit", *models, "--corpus", parallel_file, "--json", "--out", "run", "--permutations", 100, *options
    )
    assert code == 0
    data = json.loads(out)
    assert data["pivot"] == "en"
    assert data["primary"] == {"metric": "silhouette", "components": 3, "layer": "4-post"}
    assert data["config"]["analyses"]["matched"]["options"]["match"] == ["edit", "length"]
    assert data["config"]["controls"] == []
    assert "workers" not in data["config"]
    assert not {row["metric"] for row in data["rows"]} & {"untrained_auroc", "bits_per_character"}
    assert {"S010", "S012"} <= {warning["code"] for warning in data["warnings"]}


def test_harmful_text_is_not_shown(isogloss_command, models, parallel_file, tmp_path):
    code, out, err = isogloss_command(
        "audit", *models, "--corpus", parallel_file, "--out", "run", "--permutations", 100
    )
    assert code == 0
    assert "bad " not in out + err
    written = [
        path for path in (tmp_path / "run").rglob("*") if path.is_file() and path.suffix in {".json", ".svg", ".html"}
    ]
    assert len(written) == 5
    assert not any("bad " in path.read_text("utf-8") for path in written)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "corpora",
            [
                "mini",
                "multilingual_toxicity",
                "multiparadetox",
                "paradetox",
                "polyrefuse",
                "multijail",
                "xsafety",
                "hatecheck",
            ],
        ),
        ("models", ["embedded", "llama-2-7b", "phi-4", "none published"]),
        ("languages", ["Amharic", "Ethiopic", "hi-Latn"]),
        ("metrics", ["between_class_variance", "bhattacharyya", "silhouette", "auroc", "pair_accuracy"]),
    ],
)
def test_tables_are_shown(command, words, isogloss_command):
    code, out, _ = isogloss_command(command)
    assert code == 0
    assert [word for word in words if word not in out] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--corpus", "missing.csv"], 1, "no such file"),
        (["--corpus", "mimi"], 1, "did you mean 'mini'"),
        (["--languages", "en,xx"], 1, "unknown language"),
        (["--languages", "en,ja"], 1, "no texts in ja"),
        (["--metrics", "auroc,silouette"], 1, "did you mean 'silhouette'"),
        (["--pair", "gemma-2-9"], 1, "did you mean 'gemma-2-9b'"),
        (["--aligned", "missing.gguf"], 1, "no such file"),
        (["--reference", "a"], 2, "--aligned as well"),
        (["--pair", "embedded", "--aligned", "a"], 2, "one way to name them"),
        (["--column", "text"], 2, "column=file_column"),
        (["--position", "first"], 2, "last or mean"),
        (["--conflicts", "keep"], 2, "drop or refuse"),
        (["--no-such-option"], 2, "No such option"),
        (["--primary", "silhouette:x"], 2, "metric:components"),
        (["--primary", "silhouette:0"], 2, "at least 1 component"),
        (["--primary", "silhouete:2"], 1, "did you mean 'silhouette'"),
        (["--primary", "auroc"], 1, "a metric of principal components"),
        (["--match", "lenght"], 2, "any of length, edit"),
        (["--controls", "random"], 2, "any of untrained, bits_per_character"),
        (["--workers", "0"], 2, "greater than or equal"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments, code, words, isogloss_command, tmp_path):
    stopped, out, err = isogloss_command("audit", *arguments)
    assert stopped == code
    assert words in err
    assert out == ""
    if words not in {"No such option", "greater than or equal"}:  # typer draws its own box around usage errors
        assert err.startswith("isogloss: ")
        assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["audit", "--permutation", "100"], "--permutations"),
        (["audit", "--prompt-formats", "chat"], "--prompt-format"),
        (["tune", "--mixtures", "mixed"], "--mixture"),
        (["side-effects", "--languges", "en"], "--languages"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest_ones_in_one_line(arguments, nearest, isogloss_command):
    code, out, err = isogloss_command(*arguments)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if "No such option" in line]
    assert arguments[1] in line
    assert nearest in line.partition("ossible options")[2] or f"Did you mean {nearest}" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--shuffles", "100"],
        ["audit", "--rendering", "chat"],
        ["audit", "--across"],
        ["audit", "--keep", "all"],
        ["audit", "--part", "training"],
        ["tune", "--arm", "mixed"],
    ],
)
def test_a_retired_option_is_no_alias(arguments, isogloss_command):
    code, out, err = isogloss_command(*arguments)
    assert (code, out) == (2, "")
    assert f"No such option: {arguments[1]}" in err


def test_a_primary_layer_that_is_not_read_is_refused(isogloss_command, models, parallel_file, tmp_path):
    arguments = ["--corpus", parallel_file, "--layers", "1,final", "--primary", "silhouette:2@2"]
    code, out, err = isogloss_command("audit", *models, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("isogloss: --primary: found layer '2'; expected one of the layers that are read: 1, 4-post")
    assert not (tmp_path / "runs").exists()


def test_a_single_language_file_needs_no_language_column(isogloss_command, models, tmp_path):
    rows = [f"{label},{label} text number {i}" for label in ("toxic", "neutral") for i in range(25)]
    (tmp_path / "one.csv").write_text("\n".join(["kind,comment", *rows]))
    arguments = ["--corpus", "one.csv", "--column", "text=comment", "--column", "label=kind", "--languages", "sw"]
    code, out, _ = isogloss_command(
        "audit", *models, *arguments, "--pivot", "sw", "--permutations", 100, "--controls", "none"
    )
    assert code == 0
    assert "sw Swahili" in out


def test_the_module_runs():
    result = subprocess.run([sys.executable, "-m", "isogloss", "--help"], capture_output=True, text=True, check=True)
    for command in ("audit", "report", "compare", "tune", "corpora", "models", "languages", "metrics"):
        assert command in result.stdout
