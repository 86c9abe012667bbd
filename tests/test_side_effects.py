"""Side effects: a model has none against itself, a model that refuses all is caught, and no trained text is read."""

import json
import math

import numpy as np
import pytest

import isogloss
from isogloss.errors import CorpusError, UsageError
from isogloss.likelihoods.answers import answers
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.tuning import side_effect_reading
from isogloss.tuning.side_effect_reading import Reading, draw_texts
from isogloss.tuning.side_effects import (
    SideEffectConfig,
    SideEffects,
    compare_readings,
    side_effects,
    side_effects_of_descendants,
)


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


def pair(reference, aligned):
    return ModelPair(name="own", reference=reference, aligned=aligned, source="test")


def test_a_model_beside_itself_costs_nothing(corpus, tiny_folder):
    ref = ModelRef(base=str(tiny_folder))
    found = side_effects(pair(ref, ref), corpus, config=SideEffectConfig(texts=10, generate=4), device="cpu")
    assert [one.language for one in found.languages] == ["de", "en"]
    for one in found.languages:
        assert (one.harmless, one.harmful, one.generated) == (10, 10, 4)
        assert one.bits_before == one.bits_after > 0
        assert (one.utility_loss, one.utility_loss_high) == pytest.approx((0, 0), abs=1e-12)
        assert (one.over_refusal_before, one.margin_before) == (one.over_refusal, one.margin)
    record = json.loads(found.to_json())
    assert record["needed"] == 59
    assert record["languages"][0]["language"] == "de"
    again = SideEffects.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again.needed == 59


def test_numbers_are_those_of_the_parts(corpus, tiny_folder, adapter_folder):
    """Bits and log-odds of one text, by transformers' own loss and logits."""
    import torch

    from isogloss.likelihoods.packed_answers import answer_ids
    from isogloss.models.checkpoints import fetch
    from isogloss.models.load import load_model
    from isogloss.models.prompts import encode

    before = ModelRef(base=str(tiny_folder))
    after = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    (one,) = side_effects(
        pair(before, after), corpus, config=SideEffectConfig(texts=1, languages=("en",)), device="cpu"
    ).languages
    (part,) = draw_texts(corpus, ["en"], texts=1, generate=0, seed=0)
    model = load_model(fetch(before), device="cpu")

    def likelihood(prompt, answer):
        ids = torch.tensor([prompt + answer])
        labels = ids.masked_fill(torch.arange(ids.shape[1]) < len(prompt), -100)
        with torch.inference_mode():
            return -float(model.causal(input_ids=ids, labels=labels).loss) * len(answer)

    prompt = encode(model.tokenizer, part.harmless).ids[0]
    assert one.bits_before == pytest.approx(
        -likelihood(prompt[:1], prompt[1:]) / math.log(2) / len(part.harmless[0]), rel=1e-4
    )
    prompt = encode(model.tokenizer, part.harmful).ids[0]
    sides = [
        np.mean(
            [np.exp(likelihood(prompt, row) + 100) for row in answer_ids(model.tokenizer, answers("en", side, "score"))]
        )
        for side in ("refusal", "engaged")
    ]
    assert one.margin_before == pytest.approx(math.log(sides[0] / sides[1]), rel=1e-3)
    assert one.bits_after != one.bits_before


def reading(harmless_odds, harmful_odds, bits=10.0, refused=0):
    n = len(harmless_odds)
    return Reading(
        bits=np.full(n, bits),
        characters=np.full(n, 5),
        harmless_odds=np.array(harmless_odds),
        harmful_odds=np.array(harmful_odds),
        generated=4,
        refused=refused,
    )


def test_descendants_are_measured_together_as_alone(corpus, tiny_folder, adapter_folder):
    reference = ModelRef(base=str(tiny_folder))
    aligned = {"same": reference, "tuned": ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))}
    config = SideEffectConfig(texts=4, generate=2)
    together = side_effects_of_descendants(reference, aligned, corpus, config=config, device="cpu")
    for name, ref in aligned.items():
        pair = ModelPair(name=name, reference=reference, aligned=ref, source="test")
        assert together[name] == side_effects(pair, corpus, config=config, device="cpu")
    assert together["same"].languages != together["tuned"].languages


def test_a_model_that_refuses_all_is_caught():
    before = reading([-1.0] * 60, [-1.0] * 60)
    after = reading([2.0] * 60, [3.0] * 60, bits=11.0, refused=4)
    found = compare_readings("en", before, after)
    assert (found.over_refusal_before, found.over_refusal, found.over_refusal_high) == (0, 1, 1)
    assert (found.refusal_before, found.refusal, found.margin_before, found.margin) == (0, 1, -1, 3)
    assert (found.bits_before, found.utility_loss) == pytest.approx((2, 0.1))
    assert (found.greedy_refusal, found.greedy_refusal_high) == (1, 1)
    calm = compare_readings("en", before, reading([-2.0] * 60, [3.0] * 60))
    assert (calm.over_refusal, calm.over_refusal_high < 0.05) == (0, True)


def test_log_odds_of_exactly_zero_are_no_refusal():
    assert compare_readings("en", reading([0.0], []), reading([0.0], [])).over_refusal == 0


def test_texts_that_were_trained_on_are_left_out_with_their_pairs(
    corpus, tiny_folder, tmp_path, adapter_folder, monkeypatch
):
    import shutil

    adapter = shutil.copytree(adapter_folder, tmp_path / "adapter")
    trained = corpus.part("en")["text_id"].to_list()[:10]
    (adapter / "isogloss_tune.json").write_text(json.dumps({"trained_text_ids": trained}))
    seen = []
    monkeypatch.setattr(
        side_effect_reading, "_read", lambda model, part, **_: seen.append(part) or reading([0.0], [0.0])
    )
    after = ModelRef(base=str(tiny_folder), adapter=str(adapter))
    found = side_effects(pair(ModelRef(base=str(tiny_folder)), after), corpus, device="cpu")
    pairs = set(corpus.part("en").filter(corpus.part("en")["text_id"].is_in(trained))["pair_id"])
    assert found.left_out == 2 * len(pairs)
    read = {text for part in seen if part.language == "en" for text in (*part.harmless, *part.harmful)}
    unseen = corpus.part("en").filter(~corpus.part("en")["pair_id"].is_in(list(pairs)))
    assert read == set(unseen["text"])


def test_a_smaller_draw_is_part_of_a_larger_one(corpus):
    small, large = (draw_texts(corpus, ["en"], texts=n, generate=0, seed=0)[0] for n in (5, 20))
    assert small.harmless == large.harmless[:5]
    assert draw_texts(corpus, ["en"], texts=5, generate=0, seed=1)[0].harmless != small.harmless


def test_what_cannot_be_measured_is_refused(corpus, labelled_file, tiny_folder, tmp_path):
    import polars as pl

    ref = ModelRef(base=str(tiny_folder))
    with pytest.raises(UsageError, match="no reference"):
        side_effects(pair(None, ref), corpus)
    with pytest.raises(CorpusError, match="no answers in ko"):
        draw_texts(corpus, ["ko"], texts=5, generate=0, seed=0)
    path = tmp_path / "harmful.csv"
    pl.read_csv(labelled_file).filter(pl.col("label") == 1).write_csv(path)
    with pytest.raises(CorpusError, match="side effects in en: found no harmless texts"):
        draw_texts(isogloss.load_corpus(path), None, texts=5, generate=0, seed=0)
    with pytest.raises(UsageError, match="0 texts"):
        SideEffectConfig(texts=0)
