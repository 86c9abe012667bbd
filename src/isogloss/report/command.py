"""Audit -> the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isogloss.data.addresses import HUB_ID, HubName, has_suffix
from isogloss.data.named_corpora import CORPORA
from isogloss.report.recorded_settings import analysis_options, analysis_value
from isogloss.results import Audit
from isogloss.text import sanitize

#: Options whose values stand in the audit's settings under the same name.
PLAIN = ("position", "prompt_format", "dtype", "precision", "max_tokens", "per_class", "pivot", "seed", "permutations")
#: Those that are recorded only where they were chosen.
RARE = ("quantize", "split", "trained_texts", "scaling")
FLAGS = ("quarantine",)
LISTS = ("metrics", "controls")
#: Options whose values are files; the audit holds the hash of their content.
FILES = ("chat_template",)
#: The command line takes no fewer.
MIN_PERMUTATIONS = 100


def command(audit: Audit) -> str:
    """Write the `isogloss audit` command that repeats an audit.

    What the audit does not hold (where a local file was, for it holds no path) is said in comment lines before the
    command, which is one line that a POSIX shell reads: whatever a name holds stays one word. Hidden states that the
    caller gave have no command.
    """
    if audit.config.get("position") == "unknown":
        return "# These hidden states were given to isogloss.audit_states in Python, so no command repeats the audit."
    words, remarks = ["isogloss", "audit"], list[str]()
    for part in (_models(audit, remarks), _corpus(audit, remarks), _settings(audit, remarks)):
        for option, value in part:
            if not value:  # an option that is on
                words.append(option)
            else:
                words += [f"{option}={value}"] if value.startswith("-") else [option, value]
    return "\n".join([*(f"# {sanitize(remark)}" for remark in dict.fromkeys(remarks)), shlex.join(words)])


def _models(audit: Audit, remarks: list[str]) -> Iterator[tuple[str, str]]:
    for role in ("reference", "aligned"):
        yield from _named(audit, role, remarks)


def _named(audit: Audit, role: str, remarks: list[str]) -> Iterator[tuple[str, str]]:
    model = audit.models.get(role)
    if not model:
        return
    if not model.get("given"):
        remarks.append(
            f"--{role} was a local path, or is not recorded: put yours for {shlex.quote(str(model['name']))} "
            f"(its content has sha256 {model['sha256']})"
        )
    yield f"--{role}", str(model.get("given") or model["name"])


def _corpus(audit: Audit, remarks: list[str]) -> Iterator[tuple[str, str]]:
    name, revision = str(audit.corpus["name"]), audit.corpus.get("revision")
    parts = _parts(name)
    for part in parts:
        pinned = part
        if part not in CORPORA:
            if not _on_hub(part):
                remarks.append(f"--corpus was a local file: put your path for {shlex.quote(part)}")
            elif len(parts) == 1 and revision:
                pinned = str(HubName.parse(part).at(str(revision)))
            remarks.append("options of the corpus (--column, --harmful, --label, --wide) are not recorded: add them")
        yield "--corpus", pinned
    yield "--languages", ",".join(audit.languages)


def named_sources(audit: Audit) -> Sequence[str] | None:
    """List what `load_corpus` can read again by name alone; None if a part of the corpus was a local file."""
    parts = _parts(str(audit.corpus["name"]))
    return parts if all(part in CORPORA or _on_hub(part) for part in parts) else None


def _parts(name: str) -> Sequence[str]:
    """Part a name at its plus signs if every part is a source by itself, as `load_corpus` joins them.

    >>> _parts("xsafety+own.csv"), _parts("a+b.csv")
    (['xsafety', 'own.csv'], ['a+b.csv'])
    """
    parts = name.split("+")
    return parts if all(part in CORPORA or _on_hub(part) or has_suffix(part) for part in parts) else [name]


def _on_hub(part: str) -> bool:
    return bool(HUB_ID.fullmatch(part)) and not has_suffix(part)


def _settings(audit: Audit, remarks: list[str]) -> Iterator[tuple[str, str]]:
    config = audit.config
    options = analysis_options(config)
    yield "--layers", ",".join(_layer(name) for name in config["layers"])
    yield from _reading(config, options, remarks)
    yield from ((f"--{_option(name)}", str(config[name])) for name in RARE if config.get(name) is not None)
    yield from ((f"--{name}", "") for name in FLAGS if config.get(name))
    for name in LISTS:
        chosen = config.get(name)
        if chosen is None:
            remarks.append(f"--{_option(name)} is not recorded")
        elif chosen or name == "controls":
            yield f"--{_option(name)}", ",".join(chosen) or "none"
    if config.get("primary_changed"):
        primary = audit.primary
        yield "--primary", f"{primary.metric}:{primary.components}@{_layer(primary.layer)}"
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named(audit, str(value.get("model")), remarks)
        elif name not in {*PLAIN, *FILES}:
            yield from _analysis_option(name, value)
    if _few(config):
        remarks.append(f"--permutations below {MIN_PERMUTATIONS} can be asked for in Python only")


def _reading(config: Mapping[str, Any], options: Mapping[str, Any], remarks: list[str]) -> Iterator[tuple[str, str]]:
    """How texts were read and drawn; what an analysis was asked for goes before what the audit records."""
    for name in PLAIN:
        value = options.get(name, config.get(name))
        if name not in config and value is None and name != "pivot":
            remarks.append(f"--{_option(name)} is not recorded")
        elif value is not None:
            yield f"--{_option(name)}", str(value)
    for argument in analysis_value(config, "template_args") or config.get("template_args") or ():
        yield "--template-arg", str(argument)
    for name in FILES:
        if digest := analysis_value(config, name) or config.get(name):
            remarks.append(f"--{_option(name)} was a file: put your path (its content has sha256 {digest})")
            yield f"--{_option(name)}", "FILE"


def _analysis_option(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - a JSON value
    """Write one option: a flag, a list or a value; nothing for one that is off."""
    if value is True:
        yield f"--{_option(name)}", ""
    elif isinstance(value, list):
        yield from [(f"--{_option(name)}", ",".join(map(str, value)))] if value else []
    elif value is not None and value is not False:
        yield f"--{_option(name)}", str(value)


def _few(config: Mapping[str, Any]) -> bool:
    permutations = config.get("permutations")
    return isinstance(permutations, int) and permutations < MIN_PERMUTATIONS


def _option(name: str) -> str:
    return name.replace("_", "-")


def _layer(name: str) -> str:
    """Name a layer as `--layers` reads it.

    >>> [_layer(name) for name in ("0", "6", "18-pre", "18-post")]
    ['0', '6', 'final-pre', 'final']
    """
    return {"pre": "final-pre", "post": "final"}.get(name.partition("-")[2], name)
