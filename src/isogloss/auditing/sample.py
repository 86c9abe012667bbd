"""The texts of one language as a sample: units, pairs and random draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.data.languages import language
from isogloss.stats.permutations import Draws, draw
from isogloss.stats.text_controls import UNSEGMENTED, edit_rate
from isogloss.stats.text_pairs import partner_index


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Texts of one language.

    `frame` has one row per text and the columns of the corpus. If units are `shared`, their keys are names of items,
    which languages have in common. `rows` are row numbers in the language's part of the corpus; partners and draws are
    row numbers in the sample.
    """

    language: str
    frame: pl.DataFrame
    shared: bool
    rows: np.ndarray
    draws: Draws

    @property
    def texts(self) -> list[str]:
        """The texts, in row order."""
        return self.frame["text"].to_list()

    @property
    def keys(self) -> list[str]:
        """Key of the unit of each text."""
        return _make_keys(self.language, self.frame, paired=self.partners is not None, shared=self.shared)

    @property
    def partners(self) -> np.ndarray | None:
        """Row of each text's partner; None without pairs."""
        return self.draws.partners

    def part(self, rows: np.ndarray, n_permutations: int, seed: int) -> Sample:
        """Return a sample of some texts; only whole pairs are allowed."""
        return _make_sample(
            self.language,
            self.frame[rows],
            self.rows[rows],
            shared=self.shared,
            paired=self.partners is not None,
            n_permutations=n_permutations,
            seed=seed,
        )


def take_sample(code: str, part: pl.DataFrame, *, paired: bool, n_permutations: int, seed: int) -> Sample:
    """Make a sample of a language's part of the corpus, in the same order."""
    return _make_sample(
        code,
        part,
        np.arange(part.height),
        shared=_are_shared(part, paired=paired),
        paired=paired,
        n_permutations=n_permutations,
        seed=seed,
    )


def _make_sample(
    code: str,
    frame: pl.DataFrame,
    rows: np.ndarray,
    *,
    shared: bool,
    paired: bool,
    n_permutations: int,
    seed: int,
) -> Sample:
    keys, harmful = _make_keys(code, frame, paired=paired, shared=shared), frame["harmful"].to_numpy()
    partners = partner_index(keys, harmful) if paired else None
    return Sample(
        language=code,
        frame=frame,
        shared=shared,
        rows=rows,
        draws=draw(harmful, partners, keys=keys, n_permutations=n_permutations, seed=seed),
    )


def _name_units(part: pl.DataFrame, *, paired: bool, shared: bool) -> pl.Series:
    """Name the unit of each text; without pairs, the harmful and harmless texts of an item are two units."""
    if not shared:
        return part["pair_id"] if paired else part["text_id"]
    items = part["item_id"]
    return items if paired else items + pl.Series(["+" if harmful else "-" for harmful in part["harmful"]])


def _are_shared(part: pl.DataFrame, *, paired: bool) -> bool:
    """Whether items name all units of a language."""
    if part["item_id"].null_count():
        return False
    units, items = (_name_units(part, paired=paired, shared=shared).n_unique() for shared in (False, True))
    return units == items


def _make_keys(code: str, part: pl.DataFrame, *, paired: bool, shared: bool) -> list[str]:
    return [f"{'item' if shared else code} {name}" for name in _name_units(part, paired=paired, shared=shared)]


def edit_rates(sample: Sample) -> np.ndarray:
    """Compute the share of edited words in each pair: float64 (pairs,), in the order of the harmful texts."""
    segmented = language(sample.language).script not in UNSEGMENTED
    partners = sample.partners
    if partners is None:
        raise ValueError("edit rates need pairs")
    rows, texts = np.flatnonzero(sample.draws.harmful), sample.texts
    return np.array([edit_rate(texts[row], texts[partners[row]], segmented) for row in rows])
