"""The self-test: does isogloss read this model correctly? Each check says what it found; none trusts another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from isogloss.errors import ModelError
from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.extract import Wanted, hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.self_check import TOLERANCE, measure_drift, sample_rows, settle
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.likelihoods.lm_head import check_head
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import SAMPLES, Prompts, encode
from isogloss.progress import Track, silent

Verdict = Literal["ok", "note", "failed"]
States = Mapping[Layer, np.ndarray]
#: Checks whose length the progress bar shows.
STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check of a model: "note" is worth knowing, "failed" means that its numbers cannot be trusted."""

    check: str
    verdict: Verdict
    found: str


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A loaded model with what every check needs: prompts, layers, and its states one text at a time."""

    model: LoadedModel
    prompts: Prompts
    layers: tuple[Layer, ...]
    alone: Execution
    dtype: str

    def states(self, execution: Execution) -> States:
        """States of the prompts at every layer."""
        with fast_linears(self.model, execution):
            plan = plan_rows(self.prompts.ids, execution)
            return hidden_states(self.model, plan, {"last": self.layers}, execution=execution)["last"]


def doctor(
    ref: ModelRef,
    *,
    dtype: str = "float32",
    quantize: str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> list[Finding]:
    """Check on a few texts of many scripts that a model's hidden states are what isogloss says they are.

    Args:
        ref: any model that can be audited.
        dtype: of weights and computation.
        quantize: as in `ExtractSpec`.
        device: a torch device; None takes a GPU if there is one.
        track: progress display.

    Raises:
        ModelError: the model cannot be loaded at all.
    """
    checkpoint = fetch(ref)
    execution = choose_execution(dtype=dtype, precision="exact", device=device)
    model = load_model(checkpoint, dtype=dtype, quantize=quantize, device=execution.device, track=track)
    findings = []
    with track("Checking the model", STEPS) as advance, use_checkpoint(model, checkpoint):
        patient = Patient(
            model=model,
            prompts=encode(model.tokenizer, SAMPLES),
            layers=ExtractSpec(layers=("all",)).resolve(model.depth),
            alone=Execution(device=execution.device, token_budget=1, overhead=0, shortcuts=False),
            dtype=dtype,
        )
        for finding in _checks(patient, checkpoint, execution):
            findings.append(finding)
            advance(1)
    if checkpoint.adapter_folder is not None:
        findings.append(_adapter(patient, checkpoint))
    return findings


def _checks(patient: Patient, checkpoint: Checkpoint, execution: Execution) -> Iterator[Finding]:
    yield _architecture(patient, checkpoint)
    yield _weights(patient)
    yield _raw(patient)
    yield _chat(patient)
    own = patient.states(patient.alone)
    yield _finite(own)
    yield _oracle(patient, own)
    yield _norms(own)
    yield _batches(patient, own)
    yield _speed(patient, execution)
    yield _head(patient.model)


def _finding(check: str, found: str, *, ok: bool) -> Finding:
    return Finding(check=check, verdict="ok" if ok else "failed", found=found)


def _architecture(patient: Patient, checkpoint: Checkpoint) -> Finding:
    model = patient.model
    width = model.decoder.get_input_embeddings().embedding_dim  # type: ignore[operator]
    found = (
        f"{type(model.causal).__name__}, {model.depth} blocks of width {width}, context {model.context or 'unnamed'}, "
        f"{patient.dtype} on {model.device}, weights {checkpoint.sha256[:12]}"
    )
    return _finding(
        "architecture", found + (f", revision {checkpoint.revision}" if checkpoint.revision else ""), ok=True
    )


def _weights(patient: Patient) -> Finding:
    broken = [
        name
        for name, weight in patient.model.causal.named_parameters()
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all())
    ]
    found = f"{len(broken)} tensors with infinite or undefined values, such as {broken[0]}" if broken else "all finite"
    return _finding("weights", found, ok=not broken)


def _raw(patient: Patient) -> Finding:
    tokenizer = patient.model.tokenizer
    rows, bos = patient.prompts.ids, patient.prompts.bos
    counts = {row.count(tokenizer.bos_token_id) for row in rows} if bos else {0}
    found = f"{'one BOS' if bos else 'no BOS'}, read-out token {_token(patient.model, rows[0])}"
    return _finding("raw text", f"{found} of {SAMPLES[0]!r}", ok=counts in ({0}, {1}))


def _chat(patient: Patient) -> Finding:
    tokenizer = patient.model.tokenizer
    try:
        prompts = encode(tokenizer, SAMPLES, prompt_format="chat")
    except ModelError as error:
        return Finding(check="chat template", verdict="note", found=error.found)
    bos = tokenizer.bos_token_id
    doubled = bos is not None and any(row[1:2] == (bos,) for row in prompts.ids)
    row, end = prompts.ids[0], prompts.text_ends[0]
    found = f"last_instruction_token {_token(patient.model, row[:end])}, last_prompt_token {_token(patient.model, row)}"
    return _finding("chat template", f"{found}{', a double BOS' if doubled else ''}", ok=not doubled)


def _token(model: LoadedModel, row: Sequence[int]) -> str:
    return repr(model.tokenizer.decode(list(row[-1:]), clean_up_tokenization_spaces=False))


def _finite(own: States) -> Finding:
    broken = [layer.name for layer, state in own.items() if not np.isfinite(state).all() or not state.any(axis=1).all()]
    found = f"not at layers {', '.join(broken)}" if broken else f"at all {len(own)} layers"
    return _finding("states finite and not zero", found, ok=not broken)


def _oracle(patient: Patient, own: States) -> Finding:
    """Compare with what the model itself returns, whatever our hooks think of its shape."""
    moved = 0.0
    for i, row in enumerate(patient.prompts.ids):
        ids = torch.tensor([row], device=patient.model.device)
        with torch.inference_mode():
            theirs = patient.model.causal(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer, state in own.items():
            if layer.norm != "pre":
                moved = max(moved, _moved(state[i], theirs[layer.index][0, -1].float().cpu().numpy()))
    return _finding(
        "the model's own states", f"ours differ by {moved:.1e} at most", ok=moved < TOLERANCE[patient.dtype]
    )


def _norms(own: States) -> Finding:
    pre, post = list(own.values())[-2:]
    moved = [_moved(a, b) for a, b in zip(pre, post, strict=True)]
    ok = min(moved) > 0 and max(moved) < float("inf")
    return _finding("before and after the final norm", f"states differ by {min(moved):.1e} at least", ok=ok)


def _batches(patient: Patient, own: States) -> Finding:
    """All texts in one padded batch, with the mask, as transformers runs it."""
    together = patient.states(replace(patient.alone, token_budget=10**6, overhead=10**6))
    moved = max(_moved(a, b) for layer in own for a, b in zip(together[layer], own[layer], strict=True))
    return _finding(
        "batch and single text", f"states differ by {moved:.1e} at most", ok=moved < TOLERANCE[patient.dtype]
    )


def _speed(patient: Patient, execution: Execution) -> Finding:
    sample = sample_rows(patient.prompts)
    wanted: Wanted = {"last": patient.layers}
    try:
        used, _ = settle(patient.model, sample, wanted, execution=execution, spec=ExtractSpec(dtype=patient.dtype))
    except ModelError as error:
        return _finding("shortcuts", error.found, ok=False)
    drift = measure_drift(patient.model, sample, wanted, execution=used)
    how = f"{used.kernel} kernel, {'with' if used.shortcuts else 'without'} shortcuts, drift {drift.max:.1e} at most"
    ok = drift.within(TOLERANCE[patient.dtype])
    if ok and used != execution:
        return Finding(check="shortcuts", verdict="note", found=f"this model gets other numbers with them: {how}")
    return _finding("shortcuts", how, ok=ok)


def _head(model: LoadedModel) -> Finding:
    try:
        check_head(model)
    except ModelError as error:
        return Finding(check="LM head", verdict="note", found=f"{error.found}: use --controls untrained")
    return _finding("LM head", "its logits are the model's own", ok=True)


def _adapter(patient: Patient, checkpoint: Checkpoint) -> Finding:
    base = replace(checkpoint, adapter_folder=None, adapter_sha256=None)
    states: list[States] = []
    for one in (base, checkpoint, base):
        with use_checkpoint(patient.model, one):
            states.append(patient.states(patient.alone))
    final = patient.layers[-1]
    before, on, off = (state[final] for state in states)
    change, left = _largest(on, before), _largest(off, before)
    found = f"moves the last state by {change:.1e} at most, and leaves {left:.1e} behind"
    return _finding("adapter", found, ok=left < TOLERANCE[patient.dtype] and left < change < float("inf"))


def _largest(states: np.ndarray, own: np.ndarray) -> float:
    return max(_moved(a, b) for a, b in zip(states, own, strict=True))


def _moved(state: np.ndarray, own: np.ndarray) -> float:
    """How far a state lies from another, relative to the other's length; infinite where either is broken."""
    length = float(np.linalg.norm(own))
    found = float(np.linalg.norm(state.astype(np.float64) - own)) / length if length > 0 else float("inf")
    return found if np.isfinite(found) else float("inf")
