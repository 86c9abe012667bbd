"""Greedy answers of a model, and whether they begin like a known refusal."""

from __future__ import annotations

import inspect
import itertools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from isogloss.hidden_states.forward import shared_cache
from isogloss.likelihoods.cached import NEW_TOKENS
from isogloss.likelihoods.lm_head import EXACT, ROUNDED
from isogloss.models.load import LoadedModel

#: Prompts in a batch.
BATCH = 16


def greedy(
    model: LoadedModel,
    prompts: Sequence[tuple[int, ...]],
    *,
    new_tokens: int = NEW_TOKENS,
    advance: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Let a model continue each prompt, always with the likeliest token.

    Args:
        model: with the wanted adapter active.
        prompts: token ids, at least one each.
        new_tokens: most tokens of an answer.
        advance: called with the number of answers done.

    Returns:
        Answers without special tokens, in the order of `prompts`.
    """
    causal: Any = model.causal
    tokenizer = model.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    texts = [""] * len(prompts)
    if not prompts:
        return texts
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=new_tokens,
        pad_token_id=pad or 0,
        eos_token_id=tokenizer.eos_token_id,
        # Recurrent states of a batch are not those of single texts in every architecture, and fail in some.
        use_cache=shared_cache(model, prompts[0][:2]) is not None,
    )
    for batch in _batches(prompts, padded=takes_left_padding(model, prompts)):
        ids, mask = _pad_left([prompts[i] for i in batch])
        with torch.inference_mode():
            out = causal.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
            )
        for i, row in zip(batch, out[:, ids.shape[1] :], strict=True):
            texts[i] = str(tokenizer.decode(row, skip_special_tokens=True)).strip()
        advance(len(batch))
    return texts


def takes_left_padding(model: LoadedModel, prompts: Sequence[tuple[int, ...]]) -> bool:
    """Whether a prompt with padding before it has the same next token as alone; recurrent states may not mask it.

    It costs a pass over the shortest prompt, and one over the shortest and the longest together.
    """
    causal: Any = model.causal
    short, long = min(prompts, key=len), max(prompts, key=len)
    if len(short) == len(long):
        return True
    ids, mask = _pad_left([short, long])
    # As `generate` counts them.
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if "position_ids" in inspect.signature(causal.forward).parameters:
        inputs["position_ids"] = positions
    with torch.inference_mode():
        alone = causal(input_ids=torch.tensor([short], device=model.device), use_cache=False).logits[0, -1].float()
        padded = causal(**{name: value.to(model.device) for name, value in inputs.items()}, use_cache=False)
        moved = (padded.logits[0, -1].float() - alone).abs().max()
    tolerance = EXACT if next(causal.parameters()).dtype == torch.float32 else ROUNDED
    return bool(moved <= tolerance * alone.abs().max())


def _batches(prompts: Sequence[tuple[int, ...]], *, padded: bool) -> Iterator[list[int]]:
    """Yield indices of prompts of like length; without padding, of one length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    groups = [order]
    if not padded:
        groups = [list(group) for _, group in itertools.groupby(order, key=lambda i: len(prompts[i]))]
    for group in groups:
        for start in range(0, len(group), BATCH):
            yield group[start : start + BATCH]


def _pad_left(prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack prompts that end together, so that answers follow the last token: ids and mask, (prompts, tokens).

    They are padded with their first token: the embedding of a padding token may be undefined.
    """
    width = max(map(len, prompts))
    ids = [[*[prompt[0]] * (width - len(prompt)), *prompt] for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def begins_like(text: str, answers: Sequence[str]) -> bool:
    """Whether a text begins with the first half of any of some answers; case does not count.

    It recognises only refusals that are worded like those of the table.

    >>> begins_like("Sorry, I can't say more.", ["Sorry, I can't help with that."])
    True
    """
    plain = _plain(text)
    return any(plain.startswith(_plain(answer)[: (len(answer) + 1) // 2]) for answer in answers)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
