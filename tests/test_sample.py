"""The texts of a language as a sample: units, pairs, and the features that pairs are matched on."""

import math

import numpy as np
import polars as pl
import pytest

from isogloss.analyses.matched.rows import features, match_rows
from isogloss.auditing.sample import edit_rates, take_sample
from isogloss.stats.text_controls import edit_rate
from isogloss.stats.text_pairs import unit_ids


def frame(n=30, *, code="en", items=True, pairs=True, harmful_text="you bad {i}", harmless="you are good {i}"):
    rows = []
    for i in range(n):
        for harmful, text in ((True, harmful_text), (False, harmless)):
            rows.append(
                {
                    "text_id": f"{code}{i}{harmful}",
                    "pair_id": f"{code} p{i}" if pairs else None,
                    "item_id": f"i{i}" if items else None,
                    "text": text.format(i=i),
                    "harmful": harmful,
                }
            )
    schema = dict.fromkeys(("text_id", "pair_id", "item_id", "text"), pl.String) | {"harmful": pl.Boolean}
    return pl.DataFrame(rows, schema=schema).sample(fraction=1, shuffle=True, seed=1)


def take(part, code="en", *, paired=True, seed=0):
    return take_sample(code, part, paired=paired, n_permutations=20, seed=seed)


def test_translations_of_an_item_are_one_unit_in_all_languages():
    one, other = take(frame(code="en")), take(frame(code="de"), "de")
    assert set(one.draws.units) == set(other.draws.units) == set(unit_ids([f"item i{i}" for i in range(30)]))
    order = {key: row for row, key in enumerate(one.keys)}
    mine = [order[key] for key in other.keys]
    assert (one.draws.groups[mine] == other.draws.groups).all()
    assert (one.draws.folds[mine] == other.draws.folds).all()


@pytest.mark.parametrize("what", ["no items", "items in two pairs"])
def test_without_common_items_languages_share_no_unit(what):
    parts = {code: frame(code=code, items=what != "no items") for code in ("en", "de")}
    if what != "no items":
        parts = {code: part.with_columns(item_id=pl.lit("i0")) for code, part in parts.items()}
    units = [set(take(part, code).draws.units) for code, part in parts.items()]
    assert len(units[0]) == len(units[1]) == 30
    assert not units[0] & units[1]


def test_single_texts_are_units_of_their_own_even_of_one_item():
    sample = take(frame(pairs=False), paired=False)
    assert sample.partners is None
    assert len(sample.draws.units) == 60
    assert set(sample.draws.units) == set(take(frame(code="de", pairs=False), "de", paired=False).draws.units)


def test_pairs_are_found_in_any_order_of_rows():
    sample = take(frame())
    for row, partner in enumerate(sample.partners):
        assert sample.keys[row] == sample.keys[partner]
        assert sample.draws.harmful[row] != sample.draws.harmful[partner]


def test_a_part_is_a_sample_of_whole_pairs_with_places_in_the_corpus():
    sample = take(frame())
    rows = np.sort(np.flatnonzero(np.isin(sample.keys, [f"item i{i}" for i in range(10)])))
    part = sample.part(rows, 20, 0)
    again = part.part(np.arange(20), 20, 0)
    for one in (part, again):
        assert one.texts == [sample.texts[row] for row in rows]
        assert one.rows.tolist() == rows.tolist()
        assert one.draws.per_class == 10
    assert (part.draws.permutations == sample.draws.permutations[:, rows]).all()  # drawn by unit


def test_features_of_pairs_are_log_length_difference_and_edit_share():
    sample = take(frame(n=3))
    values, rows = features(sample, ("length", "edit"))
    for (length, edit), (first, second) in zip(values, rows, strict=True):
        bad, good = sample.texts[first], sample.texts[second]
        assert "bad" in bad
        assert "good" in good
        assert length == pytest.approx(math.log(len(bad) / len(good)))
        assert edit == edit_rate(bad, good) == pytest.approx(3 / 7)  # you, i stay; bad goes, are good come
    assert (features(sample, ("edit",))[0] == values[:, 1:]).all()
    assert (features(sample, ("edit", "length"))[0] == values[:, ::-1]).all()


def test_the_feature_of_a_single_text_is_its_log_length():
    sample = take(frame(n=3, pairs=False), paired=False)
    values, rows = features(sample, ("length",))
    assert values[:, 0] == pytest.approx([math.log(len(text)) for text in sample.texts])
    assert rows[:, 0].tolist() == list(range(6))


def test_edits_are_counted_in_characters_where_words_have_no_spaces():
    part = frame(n=3, code="zh", harmful_text="你坏{i}", harmless="你好{i}")
    assert edit_rates(take(part, "zh")) == pytest.approx([1 / 3] * 3)
    assert edit_rates(take(part, "en")) == pytest.approx([1.0] * 3)
    with pytest.raises(ValueError, match="pairs"):
        edit_rates(take(frame(pairs=False), paired=False))


def mixed(n_long, n_short, code):
    """Pairs of two kinds: one in which the harmful text is much longer, and one in which it is not."""
    long = frame(n_long, code=code, items=False, harmful_text="you bad " + "very " * 8 + "{i}")
    short = frame(n_short, code=code, items=False).with_columns(pl.col("text_id") + "s", pl.col("pair_id") + "s")
    return take(pl.concat([long, short]), code)


def test_matching_takes_whole_pairs_that_are_alike():
    own, pivot = mixed(80, 40, "de"), mixed(40, 80, "en")
    mine, theirs = match_rows(own, pivot, ("length",))
    assert len(mine) == len(theirs) == 160
    for sample, rows in ((own, mine), (pivot, theirs)):
        assert (np.diff(rows) > 0).all()
        assert set(sample.partners[rows]) == set(rows)
        assert sum("very" in sample.texts[row] for row in rows) == 40  # half of each kind


def test_nothing_is_matched_where_nothing_is_alike():
    mine, theirs = match_rows(mixed(30, 0, "de"), mixed(0, 30, "en"), ("length", "edit"))
    assert len(mine) == len(theirs) == 0


def test_single_texts_are_matched_class_by_class():
    own = take(frame(40, pairs=False, code="de", harmless="you top {i}"), "de", paired=False)
    pivot = take(frame(60, pairs=False, items=False, harmless="you top {i}"), paired=False)
    mine, theirs = match_rows(own, pivot, ("length",))
    assert len(mine) == len(theirs) > 40
    for sample, rows in ((own, mine), (pivot, theirs)):
        assert sample.draws.harmful[rows].sum() * 2 == len(rows)
