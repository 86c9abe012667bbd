"""The examples of docs/python.md and the README run as they stand."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

import isogloss
from conftest import make_model, parallel_rows

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def home(tmp_path, monkeypatch, tiny_folder):
    """A working folder with what the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "your").mkdir()
    shutil.copytree(tiny_folder, tmp_path / "your" / "base")
    make_model(tmp_path / "your" / "aligned", seed=3)
    rows = parallel_rows(n=24)
    (tmp_path / "your.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_page_run(number, home, capsys):
    exec(compile(BLOCK.findall(PAGE)[number], "python.md", "exec"), {})
    printed = ast.literal_eval(capsys.readouterr().out)
    assert printed.pop("en") == "pivot"
    assert printed
    assert number == 0 or isogloss.Audit.load(home / "RUN").verdicts


def test_the_readme_has_the_short_forms(home):
    first, second = [block for block in BLOCK.findall(README) if "audit((" in block or "audit_states" in block]
    assert [len([line for line in block.splitlines() if line]) for block in (first, second)] == [5, 3]
    names = {}
    exec(compile(first, "README.md", "exec"), names)
    assert [verdict.language for verdict in names["audit"].verdicts] == ["en", "de"]
    import numpy as np

    rng = np.random.default_rng(0)
    arrays = {
        "before.npy": rng.normal(size=(160, 8)),
        "after.npy": rng.normal(size=(160, 8)),
        "labels.npy": np.tile([True, False], 80),
        "languages.npy": np.repeat(["en", "de"], 80),
    }
    for name, array in arrays.items():
        np.save(name, array)
    exec(compile(second, "README.md", "exec"), names)
    assert names["audit"].table().height


def test_the_example_with_vllm_is_python_and_says_that_it_was_not_run():
    text = (ROOT / "examples" / "vllm_hidden_states.py").read_text("utf-8")
    ast.parse(text)
    assert "has not been run here" in text
    called = re.search(r"audit_states\((.*?)\n    \)", text, re.DOTALL).group(1)
    import inspect

    known = inspect.signature(isogloss.audit_states).parameters
    assert set(re.findall(r"^\s+(\w+)=", called, re.MULTILINE)) <= set(known)
