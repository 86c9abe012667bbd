"""The settings of an audit and of its analyses, as words and as options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isogloss.results import Audit
from isogloss.text import sanitize


def setting(audit: Audit, key: str, otherwise: str = "not stated") -> str:
    """Return a setting of the audit as words."""
    return in_words(audit.config.get(key), otherwise)


def in_words(value: Any, otherwise: str = "not stated") -> str:  # noqa: ANN401 - a JSON value
    """Write a JSON value as words; lists with commas."""
    if value is None or value in ([], ""):
        return otherwise
    return sanitize(", ".join(str(item) for item in value) if isinstance(value, list) else str(value))


def analysis_settings(audit: Audit) -> dict[str, str]:
    """Return the settings of each analysis of an audit as words, by its name."""
    settings = audit.config.get("analyses")
    if not isinstance(settings, Mapping):
        return {}
    return {sanitize(str(name)): _settings_in_words(each) for name, each in settings.items()}


def _settings_in_words(settings: Any) -> str:  # noqa: ANN401 - a JSON value
    """Write the settings of one analysis, its options first; models and what is simply on are left out.

    >>> _settings_in_words({"options": {"behaviour": True, "generate": 3, "placebo": None}, "link_layer": "12"})
    'generate 3, link layer 12'
    """
    if not isinstance(settings, Mapping):
        return in_words(settings)
    options = settings.get("options")
    chosen = dict(options) if isinstance(options, Mapping) else {}
    chosen |= {key: value for key, value in settings.items() if key != "options"}
    words = [
        f"{sanitize(str(key)).replace('_', ' ')} {in_words(value)}"
        for key, value in chosen.items()
        if not (value is None or isinstance(value, bool | Mapping))
    ]
    return ", ".join(words) or "default settings"


def analysis_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that asked for the analyses of an audit: "options" in the settings of each, or all of them.

    >>> analysis_options({"analyses": {"matched": {"match": ["length"], "options": {"match": ["length"]}}}})
    {'match': ['length']}
    """
    settings = config.get("analyses")
    each = settings.values() if isinstance(settings, Mapping) else ()
    chosen = (entry.get("options", entry) for entry in each if isinstance(entry, Mapping))
    return {str(name): value for options in chosen if isinstance(options, Mapping) for name, value in options.items()}


def analysis_value(config: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a JSON value
    """Return a setting that an analysis has of its own, such as a chat template; None where none has it."""
    settings = config.get("analyses")
    each = settings.values() if isinstance(settings, Mapping) else ()
    return next((entry[name] for entry in each if isinstance(entry, Mapping) and entry.get(name)), None)
