"""Text -> token ids, raw or in the chat template: exactly one BOS, and the read-out token is the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError

Rendering = Literal["raw", "chat"]


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Token ids of texts; `cut` marks those that exceeded the limit and lost their end."""

    ids: tuple[tuple[int, ...], ...]
    cut: tuple[bool, ...]
    bos: bool


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, rendering: Rendering = "raw", max_tokens: int = 512
) -> Prompts:
    """Turn texts into token ids.

    A BOS token is there exactly once if the tokenizer adds one by itself (or the chat template writes one), and never
    otherwise. An EOS token that the tokenizer appends is left out: the read-out token is the last token of the text, or
    with chat rendering the last token of the generation prompt.

    Raises:
        ModelError: the tokenizer has no chat template, or a text has no token.
    """
    if rendering == "chat":
        texts = [_render_chat(tokenizer, text) for text in texts]
        rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    else:
        rows = tokenizer(list(texts), add_special_tokens=True)["input_ids"]
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids, cut = [], []
    for row in rows:
        tokens = list(row)
        while bos is not None and tokens[:2] == [bos, bos]:
            tokens = tokens[1:]
        if rendering == "raw" and len(tokens) > 1 and tokens[-1] == eos:
            tokens = tokens[:-1]
        if len(tokens) - (tokens[:1] == [bos]) < 1:
            raise ModelError(
                "a text of the corpus", found="no token", expected="at least one token", do="remove the text"
            )
        cut.append(len(tokens) > max_tokens)
        ids.append(tuple(tokens[:max_tokens]))
    return Prompts(ids=tuple(ids), cut=tuple(cut), bos=bool(ids) and bos is not None and ids[0][0] == bos)


def _render_chat(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    if tokenizer.chat_template is None:
        raise ModelError(
            "chat rendering", found="a tokenizer without a chat template", expected="one", do="use --rendering raw"
        )
    messages = [{"role": "user", "content": text}]
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
