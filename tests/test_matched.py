"""The comparison repeated on matched texts, end to end on planted states."""

from dataclasses import replace

import numpy as np
import pytest

import isogloss
from isogloss import Matched, ModelPair, ModelRef
from isogloss.errors import UsageError
from planted import QUICK, load, plant, states

MATCH = replace(QUICK, metrics=("between_class_variance",), analyses=(Matched(match=("length", "edit")),))
WORDS = "apple river stone cloud green quick under seven".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


def rows(code, small, large):
    """Pairs with a small edit (a word), then pairs in which every word is new."""
    rng = np.random.default_rng(list(code.encode()))
    found = []
    for i in range(small + large):
        words = list(rng.choice(WORDS, size=6))
        other = words if i < small else list(rng.choice(["lemon", "table", "mouse", "north"], size=6))
        found.append(
            {
                "pair_id": f"p{i}",
                "language": code,
                "toxic": f"{code} {i} {'small' if i < small else 'large'} bad {' '.join(words)}",
                "neutral": f"{code} {i} {'small' if i < small else 'large'} mad {' '.join(other)}",
            }
        )
    return found


def audit(pair, folder, monkeypatch, texts, *, small, large, config=MATCH):
    """Alignment moves English everywhere, and German by `small` and `large` in pairs of either kind."""

    def hidden_of(role, code, part, layer):
        edited = part["text"].str.contains(" large ").to_numpy()
        gains = {"en": np.full(len(edited), 2.0), "de": np.where(edited, large, small)}[code]
        shift = gains if role == "aligned" else 0.0
        return states(list(code.encode()), part["harmful"].to_numpy(), shift)

    plant(monkeypatch, hidden_of)
    corpus = load(folder / "texts.jsonl", texts)
    return isogloss.audit(pair, corpus, config=config, store=folder / "store")


def test_a_gain_that_sits_in_large_edits_only_is_confounded(pair, tmp_path, monkeypatch):
    """English is edited by a word; German mostly rewritten, and only there alignment does anything."""
    texts = [*rows("en", 300, 0), *rows("de", 110, 190)]
    result = audit(pair, tmp_path, monkeypatch, texts, small=0.0, large=4.0)
    german = next(one for one in result.verdicts if one.language == "de")
    assert german.cross_check in {"not reached", "lagging"}
    assert german.verdict == "confounded"
    assert german.low > 0.8  # of all texts it reads: reached
    assert [warning.language for warning in result.warnings if warning.code == "S009"] == ["de"]
    assert "S010" not in {warning.code for warning in result.warnings}
    matched = result.find(sample="matched", metric="between_class_variance", components=10)
    assert [(row.kind, row.language) for row in matched] == [(kind, "de") for kind in ("gain", "gap", "retention")]
    assert {row.estimate.n for row in matched} == {110}
    assert {row.verdict for row in matched} == {"confounded"}
    assert result.config["analyses"]["matched"]["options"] == {"match": ["length", "edit"]}


def test_a_verdict_that_matched_texts_bear_out_stands(pair, tmp_path, monkeypatch):
    texts = [*rows("en", 150, 0), *rows("de", 120, 30)]
    result = audit(pair, tmp_path, monkeypatch, texts, small=0.0, large=0.0)
    german = next(one for one in result.verdicts if one.language == "de")
    assert (german.verdict, german.cross_check) == ("not reached", "not reached")
    assert not {"S009", "S010"} & {warning.code for warning in result.warnings}


def test_too_few_matched_pairs_leave_a_warning_and_the_verdict(pair, tmp_path, monkeypatch):
    texts = [*rows("en", 130, 0), *rows("de", 90, 40)]
    result = audit(pair, tmp_path, monkeypatch, texts, small=0.0, large=0.0)
    german = next(one for one in result.verdicts if one.language == "de")
    assert (german.verdict, german.cross_check) == ("not reached", None)
    (warning,) = [warning for warning in result.warnings if warning.code == "S010"]
    assert (warning.language, warning.detail) == ("de", "fewer than 100 agree in length and edit")
    assert result.find(sample="matched") == ()


def test_single_texts_cannot_be_matched_in_edits(pair, labelled_file, tmp_path):
    with pytest.raises(UsageError, match="use --match length"):
        isogloss.audit(pair, isogloss.load_corpus(labelled_file), config=MATCH, store=tmp_path)
