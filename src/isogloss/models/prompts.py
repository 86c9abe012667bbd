"""Text -> token ids, raw or in a chat template: at most one BOS, and the read-out token is the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.io.files import canonical_json, sha256_text

PromptFormat = Literal["raw", "chat"]

#: Texts that a tokenizer is given at a time: it holds far more of each text than its ids.
AT_A_TIME = 1024
#: Takes the place of the text, to find what a template puts around it.
MARK = "isogloss"
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


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    prompt_format: PromptFormat = "raw",
    max_tokens: int = 512,
    template: str | None = None,
) -> Prompts:
    """Turn texts into token ids.

    Rows have exactly one BOS token if the tokenizer adds one by itself or the chat template writes one, and none
    otherwise. An EOS token that the tokenizer appends is left out: the last token is that of the text or, with a chat
    template, that of the generation prompt. A text that is too long loses its end; the template stays whole.

    Args:
        tokenizer: a fast tokenizer if `prompt_format` is "chat".
        texts: the texts to encode.
        prompt_format: "raw", or "chat": the text as a user turn, with a generation prompt after it.
        max_tokens: most tokens of a row.
        template: a Jinja chat template; None uses the tokenizer's own.

    Raises:
        ModelError: there is no chat template or it fails, or a text has no token.
    """
    rows = []
    for start in range(0, len(texts), AT_A_TIME):
        some = list(texts[start : start + AT_A_TIME])
        rows += _chat_rows(tokenizer, some, template) if prompt_format == "chat" else _raw_rows(tokenizer, some)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids, text_ends, cut = [], [], []
    for tokens, after in rows:
        while bos is not None and tokens[:2] == [bos, bos]:
            tokens = tokens[1:]  # noqa: PLW2901
        if prompt_format == "raw" and len(tokens) > 1 and tokens[-1] == eos:
            tokens = tokens[:-1]  # noqa: PLW2901
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


def _raw_rows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[tuple[list[int], int]]:
    """Token ids of each text; nothing comes after it."""
    return [(list(row), 0) for row in tokenizer(texts, add_special_tokens=True)["input_ids"]]


def _chat_rows(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], template: str | None
) -> list[tuple[list[int], int]]:
    """Token ids of each text in the template, and how many of them come after the text."""
    if template is None and tokenizer.chat_template is None:
        raise ModelError(
            "--prompt-format chat",
            found="a tokenizer without a chat template",
            expected="a chat template",
            do="give one with --chat-template FILE, or use --prompt-format raw",
        )
    before, mark, after = _render(tokenizer, MARK, template).rpartition(MARK)
    if not mark:
        raise _template_error("it leaves the text out")
    prompts = [_render(tokenizer, text, template) for text in texts]
    if not all(prompt.startswith(before) and prompt.endswith(after) for prompt in prompts):
        raise _template_error("what it puts around a text changes with the text")
    # The template writes its BOS itself.
    encoded = tokenizer(prompts, add_special_tokens=False, return_offsets_mapping=True)
    rows = []
    for prompt, tokens, offsets in zip(prompts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        stop = len(prompt) - len(after)
        inside = max((i + 1 for i, (start, _) in enumerate(offsets) if start < stop), default=0)
        rows.append((list(tokens), len(tokens) - inside))
    return rows


def _render(tokenizer: PreTrainedTokenizerBase, text: str, template: str | None) -> str:
    messages = [{"role": "user", "content": text}]
    try:
        return str(
            tokenizer.apply_chat_template(messages, chat_template=template, add_generation_prompt=True, tokenize=False)
        )
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        raise _template_error((str(error).splitlines() or [repr(error)])[0]) from error


def _template_error(found: str) -> ModelError:
    return ModelError(
        "the chat template",
        found=found,
        expected="a template for one user turn with a text as its content",
        do="give another with --chat-template FILE, or use --prompt-format raw",
    )


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash how a tokenizer reads texts of many scripts; a model and its descendants have equal hashes."""
    return sha256_text(canonical_json(tokenizer(list(SAMPLES), add_special_tokens=True)["input_ids"]))


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
