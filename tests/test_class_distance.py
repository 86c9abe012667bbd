"""The class distance: against literal sums, in simulations with a known truth, and in verdicts."""

from dataclasses import replace

import numpy as np
import pytest

import isogloss
from conftest import parallel_rows
from isogloss import ModelPair, ModelRef
from isogloss.auditing.compare import GREW
from isogloss.stats.class_distance import score_class_distance, within_class_spread
from isogloss.stats.metric import StateBlock
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from planted import QUICK, load, plant, states

ROW = METRICS["class_distance"]


def make_draws(n, *, paired, permutations=50, extra=0):
    harmful = np.array([True, False] * n + [True] * extra)
    partners = np.arange(2 * n) ^ 1 if paired else None
    keys = [str(row // 2 if paired else row) for row in range(len(harmful))]
    return draw(harmful, partners, keys=keys, n_permutations=permutations, seed=0)


def score(x, draws, spread=None):
    (scored,) = score_class_distance(StateBlock(x=x, draws=draws, components=(2,), spread=spread), [ROW])
    return scored


def literal(x, harmful, partners):
    """Squared distance of the class means less the variance of their difference, from textbook formulas."""
    if partners is None:
        sides = [x[harmful], x[~harmful]]
        added = sum(side.var(axis=0, ddof=1).sum() / len(side) for side in sides)
        return ((sides[0].mean(axis=0) - sides[1].mean(axis=0)) ** 2).sum() - added
    differences = x[harmful] - x[partners[harmful]]
    return (differences.mean(axis=0) ** 2).sum() - differences.var(axis=0, ddof=1).sum() / len(differences)


@pytest.mark.parametrize(("paired", "extra"), [(True, 0), (False, 0), (False, 7)])
def test_value_and_influence_are_those_of_a_literal_delete_one_loop(paired, extra):
    draws = make_draws(12, paired=paired, extra=extra)
    x = np.random.default_rng(1).normal(size=(len(draws.harmful), 5)) + draws.harmful[:, None]
    scored = score(x, draws, spread=2.0)
    assert scored.jackknife.value == pytest.approx(literal(x, draws.harmful, draws.partners) / 4)
    left_out = []
    for unit in range(len(draws.units)):
        kept = draws.unit_of_row != unit
        partners = None if draws.partners is None else (np.cumsum(kept) - 1)[draws.partners[kept]]
        left_out.append(literal(x[kept], draws.harmful[kept], partners) / 4)
    left_out = np.array(left_out)
    if paired:
        variance = 11 / 12 * ((left_out - left_out.mean()) ** 2).sum()
    else:
        sides = [left_out[draws.harmful], left_out[~draws.harmful]]
        variance = sum((len(side) - 1) / len(side) * ((side - side.mean()) ** 2).sum() for side in sides)
    assert scored.jackknife.se == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("paired", [True, False])
def test_the_null_is_the_estimate_under_each_permutation(paired):
    draws = make_draws(10, paired=paired, permutations=20)
    x = np.random.default_rng(2).normal(size=(20, 4)) + draws.harmful[:, None]
    scored = score(x, draws, spread=1.0)
    expected = [literal(x, labels, draws.partners) for labels in draws.permutations]
    assert scored.null == pytest.approx(np.array(expected))


def test_without_a_reference_the_unit_is_the_spread_of_the_block_itself():
    draws = make_draws(30, paired=False)
    x = np.random.default_rng(3).normal(size=(60, 4)) + draws.harmful[:, None]
    assert score(x, draws).plug_in == pytest.approx(score(100 * x, draws).plug_in)
    spread = within_class_spread(x, draws.harmful)
    assert score(x, draws).plug_in == pytest.approx(score(x, draws, spread=spread).plug_in)


def test_classes_without_spread_have_no_distance_but_a_reason():
    draws = make_draws(10, paired=False)
    scored = score(np.where(draws.harmful, 1.0, 0.0)[:, None], draws)
    assert scored.jackknife is None
    assert scored.reason == "the texts that give the unit do not vary"


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_the_estimate_is_unbiased_and_its_interval_covers_the_truth(paired, shift):
    """Also where the classes do not differ and the statistic is of second order."""
    draws = make_draws(40, paired=paired, permutations=0)
    rng = np.random.default_rng([4, int(10 * shift), paired])
    values, covered = [], 0
    for _ in range(400):
        shared = np.repeat(rng.normal(size=(40, 8)), 2, axis=0) if paired else 0.0
        x = shared + rng.normal(size=(80, 8)) * np.linspace(1, 0.2, 8)
        x[:, 2] += shift * draws.harmful
        jackknife = score(x, draws, spread=1.0).jackknife
        bounds = jackknife.interval()
        values.append(jackknife.value)
        covered += bounds.low <= shift**2 <= bounds.high
    assert np.mean(values) == pytest.approx(shift**2, abs=4 * np.std(values) / np.sqrt(len(values)))
    assert covered / 400 >= 0.92


def test_a_fall_of_the_share_alone_is_no_reversal(monkeypatch, tiny_folder, adapter_folder, tmp_path):
    """In German all texts spread out and the classes stay where they are; in Hindi the classes move together."""

    def hidden_of(role, code, part, layer):
        harmful = part["harmful"].to_numpy()
        aligned = role == "aligned"
        shift = {"en": 1.0 + 2.0 * aligned, "de": 2.0, "hi": 2.0 - 1.5 * aligned}[code]
        hidden = states([*code.encode(), layer.index], harmful, shift)
        if code == "de" and aligned:
            hidden[:, 1] *= 6.0
        return hidden

    plant(monkeypatch, hidden_of)
    corpus = load(tmp_path / "pairs.jsonl", parallel_rows(n=150, languages=("en", "de", "hi")))
    base = ModelRef(base=str(tiny_folder))
    pair = ModelPair(name="tiny", reference=base, aligned=replace(base, adapter=str(adapter_folder)), source="test")
    audit = isogloss.audit(pair, corpus, config=QUICK, device="cpu")
    german, hindi = audit.verdict("de"), audit.verdict("hi")
    assert german.high < 0
    assert (german.verdict, german.reason) == ("inconclusive", GREW)
    assert (hindi.verdict, hindi.reason) == ("reversed", None)
    assert [warning.language for warning in audit.warnings if warning.code == "S014"] == ["de"]
    assert "S006" not in {warning.code for warning in audit.warnings}
    findings = {finding.language: finding for finding in isogloss.gate(audit, {"no_reversed": True}).findings}
    assert findings["de"].verdict == "inconclusive"
    assert findings["de"].reason == "the distance between the classes did not clearly fall"
    assert findings["hi"].verdict == "fail"
