"""How a chat template is filled in: its arguments, a fixed date, and what the prompt ends in."""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isogloss.errors import ModelError, UsageError, unknown
from isogloss.io.files import canonical_json, sha256_text

if TYPE_CHECKING:
    from isogloss.models.checkpoints import Checkpoint

#: The day that templates are told when they ask for today's date: a prompt must not change overnight.
TEMPLATE_DATE = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - a day, in no place
ASKS_FOR_DATE = "strftime_now"
#: What strftime can be asked for.
DIRECTIVES = "aAwdbBmyYHIMSpjUWxXfczZFTDRevuGV"
#: Names that are not arguments of a template: isogloss or transformers decides them.
RESERVED = frozenset(
    {
        "messages",
        "conversation",
        "chat_template",
        "add_generation_prompt",
        "continue_final_message",
        "tokenize",
        "padding",
        "truncation",
        "max_length",
        "return_tensors",
        "return_dict",
        "return_assistant_tokens_mask",
        "sanitize_control_tokens",
        "tokenizer_kwargs",
        ASKS_FOR_DATE,
    }
)
#: What opens a thought in the prompts of known models, and what closes it.
THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)
#: Tokens of the end of a prompt that are shown.
SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class TemplateSettings:
    """A chat template with all that decides what it writes around a text.

    Attributes:
        template: Jinja text; None if the tokenizer has no template.
        arguments: in canonical form, see `parse_arguments`.
        date: what the template is told to be today, an ISO date; None if it does not ask.
    """

    template: str | None
    arguments: tuple[str, ...]
    date: str | None

    @property
    def sha256(self) -> str:
        """Hash of template, arguments and date."""
        return sha256_text(canonical_json([self.template, list(self.arguments), self.date]))

    @property
    def record(self) -> dict[str, object]:
        """What run.json and audit.json hold, beside the arguments, which stand among the settings."""
        return {"template_settings": {"sha256": self.sha256} | ({"date": self.date} if self.date else {})}


def parse_arguments(given: Sequence[str] | Mapping[str, Any]) -> tuple[str, ...]:
    """Bring template arguments into canonical form: `name=JSON`, sorted by name.

    >>> parse_arguments(["enable_thinking = false"]), parse_arguments({"level": "low"})
    (('enable_thinking=false',), ('level="low"',))

    Raises:
        UsageError: an argument has no name or no JSON value, stands twice, or is not the template's to take.
    """
    if isinstance(given, Mapping):
        pairs = [(str(name), _canonical(str(name), value)) for name, value in given.items()]
    else:
        pairs = [_parse_argument(text) for text in given]
    names = [name for name, _ in pairs]
    for name in names:
        if not name.isidentifier() or name in RESERVED:
            raise _wrong(repr(name)[:80], "the name of a variable of the chat template")
        if names.count(name) > 1:
            raise _wrong(f"{name} twice", "each argument once")
    return tuple(f"{name}={value}" for name, value in sorted(pairs))


def _parse_argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise _wrong(repr(text)[:80], "name=JSON, such as enable_thinking=false")
    try:
        parsed = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _wrong(repr(text)[:80], 'a JSON value, such as false, 3 or "low"') from error
    return name.strip(), _canonical(name.strip(), parsed)


def _canonical(name: str, value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong(f"{name} of type {type(value).__name__}", "a JSON value") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _wrong(found: str, expected: str) -> UsageError:
    return UsageError("--template-arg", found=found, expected=expected, do="correct it")


def argument_values(arguments: Sequence[str]) -> dict[str, Any]:
    """Turn canonical arguments into values."""
    return {name: json.loads(value) for name, _, value in (text.partition("=") for text in arguments)}


def find_template_settings(lender: Checkpoint, template: str | None, arguments: tuple[str, ...]) -> TemplateSettings:
    """Find the chat template that texts are put into, and its settings. No weights are loaded.

    Args:
        lender: the checkpoint whose template is used.
        template: a Jinja text that is used in its place; None takes the lender's.
        arguments: canonical ones.

    Raises:
        ModelError: the tokenizer cannot be read.
        UsageError: the template does not know an argument.
    """
    if template is None:
        from isogloss.models.load import load_tokenizer  # noqa: PLC0415 - imports torch, and chat prompts only need it

        template = own_template(load_tokenizer(lender))
    if template is not None:
        for name in argument_values(arguments):
            if not re.search(rf"\b{re.escape(name)}\b", template):
                known = set(re.findall(r"[A-Za-z_]\w*(?= is (?:not )?defined)", template)) - RESERVED
                raise unknown(UsageError, "argument of the chat template", name, known or {"none"}, "--template-arg")
    asks = template is not None and ASKS_FOR_DATE in template
    return TemplateSettings(
        template=template, arguments=arguments, date=TEMPLATE_DATE.date().isoformat() if asks else None
    )


def own_template(tokenizer: Any) -> str | None:  # noqa: ANN401 - transformers is untyped
    """Return the template of a tokenizer, the default one if it has several; None if it has none.

    Raises:
        ModelError: it has several, and none is the default.
    """
    template = tokenizer.chat_template
    if not isinstance(template, dict):
        return template if isinstance(template, str) else None
    if "default" not in template:
        raise ModelError(
            "the chat template",
            found=f"{len(template)} templates, none of which is the default",
            expected="one",
            do="give one with --chat-template FILE",
        )
    return str(template["default"])


def dated(template: str) -> str:
    """Tell a template that asks for today's date a fixed one; any other template is returned as it is."""
    return _date_macro() + template if ASKS_FOR_DATE in template else template


@functools.cache
def _date_macro() -> str:
    """Write a macro that answers as strftime does on the fixed day."""
    replaced = "| replace('%%', '\\x00')"
    for letter in DIRECTIVES:
        for directive in (f"%-{letter}", f"%{letter}"):
            text = TEMPLATE_DATE.strftime(directive)
            replaced += f" | replace('{directive}', '{text}')"
    return "{%- macro strftime_now(format) -%}{{ format " + replaced + " | replace('\\x00', '%') }}{%- endmacro -%}"


def open_thought(prompt: str) -> str | None:
    """Return what opens the thought that a prompt ends inside of; None if it ends outside.

    >>> open_thought("<bot><think>"), open_thought("<bot><think></think>")
    ('<think>', None)
    """
    for opening, closing in THOUGHTS:
        if prompt.rfind(opening) > prompt.rfind(closing):
            return opening
    return None
