"""What can be known of a corpus without a network: its texts are counted if they are here, else its card is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isogloss.corpora.curate import balance
from isogloss.corpora.sources import CORPORA
from isogloss.corpora.split import part_of
from isogloss.models.cached import cached_data
from isogloss.recipes.build import corpus_of
from isogloss.recipes.settings import Settings

BUNDLED = "mini"


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """One corpus.

    Attributes:
        corpus: its name in the recipe.
        languages: codes; empty where they are unknown.
        texts: in all languages and both classes, after balancing; None is unknown.
        here: whether it needs no download.
        source: where the number comes from.
    """

    corpus: str
    languages: tuple[str, ...]
    texts: int | None
    here: bool
    source: str


def text_facts(name: str, settings: Settings) -> TextFacts:
    """Count the texts of a corpus that is on this machine, or take what its card says.

    Raises:
        CorpusError: it is here, and cannot be read.
    """
    if all(one == BUNDLED or Path(one).is_file() for one in settings.corpus):
        sample = balance(part_of(corpus_of(settings), settings.part), per_class=settings.per_class, seed=settings.seed)
        return TextFacts(corpus=name, languages=sample.languages, texts=len(sample.frame), here=True, source="counted")
    rows = [CORPORA[one] for one in settings.corpus if one in CORPORA]
    repos = {part.hub for row in rows for part in row.parts if part.hub}
    here = bool(repos) and all(cached_data(repo) for repo in repos)
    if len(settings.corpus) > 1 or not rows:
        return TextFacts(
            corpus=name, languages=settings.languages or (), texts=None, here=here, source="unknown until it is read"
        )
    languages = settings.languages or rows[0].languages
    known = rows[0].per_class
    if known is None:
        return TextFacts(corpus=name, languages=languages, texts=None, here=here, source="unknown: its card says none")
    most = min(known, settings.per_class or known)
    source = "its card, before duplicates are dropped"
    return TextFacts(corpus=name, languages=languages, texts=2 * most * len(languages), here=here, source=source)
