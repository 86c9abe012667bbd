"""Texts in a chat template: what the template puts around them, and their token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.models.control_tokens import ControlTokens, free_mark
from isogloss.models.template_settings import SHOWN, argument_values, dated, open_thought, own_template

#: Takes the place of the text, to find what a template puts around it.
MARK = "isogloss"


class PromptRow(NamedTuple):
    """Token ids of a text in its prompt, how many come after the text, and whether the text spells a control token."""

    ids: list[int]
    after: int
    control: bool


@dataclass(frozen=True, kw_only=True)
class FilledTemplate:
    """A chat template for one user turn: its Jinja text and arguments, and what it writes before and after the turn."""

    tokenizer: PreTrainedTokenizerBase
    text: str
    values: Mapping[str, object]
    before: str = ""
    after: str = ""

    def render(self, content: str) -> str:
        """Write the prompt of a text: one user turn, and the beginning of the answer.

        Raises:
            ModelError: the template fails.
        """
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}],
                    chat_template=dated(self.text),
                    add_generation_prompt=True,
                    tokenize=False,
                    **self.values,
                )
            )
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            raise _template_error((str(error).splitlines() or [repr(error)])[0][:200]) from error


def fill_template(tokenizer: PreTrainedTokenizerBase, template: str | None, arguments: Sequence[str]) -> FilledTemplate:
    """Find out what a chat template writes around a text.

    Args:
        tokenizer: of the model whose template it is.
        template: a Jinja text; None takes the tokenizer's own.
        arguments: in canonical form.

    Raises:
        ModelError: there is no template, it fails, or it leaves the text out.
    """
    text = own_template(tokenizer) if template is None else template
    if text is None:
        raise ModelError(
            "--prompt-format chat",
            found="a tokenizer without a chat template",
            expected="a chat template",
            do="give one with --chat-template FILE, or use --prompt-format raw",
        )
    filled = FilledTemplate(tokenizer=tokenizer, text=text, values=argument_values(arguments))
    before, mark, after = filled.render(MARK).rpartition(MARK)
    if not mark:
        raise _template_error("it leaves the text out")
    return replace(filled, before=before, after=after)


def chat_rows(chat: FilledTemplate, texts: Sequence[str], controls: ControlTokens) -> list[PromptRow]:
    """Token ids of each text in the template, and how many of them come after the text.

    Raises:
        ModelError: the template fails, or a control token that a text spells cannot be read as plain text.
    """
    before, after = chat.before, chat.after
    prompts = [chat.render(text) for text in texts]
    if not all(prompt.startswith(before) and prompt.endswith(after) for prompt in prompts):
        raise _template_error("what it puts around a text changes with the text")
    # The template writes its BOS itself.
    encoded = chat.tokenizer(
        [f"{before}{MARK}{after}", *prompts], add_special_tokens=False, return_offsets_mapping=True
    )
    written = controls.count(encoded["input_ids"][0])
    rows = [
        PromptRow(list(tokens), _count_after(offsets, len(prompt) - len(after)), control=False)
        for prompt, tokens, offsets in zip(
            prompts, encoded["input_ids"][1:], encoded["offset_mapping"][1:], strict=True
        )
    ]
    spelt = [i for i, text in enumerate(texts) if controls.count(rows[i].ids) > written or controls.names_unknown(text)]
    if not spelt:
        return rows
    mark = free_mark([prompts[i] for i in spelt])
    first, last = controls.respell(before, mark), controls.respell(after, mark)
    respelt = [first + prompts[i][len(before) : len(prompts[i]) - len(after)] + last for i in spelt]
    plain = controls.encode(respelt, mark, add_special_tokens=False)
    for i, prompt, (tokens, offsets) in zip(spelt, respelt, plain, strict=True):
        if controls.count(tokens) > written:
            raise inseparable()
        rows[i] = PromptRow(tokens, _count_after(offsets, len(prompt) - len(last)), control=True)
    return rows


def _count_after(offsets: Sequence[tuple[int, int]], stop: int) -> int:
    """Count the tokens of a prompt that come after its text, which ends at a character."""
    inside = max((i + 1 for i, (start, _) in enumerate(offsets) if start < stop), default=0)
    return len(offsets) - inside


def prompt_end(
    tokenizer: PreTrainedTokenizerBase, template: str | None = None, arguments: Sequence[str] = ()
) -> tuple[tuple[str, ...], str | None]:
    """Return the last tokens that a chat template puts after a text, and what opens a thought that they are inside of.

    Raises:
        ModelError: there is no chat template, or it fails.
    """
    chat = fill_template(tokenizer, template, arguments)
    ids = tokenizer(f"{chat.before}{MARK}{chat.after}", add_special_tokens=False)["input_ids"]
    behind = len(ids) - len(tokenizer(f"{chat.before}{MARK}", add_special_tokens=False)["input_ids"])
    shown = ids[-min(SHOWN, max(1, behind)) :]
    tokens = tuple(str(tokenizer.decode([number], clean_up_tokenization_spaces=False)) for number in shown)
    return tokens, open_thought(chat.before + chat.after)


def inseparable() -> ModelError:
    """Build the error for a text whose control tokens cannot be read as plain text."""
    return ModelError(
        "a text of the corpus",
        found="the spelling of a control token, which this tokenizer cannot read as plain text",
        expected="plain text",
        do="remove texts with control tokens such as </s>",
    )


def _template_error(found: str) -> ModelError:
    return ModelError(
        "the chat template",
        found=found,
        expected="a template for one user turn with a text as its content",
        do="give another with --chat-template FILE, or use --prompt-format raw",
    )
