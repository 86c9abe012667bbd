"""Chat messages -> the text of the user turn."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: Keys of the speaker and of the text of a message, in the forms that are in use.
SPEAKER, CONTENT = ("role", "from"), ("content", "value")
USERS = frozenset({"user", "human", "prompter"})
#: A cell of text that holds messages, as JSON or as Python writes them.
WRITTEN_MESSAGES = re.compile(r"""\s*\[\s*\{\s*["'](?:role|content|from|value)["']\s*:""")


class Turn(NamedTuple):
    """The user turn of a conversation, and the number of its other messages; or the fault that it has."""

    text: str | None = None
    others: int = 0
    fault: str = ""


def user_turn(value: Any) -> Turn:  # noqa: ANN401 - any cell
    """Take the text of the only user turn; system and assistant turns are left out.

    >>> user_turn([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
    Turn(text='Hello', others=1, fault='')
    >>> user_turn([{"role": "user", "content": "Hi"}, {"role": "user", "content": "there"}]).fault
    '2 user turns'
    """
    if value is None or value == []:
        return Turn()
    if isinstance(value, str):
        return Turn(text=value)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(message, Mapping) for message in value):
        return Turn(fault="a list that holds no chat messages")
    users = [message for message in value if _first(message, SPEAKER) in USERS]
    if len(users) != 1:
        return Turn(fault=f"{len(users)} user turns")
    text = _written(_first(users[0], CONTENT))
    return Turn(text=text, others=len(value) - 1) if text is not None else Turn(fault="a message without text")


def parse_messages(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read messages that a table of text holds as JSON or as Python writes them; None if they cannot be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def step_into(value: Any, steps: Sequence[str]) -> Any:  # noqa: ANN401 - any cell
    """Follow a path into a cell of lists and objects; None where it leads nowhere.

    >>> step_into([{"role": "user", "content": "Hello"}], ["0", "content"])
    'Hello'
    """
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and re.fullmatch(r"-?\d{1,6}", step):
            value = value[int(step)] if -len(value) <= int(step) < len(value) else None
        else:
            return None
    return value


def _first(message: Mapping[str, Any], keys: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON value
    return next((message[key] for key in keys if message.get(key) is not None), None)


def _written(content: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return the text of a message, which may stand in parts; None if it has other parts, such as images."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and content and all(isinstance(part, Mapping) for part in content):
        texts = [part.get("text") for part in content]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(str(text) for text in texts)
    return None
