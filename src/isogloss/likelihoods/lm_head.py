"""Token ids -> bits that a model needs to write them: the LM head, at real positions only, some at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from isogloss.engines.worker import out_of_memory
from isogloss.errors import ModelError
from isogloss.hidden_states.batching import plan_batches
from isogloss.hidden_states.drift import FEW_BATCHES
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.forward import UNSUPPORTED, pad_right
from isogloss.hidden_states.kernels import fast_linears
from isogloss.models.architecture import attends_ahead
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import encode

#: Most float32 logits at a time (128 MiB): 128 positions of Gemma's vocabulary of 262,144.
LOGITS = 2**25
#: Most that our logits may differ from the model's own, relative to the largest; bfloat16 rounds to a 256th.
EXACT, ROUNDED = 1e-4, 0.02
#: Most that a logit may differ, relative to the largest, when a later token is left out: by rounding, in any precision.
LOOKING_AHEAD = 0.05
#: Most bits that those of a text in a batch may differ, beside a share of them.
ABSOLUTE = 2e-3
#: Text with which an LM head is checked.
CHECKED = "The quick brown fox, 12345 times."


def text_bits(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    *,
    execution: Execution,
    starts: Sequence[int] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Sum -log2 p(token | all tokens before it) over each row of token ids, the first token left out.

    The first token is BOS for a model that has one. For a model without BOS it is the first token of the text, which
    has nothing before it and so no probability: its characters do not count either (see `Likelihoods.characters`).
    Call `check_head` once for a model of an unknown kind.

    Args:
        model: with the wanted adapter active.
        rows: token ids, at least one each.
        execution: how to run.
        starts: index of the first token of each row that is scored, 1 or more, such as where an answer begins; None is
            the second token.
        advance: called with the number of texts done.

    Returns:
        Bits, float64 (len(rows),), in the order of `rows`; 0 for a row of one token; not finite where the model's own
        are not.

    Raises:
        ModelError: the LM head cannot be found.
    """
    if not rows:
        return np.zeros(0)
    # Equal rows with other starts are other rows, as are rows with other text ends for hidden states.
    firsts = [1] * len(rows) if starts is None else starts
    plan = plan_batches(rows, token_budget=execution.token_budget, overhead=execution.overhead, text_ends=firsts)
    bits = np.empty(len(plan.distinct))
    for batch in plan.batches:
        bits[list(batch)] = _batch_bits(model, [plan.distinct[i] for i in batch], [plan.text_ends[i] for i in batch])
        advance(len(batch))
    advance(len(rows) - len(plan.distinct))
    return bits[list(plan.inverse)]


def _batch_bits(model: LoadedModel, rows: Sequence[tuple[int, ...]], starts: Sequence[int]) -> np.ndarray:
    """Bits of each row of one batch from its start on: float64 (rows,)."""
    batch = pad_right(rows, model.device)
    ids, mask = batch.ids, batch.real
    with torch.inference_mode():
        hidden = model.decoder(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
        # The state at one position predicts the token at the next.
        after = (
            torch.arange(1, ids.shape[1], device=ids.device)[None, :]
            >= torch.tensor(starts, device=ids.device)[:, None]
        )
        predicted = mask[:, 1:] & after
        states, targets = hidden[:, :-1][predicted], ids[:, 1:][predicted]
        row = predicted.nonzero()[:, 0].cpu().numpy()
        nats = target_nats(model, states, targets)
    return np.bincount(row, weights=nats, minlength=len(rows)) / math.log(2)


def target_nats(model: LoadedModel, states: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """-ln p of one target after each state: states (positions, width), targets (positions,) -> float64 (positions,)."""
    nats = np.empty(len(states))
    for some in _slices(model, len(states)):
        nats[some] = _nats(_logits(model, states[some]), targets[some, None])[:, 0]
    return nats


def head_nats(model: LoadedModel, states: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """-ln p of the same targets after each state: (positions, width) and (targets,) -> float64 (positions, targets)."""
    nats = np.empty((len(states), len(targets)))
    targets = targets.to(states.device)
    for some in _slices(model, len(states)):
        logits = _logits(model, states[some])
        nats[some] = _nats(logits, targets.expand(len(logits), -1))
    return nats


def _slices(model: LoadedModel, n: int) -> list[slice]:
    step = max(1, LOGITS // len(_head(model).weight))
    return [slice(start, start + step) for start in range(0, n, step)]


def _nats(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """-ln p of targets (positions, k) under logits (positions, vocabulary), which are used up: (positions, k)."""
    of_targets = logits.gather(1, targets)
    # log-sum-exp in place: a second array of this size would double memory and time.
    top = logits.amax(dim=1, keepdim=True)
    total = logits.sub_(top).exp_().sum(dim=1, keepdim=True).log_() + top
    nats: np.ndarray = (total - of_targets).cpu().numpy()
    return nats


def _head(model: LoadedModel) -> Any:  # noqa: ANN401 - transformers is untyped
    causal: Any = model.causal
    head = causal.get_output_embeddings()
    if head is None:
        raise ModelError(
            "likelihoods of texts",
            found=f"no LM head in {type(causal).__name__}",
            expected="a causal language model",
            do="report the model's architecture to isogloss",
        )
    return head


def _logits(model: LoadedModel, states: torch.Tensor) -> torch.Tensor:
    """States after the final norm (positions, width) -> float32 logits (positions, vocabulary)."""
    causal: Any = model.causal
    config = causal.config.get_text_config()
    logits: torch.Tensor = _head(model)(states).float()
    if factor := getattr(config, "logit_scale", None):  # Cohere
        logits *= factor
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        logits /= divisor
    if factor := getattr(config, "lm_head_multiplier", None):  # Falcon H1
        logits *= factor
    for name in ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"):
        if cap := getattr(config, name, None):  # Gemma 2, RecurrentGemma, xLSTM
            logits = logits.div_(cap).tanh_().mul_(cap)
    return logits


def check_head(model: LoadedModel) -> None:
    """Refuse a model whose own logits differ from ours, or whose tokens attend to later ones.

    In the first case the bits would miss a step after its head; in the second no token has a likelihood given the
    tokens before it.

    Raises:
        ModelError: the LM head cannot be found, or an unknown step changes its logits, or none is finite, or a logit
            depends on a later token.
    """
    causal: Any = model.causal
    ids = torch.tensor(encode(model.tokenizer, [CHECKED]).ids, device=model.device)
    with torch.inference_mode():
        expected = causal(input_ids=ids, use_cache=False).logits[0].float()
        ours, before = (_try_logits(model, some) for some in (ids, ids[:, :-1]))
    if not torch.isfinite(expected).any():
        raise ModelError(
            "likelihoods of texts",
            found=f"no finite logit of {type(causal).__name__}",
            expected="finite numbers",
            do="use --dtype float32, and check that the weights are complete",
        )
    tolerance = EXACT if next(causal.parameters()).dtype == torch.float32 else ROUNDED
    if not _agree(ours, expected, tolerance):
        raise ModelError(
            "likelihoods of texts",
            found=f"an unknown step after the LM head of {type(causal).__name__}",
            expected="logits as they come from the head, scaled or soft-capped as in Cohere, Granite or Gemma 2",
            do="report the model's architecture to isogloss",
        )
    if attends_ahead(model) or not _agree(before, ours[:-1], LOOKING_AHEAD):
        raise ModelError(
            "likelihoods of texts",
            found=f"attention to later tokens in {type(causal).__name__}",
            expected="a causal model: the likelihood of a token depends on the tokens before it",
            do="leave likelihoods out: --controls untrained, without --behaviour",
        )


def _try_logits(model: LoadedModel, ids: torch.Tensor) -> torch.Tensor:
    """Read our logits of one row of ids; none where states of another width go into the head."""
    states: torch.Tensor = model.decoder(input_ids=ids, use_cache=False).last_hidden_state[0]
    _head(model)
    try:
        return _logits(model, states)
    except UNSUPPORTED as error:
        if out_of_memory(error):
            raise
        return states[:0]


def _agree(logits: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Whether logits differ by no more than a share of the largest; NaN is above no tolerance."""
    if logits.shape != expected.shape:
        return False
    finite = torch.isfinite(expected)  # some models give tokens that are never written a logit of minus infinity
    return bool((expected - logits)[finite].abs().max() <= tolerance * expected[finite].abs().max())


def settle_head(model: LoadedModel, rows: Sequence[tuple[int, ...]], *, execution: Execution) -> Execution:
    """Keep to an execution if the bits of a few rows in a batch are those of one row at a time; else drop its kernel.

    It costs a pass for each row, and one over their batch; up to two more for a model whose bits differ.

    Args:
        model: with the wanted adapter active.
        rows: token ids, at least one each, of lengths that pad each other.
        execution: how to run.

    Raises:
        ModelError: the bits of a batch differ, by torch's own products, too.
    """
    plain = replace(execution, kernel="plain", shortcuts=False)
    expected = text_bits(model, rows, execution=replace(plain, token_budget=1, overhead=0))
    finite = np.isfinite(expected)  # texts without finite bits are named when their bits are stored
    relative = EXACT if next(model.causal.parameters()).dtype == torch.float32 else ROUNDED
    for attempt in (execution, replace(execution, shortcuts=False), plain):
        try:
            with fast_linears(model, attempt):
                bits = text_bits(model, rows, execution=replace(attempt, overhead=FEW_BATCHES))
        except UNSUPPORTED as error:
            if out_of_memory(error) or attempt == plain:
                raise
            continue
        if (np.abs(bits - expected)[finite] <= ABSOLUTE + relative * np.abs(expected[finite])).all():
            return attempt
    raise ModelError(
        f"self-check of {type(model.causal).__name__}",
        found="likelihoods of a batch of texts that differ from those of one text at a time",
        expected=f"a relative difference of at most {relative:g}",
        do="see isogloss doctor, and report the model's architecture to isogloss",
    )
