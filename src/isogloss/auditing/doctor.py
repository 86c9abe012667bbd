"""The self-test of a model: does isogloss read it correctly? The checks are independent of each other."""

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
from isogloss.models.chat_prompts import prompt_end
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import LoadedModel, added_tokens, load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import SAMPLES, Prompts, encode
from isogloss.progress import Track, silent

Verdict = Literal["ok", "note", "failed"]
States = Mapping[Layer, np.ndarray]
#: Number of checks, for the progress bar.
STEPS = 10


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of one check: "note" is worth knowing; "failed" means that the numbers cannot be trusted."""

    check: str
    verdict: Verdict
    found: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A loaded model with everything that the checks need.

    Attributes:
        model: with the wanted adapter active.
        prompts: sample texts of many scripts, raw.
        layers: all layers.
        alone: the execution that runs one text at a time, without shortcuts.
        dtype: number format of weights and computation.
    """

    model: LoadedModel
    prompts: Prompts
    layers: tuple[Layer, ...]
    alone: Execution
    dtype: str

    def states(self, execution: Execution) -> States:
        """Compute the states of the prompts at every layer."""
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
) -> list[CheckResult]:
    """Check on a few texts of many scripts that a model's hidden states are read correctly.

    Args:
        ref: the model.
        dtype: number format of weights and computation.
        quantize: as in `ExtractSpec`.
        device: a torch device; None takes a GPU if available.
        track: progress display.

    Raises:
        ModelError: the model cannot be loaded at all.
    """
    checkpoint = fetch(ref)
    execution = choose_execution(dtype=dtype, precision="exact", device=device)
    model = load_model(checkpoint, dtype=dtype, quantize=quantize, device=execution.device, track=track)
    results = []
    with track("Checking the model", STEPS) as advance, use_checkpoint(model, checkpoint):
        subject = Subject(
            model=model,
            prompts=encode(model.tokenizer, SAMPLES),
            layers=ExtractSpec(layers=("all",)).resolve(model.depth),
            alone=Execution(device=execution.device, token_budget=1, overhead=0, shortcuts=False),
            dtype=dtype,
        )
        for result in _run_checks(subject, checkpoint, execution):
            results.append(result)
            advance(1)
    if checkpoint.adapter_folder is not None:
        results.append(_check_adapter(subject, checkpoint))
    if (added := added_tokens(checkpoint)) is not None:
        found = f"the adapter's own, {added} tokens more than the base's"
        results.append(CheckResult(check="tokenizer", verdict="note" if added else "ok", found=found))
    return results


def _run_checks(subject: Subject, checkpoint: Checkpoint, execution: Execution) -> Iterator[CheckResult]:
    yield _check_architecture(subject, checkpoint)
    yield _check_weights(subject)
    yield _check_raw_text(subject)
    yield _check_chat_template(subject)
    alone = subject.states(subject.alone)
    yield _check_finite(alone)
    yield _check_own_states(subject, alone)
    yield _check_norms(alone)
    yield _check_batches(subject, alone)
    yield _check_shortcuts(subject, execution)
    yield _check_lm_head(subject.model)


def _make_result(check: str, description: str, *, ok: bool) -> CheckResult:
    return CheckResult(check=check, verdict="ok" if ok else "failed", found=description)


def _check_architecture(subject: Subject, checkpoint: Checkpoint) -> CheckResult:
    model = subject.model
    width = model.decoder.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    description = (
        f"{type(model.causal).__name__}, {model.depth} blocks of width {width}, context {model.context or 'unnamed'}, "
        f"{subject.dtype} on {model.device}, weights {checkpoint.sha256[:12]}"
    )
    return _make_result(
        "architecture", description + (f", revision {checkpoint.revision}" if checkpoint.revision else ""), ok=True
    )


def _check_weights(subject: Subject) -> CheckResult:
    broken = [
        name
        for name, weight in subject.model.causal.named_parameters()
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all())
    ]
    description = (
        f"{len(broken)} tensors with infinite or undefined values, such as {broken[0]}" if broken else "all finite"
    )
    return _make_result("weights", description, ok=not broken)


def _check_raw_text(subject: Subject) -> CheckResult:
    tokenizer = subject.model.tokenizer
    rows, bos = subject.prompts.ids, subject.prompts.bos
    counts = {row.count(tokenizer.bos_token_id) for row in rows} if bos else {0}
    description = f"{'one BOS' if bos else 'no BOS'}, read-out token {_show_last_token(subject.model, rows[0])}"
    return _make_result("raw text", f"{description} of {SAMPLES[0]!r}", ok=counts in ({0}, {1}))


def _check_chat_template(subject: Subject) -> CheckResult:
    tokenizer = subject.model.tokenizer
    try:
        prompts = encode(tokenizer, SAMPLES, prompt_format="chat")
    except ModelError as error:
        return CheckResult(check="chat template", verdict="note", found=error.found)
    bos = tokenizer.bos_token_id
    doubled = bos is not None and any(row[1:2] == (bos,) for row in prompts.ids)
    row, end = prompts.ids[0], prompts.text_ends[0]
    tokens = {"last_instruction_token": row[:end], "last_prompt_token": row}
    description = ", ".join(f"{name} {_show_last_token(subject.model, ids)}" for name, ids in tokens.items())
    shown, thought = prompt_end(tokenizer)
    description += f", the prompt ends in {' '.join(map(repr, shown))}"
    if thought and not doubled:
        description += f", inside a thought that {thought} opens: see --template-arg"
        return CheckResult(check="chat template", verdict="note", found=description)
    return _make_result("chat template", f"{description}{', a double BOS' if doubled else ''}", ok=not doubled)


def _show_last_token(model: LoadedModel, row: Sequence[int]) -> str:
    return repr(model.tokenizer.decode(list(row[-1:]), clean_up_tokenization_spaces=False))


def _check_finite(alone: States) -> CheckResult:
    broken = [
        layer.name for layer, state in alone.items() if not np.isfinite(state).all() or not state.any(axis=1).all()
    ]
    description = f"not at layers {', '.join(broken)}" if broken else f"at all {len(alone)} layers"
    return _make_result("states finite and not zero", description, ok=not broken)


def _check_own_states(subject: Subject, alone: States) -> CheckResult:
    """Compare our states with those that the model itself returns without our hooks."""
    change = 0.0
    for i, row in enumerate(subject.prompts.ids):
        ids = torch.tensor([row], device=subject.model.device)
        with torch.inference_mode():
            expected = subject.model.causal(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer, state in alone.items():
            if layer.norm != "pre":
                change = max(change, _measure_change(state[i], expected[layer.index][0, -1].float().cpu().numpy()))
    return _make_result(
        "the model's own states", f"ours differ by {change:.1e} at most", ok=change < TOLERANCE[subject.dtype]
    )


def _check_norms(alone: States) -> CheckResult:
    pre, post = list(alone.values())[-2:]
    changes = [_measure_change(a, b) for a, b in zip(pre, post, strict=True)]
    ok = min(changes) > 0 and max(changes) < float("inf")
    return _make_result("before and after the final norm", f"states differ by {min(changes):.1e} at least", ok=ok)


def _check_batches(subject: Subject, alone: States) -> CheckResult:
    """Compare single texts with one padded and masked batch of all texts, as transformers runs it."""
    together = subject.states(replace(subject.alone, token_budget=10**6, overhead=10**6))
    change = max(_measure_change(a, b) for layer in alone for a, b in zip(together[layer], alone[layer], strict=True))
    return _make_result(
        "batch and single text", f"states differ by {change:.1e} at most", ok=change < TOLERANCE[subject.dtype]
    )


def _check_shortcuts(subject: Subject, execution: Execution) -> CheckResult:
    sample = sample_rows(subject.prompts)
    wanted: Wanted = {"last": subject.layers}
    try:
        used, _ = settle(subject.model, sample, wanted, execution=execution, spec=ExtractSpec(dtype=subject.dtype))
    except ModelError as error:
        return _make_result("shortcuts", error.found, ok=False)
    drift = measure_drift(subject.model, sample, wanted, execution=used)
    execution_text = (
        f"{used.kernel} kernel, {'with' if used.shortcuts else 'without'} shortcuts, drift {drift.max:.1e} at most"
    )
    ok = drift.within(TOLERANCE[subject.dtype])
    if ok and used != execution:
        description = f"they change the numbers of this model, so it is run with the {execution_text}"
        return CheckResult(check="shortcuts", verdict="note", found=description)
    return _make_result("shortcuts", execution_text, ok=ok)


def _check_lm_head(model: LoadedModel) -> CheckResult:
    try:
        check_head(model)
    except ModelError as error:
        return CheckResult(check="LM head", verdict="note", found=f"{error.found}: use --controls untrained")
    return _make_result("LM head", "its logits are the model's own", ok=True)


def _check_adapter(subject: Subject, checkpoint: Checkpoint) -> CheckResult:
    base = replace(checkpoint, adapter_folder=None, adapter_sha256=None)
    states: list[States] = []
    for weights in (base, checkpoint, base):
        with use_checkpoint(subject.model, weights):
            states.append(subject.states(subject.alone))
    final = subject.layers[-1]
    before, active, after = (state[final] for state in states)
    change, rest = _measure_largest_change(active, before), _measure_largest_change(after, before)
    description = f"moves the last state by {change:.1e} at most, and leaves {rest:.1e} behind"
    return _make_result("adapter", description, ok=rest < TOLERANCE[subject.dtype] and rest < change < float("inf"))


def _measure_largest_change(states: np.ndarray, expected: np.ndarray) -> float:
    return max(_measure_change(a, b) for a, b in zip(states, expected, strict=True))


def _measure_change(state: np.ndarray, expected: np.ndarray) -> float:
    """Return the distance from the expected state relative to its length; infinite if either state is broken."""
    length = float(np.linalg.norm(expected))
    change = float(np.linalg.norm(state.astype(np.float64) - expected)) / length if length > 0 else float("inf")
    return change if np.isfinite(change) else float("inf")
