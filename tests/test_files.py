"""Hashes, canonical JSON, and writes of which nothing half-done is ever seen."""

import json
import math
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.io.files import cache_root, canonical_json, sha256_file, sha256_text, staged_folder, write_atomic

# Test vectors of FIPS 180-2.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MILLION = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_hashes_match_the_published_vectors(tmp_path):
    path = tmp_path / "f"
    for raw, digest in ((b"abc", ABC), (b"", EMPTY), (b"a" * 1_000_000, MILLION)):
        path.write_bytes(raw)
        assert sha256_file(path) == digest
        assert sha256_text(raw.decode()) == digest


def test_text_is_hashed_as_utf8(tmp_path):
    path = tmp_path / "f"
    path.write_bytes("ü हिन्दी".encode())
    assert sha256_text("ü हिन्दी") == sha256_file(path)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("ISOGLOSS_CACHE", "~/own")
    assert cache_root() == Path("/home/somebody/own")
    monkeypatch.delenv("ISOGLOSS_CACHE")
    assert cache_root() == tmp_path / "xdg" / "isogloss"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path("/home/somebody/.cache/isogloss")


# Canonical JSON


def test_nan_becomes_null_at_any_depth():
    nan = float("nan")
    value = {"a": nan, "b": [1.5, nan, (nan, "x")], "c": {"d": {"e": np.float64("nan")}}}
    assert canonical_json(value) == '{"a": null, "b": [1.5, null, [null, "x"]], "c": {"d": {"e": null}}}'


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_refused(value):
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": [value]})


def test_text_is_written_as_it_is():
    assert canonical_json({"ü": "हिन्दी"}) == '{"ü": "हिन्दी"}'


def test_indent_changes_the_layout_only():
    value = {"b": [1, 2], "a": {}}
    assert json.loads(canonical_json(value, indent=1)) == json.loads(canonical_json(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_finite_values_survive_exactly(value):
    assert repr(json.loads(canonical_json(value))) == repr(ordered(value))


@settings(max_examples=60)
@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms())
def test_order_of_keys_does_not_show(value, random):
    turned = list(value)
    random.shuffle(turned)
    assert canonical_json({name: value[name] for name in turned}) == canonical_json(value)


def ordered(value):
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


# Files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("data", ["ü\r\n\n", "", b"\x00\xff\r\n"])
def test_file_holds_exactly_what_was_written(tmp_path, data):
    path = tmp_path / "new" / "deep" / "f.json"
    write_atomic(path, data)
    assert path.read_bytes() == (data if isinstance(data, bytes) else data.encode())
    assert names(path.parent) == ["f.json"]


def test_file_is_replaced_and_readable_by_others(tmp_path):
    path = tmp_path / "f"
    path.write_text("a longer old content")
    write_atomic(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("old", ["old", None])
def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, step, old):
    path = tmp_path / "f"
    if old:
        path.write_text(old)

    def fail(*_):
        raise error

    home = os if step == "fsync" else Path
    with monkeypatch.context() as patch:
        patch.setattr(home, step, fail)
        with pytest.raises(error):
            write_atomic(path, "new")
    assert [(name, (tmp_path / name).read_text()) for name in names(tmp_path)] == ([("f", "old")] if old else [])


def test_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "f"
    contents = [letter * 300_000 for letter in ("a", "b")]
    write_atomic(path, contents[0])
    stop = threading.Event()

    def keep_writing():
        for i in range(200):
            if stop.is_set():
                break
            write_atomic(path, contents[i % 2])

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        seen = {path.read_text() for _ in range(100)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(contents)


# Folders


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "runs" / "one"
    with staged_folder(target) as scratch:
        (scratch / "sub").mkdir()
        (scratch / "sub" / "f").write_text("x")
        assert not target.exists()
    assert tree(tmp_path) == {"runs/one/sub/f": "x"}
    assert names(target.parent) == ["one"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_files_of_the_same_name_are_replaced_and_others_stay(tmp_path):
    target = tmp_path / "one"
    (target / "figures").mkdir(parents=True)
    (target / "f").write_text("old")
    (target / "figures" / "stale").write_text("old")
    (target / "notes").write_text("mine")
    with staged_folder(target) as scratch:
        (scratch / "f").write_text("new")
        (scratch / "figures").mkdir()
        (scratch / "figures" / "fresh").write_text("new")
        assert (target / "f").read_text() == "old"
    assert tree(tmp_path) == {"one/f": "new", "one/figures/fresh": "new", "one/notes": "mine"}
    assert names(tmp_path) == ["one"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("there_before", [True, False])
def test_error_in_the_block_leaves_everything_as_it_was(tmp_path, error, there_before):
    target = tmp_path / "one"
    if there_before:
        target.mkdir()
        (target / "f").write_text("old")

    def work():
        with staged_folder(target) as scratch:
            (scratch / "f").write_text("half")
            raise error

    with pytest.raises(error):
        work()
    assert names(tmp_path) == (["one"] if there_before else [])
    assert tree(tmp_path) == ({"one/f": "old"} if there_before else {})


def test_scratch_folder_is_on_the_same_file_system(tmp_path):
    # Else the rename at the end would be a copy, of which a part could be seen.
    with staged_folder(tmp_path / "one") as scratch:
        assert scratch.parent == tmp_path
        assert scratch.name.startswith(".")


def test_text_that_has_no_utf_8_can_still_be_told_apart():
    assert sha256_text("\ud800") != sha256_text("\ud801")
