"""The CORPORA table: one row per public data set, with where it is, its revision, licence, citation and columns."""

from __future__ import annotations

from isogloss.data.hub_corpora import HUB_CORPORA
from isogloss.data.source import Source
from isogloss.data.web_corpora import WEB_CORPORA
from isogloss.errors import CorpusError, unknown

MINI = Source(
    name="mini",
    kind="parallel",
    about="bundled: 84 everyday situations, a mildly toxic sentence and a polite one, in 12 languages",
    languages=("am", "ar", "bn", "de", "en", "es", "fr", "hi", "ru", "sw", "uk", "zh"),
    licence="CC-BY-4.0",
    citation="isogloss contributors (2026), the mini corpus, version 1",
    homepage="src/isogloss/data/mini/CARD.md",
    per_class=84,
    revision="1",
    checked="bundled",
)

CORPORA: dict[str, Source] = {row.name: row for row in (MINI, *HUB_CORPORA, *WEB_CORPORA)}


def source(name: str) -> Source:
    """Look a data set up by its name.

    Raises:
        CorpusError: the name is not in CORPORA.
    """
    if name not in CORPORA:
        raise unknown(CorpusError, "corpus", name, CORPORA)
    return CORPORA[name]
