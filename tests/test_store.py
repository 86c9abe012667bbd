"""The store: finds what is there, computes what is not, reads no more than it must, and old formats are named."""

import json
import mmap
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import isogloss
from isogloss import ExtractSpec, ModelRef
from isogloss.data.corpus import Corpus
from isogloss.errors import StoreError, UsageError
from isogloss.hidden_states import store
from isogloss.hidden_states.maintenance import alone, choose, delete, faults, holdings, pieces
from isogloss.hidden_states.shard import is_whole, read_array, read_manifest, text_key
from isogloss.hidden_states.spec import Layer
from isogloss.hidden_states.store import Entry, Gap, filling, gaps, in_use, read, write

GOLDEN = Path(__file__).parent / "golden" / "store"
WORDS = ("one", "two", "three", "four", "five", "six")


def entry(root, words=WORDS, *, model="a", settings="b", language="en"):
    return Entry(
        root=root,
        model_sha256=model * 64,
        settings_sha256=settings * 64,
        language=language,
        texts=tuple(map(text_key, words)),
        about={"model": "tiny", "settings": {"position": "last"}},
    )


def vectors(words, layer, width=4):
    """Numbers that name their text and layer."""
    return np.array([[len(word), sum(map(ord, word)), layer, 0.5] for word in words], dtype=np.float32)[:, :width]


def put(place, words, layers):
    every = [text_key(word) for word in words]
    rows = [place.texts.index(key) for key in every]
    write(place, rows, {str(layer): vectors(words, layer) for layer in layers})


# What is there, and what is not


def test_arrays_are_gathered_from_wherever_they_are(tmp_path):
    place = entry(tmp_path)
    put(place, ["six", "two"], [1])
    put(place, ["one", "three", "four", "five"], [1, 2])
    put(place, ["two", "six"], [2])
    for layer in (1, 2):
        np.testing.assert_array_equal(read(place, str(layer)), vectors(WORDS, layer))
    fewer = entry(tmp_path, ("five", "two"))
    np.testing.assert_array_equal(read(fewer, "2"), vectors(("five", "two"), 2))
    assert gaps(fewer, ["1", "2"]) == []


def test_gaps_are_what_stands_nowhere(tmp_path):
    place = entry(tmp_path)
    assert gaps(place, ["1", "2"]) == [Gap((0, 1, 2, 3, 4, 5), ("1", "2"))]
    put(place, ["two", "five"], [1])
    assert gaps(place, ["1"]) == [Gap((0, 2, 3, 5), ("1",))]
    assert gaps(place, ["1", "2"]) == [Gap((0, 2, 3, 5), ("1", "2")), Gap((1, 4), ("2",))]
    put(place, ["one", "three", "four", "six"], [2])
    assert gaps(place, ["1", "2"]) == [Gap((0, 2, 3, 5), ("1",)), Gap((1, 4), ("2",))]


def test_other_models_settings_and_languages_are_other_places(tmp_path):
    put(entry(tmp_path), WORDS, [1])
    for other in ({"model": "c"}, {"settings": "c"}, {"language": "de"}):
        assert gaps(entry(tmp_path, **other), ["1"])


def test_shards_are_small_and_resume_with_the_same_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_TEXTS", 2)
    place = entry(tmp_path)
    fresh = gaps(place, ["1"])
    assert [gap.rows for gap in fresh] == [(0, 1), (2, 3), (4, 5)]
    for done in fresh[:2]:
        write(place, done.rows, {"1": vectors([WORDS[row] for row in done.rows], 1)})
    assert gaps(place, ["1"]) == fresh[2:]


def test_texts_that_occur_twice_are_read_twice(tmp_path):
    place = entry(tmp_path, ("one", "two", "one"))
    write(place, range(3), {"1": vectors(("one", "two", "one"), 1)})
    np.testing.assert_array_equal(read(place, "1"), vectors(("one", "two", "one"), 1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "uint8"])
def test_an_array_keeps_its_type(dtype, tmp_path):
    place, array = entry(tmp_path), np.arange(6).astype(dtype)
    write(place, range(6), {"1": array})
    assert read(place, "1").dtype == array.dtype
    np.testing.assert_array_equal(read(place, "1"), array)


def test_a_view_is_written_as_what_it_shows(tmp_path):
    place, wide = entry(tmp_path), np.arange(48, dtype=np.float32).reshape(8, 6)
    write(place, range(6), {"1": wide.T})
    np.testing.assert_array_equal(read(place, "1"), wide.T)


def test_what_is_not_there_is_an_error_and_not_zeros(tmp_path):
    place = entry(tmp_path)
    put(place, ["one", "two"], [1])
    with pytest.raises(StoreError, match="no array 1 for 4 of 6 texts"):
        read(place, "1")


def test_arrays_of_another_length_than_their_texts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="5 rows for 6 texts"):
        write(entry(tmp_path), range(6), {"1": np.zeros((5, 2), dtype=np.float32)})
    assert not list(tmp_path.rglob("*"))


def test_more_layers_and_more_texts_compute_only_what_is_new(tiny_folder, parallel_file, tmp_path, monkeypatch):
    ref, corpus = ModelRef(base=str(tiny_folder)), isogloss.load_corpus(parallel_file, languages=["en"])
    few = Corpus(name="few", frame=corpus.frame.sort("pair_id", "harmful")[:40])
    from isogloss.hidden_states.extract import hidden_states

    seen = []

    def counted(model, plan, wanted, **options):
        seen.append((len(plan.inverse), [layer.name for layer in wanted["last"]]))
        return hidden_states(model, plan, wanted, **options)

    monkeypatch.setattr("isogloss.hidden_states.compute.hidden_states", counted)

    def ask(texts, *layers):
        seen.clear()
        found = isogloss.extract(ref, texts, ExtractSpec(layers=layers), store=tmp_path / "store", device="cpu")
        return found, list(seen)

    assert ask(few, "1", "final")[1] == [(40, ["1", "4-post"])]
    assert ask(few, "final")[1] == []
    assert ask(few, "1", "2")[1] == [(40, ["2"])]
    every, computed = ask(corpus, "1", "2", "final")
    assert computed == [(20, ["1", "2", "4-post"])]
    other = isogloss.extract(ref, corpus, ExtractSpec(layers=("all",)), store=tmp_path / "other", device="cpu")
    for layer in every.layers:
        np.testing.assert_allclose(
            every.block("en", layer).hidden, other.block("en", layer).hidden, rtol=1e-3, atol=1e-4
        )
    np.testing.assert_array_equal(every.token_counts("en"), other.token_counts("en"))


def test_cut_texts_are_counted_among_those_that_are_asked_for(tiny_folder, parallel_file, tmp_path):
    ref, corpus = ModelRef(base=str(tiny_folder)), isogloss.load_corpus(parallel_file, languages=["en"])
    lengths = corpus.frame["text"].str.len_bytes()
    limit = int(lengths.median()) + 1  # and a BOS
    spec = ExtractSpec(max_tokens=limit)
    assert isogloss.extract(ref, corpus, spec, store=tmp_path, device="cpu").cut("en") == (lengths >= limit).sum()
    long = corpus.frame.filter(lengths >= limit).with_columns(pair_id=None).cast(corpus.frame.schema)
    found = isogloss.extract(ref, Corpus(name="long", frame=long), spec, store=tmp_path)
    assert found.cut("en") == len(long) < len(corpus)


def test_a_text_is_found_by_its_content_not_by_its_id(tiny_folder, parallel_file, tmp_path):
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    found = isogloss.extract(ModelRef(base=str(tiny_folder)), corpus, store=tmp_path, device="cpu")
    turned = corpus.frame.with_columns(text_id=corpus.frame["text_id"].reverse())
    other = isogloss.extract(ModelRef(base=str(tiny_folder)), Corpus(name="turned", frame=turned), store=tmp_path)
    assert other.missing == ()
    np.testing.assert_array_equal(
        other.block("en", Layer(4, "post")).hidden, found.block("en", Layer(4, "post")).hidden[::-1]
    )


# One block touches only its bytes


def big_shard(root, layers=20, width=4096):
    place, rng = entry(root), np.random.default_rng(0)
    write(place, range(6), {str(layer): rng.normal(size=(6, width)).astype(np.float32) for layer in range(layers)})
    (manifest,) = root.rglob("*.json")
    return place, read_manifest(manifest)


def test_other_arrays_of_a_shard_may_be_broken(tmp_path):
    place, shard = big_shard(tmp_path)
    before = read(place, "7")
    raw = bytearray(shard.path.read_bytes())
    start = raw.index(before.tobytes())
    kept = bytes(raw[start : start + before.nbytes])
    header = 8 + int.from_bytes(raw[:8], "little")
    shard.path.write_bytes(
        bytes(raw[:header]) + b"\xff" * (start - header) + kept + b"\xff" * (len(raw) - start - len(kept))
    )
    np.testing.assert_array_equal(read(place, "7"), before)
    for other in ("6", "8"):
        with pytest.raises(StoreError, match=f"an array {other} that was changed"):
            read(place, other)


def test_only_pages_of_the_array_are_read(tmp_path):
    """After the system has dropped the file from memory, an array brings back itself, the header and read-ahead."""
    _, shard = big_shard(tmp_path, layers=20, width=2**17)  # 3 MiB an array
    expected = 1 / 20 + 3 * _read_ahead(shard.path) / shard.size
    _drop(shard.path)
    if _resident(shard.path) > 0.05 or expected > 0.6:
        pytest.skip("this disk keeps its files in memory, or reads far ahead")
    read_array(shard, "7")
    assert 0.04 < _resident(shard.path) < expected
    for layer in range(20):
        read_array(shard, str(layer))
    assert _resident(shard.path) > 0.95


def _read_ahead(path):
    """Bytes that the system reads ahead on the disk of a file."""
    disk = path.stat().st_dev
    setting = Path(f"/sys/class/bdi/{os.major(disk)}:{os.minor(disk)}/read_ahead_kb")
    if not setting.is_file():
        pytest.skip("this system does not say how far it reads ahead")
    return int(setting.read_text()) * 1024


def _drop(path):
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _resident(path):
    """Share of a file that is in memory."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    size, page = path.stat().st_size, mmap.PAGESIZE
    flags = (ctypes.c_ubyte * (-(-size // page)))()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        place = ctypes.c_char.from_buffer(mapped)
        try:
            assert libc.mincore(ctypes.c_void_p(ctypes.addressof(place)), ctypes.c_size_t(size), flags) == 0
        finally:
            del place
    return sum(flag & 1 for flag in flags) / len(flags)


# Formats


@pytest.fixture
def golden(tmp_path):
    return shutil.copytree(GOLDEN, tmp_path / "golden")


def test_golden_store_of_version_2_reads_for_ever(golden):
    place = entry(golden, ("three", "one", "two"))
    np.testing.assert_array_equal(read(place, "2"), np.array([[2, 2.5], [0, 0.5], [1, 1.5]], dtype=np.float32))
    np.testing.assert_array_equal(read(place, "token_counts"), np.array([5, 3, 4], dtype=np.int32))
    assert read(place, "cut").tolist() == [False, False, True]
    assert gaps(place, ["2", "4-post"]) == [Gap((0,), ("4-post",))]
    (old, new) = holdings(golden)
    assert (new.model, new.settings, new.language, new.version) == (
        "tiny",
        {"dtype": "float32", "position": "last"},
        "en",
        2,
    )
    assert (new.texts, new.arrays) == (3, ("2", "4-post", "cut", "token_counts"))
    assert (old.version, old.texts, old.model) == (1, 0, "")


def test_what_is_written_today_is_the_golden_shard(golden, tmp_path):
    """The names are hashes of the content, so equal content must give equal names and bytes in every version 2."""
    place = entry(tmp_path / "new", ("one", "two", "three"))
    place = Entry(**vars(place) | {"about": {"model": "tiny", "settings": {"position": "last", "dtype": "float32"}}})
    counts = {"token_counts": np.array([5], dtype=np.int32), "cut": np.array([False])}
    write(place, [2], {"2": np.array([[2, 2.5]], dtype=np.float32)} | counts)
    for path in (tmp_path / "new").rglob("*.*"):
        assert path.read_bytes() == (golden / path.relative_to(tmp_path / "new")).read_bytes()


def test_version_1_is_named_and_can_go(golden):
    (error,) = faults(golden)
    assert "found version 1; expected version 2" in str(error)
    old = choose(golden, unusable=True)
    assert [[path.suffix for path in piece.paths] for piece in old] == [[".json", ".safetensors"]]
    delete(old)
    assert faults(golden) == []
    assert [path.name for path in golden.iterdir()] == ["a" * 64]


def test_a_later_version_is_refused_and_left_alone(tmp_path):
    place = entry(tmp_path)
    put(place, WORDS, [1])
    (manifest,) = tmp_path.rglob("*.json")
    content = json.loads(manifest.read_text()) | {"version": 3}
    manifest.write_text(json.dumps(content))
    for ask in (lambda: read(place, "1"), lambda: gaps(place, ["1"])):
        with pytest.raises(
            StoreError, match=rf"store {manifest}: found version 3; expected version 2; .*--store {tmp_path};"
        ):
            ask()
    assert json.loads(manifest.read_text()) == content


# Broken shards


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)


def flip_header(path):
    path.write_bytes(path.read_bytes().replace(b'"dtype":"F32"', b'"dtype":"I32"'))


def flip_record(path):
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tint"))


BREAK = {
    "flipped byte": (flip, ".safetensors", "changed", True),
    "other type": (flip_header, ".safetensors", "changed", True),
    "changed record": (flip_record, ".safetensors", "a header that was changed", False),
    "truncated": (lambda path: os.truncate(path, 100), ".safetensors", "100 bytes", True),
    "empty": (lambda path: os.truncate(path, 0), ".safetensors", "0 bytes", True),
    "missing": (Path.unlink, ".safetensors", "No such file", True),
    "torn manifest": (lambda path: os.truncate(path, 100), ".json", "a manifest that cannot be read", True),
    "empty manifest": (lambda path: os.truncate(path, 0), ".json", "a manifest that cannot be read", True),
    "changed manifest": (flip_record, ".json", "a manifest that was changed", True),
    "another manifest": (lambda path: path.write_text("[]"), ".json", "not a manifest", True),
    "another version": (lambda path: path.write_text('{"version": 3}'), ".json", "version 3", True),
}


@pytest.fixture
def two(tmp_path):
    """Two languages, each with two shards."""
    places = [entry(tmp_path, language=code) for code in ("de", "en")]
    for place in places:
        put(place, WORDS[:3], [1, 2])
        put(place, WORDS[3:], [1, 2])
    return places


@pytest.mark.parametrize("fault", BREAK)
def test_a_fault_is_found_named_and_can_be_mended(fault, two, tmp_path):
    do, suffix, words, noticed = BREAK[fault]
    german, english = two
    victim = min(english.folder.glob(f"*{suffix}"))
    do(victim)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}

    def ask():
        assert gaps(english, ["1", "2"]) == []
        return read(english, "2")

    if noticed:
        with pytest.raises(StoreError, match=words) as error:
            ask()
        assert f"store {victim}" in str(error.value)
        assert "\n" not in str(error.value)
    else:  # no number depends on it
        ask()
    np.testing.assert_array_equal(read(german, "2"), vectors(WORDS, 2))
    (found,) = faults(tmp_path)
    assert words in str(found)
    assert found.what == f"store {victim}"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before
    delete(choose(tmp_path, unusable=True))
    assert faults(tmp_path) == []
    (gap,) = gaps(english, ["1", "2"])
    assert len(gap.rows) == 3
    write(english, gap.rows, {str(layer): vectors([WORDS[row] for row in gap.rows], layer) for layer in (1, 2)})
    np.testing.assert_array_equal(read(english, "2"), vectors(WORDS, 2))


def test_a_whole_shard_without_a_manifest_is_taken_over(two, tmp_path):
    german, english = two
    killed = [min(place.folder.glob("*.json")) for place in two]
    contents = [path.read_text() for path in killed]
    for path in killed:
        path.unlink()
    flip(killed[1].with_suffix(".safetensors"))
    assert is_whole(killed[0].with_suffix(".safetensors"))
    assert [len(gaps(place, ["1"])[0].rows) for place in two] == [3, 3]
    with filling(two):
        assert gaps(german, ["1", "2"]) == []
        assert len(gaps(english, ["1", "2"])[0].rows) == 3
    assert killed[0].read_text() == contents[0]
    assert not killed[1].exists()
    (found,) = faults(tmp_path)
    assert "a broken file without a manifest" in str(found)


def test_unfinished_files_confuse_nobody_and_can_go(two, tmp_path):
    folder = two[0].folder
    real = min(folder.glob("*.json"))
    for name in (f".{real.name}.x1y2z3_w.unfinished", f".{real.stem}.safetensors.x1y2z3_w.unfinished"):
        (folder / name).write_text("{")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "also.json").write_text("mine")
    assert gaps(two[0], ["1", "2"]) == []
    assert faults(tmp_path) == []
    assert (
        sorted(path.suffix for piece in choose(tmp_path, unusable=True) for path in piece.paths) == [".unfinished"] * 2
    )
    delete(choose(tmp_path, unusable=True))
    assert len(pieces(tmp_path)) == 4
    delete(choose(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["also.json", "notes.txt"]


def test_links_out_of_the_store_are_not_followed(two, tmp_path):
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    shutil.move(two[0].folder, elsewhere)
    two[0].folder.symlink_to(elsewhere)
    assert {piece.folder for piece in choose(tmp_path)} == {two[1].folder}


# What can go


def age(path, days):
    when = path.stat().st_mtime - days * 86400
    os.utime(path, (when, when))


def test_conditions_hold_together(two, tmp_path):
    put(entry(tmp_path, model="c"), WORDS, [1])
    for path in two[0].folder.iterdir():
        age(path, 31)
    for path in (tmp_path / ("c" * 64)).rglob("*.*"):
        age(path, 31)
    assert len(choose(tmp_path)) == 5
    assert len(choose(tmp_path, older_than=timedelta(days=30))) == 3
    assert len(choose(tmp_path, model="aaaa")) == 4
    assert len(choose(tmp_path, model="a", older_than=timedelta(days=30))) == 2
    assert choose(tmp_path, unusable=True) == []
    for wrong in ("b", "A"):
        with pytest.raises(UsageError, match="begins 0 hashes"):
            choose(tmp_path, model=wrong)
    almost = Entry(**vars(two[0]) | {"model_sha256": "a" * 63 + "b"})
    put(almost, WORDS, [1])
    with pytest.raises(UsageError, match="begins 2 hashes"):
        choose(tmp_path, model="aaaa")
    assert len(choose(tmp_path, model=almost.model_sha256)) == 1


def test_nothing_is_pruned_while_a_run_uses_the_store(two, tmp_path):
    with in_use(tmp_path), in_use(tmp_path), pytest.raises(StoreError, match="at work in it"), alone(tmp_path):
        pass
    with filling(two), pytest.raises(StoreError, match="at work in it"), alone(tmp_path):
        pass
    with alone(tmp_path):
        delete(choose(tmp_path))
    assert pieces(tmp_path) == []


def test_reading_and_listing_import_no_torch(two, tmp_path):
    script = f"""
import sys
from pathlib import Path
from isogloss.hidden_states.maintenance import faults, holdings
root = Path({str(tmp_path)!r})
print(len(holdings(root)), faults(root), "torch" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "2 [] False\n"
