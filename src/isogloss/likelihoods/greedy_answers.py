"""Greedy answers of a model, and whether they begin like a known refusal."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from isogloss.likelihoods.cached import NEW_TOKENS
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
    config = GenerationConfig(
        do_sample=False, max_new_tokens=new_tokens, pad_token_id=pad or 0, eos_token_id=tokenizer.eos_token_id
    )
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        width = max(len(prompts[i]) for i in batch)
        # Padded on the left: what is generated follows the last token of every row.
        ids = torch.tensor([[pad or 0] * (width - len(prompts[i])) + list(prompts[i]) for i in batch])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
        with torch.inference_mode():
            out = causal.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
            )
        for i, row in zip(batch, out[:, width:], strict=True):
            texts[i] = str(tokenizer.decode(row, skip_special_tokens=True)).strip()
        advance(len(batch))
    return texts


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
