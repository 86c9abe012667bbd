"""Words that the field does not use must not come back into what a person reads: help, docs, templates, warnings."""

import ast
import re
from pathlib import Path

import pytest
import typer

import isogloss
from isogloss.cli.app import app
from isogloss.warnings import WARNINGS

SOURCE = Path(isogloss.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
#: Retired word -> the one to use.
RETIRED = {
    r"salience": "class variance share",
    r"detectability": "linear separability",
    r"twins?\b": "pair, partner",
    r"shuffles?\b": "permutation",
    r"shuffled": "permuted",
    r"notices?\b": "warning",
    r"random weights": "untrained model",
    r"renderings?\b": "prompt format",
    r"\bt_inst\b|\bt_post\b": "last_instruction_token, last_prompt_token",
    r"min gap": "MDE",
    r"what (the )?models? would say": "behaviour",
    r"of what [a-z]+ did": "a plain sentence",
    r"what became of": "a plain sentence",
    r"what it came to": "a plain sentence",
    r"\bguards\b": "side effects",
    r"--(across|keep|part)\b": "the present option",
    r"prompt_format(?=s? (of|in|and|only|by|alone)\b)": "prompt format",
}
PATTERN = re.compile("|".join(RETIRED), re.IGNORECASE)
#: `isogloss tune --shuffle-labels` trains the placebo; ::notice is an annotation of GitHub.
ALLOWED = re.compile(r"--shuffle-labels|shuffle_labels|`::notice`", re.IGNORECASE)


def retired(text):
    """Retired words in a text, each with the line that it stands in."""
    return [
        (match[0], line.strip()[:120])
        for line in text.splitlines()
        for match in PATTERN.finditer(ALLOWED.sub("", line))
    ]


def docstrings(path):
    """Docstrings of a module, its classes and functions."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    return "\n".join(ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, nodes))


@pytest.mark.parametrize(("name", "command"), typer.main.get_command(app).commands.items())
def test_the_help_has_no_retired_word(name, command):
    options = [text for option in command.params for text in option.opts]
    assert (
        retired("\n".join([command.help or "", *(getattr(row, "help", "") or "" for row in command.params), *options]))
        == []
    )


def test_warnings_have_no_retired_word():
    assert retired("\n".join(f"{kind.meaning} {kind.advice}" for kind in WARNINGS.values())) == []


PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TEMPLATES = [path for suffix in ("j2", "js", "css") for path in sorted(SOURCE.rglob(f"*.{suffix}"))]


@pytest.mark.parametrize("path", [*PAGES, *TEMPLATES], ids=lambda path: path.name)
def test_pages_and_templates_have_no_retired_word(path):
    assert retired(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_docstrings_have_no_retired_word(path):
    assert retired(docstrings(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "Salience rose.",
        "a text and its twin",
        "500 shuffles",
        "shuffled up to",
        "a coded notice",
        "random weights",
        "both renderings",
        "t_inst",
        "the min gap",
        "what the models would say",
        "--keep all",
        "guards against it",
    ],
)
def test_a_retired_word_would_be_noticed(line):
    assert retired(line)


def test_words_that_only_look_like_them_are_fine():
    assert retired("isogloss tune --shuffle-labels; rows are noticed; keep a part across all") == []
