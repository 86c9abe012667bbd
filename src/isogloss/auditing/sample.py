"""The texts of one language as a sample: units, pairs and what is drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.data.languages import LANGUAGES
from isogloss.stats.permutations import Draws, draw
from isogloss.stats.text_controls import UNSEGMENTED, edit_rate
from isogloss.stats.text_pairs import partner_index


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Texts of one language.

    `frame` has a row a text, with the columns of the corpus; where units are `shared`, their keys are names of items,
    so that languages share them. `rows` are positions within the language; partners and draws count within
    the sample.
    """

    language: str
    frame: pl.DataFrame
    shared: bool
    rows: np.ndarray
    draws: Draws

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return self.frame["text"].to_list()

    @property
    def keys(self) -> list[str]:
        """What names the unit of each text."""
        return _keys(self.language, self.frame, paired=self.partners is not None, shared=self.shared)

    @property
    def partners(self) -> np.ndarray | None:
        """Row of each text's partner, or None."""
        return self.draws.partners

    def part(self, rows: np.ndarray, n_permutations: int, seed: int) -> Sample:
        """Return some texts as a sample of their own; whole pairs only."""
        return _sample(
            self.language,
            self.frame[rows],
            self.rows[rows],
            shared=self.shared,
            paired=self.partners is not None,
            n_permutations=n_permutations,
            seed=seed,
        )


def take_sample(code: str, part: pl.DataFrame, *, paired: bool, n_permutations: int, seed: int) -> Sample:
    """Make a sample of a language's part of the corpus, in its order."""
    return _sample(
        code,
        part,
        np.arange(part.height),
        shared=_are_shared(part, paired=paired),
        paired=paired,
        n_permutations=n_permutations,
        seed=seed,
    )


def _sample(
    code: str,
    frame: pl.DataFrame,
    rows: np.ndarray,
    *,
    shared: bool,
    paired: bool,
    n_permutations: int,
    seed: int,
) -> Sample:
    keys, harmful = _keys(code, frame, paired=paired, shared=shared), frame["harmful"].to_numpy()
    partners = partner_index(keys, harmful) if paired else None
    return Sample(
        language=code,
        frame=frame,
        shared=shared,
        rows=rows,
        draws=draw(harmful, partners, keys=keys, n_permutations=n_permutations, seed=seed),
    )


def _units(part: pl.DataFrame, *, paired: bool, shared: bool) -> pl.Series:
    """Names of units; without pairs an item may have a harmful and a harmless text, which are two."""
    if not shared:
        return part["pair_id"] if paired else part["text_id"]
    items = part["item_id"]
    return items if paired else items + pl.Series(["+" if harmful else "-" for harmful in part["harmful"]])


def _are_shared(part: pl.DataFrame, *, paired: bool) -> bool:
    """Whether items name all units of a language."""
    if part["item_id"].null_count():
        return False
    own, items = (_units(part, paired=paired, shared=shared).n_unique() for shared in (False, True))
    return own == items


def _keys(code: str, part: pl.DataFrame, *, paired: bool, shared: bool) -> list[str]:
    return [f"{'item' if shared else code} {name}" for name in _units(part, paired=paired, shared=shared)]


def edit_rates(sample: Sample) -> np.ndarray:
    """Share of words edited in each pair: float64 (pairs,), in the order of the harmful texts."""
    segmented = LANGUAGES[sample.language].script not in UNSEGMENTED
    partners = sample.partners
    if partners is None:
        raise ValueError("edit shares need pairs")
    rows, texts = np.flatnonzero(sample.draws.harmful), sample.texts
    return np.array([edit_rate(texts[row], texts[partners[row]], segmented) for row in rows])
