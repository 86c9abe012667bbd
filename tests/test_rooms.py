"""The order of the rooms: a room imports only rooms above it, and some import neither torch nor files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import isogloss
from isogloss.analyses.registry import requests

SOURCE = Path(isogloss.__file__).parent

#: From top to bottom; data flows down this list.
ROOMS = (
    ("errors", "warning_kinds", "warnings", "progress", "text"),
    ("io",),
    ("data",),
    ("models",),
    ("engines",),
    ("hidden_states",),
    ("likelihoods",),
    ("stats",),
    ("records", "record_checks", "result_checks", "results"),
    ("report",),
    ("gating",),
    ("auditing",),
    ("analyses",),
    ("tuning",),
    ("recipes",),
    ("cli", "__init__", "__main__"),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

VALUES = {"errors", "warning_kinds", "warnings", "progress", "text", "io", "data", "stats", "records", "results"}
#: What a room may import from isogloss at all, where that is less than everything above it.
ONLY = {
    "stats": {"errors", "stats"},
    "records": {"records"},
    "results": {"errors", "io", "warnings", "stats", "records", "result_checks", "results"},
    "record_checks": {"stats", "records"},
    "result_checks": {"errors", "warnings", "stats", "records", "record_checks"},
    "report": VALUES | {"report"},
    "gating": VALUES | {"report", "gating"},
}
PURE = {"torch", "transformers", "polars", "pathlib", "os", "io"}
FORBIDDEN = {"stats": PURE, "report": {"torch", "transformers"}, "gating": {"torch", "transformers"}}
#: Modules of an analysis that hold pure numbers, as stats does.
NUMBERS = ("frozen_components", "link_statistics", "matching", "shared_folds", "shift_rank", "statistics", "transfer")
#: Its module that shows results, as report does.
SHOWN = "tables"


def imports(source):
    """Names of modules that a source file imports, wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def faults(room, source):
    """What a file in `room` imports against the order."""
    found = []
    for name in imports(source):
        parts = name.split(".")
        if parts[0] in FORBIDDEN.get(room, ()):
            found.append(name)
        if parts[0] == "isogloss" and len(parts) > 1:
            other = parts[1]
            if LEVEL[other] > LEVEL[room] or other not in ONLY.get(room, {other}):
                found.append(name)
    return found


def files():
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, path.relative_to(SOURCE).with_suffix("").parts[0]


@pytest.mark.parametrize(("path", "room"), [pytest.param(p, r, id=str(p.relative_to(SOURCE))) for p, r in files()])
def test_a_room_imports_only_rooms_above_it(path, room):
    assert faults(room, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("data", "from isogloss.models.load import load_model"),
        ("stats", "import torch"),
        ("stats", "from isogloss.data.corpus import Corpus"),
        ("report", "def f():\n    from isogloss.hidden_states.store import read"),
        ("report", "from isogloss.analyses.behaviour.tables import sections"),
        ("auditing", "from isogloss.analyses.registry import ANALYSES"),
        ("io", "import isogloss.data.load"),
    ],
)
def test_the_order_would_notice_a_fault(room, line):
    assert faults(room, line)


def test_numbers_and_tables_of_an_analysis_stay_pure():
    for path in [path for path, room in files() if room == "analyses"]:
        names = set(imports(path.read_text("utf-8")))
        if path.stem in NUMBERS:
            assert not {name.split(".")[0] for name in names} & {"torch", "transformers", "polars"}, path
        if path.stem == SHOWN:
            rooms = {name.split(".")[1] for name in names if name.startswith("isogloss.")}
            assert rooms <= VALUES | {"report", "analyses"}, path
            assert not {name.split(".")[0] for name in names} & FORBIDDEN["report"], path


#: Words of analyses that are words of the core as well: the chat template is an input of every audit.
SHARED = {"chat_template", "matched", "match"}


def names_of_analyses():
    """What would name an analysis: its folder, its switch, its request."""
    return {name for kind in requests() for name in (kind.name, kind.switch, kind.__name__)} - SHARED


def named(source, names):
    """Names that a source uses as a word of its own or as a text."""
    used = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used.add(node.value)
    return used & names


CORE = ("report", "gating", "auditing", "recipes", "cli")


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(SOURCE))) for p, room in files() if room in CORE]
)
def test_the_core_names_no_analysis(path):
    assert named(path.read_text("utf-8"), names_of_analyses()) == set()


@pytest.mark.parametrize("line", ["x = config.behaviour", 'x = needs["cross_lingual"]', "f(Ablation())"])
def test_a_named_analysis_would_be_noticed(line):
    assert named(line, names_of_analyses())


#: Modules of the same name are the same step of different things.
STEPS = {
    "analysis",
    "compute",
    "config",
    "figures",
    "fill",
    "load",
    "metrics",
    "needs",
    "request",
    "rows",
    "statistics",
    "tables",
}


def test_no_two_modules_share_a_name_by_accident():
    # A door of the command line has the name of what it opens.
    names = [path.stem for path, room in files() if path.stem not in {"__init__", *STEPS} and room != "cli"]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_two_classes_share_a_name():
    classes = [
        node.name
        for path, _ in files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    assert {name for name in classes if classes.count(name) > 1} == set()


def imports_ray(source):
    return any(name.split(".")[0] == "ray" for name in imports(source))


def test_one_file_knows_ray():
    assert [path.name for path, _ in files() if imports_ray(path.read_text("utf-8"))] == ["ray_engine.py"]
    assert imports_ray("def f():\n    from ray.util import x")


def test_files_and_functions_stay_small():
    for path, _ in files():
        text = path.read_text("utf-8")
        assert text.count("\n") <= 320, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                # Signature and docstring do not count: they grow with what they explain.
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert not body or body[-1].end_lineno - body[0].lineno < 55, f"{path}: {node.name}"


@pytest.mark.parametrize(
    "arguments", [["-c", "import isogloss"], ["-m", "isogloss", "--help"], ["-m", "isogloss", "metrics"]]
)
def test_nothing_slow_is_imported_before_it_is_needed(arguments):
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert not loaded & {"torch", "transformers", "peft", "datasets", "ray"}
    if arguments[-1] != "metrics":  # help must not wait for numbers and tables
        assert not loaded & {"numpy", "polars", "scipy", "sklearn", "altair"}


def test_the_public_names_exist():
    for name in isogloss.__all__:
        assert getattr(isogloss, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = isogloss.nonsense


def cycle(edges):
    """A module that can be reached from itself, or None."""
    for start in edges:
        seen, waiting = set(), [*edges[start]]
        while waiting:
            name = waiting.pop()
            if name == start:
                return start
            if name not in seen:
                seen.add(name)
                waiting += edges.get(name, ())
    return None


def test_no_module_imports_itself_through_others():
    edges = {}
    for path, _ in files():
        name = ".".join(("isogloss", *path.relative_to(SOURCE).with_suffix("").parts))
        if path.name != "__init__.py":
            edges[name] = [other for other in imports(path.read_text("utf-8")) if other.startswith("isogloss.")]
    assert cycle(edges) is None
    assert cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == "b"
