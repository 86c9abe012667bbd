"""The self-check: do our forward passes give the model's own numbers? It runs before any state is trusted.

A few texts of the corpus are read twice: as the audit will read them, and one at a time by torch's own products. For
"fast" precision, and for bfloat16, the drift from float32 is measured and recorded: a bfloat16 model is computed in
float32, one block at a time, to see what its states would be without rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from isogloss.errors import ModelError
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.extract import Wanted, broken_rows, hidden_states, plan_rows
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
    """How far hidden states lie from those of one text at a time by torch's own products, over all that is read.

    Attributes:
        mean: distance of the two states relative to the length of the second, on average; 0 or more.
        max: the largest of these distances; infinite where a state is not finite and the model's own is.
        min_cosine: the smallest cosine of the two states.
        texts: how many texts were compared: those for which the model itself gives states that can be used. With none
            the other numbers are NaN.
    """

    mean: float
    max: float
    min_cosine: float
    texts: int

    def within(self, tolerance: float) -> bool:
        """Whether no state moved by more than the tolerance; False if nothing could be compared."""
        return self.texts > 0 and self.max <= tolerance


def sample_rows(prompts: Prompts) -> Prompts:
    """Take rows spread over the lengths from short to long, cut to 64 tokens; equal rows in, equal rows out."""
    ordered = sorted(set(zip(prompts.ids, prompts.text_ends, strict=True)), key=lambda row: (len(row[0]), row))
    chosen = np.unique(np.linspace(0, len(ordered) - 1, SAMPLE_TEXTS).round().astype(int))
    return Prompts(
        ids=tuple(ordered[i][0][:TOKENS] for i in chosen),
        text_ends=tuple(min(ordered[i][1], TOKENS) for i in chosen),
        cut=tuple(len(ordered[i][0]) > TOKENS for i in chosen),
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

    Texts are left out if the unchanged model, or the model in its rounded precision, gives no usable states for them:
    they say nothing about our forward pass, and are named when states are stored.

    Args:
        model: with the wanted adapter active.
        sample: from `sample_rows`.
        wanted: position -> layers, resolved for this model.
        execution: the one to try.
        precision: the one to try.
        upcast: compare with the model in float32, if it is in bfloat16.
    """

    def read(how: Execution) -> np.ndarray:
        plan = plan_rows(sample.ids, how, wanted.keys(), text_ends=sample.text_ends)
        states = hidden_states(model, plan, wanted, execution=how, bos=sample.bos)
        return np.stack(
            [states[position][layer].astype(np.float64) for position in wanted for layer in wanted[position]]
        )

    with in_float32(model) if upcast else contextlib.nullcontext():
        expected = read(replace(execution, kernel="plain", token_budget=1, shortcuts=False))
    with fast_linears(model, execution, precision):
        tried = read(execution)
    usable = ~np.any([broken_rows(state) for state in expected], axis=0)
    if upcast or precision == "fast":  # its precision may be too narrow for a text, which is no fault of the shortcuts
        usable &= ~np.any([broken_rows(state) for state in tried], axis=0)
    if not usable.any():
        return Drift(mean=np.nan, max=np.nan, min_cosine=np.nan, texts=0)
    expected, tried = expected[:, usable], tried[:, usable]
    length = np.linalg.norm(expected, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # what was tried may be infinite, or zeros only
        moved = np.linalg.norm(tried - expected, axis=-1) / length
        cosine = (expected * tried).sum(axis=-1) / (length * np.linalg.norm(tried, axis=-1))
    moved = np.where(np.isfinite(moved), moved, np.inf)
    return Drift(
        mean=float(moved.mean()), max=float(moved.max()), min_cosine=float(cosine.min()), texts=int(usable.sum())
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

    A drift that is not a number never passes. A model without usable states for any text is run without shortcuts,
    and `check_states` names the texts when their states are stored.

    Returns:
        The execution to use, and how far its states lie from the model's own: by rounding; with "fast", or in
        bfloat16, by more, from those of the model in float32.

    Raises:
        ModelError: the states are off without shortcuts, too; or the drift of a rounded model cannot be measured.
    """
    tolerance = TOLERANCE[spec.dtype]
    drift = measure_drift(model, sample, wanted, execution=execution)
    if not drift.within(tolerance):
        execution = replace(execution, kernel="plain", shortcuts=False)
        drift = measure_drift(model, sample, wanted, execution=execution)
        if drift.texts and not drift.within(tolerance):
            finite = np.isfinite(drift.max)
            differ = f"that differ by {drift.max:.2%} of their length from" if finite else "that are not finite, unlike"
            raise ModelError(
                f"self-check of {type(model.causal).__name__}",
                found=f"hidden states of a batch {differ} those of one text at a time, without any shortcut",
                expected=f"a relative difference of at most {tolerance:g}",
                do="see isogloss doctor, and report the model's architecture to isogloss",
            )
    if spec.rounded:
        drift = measure_drift(
            model, sample, wanted, execution=execution, precision=spec.precision, upcast=spec.dtype == "bfloat16"
        )
        if not drift.texts:
            raise ModelError(
                f"self-check of {type(model.causal).__name__}",
                found=f"no finite hidden states for any of {len(sample.ids)} texts, so no drift can be measured",
                expected="finite numbers in this precision",
                do="use --dtype float32 --precision exact, and check that the weights are complete",
            )
    return execution, drift


@contextlib.contextmanager
def in_float32(model: LoadedModel) -> Iterator[None]:
    """Within the block, compute blocks, positions and final norm in float32 from the weights as they are.

    Memory holds the weights of one block twice at a time. The embeddings are looked up, and scaled where a model scales
    them, as they are.
    """
    others = (child for child in model.decoder.children() if not _holds_blocks_or_embeddings(child, model))
    with contextlib.ExitStack() as stack:
        for module in (*model.blocks, *others):
            stack.enter_context(_upcast(module))
        yield


def _holds_blocks_or_embeddings(module: torch.nn.Module, model: LoadedModel) -> bool:
    return any(inner is model.blocks or isinstance(inner, torch.nn.Embedding) for inner in module.modules())


@contextlib.contextmanager
def _upcast(module: torch.nn.Module) -> Iterator[None]:
    usual: dict[torch.nn.Parameter, torch.Tensor] = {}

    def before(module: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        # Parameters only: some buffers are kept in float32, and would come back rounded.
        for parameter in module.parameters():
            if parameter.is_floating_point():
                usual[parameter], parameter.data = parameter.data, parameter.data.float()
        return _widened(args), _widened(kwargs)

    def after(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
        del module, args, output
        for parameter, data in usual.items():
            parameter.data = data
        usual.clear()

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, always_call=True),
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
        return {name: _widened(item) for name, item in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_widened(item) for item in value)
    return value
