"""The order of the rooms: a room imports only rooms above it, and some import neither torch nor files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import isogloss

SOURCE = Path(isogloss.__file__).parent

#: From top to bottom; data flows down this list.
ROOMS = (
    ("errors", "warnings", "progress"),
    ("files", "hub", "leases", "locks", "places"),
    ("corpora",),
    ("models",),
    ("engines",),
    ("activations",),
    ("behaviour",),
    ("separation",),
    ("results",),
    ("tuning",),
    ("report",),
    ("gating",),
    ("auditing",),
    ("recipes",),
    ("cli", "__init__", "__main__"),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

#: What a room may import from isogloss at all, where that is less than everything above it.
ONLY = {
    "separation": {"errors", "separation"},
    "report": {"errors", "warnings", "places", "corpora", "results", "report"},
    "results": {"errors", "files", "warnings", "places", "results"},
    "gating": {"errors", "warnings", "files", "corpora", "separation", "results", "report", "gating"},
}
FORBIDDEN = {
    "separation": {"torch", "transformers", "polars", "pathlib", "os", "io"},
    "report": {"torch", "transformers"},
    "gating": {"torch", "transformers"},
}


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
        ("corpora", "from isogloss.models.load import load_model"),
        ("separation", "import torch"),
        ("separation", "from isogloss.data.corpus import Corpus"),
        ("report", "def f():\n    from isogloss.hidden_states.store import read"),
        ("files", "import isogloss.data.load"),
    ],
)
def test_the_order_would_warning_a_fault(room, line):
    assert faults(room, line)


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
                assert node.end_lineno - node.lineno <= 70, f"{path}: {node.name}"


@pytest.mark.parametrize(
    "arguments", [["-c", "import isogloss"], ["-m", "isogloss", "--help"], ["-m", "isogloss", "metrics"]]
)
def test_nothing_slow_is_imported_before_it_is_needed(arguments):
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert not loaded & {"torch", "transformers", "peft", "datasets", "ray"}


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
