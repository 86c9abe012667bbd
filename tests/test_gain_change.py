"""What tuning did to gains: the numbers of two audits, paired over texts."""

import math

import numpy as np
import pytest

import isogloss
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.tuning.gain_change import compare_gains, gain_change
from test_mean_gap import exact, mean_of


def test_numbers_by_hand():
    before = {"hi": exact(0.0), "en": exact(0.4)}
    after = {"hi": exact(0.3), "en": exact(0.5)}
    found = compare_gains(before, after, weak=["hi"], pivot="en", texts=9)
    assert [one.language for one in found.languages] == ["en", "hi"]
    assert [one.change for one in found.languages] == pytest.approx([0.1, 0.3])
    assert (found.pivot_ratio, found.pivot_ratio_low, found.pivot_ratio_high) == pytest.approx((1.25, 1.25, 1.25))
    assert found.gap.value == pytest.approx(0.2 / 0.4)
    assert compare_gains(before, after, weak=[], pivot="en", texts=9).gap is None


def test_a_first_gain_of_zero_leaves_no_share():
    found = compare_gains({"en": exact(0.0)}, {"en": exact(0.1)}, weak=[], pivot="en", texts=9)
    assert math.isnan(found.pivot_ratio)
    assert math.isnan(found.pivot_ratio_low)
    both = {"en": exact(0.1), "hi": exact(0.1)}
    assert math.isnan(compare_gains(both, both, weak=["hi"], pivot="en", texts=9).gap.value)


def test_changes_of_all_languages_hold_together_and_pairs_pair_them():
    """Six languages, the same noise before and after but for a part: every interval holds in 95 % of runs."""
    rng, n, runs, covered, kept = np.random.default_rng(2), 60, 400, 0, 0
    truth = {"en": (0.4, 0.3), **dict.fromkeys(("hi", "am", "de", "ar", "ru"), (0.0, 0.1))}
    for _ in range(runs):
        before, after = {}, {}
        for number, (code, (first, second)) in enumerate(truth.items()):
            shared, own = rng.normal(0, 0.4, n), rng.normal(0, 0.1, n)
            before[code] = mean_of(first + shared, 1000 * number)
            after[code] = mean_of(second + shared + own, 1000 * number)
        found = compare_gains(before, after, weak=["hi"], pivot="en", texts=n)
        wanted = {code: second - first for code, (first, second) in truth.items()}
        covered += all(one.low <= wanted[one.language] <= one.high for one in found.languages)
        kept += found.pivot_ratio_low <= 0.3 / 0.4 <= found.pivot_ratio_high
        assert max(one.high - one.low for one in found.languages) < 0.12  # 0.29 and more if texts were not paired
    assert 0.92 <= covered / runs <= 0.98
    assert 0.92 <= kept / runs <= 0.98


def test_gains_are_those_of_audits_on_the_same_texts(parallel_file, tiny_folder, adapter_folder, tmp_path):
    corpus, store = isogloss.load_corpus(parallel_file), tmp_path / "store"
    base = ModelRef(base=str(tiny_folder))
    models = {
        "before": ModelRef(base=base.base, random_seed=1),
        "after": ModelRef(base=base.base, adapter=str(adapter_folder)),
    }
    found = gain_change(base, models["before"], models["after"], corpus, weak=["de"], store=store, device="cpu")
    assert found.languages[0].language == "en"
    assert {one.language for one in found.languages} == set(corpus.languages)
    for name, aligned in models.items():
        pair = ModelPair(name=name, reference=base, aligned=aligned, source="test")
        audit = isogloss.audit(pair, corpus, store=store, device="cpu")
        for one in found.languages:
            (row,) = (
                row
                for row in audit.find(
                    kind="gain", language=one.language, metric="between_class_variance", components=10, sample="all"
                )
                if row.layer_name == audit.primary.layer
            )
            assert getattr(one, name) == pytest.approx(row.estimate.value)
            assert one.change == pytest.approx(one.after - one.before)
            assert found.texts == row.estimate.n
            assert found.approximate == row.estimate.approximate
    assert "fewer than 200 texts" in found.approximate
