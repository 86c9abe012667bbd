"""Audit -> the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from isogloss.data.load import HUB_ID
from isogloss.data.named_corpora import CORPORA
from isogloss.data.readers import SUFFIXES
from isogloss.results import Audit
from isogloss.text import sanitize

#: Options whose values stand in the audit's settings under the same name.
PLAIN = ("dtype", "precision", "max_tokens", "per_class", "pivot", "seed", "permutations")
#: Those that are recorded only where they were chosen.
RARE = ("split", "trained_texts")
FLAGS = ("quarantine",)
LISTS = ("metrics", "match", "controls")
#: The command line takes no fewer.
MIN_PERMUTATIONS = 100


def command(audit: Audit) -> str:
    """Write the `isogloss audit` command that repeats an audit.

    What the audit does not hold (where a local file was, for it holds no path) is said in comment lines before the
    command, which is one line that a POSIX shell reads: whatever a name holds stays one word.
    """
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
            elif len(parts) == 1 and revision and "@" not in part:
                pinned = f"{part}@{revision}"
            remarks.append("columns that were renamed with --column are not recorded: add them")
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
    return parts if all(part in CORPORA or _on_hub(part) or _has_suffix(part) for part in parts) else [name]


def _on_hub(part: str) -> bool:
    return bool(HUB_ID.fullmatch(part)) and not _has_suffix(part)


def _has_suffix(part: str) -> bool:
    return part.lower().endswith(SUFFIXES)


def _settings(audit: Audit, remarks: list[str]) -> Iterator[tuple[str, str | None]]:
    config = audit.config
    yield "--layers", ",".join(_layer(name) for name in config["layers"])
    yield from _reading(config, remarks)
    for name in PLAIN:
        if name not in config and name != "pivot":
            remarks.append(f"--{_option(name)} is not recorded")
        elif config.get(name) is not None:
            yield f"--{_option(name)}", str(config[name])
    yield from ((f"--{_option(name)}", str(config[name])) for name in RARE if name in config)
    yield from ((f"--{name}", None) for name in FLAGS if config.get(name))
    for name in LISTS:
        chosen = config.get(name)
        if chosen is None:
            remarks.append(f"--{_option(name)} is not recorded")
        elif chosen or name == "controls":
            yield f"--{_option(name)}", ",".join(chosen) or "none"
    if config.get("primary_changed"):
        primary = audit.primary
        yield "--primary", f"{primary.metric}:{primary.components}@{_layer(primary.layer)}"
    yield from _behaviour(audit, remarks)
    if audit.config.get("cross_lingual"):
        yield "--cross-lingual", None
    if _few(config):
        remarks.append(f"--permutations below {MIN_PERMUTATIONS} can be asked for in Python only")


def _reading(config: dict[str, Any], remarks: list[str]) -> Iterator[tuple[str, str]]:
    """How texts were read: with both prompt formats the audit holds those of the chat template by themselves."""
    chat = config.get("chat")
    for name in ("position", "prompt_format"):
        value = (chat or config).get(name)
        if value is None:
            remarks.append(f"--{name} is not recorded")
        else:
            yield f"--{name}", "both" if chat and name == "prompt_format" else str(value)
    if template := (chat or config).get("chat_template"):
        remarks.append(f"--chat-template was a file: put your path (its text has sha256 {template})")
        yield "--chat-template", "template.jinja"
    if config.get("quantize") is not None:
        yield "--quantize", str(config["quantize"])


def _behaviour(audit: Audit, remarks: list[str]) -> Iterator[tuple[str, str | None]]:
    if not audit.config.get("behaviour"):
        return
    yield "--behaviour", None
    if audit.config.get("generate"):
        yield "--generate", str(audit.config["generate"])
    yield from _named(audit, "placebo", remarks)


def _few(config: dict[str, Any]) -> bool:
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
