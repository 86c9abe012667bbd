"""The hidden states that a model lists itself, and which of our layers each of them is.

Most models list the embeddings, every block but the last, and the state after the final norm. Some leave out the
embeddings and list every block; some scale a state between blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from isogloss.hidden_states.spec import Layer
from isogloss.models.architecture import residual_stream
from isogloss.models.load import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Match:
    """How our states agree with those that a model lists.

    Attributes:
        change: the largest distance, relative to the length of the model's own state; 0 or more.
        ok: whether every listed state is one of ours, in their order, and none of ours but the embeddings is missing.
        notes: what is unusual about the list, for people.
    """

    change: float
    ok: bool
    notes: tuple[str, ...] = ()


def read_listed(model: LoadedModel, rows: Sequence[tuple[int, ...]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Read the states of the last tokens that a model lists itself, and those that its decoder returns.

    Args:
        model: with the wanted adapter active.
        rows: token ids, at least one each.

    Returns:
        float32 (rows, width) for each listed state, and once for the decoder.
    """
    listed, final = [], []
    for row in rows:
        ids = torch.tensor([row], device=model.device)
        with torch.inference_mode():
            states = model.causal(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
            final.append(model.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, -1].float().cpu().numpy())
        listed.append([residual_stream(model, state)[0, -1].float().cpu().numpy() for state in states or ()])
    return [np.stack(states) for states in zip(*listed, strict=True)], np.stack(final)


def match_listed(
    ours: Mapping[Layer, np.ndarray], listed: Sequence[np.ndarray], final: np.ndarray, *, tolerance: float
) -> Match:
    """Find the layer of each listed state, in order.

    Args:
        ours: layer -> states (texts, width), of all layers in order.
        listed: the states that the model lists.
        final: those that its decoder returns.
        tolerance: most that equal states may differ.
    """
    layers = list(ours)
    change = measure_largest_change(ours[layers[-1]], final)
    notes, found, start = [], {layers[-1]}, 0
    for states in listed:
        changes = [measure_largest_change(ours[layer], states) for layer in layers[start:]]
        step = next((step for step, moved in enumerate(changes) if moved < tolerance), None)
        if step is None and start < len(layers) and layers[start].norm == "pre":
            scale = _measure_scale(ours[layers[start]], states)
            changes = [measure_largest_change(ours[layers[start]] * scale, states)]
            step = 0 if changes[0] < tolerance else None
            notes.append(f"its own list has layer {layers[start].name} times {scale:.2g}")
        if step is None:
            return Match(change=max(change, min(changes, default=float("inf"))), ok=False)
        change = max(change, changes[step])
        found.add(layers[start + step])
        start += step + 1
    missing = [layer.index for layer in layers if layer not in found and layer.norm == ""]
    if missing == [0]:
        notes.append("its own list lacks the embeddings")
    return Match(change=change, ok=change < tolerance and set(missing) <= {0}, notes=tuple(notes))


def _measure_scale(states: np.ndarray, expected: np.ndarray) -> float:
    """Return the factor between states that are alike but for one factor; 1 where they differ in width."""
    return float((states * expected).sum() / (states * states).sum()) if states.shape == expected.shape else 1.0


def measure_largest_change(states: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest change of states (texts, width)."""
    return max(measure_change(a, b) for a, b in zip(states, expected, strict=True))


def measure_change(state: np.ndarray, expected: np.ndarray) -> float:
    """Return the distance from the expected state relative to its length; infinite if either state is broken."""
    if state.shape != expected.shape:
        return float("inf")
    length = float(np.linalg.norm(expected))
    change = float(np.linalg.norm(state.astype(np.float64) - expected)) / length if length > 0 else float("inf")
    return change if np.isfinite(change) else float("inf")
