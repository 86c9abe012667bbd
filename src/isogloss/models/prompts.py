"""Text -> token ids, raw or in a chat template: at most one BOS, and the read-out token is the last one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.io.files import canonical_json, sha256_text
from isogloss.models.chat_prompts import MARK, PromptRow, chat_rows, fill_template, inseparable
from isogloss.models.control_tokens import ControlTokens, free_mark

PromptFormat = Literal["raw", "chat"]

#: Texts that a tokenizer is given at a time: it holds far more of each text than its ids.
AT_A_TIME = 1024
#: Two tokenizers that agree on these count as the same: scripts, spaces, digits, accents, an emoji, a line break.
SAMPLES = (
    "The quick brown fox, 12345 times.",
    "Größe  und  naïve café",
    "Привіт, світе! Съешь ещё",
    "你好，世界。",
    "नमस्ते दुनिया",
    "مرحبا بالعالم",
    "ሰላም ለዓለም",
    "বাংলা ভাষা",
    "Habari ya asubuhi 🙂\nnext",
)


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Token ids of texts."""

    ids: tuple[tuple[int, ...], ...]
    text_ends: tuple[int, ...]
    """Number of tokens of each row up to the end of its text; a chat template adds others after it."""
    cut: tuple[bool, ...]
    """Which texts exceeded the limit and lost their end."""
    bos: bool
    """Whether rows begin with a BOS token."""
    controls: tuple[bool, ...] = ()
    """Which texts spell a control token, and were read as plain text; empty if nobody looked."""


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    prompt_format: PromptFormat = "raw",
    max_tokens: int = 512,
    template: str | None = None,
    arguments: Sequence[str] = (),
) -> Prompts:
    """Turn texts into token ids.

    Rows have exactly one BOS token if the tokenizer adds one by itself or the chat template writes one, and none
    otherwise. An EOS token that the tokenizer appends is left out: the last token is that of the text or, with a chat
    template, that of the generation prompt. A text that is too long loses its end; the template stays whole. Control
    tokens that a text spells are read as plain text.

    Args:
        tokenizer: a fast tokenizer if `prompt_format` is "chat".
        texts: the texts to encode.
        prompt_format: "raw", or "chat": the text as a user turn, with a generation prompt after it.
        max_tokens: most tokens of a row.
        template: a Jinja chat template; None uses the tokenizer's own.
        arguments: those of the template, in canonical form (`parse_arguments`).

    Raises:
        ModelError: there is no chat template or it fails, or a text has no token.
    """
    rows: list[PromptRow] = []
    chat = fill_template(tokenizer, template, arguments) if prompt_format == "chat" else None
    controls = ControlTokens(tokenizer, chat.text if chat else None)
    for start in range(0, len(texts), AT_A_TIME):
        some = list(texts[start : start + AT_A_TIME])
        rows += chat_rows(chat, some, controls) if chat else _raw_rows(tokenizer, some, controls)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids, text_ends, cut = [], [], []
    for row in rows:
        tokens, after = row.ids, row.after
        while bos is not None and tokens[:2] == [bos, bos]:
            tokens = tokens[1:]
        if prompt_format == "raw" and len(tokens) > 1 and tokens[-1] == eos:
            tokens = tokens[:-1]
        if len(tokens) - (tokens[:1] == [bos]) < 1:
            raise ModelError(
                "a text of the corpus", found="no token", expected="at least one token", do="remove the text"
            )
        cut.append(len(tokens) > max_tokens)
        ids.append(_shorten(tokens, after, max_tokens))
        text_ends.append(len(ids[-1]) - after)
    return Prompts(
        ids=tuple(ids),
        text_ends=tuple(text_ends),
        cut=tuple(cut),
        bos=bool(ids) and bos is not None and ids[0][0] == bos,
        controls=tuple(row.control for row in rows),
    )


def _shorten(tokens: list[int], after: int, limit: int) -> tuple[int, ...]:
    """Take tokens out of the end of the text, before the `after` tokens that the template puts there."""
    if len(tokens) <= limit:
        return tuple(tokens)
    if after >= limit:
        raise ModelError(
            "chat template",
            found=f"a template of {after} tokens after the text",
            expected=f"fewer than --max-tokens {limit}",
            do="ask for more tokens",
        )
    return (*tokens[: limit - after], *tokens[len(tokens) - after :])


def _raw_rows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], controls: ControlTokens) -> list[PromptRow]:
    """Token ids of each text; nothing comes after it."""
    rows = [list(row) for row in tokenizer([MARK, *texts], add_special_tokens=True)["input_ids"]]
    added = controls.count(rows.pop(0))
    spelt = [i for i, text in enumerate(texts) if controls.count(rows[i]) > added or controls.names_unknown(text)]
    if spelt:
        some = [texts[i] for i in spelt]
        plain = [list(row) for row in tokenizer(some, add_special_tokens=True, split_special_tokens=True)["input_ids"]]
        if any(controls.count(row) > added for row in plain):
            plain = [ids for ids, _ in controls.encode(some, free_mark(some), add_special_tokens=True)]
        for i, row in zip(spelt, plain, strict=True):
            rows[i] = row
            if controls.count(row) > added:
                raise inseparable()
    return [PromptRow(row, 0, i in set(spelt)) for i, row in enumerate(rows)]


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash how a tokenizer reads texts of many scripts; a model and its descendants have equal hashes."""
    return sha256_text(canonical_json(tokenizer(list(SAMPLES), add_special_tokens=True)["input_ids"]))


@functools.lru_cache(maxsize=4)
def _count_known(tokenizer: PreTrainedTokenizerBase) -> int:
    return 1 + int(max(tokenizer.get_vocab().values()))


def check_vocabulary(
    rows: Sequence[tuple[int, ...]], tokenizer: PreTrainedTokenizerBase, embeddings: int, name: str
) -> None:
    """Refuse tokens that a model was never trained on, such as those that only the other model's template has.

    Args:
        rows: token ids, one row or more.
        tokenizer: that of the model.
        embeddings: rows of the model's embeddings; some have more than there are tokens.
        name: the model, for the message.

    Raises:
        ModelError: a token id is too large.
    """
    largest, size = max(map(max, rows)), min(_count_known(tokenizer), embeddings)
    if largest >= size:
        raise ModelError(
            f"model {name}",
            found=f"token {largest} in a prompt",
            expected=f"one of its {size} tokens",
            do="use --prompt-format raw, or a --chat-template without added tokens",
        )


def check_context(rows: Sequence[tuple[int, ...]], context: int | None, name: str) -> None:
    """Refuse rows of token ids that are longer than what a model was made for: no later position was ever trained.

    Args:
        rows: token ids, one row or more.
        context: most tokens, as the model's configuration names them; None if it names no limit.
        name: the model, for the message.

    Raises:
        ModelError: a row is longer than the context.
    """
    longest = max(map(len, rows))
    if context is not None and longest > context:
        raise ModelError(
            f"model {name}",
            found=f"a text of {longest} tokens",
            expected=f"at most {context}, its context",
            do=f"use --max-tokens {context}",
        )
