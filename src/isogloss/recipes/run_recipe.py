"""A recipe's audits, one after the other: what fails is told, and the next one runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isogloss.analyses.audit import audit
from isogloss.data.corpus import Corpus
from isogloss.engines.config import EngineConfig
from isogloss.engines.engine import open_engine
from isogloss.errors import IsoglossError
from isogloss.io.paths import AnyPath, parse_path
from isogloss.progress import Track, silent
from isogloss.recipes.build import config_of, corpus_of, pair_of
from isogloss.recipes.recipe import PlannedAudit, Recipe
from isogloss.recipes.settings import Settings
from isogloss.results import Audit


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one audit: its result and where it is, or why there is none."""

    job: PlannedAudit
    folder: AnyPath | None = None
    audit: Audit | None = None
    error: IsoglossError | None = None


def run_recipe(
    recipe: Recipe,
    *,
    runs: AnyPath | str,
    store: AnyPath | str | None = None,
    device: str | None = None,
    workers: int | None = None,
    cache_states: str = "all",
    engine: EngineConfig | None = None,
    track: Track = silent,
) -> Iterator[Outcome]:
    """Run the audits of a recipe, each into a run folder RUNS/<model>/<corpus>-<hash>; finished ones are not repeated.

    All settings are checked before the first audit begins.

    Args:
        recipe: from `read_recipe`.
        runs: folder for the run folders.
        store: where hidden states are kept; None is the user's cache.
        device: a torch device; None takes a GPU if there is one.
        workers: languages measured side by side; changes no number.
        cache_states: states that stay in the store after each audit: all, final or none.
        engine: as in `audit`; a cluster that is started for it is started once.
        track: progress display.

    Yields:
        An outcome after each audit, in the order of the recipe.

    Raises:
        IsoglossError: a setting of the recipe is wrong. What goes wrong later is in the outcomes.
    """
    settled = [
        (job, pair_of(job.settings), config_of(job.settings, workers=workers, cache_states=cache_states))
        for job in recipe.jobs
    ]
    texts: dict[tuple[object, ...], Corpus] = {}
    with open_engine(engine or EngineConfig()):
        for job, pair, config in settled:
            here = parse_path(runs) / job.model
            try:
                key = _texts_key(job.settings)
                if key not in texts:
                    texts[key] = corpus_of(job.settings)
                found = audit(
                    pair,
                    texts[key],
                    config=config,
                    runs=here,
                    store=store,
                    device=device,
                    engine=engine,
                    reuse=True,
                    track=track,
                )
            except IsoglossError as error:
                yield Outcome(job=job, error=error)
            else:
                yield Outcome(job=job, folder=found.folder_in(here), audit=found)


def _texts_key(settings: Settings) -> tuple[object, ...]:
    """What decides which texts are loaded."""
    return settings.corpus, settings.column, settings.languages, settings.conflicts
