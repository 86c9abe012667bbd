"""Texts that an adapter was trained on: recognised under any name, and refused, dropped or marked."""

import json
import shutil

import polars as pl
import pytest

import isogloss
from conftest import parallel_rows
from handmade import small_audit
from isogloss.auditing.draw_sample import draw_sample
from isogloss.data.corpus import content_key, text_id
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, ModelError, StoreError, UsageError
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.trained_texts import leave_out_trained, mark_trained, trained_by
from isogloss.models.tuning_record import TrainedTexts, trained_texts
from isogloss.report.command import command
from isogloss.report.lost_pairs import audited_texts
from isogloss.result_checks import refuse_unsound


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


@pytest.fixture
def pair_of(tiny_folder, adapter_folder, tmp_path):
    """A pair whose adapter says that it was trained on some texts."""

    def build(**record):
        adapter = tmp_path / "adapter"
        if not adapter.exists():
            shutil.copytree(adapter_folder, adapter)
        (adapter / "isogloss_tune.json").write_text(json.dumps(record))
        base = ModelRef(base=str(tiny_folder))
        aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter))
        return ModelPair(name="own", reference=base, aligned=aligned, source="test")

    return build


def draw(pair, corpus, choice):
    return draw_sample(pair, corpus, split="all", choice=choice, per_class=None, seed=0)


def english(corpus, n=1):
    return corpus.part("en").head(n)


def test_trained_texts_are_refused_dropped_or_marked(corpus, pair_of):
    pair = pair_of(trained_content=[content_key(text) for text in english(corpus, 3)["text"]])
    with pytest.raises(ModelError, match="trained on 3 of the 120 texts"):
        draw(pair, corpus, "refuse")
    marked, left_out = draw(pair, corpus, "allow")
    assert (len(marked), left_out) == (120, ())
    assert [warning.code for warning in marked.warnings if warning.code in {"M008", "C008"}] == ["M008"]
    kept, left_out = draw(pair, corpus, "drop")
    pairs = set(english(corpus, 3)["pair_id"])
    assert len(left_out) == 2 * len(pairs)
    assert not pairs & set(kept.part("en")["pair_id"])
    assert "C008" in {warning.code for warning in kept.warnings}
    with pytest.raises(UsageError, match="--trained-texts: found 'ignore'"):
        draw(pair, corpus, "ignore")


def test_a_pair_that_was_trained_on_nothing_is_left_alone(corpus, pair_of):
    for record in ({}, {"trained_content": [content_key("another text")]}):
        for choice in ("refuse", "drop", "allow"):
            sample, left_out = draw(pair_of(**record), corpus, choice)
            assert (len(sample), left_out) == (120, ())
            assert not {"M008", "C008"} & {warning.code for warning in sample.warnings}


def test_a_copy_under_another_name_and_language_is_recognised(corpus, pair_of, tmp_path):
    text = english(corpus)["text"][0]
    copies = [{"text": f"  {text.upper()} ", "label": 1, "language": "de"}]
    copies += [{"text": f"{label} {i}", "label": label, "language": "de"} for i in range(20) for label in (0, 1)]
    path = tmp_path / "renamed.csv"
    pl.DataFrame(copies).write_csv(path)
    other = isogloss.load_corpus(path)
    assert int(mark_trained(other, TrainedTexts(content=frozenset([content_key(text)]))).sum()) == 1
    kept, left_out = leave_out_trained(other, TrainedTexts(content=frozenset([content_key(text)])))
    assert (len(kept), len(left_out)) == (40, 1)


def test_records_of_the_first_version_name_texts_by_language_and_content(corpus):
    row = english(corpus).row(0, named=True)
    assert row["text_id"] == text_id("en", row["text"])
    assert int(mark_trained(corpus, TrainedTexts(text_ids=frozenset([row["text_id"]]))).sum()) == 1


def test_the_embedded_adapter_knows_its_texts():
    found = trained_by([ModelRef.parse("embedded/gemma-3-270m+embedded/english-dpo")])
    assert (len(found.text_ids), len(found.content)) == (1440, 0)
    mini = isogloss.load_corpus("mini")
    assert int(mark_trained(mini, found).sum()) == 0


def test_the_embedded_adapter_is_caught_on_its_own_texts(shared_data):
    corpus = isogloss.load_corpus(shared_data / "parallel_paradetox_en.parquet")
    found = trained_by([ModelRef.parse("embedded/gemma-3-270m+embedded/english-dpo")])
    assert int(mark_trained(corpus, found).sum()) == 1440


def test_translations_of_a_trained_item_go_too():
    corpus = isogloss.load_corpus("mini", languages=["en", "am"])
    row = english(corpus).row(0, named=True)
    kept, left_out = leave_out_trained(corpus, TrainedTexts(text_ids=frozenset([row["text_id"]])))
    assert len(left_out) == 4
    assert row["item_id"] not in set(kept.frame["item_id"])
    assert kept.parallel


def test_a_corpus_that_was_trained_on_whole_is_refused(corpus):
    with pytest.raises(CorpusError, match="only texts that the adapter was trained on"):
        leave_out_trained(corpus, TrainedTexts(text_ids=frozenset(corpus.frame["text_id"])))


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"base_sha256": 3}', '{"trained_content": "all"}', '{"trained_text_ids": [3]}']
)
def test_a_strange_record_is_one_line(content, tmp_path):
    (tmp_path / "isogloss_tune.json").write_text(content)
    with pytest.raises(ModelError, match=r"isogloss_tune\.json: found .*remove this file"):
        trained_texts(tmp_path)


def test_a_run_that_left_out_something_strange_is_refused():
    for strange in (3, [3], "all"):
        corpus = {"name": "mini", "sha256": "c0", "left_out": strange}
        with pytest.raises(StoreError, match="left_out that is no list of words"):
            refuse_unsound(small_audit(corpus=corpus))


def test_an_audit_of_one_half_reads_that_half_and_can_be_found_again(pair_of, tmp_path):
    pl.DataFrame(parallel_rows(n=80)).write_csv(tmp_path / "more.csv")
    corpus = isogloss.load_corpus(tmp_path / "more.csv")
    training, held_out = split_corpus(corpus)
    pair = pair_of(trained_content=[content_key(text) for text in training.frame["text"]])
    spec = isogloss.ExtractSpec(layers=("2",))
    config = isogloss.AuditConfig(spec=spec, permutations=20, controls=(), metrics=(), split="held-out")
    found = isogloss.audit(pair, corpus, config=config, store=tmp_path / "store", device="cpu")
    assert found.config["split"] == "held-out"
    sample = audited_texts(found, corpus)
    assert set(sample.frame["text_id"]) <= set(held_out.frame["text_id"])
    assert not {"M008", "C008"} & {warning.code for warning in found.warnings}
    assert "--split held-out" in command(found)
    with pytest.raises(ModelError, match=r"texts of more\.csv to be scored"):
        draw_sample(pair, corpus, split="training", choice="refuse", per_class=None, seed=0)
    with pytest.raises(UsageError, match="--split: found 'half'"):
        draw_sample(pair, corpus, split="half", choice="refuse", per_class=None, seed=0)


def test_an_audit_refuses_drops_and_marks(corpus, pair_of, tmp_path):
    pair = pair_of(trained_text_ids=english(corpus, 2)["text_id"].to_list())
    spec = isogloss.ExtractSpec(layers=("2",))

    def run(choice):
        config = isogloss.AuditConfig(spec=spec, permutations=20, controls=(), metrics=(), trained_texts=choice)
        return isogloss.audit(pair, corpus, config=config, store=tmp_path / "store", device="cpu")

    with pytest.raises(ModelError, match="2 of the 120 texts"):
        run("refuse")
    allowed, dropped = run("allow"), run("drop")
    assert "M008" in {warning.code for warning in allowed.warnings}
    assert "C008" in {warning.code for warning in dropped.warnings}
    assert dropped.config["trained_texts"] == "drop"
    gone = set(english(corpus, 2)["pair_id"])
    assert len(dropped.corpus["left_out"]) == 2 * len(gone)
    # A report that shows texts finds the sample again from the whole corpus.
    assert audited_texts(dropped, corpus).sha256 == dropped.corpus["sha256"]
    assert "left_out" not in allowed.corpus
