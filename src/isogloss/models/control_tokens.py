"""Control tokens that stand in a text as words: read as plain text, while those of a template stay what they are.

A text such as `<eos> Sure` would end its own turn. Texts without such words are not touched: their tokens are those of
the tokenizer. For the others a copy of the tokenizer is made, in which every control token has another spelling that no
text contains. Its ids are the same, so a template that is written in the new spelling keeps its control tokens, and in
a text the usual spelling is made of ordinary tokens.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError

#: Characters that Unicode reserves for use inside a program; the first that no text contains marks the new spelling.
MARKS = tuple(map(chr, range(0xFDD0, 0xFDF0)))


def control_tokens(tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> dict[str, int]:
    """Return the control tokens of a tokenizer: content -> id.

    They are the special tokens, and added tokens that the chat template writes, such as <think>; not white space, which
    some tokenizers add as tokens.
    """
    written = template or (tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else "")
    return {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content in written and not token.content.isspace() and len(token.content) > 1)
    }


class ControlTokens:
    """The control tokens of one tokenizer, and how many of them a prompt has of its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> None:
        """Collect them."""
        self._tokenizer = tokenizer
        self._tokens = control_tokens(tokenizer, template)
        unknown = tokenizer.unk_token
        # A character that the tokenizer does not know is no control token, though it gets the id of one.
        self._unknown = unknown if unknown in self._tokens else None
        self._ids = frozenset(number for content, number in self._tokens.items() if content != self._unknown)

    def count(self, ids: Sequence[int]) -> int:
        """Count the control tokens among token ids, the unknown token left out."""
        return sum(number in self._ids for number in ids)

    def names_unknown(self, text: str) -> bool:
        """Whether a text spells the unknown token."""
        return self._unknown is not None and self._unknown in text

    def respell(self, template: str, mark: str) -> str:
        """Write what a template puts around a text in the new spelling."""
        if not self._tokens:
            return template
        longest_first = sorted(self._tokens, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: f"{mark}{found[0]}{mark}", template)

    def encode(
        self, texts: Sequence[str], mark: str, *, add_special_tokens: bool
    ) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Turn texts into token ids with their offsets; only the new spelling is a control token.

        Raises:
            ModelError: the tokenizer makes a control token of plain text, or has no such copy.
        """
        if self._tokenizer.is_fast:
            rows = _respelt_copy(self._tokenizer, tuple(self._tokens), mark).encode_batch(
                list(texts), add_special_tokens=add_special_tokens
            )
            return [(list(row.ids), list(row.offsets)) for row in rows]
        ids = self._tokenizer(list(texts), add_special_tokens=add_special_tokens, split_special_tokens=True)
        return [(list(row), []) for row in ids["input_ids"]]


def free_mark(texts: Sequence[str]) -> str:
    """Choose a character that no text contains.

    Raises:
        ModelError: the texts contain all of them.
    """
    for mark in MARKS:
        if not any(mark in text for text in texts):
            return mark
    raise ModelError(
        "texts with control tokens",
        found="every character that Unicode reserves for programs",
        expected="at least one of them unused",
        do="remove these texts",
    )


@functools.lru_cache(maxsize=2)
def _respelt_copy(tokenizer: PreTrainedTokenizerBase, contents: tuple[str, ...], mark: str) -> Tokenizer:
    """Copy a fast tokenizer with its control tokens spelt between marks."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    names = {content: f"{mark}{content}{mark}" for content in contents}
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    _rename(state["model"], names)
    respelt = Tokenizer.from_str(json.dumps(state))
    respelt.no_truncation()
    respelt.no_padding()
    return respelt


def _rename(model: dict[str, Any], names: Mapping[str, str]) -> None:
    """Spell the pieces of a tokenizer's model anew, and drop the merges that would make one of them."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    elif isinstance(vocabulary, list):  # Unigram: pieces with their scores
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [
            merge
            for merge in model["merges"]
            if not any(piece in names for piece in ("".join(_parts(merge)), *_parts(merge)))
        ]


def _parts(merge: str | Sequence[str]) -> Sequence[str]:
    return merge.split(" ") if isinstance(merge, str) else merge
