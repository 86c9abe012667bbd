"""What is read back from a run folder, and what is refused."""

import json
from dataclasses import replace

import polars as pl
import pytest

import isogloss
from conftest import parallel_rows
from handmade import small_audit
from isogloss.errors import CorpusError, StoreError
from isogloss.report.lost_pairs import audited_texts, by_id
from isogloss.report.read_run import POINTS, read_run
from planted import load
from test_report_pairs import PLAIN, points


@pytest.fixture
def folder(tmp_path):
    small_audit().save(tmp_path)
    points(PLAIN).with_columns(pc1=0.5, pc2=None, fold=0).write_parquet(tmp_path / "points.parquet")
    (tmp_path / "run.json").write_text(json.dumps({"finished": "2026-11-21"}))
    return tmp_path


def test_a_run_is_read_back(folder):
    run = read_run(folder)
    assert run.audit == small_audit()
    assert run.record == {"finished": "2026-11-21"}
    assert dict(run.points.schema) == {name: dtype() for name, dtype in POINTS.items()}
    assert run.points["score"].null_count() == 0
    assert run.folder == folder


def test_a_run_without_a_record_is_whole(folder):
    (folder / "run.json").unlink()
    assert read_run(folder).record is None


def test_tables_of_analyses_are_read_if_they_are_there(folder):
    frame = pl.DataFrame({"pair_id": ["p"], "x": [1.0]})
    assert read_run(folder, frames=["other.parquet"]).frames == {}
    frame.write_parquet(folder / "other.parquet")
    assert read_run(folder).frames == {}
    assert read_run(folder, frames=["other.parquet"]).frames["other.parquet"].equals(frame)
    (folder / "other.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match=r"other\.parquet"):
        read_run(folder, frames=["other.parquet"])


def test_rows_of_analyses_that_are_not_known_are_skipped_and_named(folder):
    audit = small_audit()
    rows = [
        replace(audit.rows[0], kind="dream", metric=str(number), analysis=name, layer=None)
        for number, name in enumerate(("dreams", "dreams", "matched"))
    ]
    replace(audit, rows=(*audit.rows, *rows)).save(folder)
    assert len(read_run(folder).audit.rows) == len(audit.rows) + 3
    read = read_run(folder, known=("matched",)).audit
    assert [row.analysis for row in read.rows if row.analysis] == ["matched"]
    (warning,) = [warning for warning in read.warnings if warning.code == "A002"]
    assert warning.detail == "dreams: 2 rows"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "audit.json").unlink(), "no audit.json"),
        (lambda f: (f / "points.parquet").unlink(), "no points.parquet"),
        (lambda f: (f / "points.parquet").write_bytes(b"not a table"), "what an audit wrote"),
        (lambda f: pl.DataFrame({"text_id": ["a"]}).write_parquet(f / "points.parquet"), "pair_id"),
        (lambda f: points(PLAIN).with_columns(pc1=pl.lit("x"), pc2=0.0).write_parquet(f / "points.parquet"), "pc1|f64"),
        (lambda f: (f / "run.json").write_text("{"), "run.json: found"),
        (lambda f: (f / "run.json").write_bytes(b"\xff\xfe"), "run.json: found"),
    ],
)
def test_a_spoilt_run_is_one_line(spoil, words, folder):
    spoil(folder)
    with pytest.raises(StoreError, match=words) as caught:
        read_run(folder)
    assert "\n" not in str(caught.value)


def spoilt(**changes):
    """The small audit as JSON, changed."""
    return json.loads(small_audit().to_json()) | changes


def in_first_row(**changes):
    data = spoilt()
    data["rows"][0] |= changes
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (spoilt(corpus={}), "name or hash of the corpus"),
        (spoilt(models={"aligned": None}), "name or hash of the aligned model"),
        (spoilt(models={"reference": {}, "aligned": {"name": "a", "sha256": "b"}}), "name or hash of the reference"),
        (spoilt(config=[]), "no settings"),
        (spoilt(config=small_audit().config | {"level": 1.5}), "the level of confidence 1.5"),
        (spoilt(config=small_audit().config | {"position": 1}), "no position"),
        (spoilt(config=small_audit().config | {"seed": "x"}), "the seed 'x'"),
        (spoilt(config=small_audit().config | {"layers": 3}), "no layers"),
        (spoilt(config=small_audit().config | {"metrics": "auroc"}), "metrics that are no list"),
        (spoilt(config=small_audit().config | {"analyses": {"matched": "length"}}), "analyses that are no settings"),
        (spoilt(pivot="eo"), "no score of the pivot 'eo'"),
        (spoilt(rows=[]), "no score of the pivot"),
        (spoilt(primary={"metric": "m", "components": 10, "layer": "last"}), "the layer 'last'"),
        (spoilt(primary={"metric": "m", "components": True, "layer": "4"}), "components 'True'"),
        (spoilt(rows=spoilt()["rows"] * 2), "one number twice"),
        (in_first_row(language=7), "language '7'"),
        (in_first_row(layer=None), "a number without a layer"),
        (in_first_row(layer=4.0), "layer '4.0'"),
        (in_first_row(estimate=spoilt()["rows"][0]["estimate"] | {"low": "x"}), "low 'x'|strange field"),
        (spoilt(warnings=[{"code": "Z999", "detail": ""}]), "unknown warning code 'Z999'"),
    ],
)
def test_an_audit_that_no_audit_writes_is_one_line(data, words, folder):
    (folder / "audit.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(StoreError, match=words) as caught:
        read_run(folder)
    assert "\n" not in str(caught.value)


def test_the_audited_texts_are_drawn_again_and_proved(tmp_path):
    corpus = load(tmp_path / "t.jsonl", parallel_rows(n=40))
    sample = isogloss.data.curate.balance(corpus, per_class=25, seed=3)
    audit = small_audit(corpus={"name": "t.jsonl", "sha256": sample.sha256}, config={"per_class": 25, "seed": 3})
    found = audited_texts(audit, corpus)
    assert found == sample
    texts = by_id(found)
    assert len(texts) == 100
    assert {(one.text_id, one.text) for one in sample} == set(texts.items())


@pytest.mark.parametrize("change", ["a text", "a label", "a seed"])
def test_other_texts_are_refused(change, tmp_path):
    rows = parallel_rows(n=40)
    sample = isogloss.data.curate.balance(load(tmp_path / "t.jsonl", rows), per_class=25, seed=3)
    audit = small_audit(corpus={"name": "t.jsonl", "sha256": sample.sha256}, config={"per_class": 25, "seed": 3})
    if change == "a text":
        rows = [row | {"toxic": row["toxic"] + "!"} for row in rows]
    elif change == "a label":
        rows = [row | {"toxic": row["neutral"], "neutral": row["toxic"]} for row in rows]
    else:
        audit = small_audit(corpus=audit.corpus, config={"per_class": 25, "seed": 4})
    with pytest.raises(CorpusError, match=f"those of the audit, {sample.sha256[:12]}"):
        audited_texts(audit, load(tmp_path / "other.jsonl", rows))
