"""The self-check: do our forward passes give the model's own numbers? It runs before any state is trusted.

A few rows of the corpus are read twice: as the audit will read them, with every shortcut, and one at a time by torch's
own products. A shortcut that moves a state by more than rounding is off for this model. For "fast" precision, and for
bfloat16, the drift from float32 is measured and recorded: a bfloat16 model is computed in float32, one block at a time,
to see what its states would be without rounding.

The check of a model costs one pass for each of at most 6 rows, and one pass over their batches. A model that fails it
costs up to 12 more passes over these batches, to find out why.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from isogloss.engines.worker import out_of_memory
from isogloss.errors import ModelError
from isogloss.hidden_states.drift import Drift, attempt, cannot_compute, compare, read_alone, read_states
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.extract import Wanted
from isogloss.hidden_states.forward import UNSUPPORTED
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.shortcuts import CHANGES, Trial, without, without_unsupported
from isogloss.hidden_states.spec import ExtractSpec, Precision
from isogloss.hidden_states.units import SAMPLE_TEXTS
from isogloss.hidden_states.upcast import in_float32
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import Prompts

#: Most that a hidden state may move, relative to its length, between a batch and a single text.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
#: Most that a shortcut may move it, unless batches alone move it by half of that, by rounding. In the tested families
#: rounding moved states by less. A model that loses a shortcut needlessly only becomes slower.
SHORTCUT_TOLERANCE = 1e-5


def sample_rows(prompts: Prompts) -> Prompts:
    """Take rows spread over the lengths, the shortest and the longest among them; equal rows in, equal rows out.

    Rows of one length would leave padding untried, so the first of them is cut.
    """
    ordered = sorted(set(zip(prompts.ids, prompts.text_ends, strict=True)), key=lambda row: (len(row[0]), row))
    chosen = np.unique(np.linspace(0, len(ordered) - 1, SAMPLE_TEXTS).round().astype(int))
    rows = [ordered[i] for i in chosen]
    longest = len(rows[-1][0])
    if len(rows) > 1 and len(rows[0][0]) == longest > 2:  # noqa: PLR2004 - BOS and a token stay
        half = (longest + 1) // 2
        rows[0] = rows[0][0][:half], min(rows[0][1], half)
    return Prompts(
        ids=tuple(ids for ids, _ in rows),
        text_ends=tuple(end for _, end in rows),
        cut=(False,) * len(rows),
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
    with in_float32(model) if upcast else contextlib.nullcontext():
        expected = read_alone(model, sample, wanted, execution)
    with fast_linears(model, execution, precision):
        tried = read_states(model, sample, wanted, execution)
    return compare(expected, tried, rounded=upcast or precision == "fast")


def settle(
    model: LoadedModel,
    sample: Prompts,
    wanted: Wanted,
    *,
    execution: Execution,
    spec: ExtractSpec,
) -> tuple[Execution, Drift]:
    """Keep to the execution if this model gives its own numbers with it; else drop what changes them.

    A drift that is not a number never passes. A model without usable states for any text is run without shortcuts,
    and `check_states` names the texts when their states are stored. Shortcuts of a bfloat16 model are compared in
    float32, where no rounding hides a difference.

    Returns:
        The execution to use, with the shortcuts that are off and why, and how far its states lie from the model's own:
        by rounding; with "fast", or in bfloat16, by more, from those of the model in float32.

    Raises:
        ModelError: the states are off without shortcuts, too; or the drift of a rounded model cannot be measured.
    """
    with _exactly(model, spec):
        expected = read_alone(model, sample, wanted, execution)
        most = TOLERANCE[spec.dtype] if spec.quantize else TOLERANCE["float32"]
        trial = Trial(
            model=model,
            sample=sample,
            wanted=wanted,
            expected=expected,
            tolerance=shortcut_tolerance(spec),
            most=most,
        )
        execution, drift = trial.fastest(execution)
    if drift.texts and not drift.within(most):
        raise _not_its_own(model, drift, most)
    if spec.rounded:
        try:
            with fast_linears(model, execution, spec.precision):
                drift = compare(expected, read_states(model, sample, wanted, execution), rounded=True)
        except UNSUPPORTED as error:
            if out_of_memory(error):
                raise
            raise cannot_compute(model, spec.dtype, error) from error
        if not drift.texts:
            raise ModelError(
                f"self-check of {type(model.causal).__name__}",
                found=f"no finite hidden states for any of {len(sample.ids)} texts, so no drift can be measured",
                expected="finite numbers in this precision",
                do="use --dtype float32 --precision exact, and check that the weights are complete",
            )
    return execution, drift


def settle_beginning(
    model: LoadedModel, rows: Prompts, wanted: Wanted, *, execution: Execution, spec: ExtractSpec
) -> Execution:
    """Keep a shared beginning if some of the rows that share it give the same states without it.

    Texts of each language may begin alike in another way than the sample did. Call it inside the `fast_linears` of the
    run, so that nothing but the shared beginning differs; with "fast" precision, inside `usual_linears`.

    Args:
        model: with the wanted adapter active.
        rows: some of the rows, from `sample_rows`.
        wanted: position -> layers, resolved for this model.
        execution: as it would be used.
        spec: what is read.
    """
    alone = replace(execution, token_budget=1, overhead=0, shortcuts=False)
    with _exactly(model, spec):
        execution = without_unsupported(model, rows, wanted, execution)
        if not execution.takes("shared beginning"):
            return execution
        drift = attempt(read_states(model, rows, wanted, alone), model, rows, wanted, execution)
    if drift.within(shortcut_tolerance(spec)):
        return execution
    return without(execution, "shared beginning", CHANGES, drift)


def shortcut_tolerance(spec: ExtractSpec) -> float:
    """Most that a shortcut may move a state; quantised layers round activations, and cannot be computed without."""
    return TOLERANCE[spec.dtype] if spec.quantize else SHORTCUT_TOLERANCE


def _exactly(model: LoadedModel, spec: ExtractSpec) -> contextlib.AbstractContextManager[None]:
    """Compute a bfloat16 model in float32 within the block."""
    return in_float32(model) if spec.rounded and spec.dtype == "bfloat16" else contextlib.nullcontext()


def _not_its_own(model: LoadedModel, drift: Drift, tolerance: float) -> ModelError:
    finite = np.isfinite(drift.max)
    differ = f"that differ by {drift.max:.2%} of their length from" if finite else "that are not finite, unlike"
    return ModelError(
        f"self-check of {type(model.causal).__name__}",
        found=f"hidden states of a batch {differ} those of one text at a time, without any shortcut",
        expected=f"a relative difference of at most {tolerance:g}",
        do="see isogloss doctor, and report the model's architecture to isogloss",
    )
