"""The options of a command that say how texts are put before a model -> specs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import UsageError

if TYPE_CHECKING:
    from isogloss.activations.spec import ExtractSpec

RENDERINGS = ("raw", "chat", "both")
#: The last token in chat rendering is that of the template.
POSITIONS = {"t_post": "last"}


def specs(
    rendering: str,
    position: str,
    chat_template: Path | None,
    *,
    max_tokens: int,
    dtype: str,
    precision: str,
    quantize: str | None = None,
) -> tuple[ExtractSpec, ExtractSpec | None]:
    """Build the spec of an audit, and a second one where both renderings are asked for.

    Raises:
        UsageError: an option has no such value, or options do not go together.
    """
    from isogloss.activations.spec import ExtractSpec  # noqa: PLC0415

    if rendering not in RENDERINGS:
        raise UsageError("--rendering", found=repr(rendering), expected=" or ".join(RENDERINGS), do="choose one")
    if position in POSITIONS and rendering == "raw":
        raise UsageError(f"--position {position}", found="--rendering raw", expected="--rendering chat", do="add it")
    template = _read(chat_template) if chat_template else None
    plain = ExtractSpec(max_tokens=max_tokens, dtype=dtype, precision=precision, quantize=quantize)  # type: ignore[arg-type]
    if rendering == "raw":
        return replace(plain, position=position, chat_template=template), None  # type: ignore[arg-type]
    chat = replace(
        plain,
        rendering="chat",
        position=POSITIONS.get(position, position),  # type: ignore[arg-type]
        chat_template=template,
    )
    if rendering == "chat":
        return chat, None
    # On raw text the last token of the text is the last token.
    return replace(plain, position="mean" if position == "mean" else "last"), chat


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(
            f"--chat-template {path}", found=found, expected="a text file with a Jinja template", do="check the path"
        ) from error
