"""What languages have in common: each estimator against a closed form, or where the truth is planted."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from isogloss.analyses.cross_lingual.directions import harm_directions
from isogloss.analyses.cross_lingual.frozen_components import frozen_share
from isogloss.analyses.cross_lingual.semantic_layers import HALVES, draw_halves, layer_map
from isogloss.analyses.cross_lingual.shared_folds import linked, share_folds
from isogloss.analyses.cross_lingual.shift_rank import effective_rank, shift_rank
from isogloss.analyses.cross_lingual.transfer import transfer_scores
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import cross_fit, fitted_scores, logit
from isogloss.stats.text_pairs import partner_index


def languages(n, codes=("en", "de"), *, shared=True, paired=True, permutations=50, seed=0, items=None):
    """Draws and links of `n` texts a class in each language, translations of each other or not."""
    draws, keys = {}, {}
    harmful = np.arange(2 * n) < n
    for code in codes:
        own = [f"item {i}" if shared else f"{code} {i}" for i in (items or {}).get(code, range(n))]
        names = own * 2 if paired else [f"{name} {side}" for side in "+-" for name in own]
        partners = partner_index(names, harmful) if paired else None
        draws[code] = draw(harmful, partners, keys=names, n_permutations=permutations, seed=seed)
        keys[code] = [[name] for name in names]
    return share_folds(draws, keys, seed)


def planted(rng, part, shift, *, content=None, noise=1.0):
    """Rows with a difference of the class means, and what is common to an item in all languages."""
    n = len(part.harmful)
    x = noise * rng.normal(size=(n, len(shift))) + np.where(part.harmful, 0.5, -0.5)[:, None] * np.asarray(shift)
    return x if content is None else x + content[part.items]


def axis(width, *numbers):
    return np.r_[numbers, np.zeros(width - len(numbers))]


# Parting


def test_whatever_is_linked_by_pair_item_or_words_shares_a_number():
    keys = [["en 1", "item 7"], ["en 1", "text a"], ["de 4", "item 7"], ["de 5", "text a"], ["de 6"]]
    assert linked(keys).tolist() == [0, 0, 0, 0, 1]


def test_translations_share_folds_and_groups_and_keep_those_of_their_language():
    parts = languages(40)
    for name in ("folds", "groups"):
        assert np.array_equal(getattr(parts["en"], name), getattr(parts["de"], name))
        assert np.array_equal(getattr(parts["en"], name), getattr(parts["en"].draws, name))


@pytest.mark.parametrize("paired", [True, False])
def test_items_that_only_some_languages_have_are_dealt_anew_and_never_part(paired):
    """Each language by itself deals its own items, so translations would come apart."""
    parts = languages(40, items={"en": range(40), "de": range(20, 60)}, paired=paired)
    en, de = parts["en"], parts["de"]
    alone = [dict(zip(one.items.tolist(), one.draws.folds.tolist(), strict=True)) for one in (en, de)]
    assert any(alone[0][item] != alone[1][item] for item in alone[0].keys() & alone[1].keys())
    for name in ("folds", "groups"):
        found = {}
        for one in (en, de):
            for item, fold in zip(one.items.tolist(), getattr(one, name).tolist(), strict=True):
                assert found.setdefault(item, fold) == fold
        assert len(set(found.values())) == {"folds": 5, "groups": 25}[name]


# Transfer


@pytest.mark.parametrize("paired", [True, False])
def test_on_its_own_language_the_probe_is_that_of_the_audit(paired):
    parts = languages(30, paired=paired)
    rng = np.random.default_rng(1)
    for width in (8, 200):  # fewer and more features than texts
        x = planted(rng, parts["en"], axis(width, 1.0))
        found = transfer_scores({"en": x, "de": x[::-1]}, parts)["en", "en"]
        draws = parts["en"].draws
        expected = fitted_scores(cross_fit(ridge_probe(x), draws), draws, [METRICS["auroc"]])[0]
        assert found.plug_in == pytest.approx(expected.plug_in, abs=1e-12)
        assert found.null == pytest.approx(expected.null, abs=1e-12)
        assert 0.4 < found.jackknife.se / expected.jackknife.se < 2.5


def test_transfer_is_that_of_probes_fitted_anew_without_fold_and_group():
    parts = languages(30, permutations=3)
    rng = np.random.default_rng(2)
    # Features that go together: of those that do not, the ridge leaves scores that differ by rounding only.
    mixed = rng.normal(size=(2, 6))
    hidden = {
        code: planted(rng, one, axis(2, 1.0)) @ mixed + 0.1 * rng.normal(size=(60, 6)) for code, one in parts.items()
    }
    found = transfer_scores(hidden, parts)["en", "de"]

    def by_hand(kept):
        mean, spread = hidden["en"].mean(axis=0), hidden["en"].std(axis=0)
        both = np.vstack([hidden["en"], hidden["de"]])
        scores = np.empty(60)
        for fold in range(5):
            train = np.r_[(parts["en"].folds != fold) & kept, np.zeros(60, dtype=bool)]
            probe = _ridge((both - mean) / spread, parts["en"].harmful[train[:60]], train, ridge_of(hidden["en"]))
            test = parts["de"].folds == fold
            scores[test] = probe[60:][test]
        partners = partner_index(parts["de"].items[kept], parts["de"].harmful[kept])
        labels = parts["de"].harmful[None, kept]
        return METRICS["auroc"].many(scores[None, kept], labels, partners, parts["de"].folds[kept])[0]

    assert found.plug_in == pytest.approx(by_hand(np.ones(60, dtype=bool)), abs=1e-12)
    left = np.array([by_hand(parts["de"].groups != group) for group in range(25)])
    logits = logit(left, 30)
    assert found.jackknife.se == pytest.approx(np.sqrt(24 / 25 * ((logits - logits.mean()) ** 2).sum()), rel=1e-9)
    assert found.jackknife.df == 24


def ridge_of(x):
    from isogloss.stats.probe import ledoit_wolf_ridge, standardised

    z, _, _ = standardised(x)
    return ledoit_wolf_ridge(z @ z.T, x.shape[1])


def _ridge(z, labels, train, ridge):
    """Scores of all rows by ridge regression with an intercept, from its normal equations."""
    rows, targets = z[train], labels.astype(float)
    centred = rows - rows.mean(axis=0)
    weights = np.linalg.solve(centred.T @ centred + ridge * np.eye(z.shape[1]), centred.T @ (targets - targets.mean()))
    return (z - rows.mean(axis=0)) @ weights


def test_translations_do_not_leak():
    """Every item has a mark of its own in both languages and nothing else tells the classes apart.

    A probe that has seen the translation of a text knows its label; the test shows that leaking would give 1.
    """
    parts = languages(40, paired=False, items={"en": range(40), "de": range(20, 60)})
    marks = np.random.default_rng(3).normal(size=(200, 300))
    hidden = {code: marks[one.items] for code, one in parts.items()}
    found = transfer_scores(hidden, parts)["en", "de"]
    assert 0.3 < found.plug_in < 0.7
    rng = np.random.default_rng(4)
    leaking = {code: replace(one, folds=rng.integers(5, size=80)) for code, one in parts.items()}
    both = np.isin(leaking["de"].items, leaking["en"].items)
    apart = {"en": leaking["en"], "de": replace(leaking["de"], folds=(leaking["de"].folds + both) % 5)}
    assert transfer_scores(hidden, apart)["en", "de"].plug_in > found.plug_in + 0.15


def test_independent_directions_do_not_transfer_and_a_common_one_does():
    values = {"other": [], "same": []}
    for seed in range(8):
        parts = languages(50, shared=False, seed=seed, permutations=0)
        rng = np.random.default_rng(seed)
        en = planted(rng, parts["en"], axis(20, 3.0))
        for name, shift in (("other", axis(20, 0.0, 3.0)), ("same", axis(20, 3.0))):
            de = planted(rng, parts["de"], shift)
            values[name].append(transfer_scores({"en": en, "de": de}, parts)["en", "de"].plug_in)
    assert np.mean(values["other"]) == pytest.approx(0.5, abs=0.05)
    assert np.mean(values["same"]) > 0.85


def test_the_interval_of_a_transfer_holds_what_it_says():
    """Against the mean over many draws of both languages, the expected score of such a probe."""
    values, intervals = [], []
    for seed in range(50):
        parts = languages(30, shared=False, seed=seed, permutations=0)
        rng = np.random.default_rng(seed)
        hidden = {code: planted(rng, one, axis(5, 1.2)) for code, one in parts.items()}
        score = transfer_scores(hidden, parts)["en", "de"]
        values.append(score.plug_in)
        bounds = score.jackknife.interval()
        intervals.append([1 / (1 + np.exp(-bounds.low)), 1 / (1 + np.exp(-bounds.high))])
    low, high = np.array(intervals).T
    assert ((low <= np.mean(values)) & (np.mean(values) <= high)).mean() >= 0.9


# Harm directions


def test_a_planted_angle_is_recovered_where_the_estimated_directions_hide_it():
    """Width 100, 60 texts a class: most of the estimated direction is noise."""
    truth = 0.6
    corrected, plain, covered, ceilings = [], [], [], []
    for seed in range(40):
        parts = languages(60, shared=False, seed=seed, permutations=1)
        rng = np.random.default_rng(seed)
        hidden = {
            "en": planted(rng, parts["en"], axis(100, 2.0)),
            "de": planted(rng, parts["de"], axis(100, 2.0 * truth, 2.0 * 0.8)),
        }
        found = harm_directions(hidden, parts)
        one = found.cosine(0, 1)
        corrected.append(one.value)
        plain.append(found.plain_cosines[0, 1])
        ceilings.append(found.ceiling(0, 1))
        covered.append(one.interval().low <= truth <= one.interval().high)
        assert found.known.all()
    assert np.mean(corrected) == pytest.approx(truth, abs=0.05)
    assert np.mean(plain) < 0.4
    assert np.mean(plain) == pytest.approx(truth * np.mean(ceilings), abs=0.02)
    assert np.mean(covered) >= 0.88


@pytest.mark.parametrize("paired", [True, False])
def test_what_translations_have_in_common_is_not_taken_for_a_common_direction(paired):
    """The classes part in different directions; each text brings the content of its item into both languages."""
    corrected, plain = [], []
    for seed in range(40):
        parts = languages(40, seed=seed, permutations=1, paired=paired)
        rng = np.random.default_rng(seed)
        side = np.where(parts["en"].harmful, 1, 0)
        content = 2.5 * rng.normal(size=(2, 100, 60))[side, parts["en"].items]
        hidden = {
            code: planted(rng, one, shift, noise=0.5) + content
            for (code, one), shift in zip(parts.items(), (axis(60, 6.0), axis(60, 0.0, 6.0)), strict=True)
        }
        found = harm_directions(hidden, parts)
        corrected.append(found.cosine(0, 1).value)
        plain.append(found.plain_cosines[0, 1])
    assert np.mean(plain) > 0.25
    assert np.mean(corrected) == pytest.approx(0, abs=0.06)


def test_products_are_those_over_different_pairs():
    """For pairs, the mean of products of the differences of one pair with those of another."""
    parts = languages(8, permutations=1)
    rng = np.random.default_rng(5)
    hidden = {code: planted(rng, one, axis(4, 1.0)) for code, one in parts.items()}
    found = harm_directions(hidden, parts)
    differences = {code: x[:8] - x[8:] for code, x in hidden.items()}
    for i, first in enumerate(differences.values()):
        for j, second in enumerate(differences.values()):
            products = first @ second.T
            expected = (products.sum() - np.trace(products)) / (8 * 7)
            assert found.products[i, j] == pytest.approx(expected, rel=1e-9)


def test_a_direction_of_noise_is_not_clear_and_permuted_labels_show_nothing():
    known, nulls = [], []
    for seed in range(20):
        parts = languages(30, seed=seed)
        rng = np.random.default_rng(seed)
        content = 3 * rng.normal(size=(100, 30))
        hidden = {
            "en": planted(rng, parts["en"], axis(30, 4.0), content=content),
            "de": planted(rng, parts["de"], axis(30), content=content),
        }
        found = harm_directions(hidden, parts)
        known.append(found.known.tolist())
        nulls.append(found.null.mean(axis=0))
    assert np.mean(known, axis=0)[0] == 1
    assert np.mean(known, axis=0)[1] <= 0.2
    assert np.abs(np.mean(nulls, axis=0)).max() < 0.1


def test_the_share_along_a_direction_is_the_square_of_the_cosine_less_its_bias():
    shares = []
    for seed in range(40):
        parts = languages(40, shared=False, seed=seed, permutations=1)
        rng = np.random.default_rng(seed)
        hidden = {
            "en": planted(rng, parts["en"], axis(10, 3.0)),
            "de": planted(rng, parts["de"], axis(10, 0.9, 3.0 * np.sqrt(1 - 0.09))),
        }
        shares.append(harm_directions(hidden, parts).share(1, 0).value)
    assert np.mean(shares) == pytest.approx(0.09, abs=0.03)


# The shift, and components that stay


def test_the_effective_rank_of_a_planted_shift_of_rank_three_is_three():
    part = languages(40)["en"]
    rng = np.random.default_rng(6)
    before = rng.normal(size=(80, 50))
    basis = np.linalg.qr(rng.normal(size=(50, 3)))[0]
    turned = np.linalg.qr(np.column_stack([np.ones(80), rng.normal(size=(80, 3))]))[0][:, 1:]
    after = before + 5 * turned @ basis.T + 2.0  # a shift of all texts alike does not count
    found = shift_rank(before, after, part.draws, 0)
    assert found.rank.value == pytest.approx(3, abs=1e-6)
    assert found.null.min() > 10
    expected = 50 * 4 / (50 * 4 + 3 * 25 / 80)
    assert found.mean_share.value == pytest.approx(expected, rel=1e-3)
    assert shift_rank(before, before + 1.0, part.draws, 0) is None


def test_the_effective_rank_of_noise_is_that_of_its_null():
    part = languages(40)["en"]
    rng = np.random.default_rng(7)
    before = rng.normal(size=(80, 30))
    found = shift_rank(before, before + rng.normal(size=(80, 30)), part.draws, 0)
    assert found.null.min() - 0.3 < found.rank.value < found.null.max() + 0.3
    assert effective_rank(np.diag([1.0, 1.0])) == pytest.approx(2)


def test_in_the_references_components_a_new_direction_of_harm_is_not_seen():
    part = languages(100, permutations=50)["en"]
    rng = np.random.default_rng(8)
    before = rng.normal(size=(200, 30)) * np.r_[np.full(10, 3.0), np.full(20, 0.3)]
    after = before.copy()
    after[:, 20] += 8 * part.harmful
    own, frozen = (frozen_share(fitted, after, part.draws, 10) for fitted in (after, before))
    assert own.jackknife.value > 0.1
    assert abs(frozen.jackknife.value) < 0.02
    assert frozen.p_value > 0.01
    labels = part.harmful[None, :]
    assert frozen_share(after, after, part.draws, 3).plug_in == pytest.approx(
        METRICS["between_class_variance"].many(_pca(after, 3), labels, None, part.folds)[0], abs=1e-9
    )
    assert frozen_share(before[:, :5], after[:, :5], part.draws, 10).jackknife is None


def _pca(x, k):
    centred = x - x.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:k].T


# Where in the model


def test_both_silhouettes_are_those_of_scikit_learn():
    rng = np.random.default_rng(9)
    meaning, language = rng.normal(size=(6, 1, 5)), rng.normal(size=(1, 3, 5))
    states = 2 * meaning + language + rng.normal(size=(6, 3, 5))
    hidden = {f"l{i}": states[:, i] for i in range(3)}
    chosen = draw_halves(np.arange(6), 0)
    found = layer_map(hidden, chosen)
    for half in (0, 1, 17):
        kept = np.flatnonzero(chosen[half])
        rows = states[kept].reshape(-1, 5)
        by_meaning = silhouette_samples(rows, np.repeat(kept, 3)).mean()
        by_language = silhouette_samples(rows, np.tile(np.arange(3), len(kept))).mean()
        assert found.by_meaning[half] == pytest.approx(by_meaning, abs=1e-9)
        assert found.by_language[half] == pytest.approx(by_language, abs=1e-9)


def test_halves_take_whole_pairs_and_spread_like_the_mean():
    units = np.repeat(np.arange(40), 2)
    chosen = draw_halves(units, 0)
    assert chosen[0].all()
    assert (chosen[1:].sum(axis=1) == 40).all()
    assert np.array_equal(chosen[:, 0::2], chosen[:, 1::2])
    values = np.random.default_rng(10).normal(size=40)
    means = np.array([values[half[0::2]].mean() for half in chosen[1:]])
    assert means.std() == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=0.2)
    assert len(chosen) == 1 + HALVES
