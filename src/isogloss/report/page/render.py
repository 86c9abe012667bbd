"""Templates, styles, scripts and data -> one HTML file that may run only what isogloss wrote.

Strings of others take two ways onto a page. In templates every string passes `sanitize` and is escaped; no template
writes one into a script or a style. In data they are JSON that cannot end its element, and the scripts make text nodes
of them. Should both fail, the content security policy lets nothing run but the scripts whose hashes it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isogloss.report.palette import DARK, FONTS, LIGHT, ON_PAPER
from isogloss.text import sanitize

#: In the order in which they run.
SCRIPTS = ("tables.js", "charts.js", "texts.js", "figures.js", "comparison.js", "start.js")
#: Characters that could end a script element or a line of JavaScript, as JSON may also write them.
ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def render(template: str, content: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Fill a template that extends base.html.j2 and add styles, scripts and data.

    Args:
        template: a file in templates/.
        content: what the template shows; every string is made visible and escaped on its way.
        data: what the scripts read, of JSON values; numbers that are not finite become null.
    """
    style, script, library = _style(), _script(), _library()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(library)} {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types default",
        )
    )
    return (
        _environment()
        .get_template(template)
        .render(
            content,
            policy=policy,
            style=_ours(style),
            script=_ours(script),
            library=_ours(library),
            data=_ours(embedded({**data, "on_paper": ON_PAPER})),
        )
    )


def embedded(data: Mapping[str, Any]) -> str:
    r"""Write JSON that cannot end the script element that it stands in.

    >>> embedded({"a": "</script>"})
    '{"a":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(_null_if_not_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(ESCAPED)


def _null_if_not_finite(value: Any) -> Any:  # noqa: ANN401 - JSON values have no narrower type
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _null_if_not_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_null_if_not_finite(item) for item in value]
    return value


def _ours(text: str) -> Markup:
    """Let text through as it is: our own files, and JSON from `embedded`."""
    return Markup(text)  # noqa: S704 - nothing else calls this


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("isogloss.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template writes
    """Make all that a template writes visible; Markup is our own, and numbers hide nothing."""
    return value if isinstance(value, Markup | int | float) else sanitize(str(value))


@functools.cache
def _style() -> str:
    colours = {"light": LIGHT.css, "dark": DARK.css, "fonts": FONTS}
    return _environment().get_template("style.css").render({name: _ours(text) for name, text in colours.items()})


@functools.cache
def _script() -> str:
    environment = _environment()
    files = [environment.loader.get_source(environment, name)[0] for name in SCRIPTS] if environment.loader else []
    return _closed("\n".join(files))


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed; bundling them takes seconds, once in a process."""
    return _closed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _closed(script: str) -> str:
    """Keep a script's names to itself; the bundle declares hundreds of one letter."""
    return f"(() => {{\n{script}\n}})();"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
