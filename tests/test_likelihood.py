"""Bits of texts: those of transformers' own loss, whatever the batch; kept in the store; a fair count of characters."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import isogloss
from conftest import make_tokenizer
from isogloss.data.corpus import Corpus
from isogloss.errors import ModelError
from isogloss.likelihoods import lm_head as likelihood
from isogloss.likelihoods.cached import locate_bits
from isogloss.likelihoods.compute import scored_characters
from isogloss.likelihoods.fill import fill_bits
from isogloss.likelihoods.lm_head import check_head, text_bits
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode
from isogloss.progress import silent
from running import PLAIN

TEXTS = ["a", "two words", "and a somewhat longer sentence that pads all others", "two words", "final one, Straße."]
SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


@pytest.fixture
def rows(tiny):
    return encode(tiny.tokenizer, TEXTS).ids


def other_architecture(folder, name, **settings):
    """A model of another class with weights large enough that its logits differ, loaded as the package does."""
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**SIZES, **settings))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return load_model(fetch(ModelRef(base=str(folder))), device="cpu")


def transformers_bits(model, row):
    """What transformers' own loss says of one text without padding."""
    ids = torch.tensor([row])
    with torch.inference_mode():
        return float(model.causal(input_ids=ids, labels=ids).loss) * (len(row) - 1) / math.log(2)


def test_bits_equal_the_loss_of_transformers_for_single_texts(tiny, rows):
    bits = text_bits(tiny, rows, execution=PLAIN)
    assert (bits.dtype, bits.shape) == (np.float64, (5,))
    np.testing.assert_allclose(bits, [transformers_bits(tiny, row) for row in rows], rtol=1e-4)
    assert bits[1] == bits[3]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Gemma2", {"head_dim": 16, "final_logit_softcapping": 0.7}),
        ("Cohere", {"logit_scale": 0.25}),
        ("Granite", {"logits_scaling": 3.0}),
    ],
)
def test_what_an_architecture_does_to_its_logits_is_done(name, settings, rows, tmp_path):
    model = other_architecture(tmp_path, name, **settings)
    check_head(model)
    expected = np.array([transformers_bits(model, row) for row in rows])
    np.testing.assert_allclose(text_bits(model, rows, execution=PLAIN), expected, rtol=1e-4)
    with torch.inference_mode():
        row = torch.tensor(rows[2])
        raw = model.causal.get_output_embeddings()(model.decoder(input_ids=row[None]).last_hidden_state)[0]
        without = float(torch.nn.functional.cross_entropy(raw[:-1], row[1:], reduction="sum")) / math.log(2)
    assert abs(without / expected[2] - 1) > 0.005  # fifty times what the agreement above allows


def test_an_unknown_step_after_the_head_is_refused(tiny, rows, corpus, tmp_path, monkeypatch):
    def shifted(module, args, output):
        output.logits = output.logits + torch.linspace(0, 5, output.logits.shape[-1])
        return output

    check_head(tiny)
    tiny.causal.register_forward_hook(shifted)
    monkeypatch.setattr("isogloss.likelihoods.compute.load_model", lambda *args, **kwargs: tiny)
    found = locate_bits({"aligned": fetch(ModelRef(base=tiny.tokenizer.name_or_path))}, corpus, store=tmp_path)
    with pytest.raises(ModelError, match="step after the LM head of Gemma3ForCausalLM"):
        fill_bits(found.values())
    assert found["aligned"].missing == ("de", "en")
    tiny.causal.get_output_embeddings = lambda: None
    with pytest.raises(ModelError, match="no LM head in Gemma3ForCausalLM"):
        text_bits(tiny, rows, execution=PLAIN)


def test_batches_and_parts_of_a_batch_make_no_difference(tiny, monkeypatch):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc def."), size=int(n))) + "x" for n in rng.integers(1, 90, size=40)]
    rows = encode(tiny.tokenizer, texts).ids
    together = text_bits(tiny, rows, execution=replace(PLAIN, token_budget=10_000, overhead=10**6))
    np.testing.assert_allclose(
        text_bits(tiny, rows, execution=replace(PLAIN, token_budget=1, overhead=10**6)), together, rtol=1e-5
    )
    sizes = []
    logits = likelihood._logits
    monkeypatch.setattr(likelihood, "LOGITS", 7 * 300)
    monkeypatch.setattr(likelihood, "_logits", lambda model, states: sizes.append(len(states)) or logits(model, states))
    np.testing.assert_allclose(
        text_bits(tiny, rows, execution=replace(PLAIN, token_budget=10_000, overhead=10**6)), together, rtol=1e-5
    )
    scored = sum(len(row) - 1 for row in set(rows))
    assert max(sizes) == 7
    assert sum(sizes) == scored  # padding and BOS never reach the head


def test_a_model_that_knows_nothing_needs_the_log_of_its_vocabulary(tiny, rows):
    tiny.causal.lm_head.weight = torch.nn.Parameter(torch.zeros(300, 32))
    np.testing.assert_allclose(
        text_bits(tiny, rows, execution=PLAIN), [(len(row) - 1) * math.log2(300) for row in rows], rtol=1e-6
    )


def test_the_first_token_is_free_and_no_rows_are_no_bits(tiny):
    assert text_bits(tiny, [(1,), (7,)], execution=PLAIN).tolist() == [0.0, 0.0]
    assert text_bits(tiny, [], execution=PLAIN).shape == (0,)
    shorter, longer = text_bits(tiny, [(5, 9), (5, 9, 9)], execution=PLAIN)
    assert 0 < shorter < longer


def test_likelihoods_that_are_not_finite_are_refused_by_name(corpus, tiny_folder, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        return np.where(np.arange(10) < 3, text_bits(*args, **kwargs), np.nan)

    monkeypatch.setattr("isogloss.likelihoods.compute.text_bits", broken)
    found = locate_bits({"aligned": fetch(ModelRef(base=str(tiny_folder)))}, corpus, store=tmp_path)
    first = corpus.part("de")["text_id"][3]
    with pytest.raises(
        ModelError, match=rf"under {tiny_folder}: .*undefined ones of 7 of 10; the first is text {first};"
    ):
        fill_bits(found.values())
    assert found["aligned"].missing == ("de", "en")


def test_every_text_advances_the_progress_once(tiny, rows):
    steps = []
    text_bits(tiny, rows, execution=replace(PLAIN, token_budget=40, overhead=10**6), advance=steps.append)
    assert sum(steps) == len(rows)


@pytest.fixture
def corpus(parallel_file):
    """The harmless texts of the parallel file, ten of each language."""
    frame = isogloss.load_corpus(parallel_file).frame.filter(~pl.col("harmful"))
    frame = frame.with_columns(pair_id=pl.lit(None, dtype=pl.String))
    return Corpus(name="sample", frame=frame.group_by("language", maintain_order=True).head(10))


def test_bits_are_kept_in_the_store_and_a_second_audit_loads_nothing(corpus, tiny_folder, adapter_folder, tmp_path):
    refs = {
        "aligned": ModelRef(base=str(tiny_folder), adapter=str(adapter_folder)),
        "reference": ModelRef(base=str(tiny_folder)),
        "random": ModelRef(base=str(tiny_folder), random_seed=0),
    }
    checkpoints = {role: fetch(ref) for role, ref in refs.items()}
    shown = []

    def track(description, total):
        shown.append((description, total))
        return silent(description, total)

    found = locate_bits(checkpoints, corpus, store=tmp_path)
    assert [one.missing for one in found.values()] == [("de", "en")] * 3
    assert fill_bits(found.values(), track=track) == 6
    assert shown[0] == ("Reading likelihoods", 60)
    assert {total for _, total in shown[1:]} == {10}
    assert [name for name, _ in shown[1:3]] == ["base, de", "base, en"]
    assert len(shown) == 7
    for checkpoint, one in zip(checkpoints.values(), found.values(), strict=True):
        model = load_model(checkpoint, device="cpu")
        texts = corpus.part("de")["text"].to_list()
        with use_checkpoint(model, checkpoint):
            expected = text_bits(model, encode(model.tokenizer, texts).ids, execution=PLAIN)
        np.testing.assert_allclose(one.bits("de"), expected, rtol=1e-5)
        assert one.characters("de").tolist() == [len(text) for text in texts]
        assert one.bits_per_character("de") == pytest.approx(expected.sum() / sum(map(len, texts)), rel=1e-5)
    assert len({one.bits_per_character("en") for one in found.values()}) == 3
    assert _second_run_imports_torch(tmp_path, tiny_folder, corpus) == "0 False"


def _second_run_imports_torch(store, folder, corpus):
    """Parts computed, and whether torch was imported, by a fresh process that wants what is stored."""
    corpus.frame.write_parquet(store / "sample.parquet")
    script = f"""
import sys
import polars
from isogloss.likelihoods.fill import fill_bits
from isogloss.likelihoods.cached import locate_bits
from isogloss.data.corpus import Corpus
from isogloss.models.checkpoints import fetch
from isogloss.models.pairs import ModelRef
corpus = Corpus(name="sample", frame=polars.read_parquet({str(store / "sample.parquet")!r}))
found = locate_bits({{"aligned": fetch(ModelRef(base={str(folder)!r}))}}, corpus, store={str(store)!r})
print(fill_bits(found.values()), "torch" in sys.modules)
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_a_smaller_sample_reads_the_larger_one_and_other_settings_do_not(corpus, tiny_folder, tmp_path):
    checkpoints = {"aligned": fetch(ModelRef(base=str(tiny_folder)))}
    large = locate_bits(checkpoints, corpus, store=tmp_path)
    fill_bits(large.values())
    small = Corpus(name="small", frame=corpus.frame.filter(pl.col("language") == "en")[3:7])
    found = locate_bits(checkpoints, small, store=tmp_path)["aligned"]
    assert found.missing == ()
    np.testing.assert_array_equal(found.bits("en"), large["aligned"].bits("en")[3:7])
    for other in ({"max_tokens": 8}, {"dtype": "bfloat16"}):
        assert locate_bits(checkpoints, small, store=tmp_path, **other)["aligned"].missing == ("en",)


def test_a_text_that_is_cut_counts_only_the_characters_that_were_scored(corpus, tiny_folder, tmp_path):
    found = locate_bits({"aligned": fetch(ModelRef(base=str(tiny_folder)))}, corpus, max_tokens=8, store=tmp_path)
    fill_bits(found.values())
    assert found["aligned"].characters("en").tolist() == [7] * 10  # BOS and seven letters


def test_characters_without_a_bos_leave_out_the_first_token(tiny, tiny_folder, tmp_path):
    texts = ["abc", "Straße"]
    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {"post_processor": None}))
    bare = load_model(fetch(ModelRef(base=str(folder))), device="cpu").tokenizer
    assert scored_characters(tiny.tokenizer, texts, encode(tiny.tokenizer, texts), 512).tolist() == [3, 6]
    assert scored_characters(bare, texts, encode(bare, texts), 512).tolist() == [2, 5]
    # The cut falls inside ß, of which the one byte that was scored counts as a character.
    cut = encode(tiny.tokenizer, texts, max_tokens=6)
    assert scored_characters(tiny.tokenizer, texts, cut, 6).tolist() == [3, 5]
