"""`isogloss store`: what it prints, its exit codes, and that it deletes only when told to."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from isogloss.cli import app
from isogloss.hidden_states.shard import text_key
from isogloss.hidden_states.store import Entry, in_use, write

GOLDEN = Path(__file__).parent / "golden" / "store"
WORDS = ("one", "two", "three")


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `isogloss store ...`; return exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", "store", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def root(tmp_path):
    """Two models, of which one has two languages."""
    for model, language in (("a", "en"), ("a", "de"), ("b", "en")):
        place = Entry(
            root=tmp_path / "store",
            model_sha256=model * 64,
            settings_sha256="c" * 64,
            language=language,
            texts=tuple(map(text_key, WORDS)),
            about={"model": f"org/{model}", "settings": {"position": "last", "max_tokens": 512}},
        )
        layers = {name: np.zeros((3, 4), dtype=np.float32) for name in ("0", "1", "2", "9", "12-post")}
        write(place, range(3), layers | {"cut": np.zeros(3, dtype=bool)})
    return tmp_path / "store"


def everything(root):
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock")


def test_list_names_what_is_kept(command, root):
    code, out, err = command("list", "--store", root)
    assert code == 0
    lines = [line.split() for line in out.splitlines()[1:]]
    assert [(line[0], line[1], line[4], line[5]) for line in lines] == [
        ("org/a", "a" * 12, "de", "3"),
        ("org/a", "a" * 12, "en", "3"),
        ("org/b", "b" * 12, "en", "3"),
    ]
    assert " 0-2 9 12-post " in out
    assert "max_tokens=512 position=last" in out
    assert str(root) in err


def test_list_as_json_and_of_nothing(command, root, tmp_path, monkeypatch):
    code, out, _ = command("list", "--store", root, "--json")
    first = json.loads(out)[0]
    assert code == 0
    assert first["arrays"] == ["0", "1", "12-post", "2", "9", "cut"]
    assert first["size"] == sum(path.stat().st_size for path in everything(root / ("a" * 64) / ("c" * 64) / "de"))
    (tmp_path / "empty").mkdir()
    assert command("list", "--store", tmp_path / "empty")[:2] == (0, "")
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "not there yet"))
    assert command("list")[:2] == command("verify")[:2] == (0, "")
    assert not (tmp_path / "not there yet").exists()


def test_list_names_old_versions(command):
    _, out, _ = command("list", "--store", GOLDEN)
    assert "(version 1, not read)" in out
    assert "tiny" in out


def test_verify_has_a_line_for_each_fault(command, root):
    assert command("verify", "--store", root)[:2] == (0, "")
    shards = sorted(root.rglob("*.safetensors"))
    os.truncate(shards[0], 50)
    shards[1].unlink()
    code, out, err = command("verify", "--store", root)
    assert code == 1
    assert [line.split(": ")[0] for line in out.splitlines()] == [f"store {shard}" for shard in shards[:2]]
    assert "prune --broken" in err
    code, out, _ = command("verify", "--store", root, "--json")
    assert code == 1
    assert [one["what"] for one in json.loads(out)] == [f"store {shard}" for shard in shards[:2]]


def test_prune_deletes_only_when_told_to(command, root):
    before = everything(root)
    code, out, err = command("prune", "--store", root, "--model", "bb")
    assert code == 0
    assert sorted(out.splitlines()) == [str(path) for path in before if "b" * 64 in str(path)]
    assert "Would delete 2 files" in err
    assert everything(root) == before
    code, out, err = command("prune", "--store", root, "--model", "bb", "--yes")
    assert code == 0
    assert "Deleted 2 files" in err
    assert everything(root) == [path for path in before if "b" * 64 not in str(path)]
    assert not (root / ("b" * 64)).exists()


@pytest.mark.parametrize(
    ("options", "left"),
    [(["--broken"], 4), (["--all"], 0), (["--older-than", "1h"], 6), (["--older-than", "0d", "--model", "a"], 2)],
)
def test_prune_takes_what_fits(options, left, command, root):
    os.truncate(next((root / ("a" * 64)).rglob("*.safetensors")), 50)
    code, out, _ = command("prune", "--store", root, *options, "--yes", "--json")
    assert code == 0
    assert len(everything(root)) == left
    assert len(json.loads(out)["files"]) == 6 - left
    assert json.loads(out)["deleted"] is True


def test_prune_refuses_while_a_run_is_at_work(command, root):
    before = everything(root)
    with in_use(root):
        code, out, err = command("prune", "--store", root, "--all", "--yes")
    assert (code, out) == (1, "")
    assert err.startswith(f"isogloss: {root}: found another isogloss process at work in it; ")
    assert everything(root) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prune"], "no condition"),
        (["prune", "--all", "--broken"], "--all and a condition"),
        (["prune", "--older-than", "30"], "such as 12h, 30d or 8w"),
        (["prune", "--model", "zz"], "begins 0 hashes"),
        (["list", "--store", "/no/such"], "no folder /no/such"),
    ],
)
def test_bad_input_is_one_line(arguments, words, command, root):
    rest = [] if "--store" in arguments else ["--store", root]
    code, out, err = command(*arguments, *rest)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("isogloss: ")
    assert err.count("\n") == 1
