"""The self-test of a model: does isogloss read it correctly? The checks are independent of each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from isogloss.auditing.listed_states import match_listed, measure_change, measure_largest_change, read_listed
from isogloss.errors import ModelError
from isogloss.hidden_states.drift import cannot_compute
from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.extract import Wanted, hidden_states, plan_rows
from isogloss.hidden_states.forward import UNSUPPORTED
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.self_check import TOLERANCE, sample_rows, settle
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
#: What texts may share at their beginning; more than 8 tokens, which are run once.
BEGINNING = (
    "Below is a text that a person wrote. Read it from its first word to its last, and then say what it is about. "
)
#: Most tokens of a text, as `ExtractSpec.max_tokens` has it.
TOKENS = ExtractSpec().max_tokens
#: Where configurations list the kind of each block.
BLOCK_KINDS = ("layers_block_type", "block_types", "layer_types")


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
    try:
        alone = subject.states(subject.alone)
    except UNSUPPORTED as error:
        raise cannot_compute(subject.model, subject.dtype, error) from error
    yield _check_finite(alone)
    yield _check_own_states(subject, alone)
    yield _check_norms(subject, alone)
    yield _check_batches(subject, alone)
    yield _check_shortcuts(subject, execution)
    yield _check_lm_head(subject.model)


def _make_result(check: str, description: str, *, ok: bool) -> CheckResult:
    return CheckResult(check=check, verdict="ok" if ok else "failed", found=description)


def _check_architecture(subject: Subject, checkpoint: Checkpoint) -> CheckResult:
    model = subject.model
    width = model.decoder.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    description = (
        f"{type(model.causal).__name__}, {model.depth} blocks of width {width}{_describe_kinds(model)}, "
        f"context {model.context or 'unnamed'}, {subject.dtype} on {model.device}, weights {checkpoint.sha256[:12]}"
    )
    return _make_result(
        "architecture", description + (f", revision {checkpoint.revision}" if checkpoint.revision else ""), ok=True
    )


def _describe_kinds(model: LoadedModel) -> str:
    """Count the kinds of blocks as the configuration names them; each is a layer, be it attention, Mamba or an MLP."""
    config = model.causal.config.get_text_config()  # type: ignore[union-attr, operator]
    kinds = next((kinds for name in BLOCK_KINDS if (kinds := getattr(config, name, None))), ())
    if len(kinds) != model.depth or len(set(kinds)) == 1:
        return ""
    counts = ", ".join(f"{count} {str(kind).replace('_', ' ')}" for kind, count in Counter(kinds).items())
    return f" ({counts}; each counts as a layer)"


def _check_weights(subject: Subject) -> CheckResult:
    broken = {
        name: weight
        for name, weight in subject.model.causal.named_parameters()
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all())
    }
    if not broken:
        return _make_result("weights", "all finite", ok=True)
    embeddings = subject.model.decoder.get_input_embeddings().weight  # type: ignore[operator]
    if all(weight is embeddings for weight in broken.values()):
        ids = (~torch.isfinite(embeddings).all(dim=1)).nonzero()[:, 0].tolist()
        if not set(ids) & {token for row in subject.prompts.ids for token in row}:
            description = (
                f"the embeddings of {len(ids)} tokens are undefined, such as id {ids[0]}: texts with them fail"
            )
            return CheckResult(check="weights", verdict="note", found=description)
    description = f"{len(broken)} tensors with infinite or undefined values, such as {next(iter(broken))}"
    return _make_result("weights", description, ok=False)


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
    listed, final = read_listed(subject.model, subject.prompts.ids)
    match = match_listed(alone, listed, final, tolerance=TOLERANCE[subject.dtype])
    description = "; ".join([f"ours differ by {match.change:.1e} at most", *match.notes])
    return _make_result("the model's own states", description, ok=match.ok)


def _check_norms(subject: Subject, alone: States) -> CheckResult:
    check = "before and after the final norm"
    pre, post = list(alone.values())[-2:]
    if pre.shape != post.shape:
        widths = f"{pre.shape[1]} and {post.shape[1]}"
        return CheckResult(check=check, verdict="note", found=f"a projection follows: the widths are {widths}")
    changes = [measure_change(a, b) for a, b in zip(pre, post, strict=True)]
    named = any("norm" in type(child).__name__.lower() for child in subject.model.decoder.children())
    if max(changes) == 0 and not named:
        return CheckResult(check=check, verdict="note", found="the model has no final norm: both are the same")
    ok = min(changes) > 0 and max(changes) < float("inf")
    return _make_result(check, f"states differ by {min(changes):.1e} at least", ok=ok)


def _check_batches(subject: Subject, alone: States) -> CheckResult:
    """Compare single texts with one padded and masked batch of all texts, as transformers runs it."""
    together = subject.states(replace(subject.alone, token_budget=10**6, overhead=10**6))
    change = max(measure_change(a, b) for layer in alone for a, b in zip(together[layer], alone[layer], strict=True))
    return _make_result(
        "batch and single text", f"states differ by {change:.1e} at most", ok=change < TOLERANCE[subject.dtype]
    )


def _check_shortcuts(subject: Subject, execution: Execution) -> CheckResult:
    """Run the self-check on texts that share a beginning, the longest as long as a text of an audit may be."""
    model = subject.model
    limit = min(model.context or TOKENS, TOKENS)
    texts = [BEGINNING + text for text in (*SAMPLES, " ".join(SAMPLES * TOKENS))]
    sample = sample_rows(encode(model.tokenizer, texts, max_tokens=limit))
    wanted: Wanted = {"last": subject.layers}
    try:
        used, drift = settle(model, sample, wanted, execution=execution, spec=ExtractSpec(dtype=subject.dtype))
    except ModelError as error:
        return _make_result("shortcuts", error.found, ok=False)
    description = f"{used.kernel} kernel, {'with' if used.shortcuts else 'without'} shortcuts, drift {drift.max:.1e}"
    if used.off:
        off = "; ".join(map(str, used.off))
        return CheckResult(check="shortcuts", verdict="note", found=f"{description}, off for this model: {off}")
    return _make_result("shortcuts", description, ok=drift.texts > 0)


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
    change, rest = measure_largest_change(active, before), measure_largest_change(after, before)
    description = f"moves the last state by {change:.1e} at most, and leaves {rest:.1e} behind"
    return _make_result("adapter", description, ok=rest < TOLERANCE[subject.dtype] and rest < change < float("inf"))
