"""The hub, through its real clients and a stand-in on loopback: what arrives, what is asked, and what goes wrong."""

import errno
import json
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

import isogloss
from conftest import make_adapter, make_model, parallel_rows
from hub_server import COMMIT, pointed_at, serve
from isogloss.cli import app
from isogloss.data.addresses import HubName
from isogloss.data.hub_data import read_hub
from isogloss.errors import CorpusError, ModelError
from isogloss.models.checkpoints import fetch
from isogloss.models.pairs import ModelRef

QUICK = isogloss.AuditConfig(permutations=20, controls=(), metrics=("between_class_variance",), workers=1)


@pytest.fixture(autouse=True)
def fast_client(monkeypatch):
    """The client waits between attempts, and somebody's login on this machine must not matter."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere/token")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Point the real clients at a stand-in, with an empty cache."""
    return lambda server: pointed_at(server, monkeypatch, tmp_path)


@pytest.fixture
def data_folder(tmp_path):
    """A data set as on the hub: a card that names its splits, Parquet files in a folder, and code that must not run."""
    folder = tmp_path / "data set"
    (folder / "data").mkdir(parents=True)
    rows = pl.DataFrame(parallel_rows(n=25))
    for code in ("en", "de"):
        part = rows.filter(pl.col("language") == code).drop("language")
        part.write_parquet(folder / "data" / f"{code}-00000-of-00001.parquet")
    splits = "".join(f"  - split: {code}\n    path: data/{code}-*\n" for code in ("en", "de"))
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n# Card\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "texts.py").write_text("raise SystemExit")
    return folder


def one_line(call, kind, *words):
    with pytest.raises(kind) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == [], text
    return text


def model(name):
    return lambda: fetch(ModelRef.parse(name))


# To the end


def test_a_model_an_adapter_and_a_data_set_are_audited_from_the_hub(
    tiny_folder, adapter_folder, data_folder, hub, tmp_path
):
    repos = {"org/base": tiny_folder, "org/dpo": adapter_folder}
    pair = isogloss.ModelPair(
        name="hub", reference=ModelRef.parse("org/base"), aligned=ModelRef.parse("org/base+org/dpo"), source="test"
    )
    where = {"store": tmp_path / "store", "device": "cpu"}
    with serve(repos, datasets={"org/texts": data_folder}) as server:
        hub(server)
        corpus = isogloss.load_corpus("org/texts")
        result = isogloss.audit(pair, corpus, config=QUICK, out=tmp_path / "run", **where)
        assert not any(path.endswith(".py") for path in server.log)
    assert corpus.counts().rows() == [("de", 25, 25), ("en", 25, 25)]
    assert corpus.revision == COMMIT
    assert result.corpus["revision"] == COMMIT
    assert result.models["reference"]["revision"] == COMMIT
    assert result.models["aligned"]["adapter_revision"] == COMMIT
    assert result.models["aligned"]["given"] == f"org/base@{COMMIT}+org/dpo@{COMMIT}"
    assert result.models["aligned"]["name"] == "org/base+dpo"
    assert (tmp_path / "run" / "audit.json").is_file()
    # The hub is gone, and nothing else is needed: the same audit again.
    again = isogloss.audit(pair, isogloss.load_corpus("org/texts"), config=QUICK, **where)
    assert again.to_json() == result.to_json()


def test_a_pinned_commit_that_is_cached_is_read_without_a_request(tiny_folder, adapter_folder, data_folder, hub):
    repos = {"org/tiny": tiny_folder, "org/dpo": adapter_folder}
    with serve(repos, datasets={"org/texts": data_folder}) as server:
        hub(server)
        first = fetch(ModelRef.parse(f"org/tiny@{COMMIT}+org/dpo@{COMMIT}"))
        table, _ = read_hub(HubName.parse(f"org/texts@{COMMIT}"))
        server.log.clear()
        assert fetch(ModelRef.parse(f"org/tiny@{COMMIT}+org/dpo@{COMMIT}")) == first
        assert first.adapter_revision == COMMIT
        assert read_hub(HubName.parse(f"org/texts@{COMMIT}"))[0].frame.equals(table.frame)
        assert server.log == []
        fetch(ModelRef.parse("org/tiny"))  # a branch moves: it is asked for, and its files are not
        assert server.log == ["/api/models/org/tiny/revision/main"]


def test_without_a_connection_the_cached_commit_is_read_and_recorded(tiny_folder, data_folder, hub):
    with serve({"org/tiny": tiny_folder}, datasets={"org/texts": data_folder}) as server:
        hub(server)
        fetch(ModelRef.parse("org/tiny"))
        read_hub(HubName.parse("org/texts"))
    assert fetch(ModelRef.parse("org/tiny")).revision == COMMIT
    assert read_hub(HubName.parse("org/texts"))[1] == COMMIT


def test_a_renamed_repository_is_followed(tiny_folder, data_folder, hub):
    renamed = {"org/old": "org/new", "org/texts": "org/newer"}
    with serve({"org/new": tiny_folder}, datasets={"org/newer": data_folder}, renamed=renamed) as server:
        hub(server)
        assert fetch(ModelRef.parse("org/old")).revision == COMMIT
        assert read_hub(HubName.parse("org/texts"))[0].frame.height == 50


def test_a_connection_that_breaks_is_taken_up_again(tiny_folder, hub):
    with serve({"org/tiny": tiny_folder}, cuts={"model.safetensors": 2}) as server:
        hub(server)
        found = fetch(ModelRef.parse("org/tiny"))
        assert server.cuts == {"model.safetensors": 0}
    assert (found.folder / "model.safetensors").read_bytes() == (tiny_folder / "model.safetensors").read_bytes()


# What goes wrong


@pytest.mark.parametrize("token", [None, "hf_something"])
def test_gated_and_missing_repositories(token, tiny_folder, data_folder, hub, monkeypatch):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    login = "this login has not been given access" if token else "there is no login here"
    gated = ("org/tiny", "org/texts")
    with serve({"org/tiny": tiny_folder}, datasets={"org/texts": data_folder}, gated=gated) as server:
        hub(server)
        address = "https://huggingface.co/"
        one_line(
            model("org/tiny"), ModelError, "model org/tiny: found a gated", login, f"{address}org/tiny", "hf auth login"
        )
        one_line(
            lambda: read_hub(HubName.parse("org/texts")),
            CorpusError,
            "corpus org/texts: found a gated",
            f"{address}datasets/org/texts",
        )
        text = one_line(model("org/none"), ModelError, "no such repository on the hub", "embedded/gemma-3-270m")
        assert ("if it is private" in text) is (token is None)
        one_line(
            lambda: read_hub(HubName.parse("org/none")),
            CorpusError,
            "corpus org/none: found no such repository",
            "a file",
        )


def test_a_revision_that_is_not_there(tiny_folder, data_folder, hub):
    with serve({"org/tiny": tiny_folder}, datasets={"org/texts": data_folder}) as server:
        hub(server)
        one_line(model("org/tiny@v9"), ModelError, "found no revision v9; expected a branch, tag or commit")
        one_line(lambda: read_hub(HubName.parse("org/texts@v9")), CorpusError, "corpus org/texts: found no revision v9")


def test_too_many_requests_and_a_hub_that_is_down(tiny_folder, hub):
    repos = {"org/tiny": tiny_folder, "org/down": tiny_folder}
    with serve(repos, limited=("org/tiny",), down=("org/down",)) as server:
        hub(server)
        one_line(model("org/tiny"), ModelError, "too many requests (the hub answers 429)", "wait some minutes")
        one_line(model("org/down"), ModelError, "the hub answers 503, and no whole copy in the cache")


def test_a_refusal_does_not_matter_where_a_whole_copy_is_cached(tiny_folder, hub):
    with serve({"org/tiny": tiny_folder}) as server:
        hub(server)
        fetch(ModelRef.parse("org/tiny"))
        for refusal in ("limited", "down", "gated"):
            setattr(server, refusal, ("org/tiny",))
            assert fetch(ModelRef.parse("org/tiny")).revision == COMMIT
            setattr(server, refusal, ())


def test_a_connection_that_always_breaks_leaves_nothing_that_looks_whole(tiny_folder, hub):
    with serve({"org/tiny": tiny_folder}, cuts={"model.safetensors": 99}) as server:
        hub(server)
        one_line(model("org/tiny"), ModelError, "expected the whole file", "goes on where it stopped")
        server.cuts = {}
    one_line(model("org/tiny"), ModelError, "a download that was never finished, and no connection to the hub")


def test_a_broken_download_goes_on_where_it_stopped(tiny_folder, hub):
    weights = (tiny_folder / "model.safetensors").read_bytes()
    with serve({"org/tiny": tiny_folder}, cuts={"model.safetensors": 99}) as server:
        hub(server)
        one_line(model("org/tiny"), ModelError, "expected the whole file")
        server.cuts, done = {}, len(server.log)
        found = fetch(ModelRef.parse("org/tiny"))
        assert sum("model.safetensors" in path for path in server.log[done:]) >= 1
        assert not any("tokenizer.json" in path for path in server.log[done:])
    assert (found.folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(number, tiny_folder, data_folder, hub, monkeypatch):
    def full(*arguments, **options):
        raise OSError(number, "No space left on device")

    with serve({"org/tiny": tiny_folder}, datasets={"org/texts": data_folder}) as server:
        hub(server)
        monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
        one_line(model("org/tiny"), ModelError, "no space left on the disk of the hub's cache", "set HF_HOME")
        one_line(
            lambda: read_hub(HubName.parse("org/texts")), CorpusError, "no space left on the disk of the hub's cache"
        )
        monkeypatch.undo()
        hub(server)
        assert fetch(ModelRef.parse("org/tiny")).revision == COMMIT


def test_nobody_there_and_offline_by_choice(hub, monkeypatch, tiny_folder):
    with serve({}) as server:
        hub(server)
    one_line(model("org/tiny"), ModelError, "Connect", "check the connection, or give a local copy")
    one_line(lambda: read_hub(HubName.parse("org/texts")), CorpusError, "check the connection")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    one_line(model("org/tiny"), ModelError, "no copy in the cache, and HF_HUB_OFFLINE is set")


def test_a_data_set_without_tables_is_one_line(hub, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "README.md").write_text("# Nothing")
    with serve({}, datasets={"org/bare": tmp_path / "bare"}) as server:
        hub(server)
        one_line(
            lambda: read_hub(HubName.parse("org/bare")), CorpusError, "corpus org/bare: found", "contain any data files"
        )


def test_a_recipe_goes_on_where_one_model_is_gated(tiny_folder, data_folder, hub, tmp_path, monkeypatch, capsys):
    other = make_model(tmp_path / "other", seed=1)
    recipe = tmp_path / "hub.toml"
    recipe.write_text(
        'corpus = "org/texts"\npermutations = 100\ncontrols = []\nmetrics = ["between_class_variance"]\n'
        'models = [{ aligned = "org/gated" }, { aligned = "org/open" }]\n'
    )
    monkeypatch.chdir(tmp_path)
    repos = {"org/gated": tiny_folder, "org/open": other}
    with serve(repos, datasets={"org/texts": data_folder}, gated=("org/gated",)) as server:
        hub(server)
        monkeypatch.setattr(sys, "argv", ["isogloss", "audit", str(recipe), "--store", "store", "--json"])
        with pytest.raises(SystemExit) as stop:
            app.main()
    assert stop.value.code == 1
    first, second = json.loads(capsys.readouterr().out)
    assert "a gated repository" in first["error"]
    assert second["error"] is None
    assert (Path(second["folder"]) / "audit.json").is_file()


def test_the_stand_in_serves_what_is_on_disk(tiny_folder, hub, tmp_path):
    """A test of the tests: other bytes on the server are other bytes in the cache."""
    changed = shutil.copytree(tiny_folder, tmp_path / "changed")
    make_adapter(tiny_folder, tmp_path / "adapter", seed=5)
    shutil.copy(tmp_path / "adapter" / "adapter_model.safetensors", changed / "model.safetensors")
    with serve({"org/tiny": changed}) as server:
        hub(server)
        assert fetch(ModelRef.parse("org/tiny")).base_sha256 != fetch(ModelRef(base=str(tiny_folder))).base_sha256
