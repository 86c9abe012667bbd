"""Run the audits of a recipe one after another; a failure is reported, and the next audit runs."""

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
from isogloss.recipes.settings import texts_key
from isogloss.results import Audit


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one audit: its result and folder, or the error that stopped it."""

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
    """Run the audits of a recipe, each into a run folder RUNS/<model>/<corpus>-<hash>; skip finished ones.

    All settings are checked before the first audit starts.

    Args:
        recipe: from `read_recipe`.
        runs: folder for the run folders.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available.
        workers: languages measured in parallel; changes no number.
        cache_states: hidden states to keep in the cache after each audit: all, final or none.
        engine: as in `audit`; a cluster that it starts serves all audits.
        track: progress display.

    Yields:
        An outcome after each audit, in the order of the recipe.

    Raises:
        IsoglossError: a setting of the recipe is wrong. Outcomes hold later errors.
    """
    settled = [
        (job, pair_of(job.settings), config_of(job.settings, workers=workers, cache_states=cache_states))
        for job in recipe.jobs
    ]
    texts: dict[tuple[object, ...], Corpus] = {}
    with open_engine(engine or EngineConfig()):
        for job, pair, config in settled:
            folder = parse_path(runs) / job.model
            try:
                key = texts_key(job.settings)
                if key not in texts:
                    texts[key] = corpus_of(job.settings)
                result = audit(
                    pair,
                    texts[key],
                    config=config,
                    runs=folder,
                    store=store,
                    device=device,
                    engine=engine,
                    reuse=True,
                    track=track,
                )
            except IsoglossError as error:
                yield Outcome(job=job, error=error)
            else:
                yield Outcome(job=job, folder=result.folder_in(folder), audit=result)
