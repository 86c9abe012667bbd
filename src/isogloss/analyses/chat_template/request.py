"""The request for a comparison of raw text and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isogloss.auditing.request import option


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """Read the primary estimand in the chat template as well, and compare it with raw text.

    Attributes:
        chat_position: read-out in the template: last_prompt_token, last_instruction_token or mean; None takes the mean
            where raw text is read so, else the last token of the prompt.
        chat_template: a Jinja template in place of the aligned model's own; None takes that.
        template_args: arguments of the template, as in `ExtractSpec`.
    """

    name: ClassVar[str] = "chat_template"
    about: ClassVar[str] = "Also read the primary estimand in the chat template and compare it with raw text."
    switch: ClassVar[str] = "compare_chat"

    chat_position: str | None = option(
        None, "With --compare-chat: last_prompt_token, last_instruction_token or mean. Default: as --position."
    )
    chat_template: str | None = None
    template_args: tuple[str, ...] = ()
