"""What stays of an audit on disk after measuring: all states, those of the primary layer, or none but their moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from isogloss.auditing.plan import Plan
from isogloss.auditing.score import ScoredBlock
from isogloss.errors import StoreError
from isogloss.hidden_states.activations import COUNTS, Activations
from isogloss.hidden_states.evict import forget
from isogloss.hidden_states.maintenance import alone
from isogloss.io.files import canonical_json
from isogloss.io.paths import AnyPath

#: The file in the run folder, where not all states stay.
KEPT = "kept.safetensors"
VERSION = 1
#: What cannot be computed any more without running the models again.
LOST = {
    "final": "lost but at the primary layer: other components, fits and probes, and other samples of these texts",
    "none": "lost: other components, fits and probes, and other samples of these texts",
}


def kept_arrays(scored: ScoredBlock) -> dict[str, np.ndarray]:
    """Take what `kept_file` keeps of a language and layer."""
    code, draws = scored.sample.language, scored.sample.draws
    harmful = np.asarray(draws.harmful, dtype=bool)
    arrays = {f"{code}/harmful": harmful, f"{code}/fold": np.asarray(draws.folds, dtype=np.int64)}
    for role, block in scored.scores.items():
        name = f"{role}/{scored.layer.name}/{code}"
        arrays |= {f"{name}/{part}": array for part, array in _moments(block.projection.scores, harmful).items()}
        if block.text_scores is not None:
            arrays[f"{name}/scores"] = block.text_scores
    return arrays


def kept_file(plan: Plan, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write moments, projections and probe scores of every block, as a safetensors file.

    The metadata hold a "record" in JSON: its "version", and "texts", the ids of each language's texts in the order of
    the rows. Components are those of the block's own PCA, as many as were asked for. For every language:

    - <language>/harmful: bool (texts,); <language>/fold: int64 (texts,), in which the probe scored a text

    and for every role of the pair and every layer, such as aligned/18-post/en:

    - <block>/projections: float64 (texts, components)
    - <block>/mean: float64 (2, components), of harmless and harmful texts
    - <block>/covariance: float64 (2, components, components), likewise, with n - 1
    - <block>/scores: float64 (texts,), cross-fitted scores of the probe, where a metric asked for it
    """
    texts = {code: plan.corpus.part(code)["text_id"].to_list() for code in plan.languages}
    # One entry: safetensors writes several in any order, and equal runs shall give equal bytes.
    metadata = {"record": canonical_json({"version": VERSION, "texts": texts})}
    raw: bytes = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=metadata)
    return raw


def _moments(projections: np.ndarray, harmful: np.ndarray) -> dict[str, np.ndarray]:
    classes = [projections[~harmful], projections[harmful]]
    covariances = [np.atleast_2d(np.cov(rows, rowvar=False)) for rows in classes]
    width = projections.shape[1]
    return {
        "projections": projections,
        "mean": np.stack([rows.mean(axis=0) for rows in classes]),
        "covariance": np.stack(covariances).reshape(2, width, width),
    }


def thin(plan: Plan, root: AnyPath) -> dict[str, Any]:
    """Remove the states that are not to stay, of the texts and models of this plan; call it outside of `in_use`.

    A store that another process uses is left as it is.

    Returns:
        What run.json says of it: `asked`, `freed` in bytes, `lost`, and `left`, why states are still there.
    """
    freed, left = 0, None
    try:
        with alone(root):
            # Edited models first: without the states at the end of the list nobody finds theirs.
            for one in reversed(plan.states):
                for place in one.entries.values():
                    freed += forget(place, _going(plan, one), COUNTS)
    except StoreError as error:
        left = str(error)
    return {"asked": plan.config.cache_states, "freed": freed, "lost": LOST[plan.config.cache_states], "left": left}


def _going(plan: Plan, states: Activations) -> list[str]:
    stay = {plan.primary_layer.name} if plan.config.cache_states == "final" else set()
    return [layer.name for layer in states.layers if layer.name not in stay]


def kept_line(record: Mapping[str, Any]) -> str:
    """Say in one line which hidden states were removed."""
    option = f"--cache-states {record['asked']}"
    if record["left"]:
        return f"{option}: states are still in the cache; run the same command again: {record['left']}"
    freed = f"{record['freed'] / 1e6:.1f} MB of states removed"
    return f"{option}: {freed}; {KEPT} has moments, projections and scores; {record['lost']}"
