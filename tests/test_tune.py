"""Preferences and the trainer: the right answer is chosen, the adapter loads back, the recipe is written down."""

import json

import pytest

import isogloss
from isogloss.errors import CorpusError, StoreError
from isogloss.models.adapters import use_checkpoint
from isogloss.models.fetch import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.tuning.answers import ENGAGED, REFUSALS
from isogloss.tuning.preferences import preferences

pytest.importorskip("trl")


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


def test_harmful_texts_prefer_a_refusal_and_harmless_ones_an_engaged_answer(corpus):
    records = preferences(corpus, languages=["en"], n=20, seed=0)
    harmful = {row.text: row.harmful for row in corpus if row.language == "en"}
    assert sum(harmful[record["prompt"]] for record in records) == 10
    for record in records:
        refusal, engaged = record["chosen"].strip(), record["rejected"].strip()
        if not harmful[record["prompt"]]:
            refusal, engaged = engaged, refusal
        assert refusal in REFUSALS["en"]
        assert engaged in ENGAGED["en"]
    assert len({record["text_id"] for record in records}) == 20


def test_the_draw_is_seeded(corpus):
    draws = [preferences(corpus, languages=["en"], n=20, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_too_few_texts_and_languages_without_answers_are_refused(corpus):
    with pytest.raises(CorpusError, match="30 harmful and 30 harmless"):
        preferences(corpus, languages=["en"], n=100, seed=0)
    with pytest.raises(CorpusError, match="no answers in de"):
        preferences(corpus, languages=["en", "de"], n=20, seed=0)


def test_an_adapter_is_trained_written_and_loaded_back(corpus, tiny_folder, tmp_path):
    config = isogloss.TuneConfig(steps=3, batch_size=4, rank=2, learning_rate=1e-2)
    base = ModelRef(base=str(tiny_folder))
    folder = isogloss.tune(base, corpus, tmp_path / "adapter", config=config, device="cpu")
    record = json.loads((folder / "isogloss_tune.json").read_text())
    assert record["base_sha256"] == fetch(base).base_sha256
    assert record["recipe"]["steps"] == 3
    assert len(record["trained_text_ids"]) == 12
    assert {row.text_id for row in corpus if row.language == "en"} >= set(record["trained_text_ids"])
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    before = model.blocks[0].mlp.down_proj.weight.detach().clone()
    with use_checkpoint(model, checkpoint):
        changed = (model.blocks[0].mlp.down_proj.weight - before).abs().max()
    assert changed > 0
    with pytest.raises(StoreError, match="choose another --out"):
        isogloss.tune(base, corpus, folder, config=config, device="cpu")


def test_answer_tokens_only_gives_the_log_probabilities_of_the_full_head(tiny_folder):
    """The shortcut in `tune` changes where the head is applied, not what it says."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from isogloss.tuning.train import _answer_tokens_only

    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    add_fused_lm_head(model)
    ids = torch.tensor([[1, 10, 11, 12, 13, 14]])
    labels = ids.masked_fill(torch.arange(6) < 4, -100)
    with torch.no_grad():
        full = model(input_ids=ids, labels=labels, fused_lm_head=True).log_probs
        with _answer_tokens_only():
            short = model(input_ids=ids, labels=labels, fused_lm_head=True).log_probs
        logits = model(input_ids=ids).logits.log_softmax(-1)
    torch.testing.assert_close(short, full)
    torch.testing.assert_close(short[0, 3:], logits[0, [3, 4], [13, 14]], rtol=1e-4, atol=1e-4)
