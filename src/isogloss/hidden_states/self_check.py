"""The self-check: do our forward passes give the model's own numbers? Run before states are trusted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.extract import Wanted, hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.spec import ExtractSpec, Precision
from isogloss.hidden_states.units import SAMPLE_TEXTS
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import Prompts

#: The longest of the rows that are compared.
TOKENS = 64
#: Most that a hidden state may move, relative to its length, where only rounding differs.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far hidden states lie from those of one text at a time, in torch's own products, over all that is read.

    Relative to the length of the state; cosine of the two states.
    """

    mean: float
    max: float
    min_cosine: float
    texts: int


def sample_rows(prompts: Prompts) -> Prompts:
    """Take rows spread over the lengths from short to long, cut to 64 tokens; equal rows in, equal rows out."""
    ordered = sorted(set(zip(prompts.ids, prompts.text_ends, strict=True)), key=lambda one: (len(one[0]), one))
    places = np.unique(np.linspace(0, len(ordered) - 1, SAMPLE_TEXTS).round().astype(int))
    return Prompts(
        ids=tuple(ordered[i][0][:TOKENS] for i in places),
        text_ends=tuple(min(ordered[i][1], TOKENS) for i in places),
        cut=tuple(len(ordered[i][0]) > TOKENS for i in places),
        bos=prompts.bos,
    )


def measure_drift(
    model: LoadedModel,
    sample: Prompts,
    wanted: Wanted,
    *,
    execution: Execution,
    precision: Precision = "exact",
    upcast: bool = False,
) -> Drift:
    """Compare the states of a few rows with those of the unchanged model, one row at a time.

    Args:
        model: with the wanted adapter active.
        sample: from `sample_rows`.
        wanted: position -> layers, resolved for this model.
        execution: what is tried.
        precision: what is tried.
        upcast: compare with the model in float32, if it is in bfloat16.
    """

    def states(how: Execution) -> np.ndarray:
        plan = plan_rows(sample.ids, how, wanted.keys(), text_ends=sample.text_ends)
        found = hidden_states(model, plan, wanted, execution=how, bos=sample.bos)
        return np.stack(
            [found[position][layer].astype(np.float64) for position in wanted for layer in wanted[position]]
        )

    with in_float32(model) if upcast else contextlib.nullcontext():
        a = states(replace(execution, kernel="plain", token_budget=1, shortcuts=False))
    with fast_linears(model, execution, precision):
        b = states(execution)
    # A text for which the model itself gives no numbers says nothing of ours; it is named where states are checked.
    own = np.isfinite(a).all(axis=(0, 2))
    if own.any():
        a, b = a[:, own], b[:, own]
    length = np.linalg.norm(a, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # broken states are named where they are checked
        moved = np.linalg.norm(b - a, axis=-1) / length
        cosine = (a * b).sum(axis=-1) / (length * np.linalg.norm(b, axis=-1))
    return Drift(
        mean=float(moved.mean()), max=float(moved.max()), min_cosine=float(cosine.min()), texts=len(sample.ids)
    )


def settle(
    model: LoadedModel,
    sample: Prompts,
    wanted: Wanted,
    *,
    execution: Execution,
    spec: ExtractSpec,
) -> tuple[Execution, Drift]:
    """Keep to the execution if this model gives its own numbers with it; else drop its shortcuts and packed weights.

    Returns:
        The execution to use, and how far its states lie from the model's own: by rounding; with "fast", or in
        bfloat16, by more, from those of the model in float32.
    """
    found = measure_drift(model, sample, wanted, execution=execution)
    if found.max > TOLERANCE[spec.dtype]:
        execution = replace(execution, kernel="plain", shortcuts=False)
        found = measure_drift(model, sample, wanted, execution=execution)
    if spec.rounded:
        found = measure_drift(
            model, sample, wanted, execution=execution, precision=spec.precision, upcast=spec.dtype == "bfloat16"
        )
    return execution, found


@contextlib.contextmanager
def in_float32(model: LoadedModel) -> Iterator[None]:
    """Within the block, compute blocks, positions and final norm in float32 from the weights as they are.

    Memory holds the weights of one block twice at a time. The embeddings are looked up, and scaled where a model scales
    them, as they are.
    """
    parts = [*model.blocks, *(part for part in model.decoder.children() if not _holds(part, model))]
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(_upcast(part))
        yield


def _holds(part: torch.nn.Module, model: LoadedModel) -> bool:
    """Whether a part of the decoder is its blocks or its embeddings."""
    return any(inner is model.blocks or isinstance(inner, torch.nn.Embedding) for inner in part.modules())


@contextlib.contextmanager
def _upcast(part: torch.nn.Module) -> Iterator[None]:
    kept: dict[torch.nn.Parameter, torch.Tensor] = {}

    def before(module: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        # Parameters only: some buffers are kept in float32, and would come back rounded.
        for parameter in module.parameters():
            if parameter.is_floating_point():
                kept[parameter], parameter.data = parameter.data, parameter.data.float()
        return _widened(args), _widened(kwargs)

    def after(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
        del module, args, output
        for parameter, usual in kept.items():
            parameter.data = usual
        kept.clear()

    handles = [
        part.register_forward_pre_hook(before, with_kwargs=True),
        part.register_forward_hook(after, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _widened(value: Any) -> Any:  # noqa: ANN401 - whatever a module is called with
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _widened(one) for name, one in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_widened(one) for one in value)
    return value
