"""Margins of pairs, and which pairs lose most: small frames whose answers can be counted on fingers."""

import polars as pl
import pytest

from isogloss.report.lost_pairs import LOSSES, MARGINS, losses, margins


def points(scores, *, items=True, layer=4, norm="post"):
    """`scores[model][language]` is a list of (harmful score, harmless score), one a pair."""
    return pl.DataFrame(
        [
            {
                "text_id": f"{code}{number}{'+' if harmful else '-'}",
                "pair_id": f"p{number}",
                "item_id": f"i{number}" if items else None,
                "language": code,
                "harmful": harmful,
                "model": model,
                "layer": layer,
                "norm": norm,
                "score": score,
            }
            for model, languages in scores.items()
            for code, pairs in languages.items()
            for number, pair in enumerate(pairs)
            for harmful, score in zip((True, False), pair, strict=True)
        ],
        schema_overrides={"item_id": pl.String, "score": pl.Float64},
    )


PLAIN = {
    "reference": {"en": [(0.5, 0.0), (0.25, 0.0), (0.0, 0.0)], "sw": [(1.0, 0.0), (0.0, 0.0), (0.5, 0.0)]},
    "aligned": {"en": [(1.0, 0.0), (3.0, 1.0), (3.0, 0.0)], "sw": [(2.0, 0.0), (0.0, 0.0), (4.0, 0.0)]},
}


def test_margins_are_the_harmful_pairs_score_minus_the_harmless_ones():
    found = margins(points(PLAIN))
    assert dict(found.schema) == {name: dtype() for name, dtype in MARGINS.items()}
    english = found.filter((pl.col("model") == "aligned") & (pl.col("language") == "en"))
    assert english["margin"].to_list() == [1.0, 2.0, 3.0]
    assert english["standardised"].to_list() == [1.0, 2.0, 3.0]  # their standard deviation is 1
    swahili = found.filter((pl.col("model") == "aligned") & (pl.col("language") == "sw"))
    assert swahili["standardised"].to_list() == [1.0, 0.0, 2.0]  # theirs is 2
    assert swahili.row(0, named=True)["harmful_id"] == "sw0+"
    assert swahili.row(0, named=True)["harmless_id"] == "sw0-"


def test_items_are_ordered_by_what_they_lose_from_the_pivot_to_the_language():
    found = losses(margins(points(PLAIN)), "en")
    assert dict(found.schema) == {name: dtype() for name, dtype in LOSSES.items()}
    assert set(found["basis"]) == {"pivot"}
    assert set(found["language"]) == {"sw"}
    assert found.select("rank", "item_id", "before", "after", "loss").rows() == [
        (1, "i1", 2.0, 0.0, 2.0),
        (2, "i2", 3.0, 2.0, 1.0),
        (3, "i0", 1.0, 1.0, 0.0),
    ]


def test_without_shared_items_pairs_are_ordered_by_what_alignment_took_from_them():
    found = losses(margins(points(PLAIN, items=False)), "en")
    assert set(found["basis"]) == {"reference"}
    swahili = found.filter(pl.col("language") == "sw").select("pair_id", "before", "after", "loss").rows()
    assert swahili == [("p0", 2.0, 1.0, 1.0), ("p1", 0.0, 0.0, 0.0), ("p2", 1.0, 2.0, -1.0)]
    assert set(found["language"]) == {"en", "sw"}


def test_equal_losses_stand_in_the_order_of_their_pairs():
    same = {model: {code: [(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)] for code in ("en", "sw")} for model in PLAIN}
    found = losses(margins(points(same).reverse()), "en")
    assert found["pair_id"].to_list() == ["p0", "p1", "p2"]
    assert found["loss"].to_list() == [0.0, 0.0, 0.0]


def test_each_layer_is_a_block_of_its_own():
    other = {
        model: {code: [(2 * a, 2 * b) for a, b in pairs] for code, pairs in by.items()} for model, by in PLAIN.items()
    }
    both = pl.concat([points(PLAIN), points(other, layer=2, norm="")])
    found = losses(margins(both), "en")
    assert (
        found.filter(pl.col("layer") == 4)
        .drop("layer", "norm")
        .equals(found.filter(pl.col("layer") == 2).drop("layer", "norm"))
    )


@pytest.mark.parametrize("gap", ["no score", "no spread"])
def test_a_missing_number_is_missing_and_never_filled(gap):
    scores = {model: dict(languages) for model, languages in PLAIN.items()}
    scores["aligned"]["sw"] = [(None, 0.0), (0.0, 0.0), (4.0, 0.0)] if gap == "no score" else [(1.0, 0.0)] * 3
    found = margins(points(scores))
    swahili = found.filter((pl.col("model") == "aligned") & (pl.col("language") == "sw"))
    if gap == "no score":
        assert swahili["margin"].to_list() == [None, 0.0, 4.0]
        assert losses(found, "en")["item_id"].sort().to_list() == ["i1", "i2"]
    else:
        assert swahili["margin"].to_list() == [1.0, 1.0, 1.0]
        assert swahili["standardised"].to_list() == [None] * 3
        assert losses(found, "en").height == 0


def test_items_that_occur_twice_in_a_language_are_not_matched_with_the_pivot():
    twice = points(PLAIN).with_columns(item_id=pl.lit("i0"))
    assert set(losses(margins(twice), "en")["basis"]) == {"reference"}


def test_texts_without_pairs_and_models_without_reference_have_nothing_to_lose():
    alone = margins(points(PLAIN).with_columns(pair_id=pl.lit(None, dtype=pl.String)))
    assert dict(alone.schema) == {name: dtype() for name, dtype in MARGINS.items()}
    assert alone.height == 0
    assert losses(alone, "en").height == 0
    aligned = margins(points({"aligned": PLAIN["aligned"]}, items=False))
    assert aligned.height == 6
    assert losses(aligned, "en").height == 0
