"""What pages and tables take for granted of an audit that was read from a file that may come from anybody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from isogloss.errors import StoreError
from isogloss.notices import Notice
from isogloss.results import Audit, Estimate, LanguageVerdict, Primary, Row

#: What JSON may hold for a field of a record, by the field's annotation; True is no number.
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}
LAYER = re.compile(r"[0-9]{1,6}(-(pre|post))?")
#: Kinds of rows that belong to no layer.
EVERYWHERE = (
    "control",
    "behaviour",
    "behaviour_gain",
    "behaviour_gap",
    "behaviour_retention",
    "behaviour_control",
    "link",
)
LISTS = ("layers", "match", "metrics", "controls")


def refuse_unsound(audit: Audit) -> None:
    """Stop if an audit is not one that isogloss writes; its numbers are not judged.

    Raises:
        StoreError: a field is missing or of another kind, or a number stands twice.
    """
    for fault in _faults(audit):
        raise StoreError(
            "audit.json",
            found=fault,
            expected="what an audit of this version of isogloss writes",
            do="run the audit again, or read it with the isogloss that wrote it",
        )


def _faults(audit: Audit) -> Iterator[str]:
    yield from _of_header(audit)
    records: list[Row | Estimate | LanguageVerdict | Primary | Notice]
    records = [audit.primary, *audit.verdicts, *audit.notices, *audit.rows, *(row.estimate for row in audit.rows)]
    for record in records:
        yield from _of_record(record)
    if not LAYER.fullmatch(audit.primary.layer):
        yield f"the layer {audit.primary.layer!r}"
    if any(row.layer is None for row in audit.rows if row.kind not in EVERYWHERE):
        yield "a number without a layer"
    scored = {row.language for row in audit.rows if row.kind == "score"}
    if audit.pivot not in scored:
        yield f"no score of the pivot {audit.pivot!r}"
    place = ("kind", "language", "other", "model", "layer", "norm", "basis", "components", "metric", "sample")
    keys = Counter(tuple(getattr(row, name) for name in place) for row in audit.rows)
    if twice := [key for key, times in keys.items() if times > 1]:
        yield f"one number twice ({' '.join(str(part) for part in twice[0] if part)})"


def _of_header(audit: Audit) -> Iterator[str]:
    models: Any = audit.models  # as JSON had it
    models = models if isinstance(models, Mapping) else {}
    known = {"corpus": audit.corpus, "aligned model": models.get("aligned")}
    known |= {"reference model": models["reference"]} if models.get("reference") is not None else {}
    for what, one in known.items():
        if not (isinstance(one, Mapping) and all(isinstance(one.get(key), str) for key in ("name", "sha256"))):
            yield f"no name or hash of the {what}"
    config: Any = audit.config
    if not (isinstance(config, Mapping) and isinstance(audit.versions, Mapping) and isinstance(audit.pivot, str)):
        yield "no settings, versions or pivot"
        return
    level = config.get("level")
    if not (isinstance(level, float) and 0 < level < 1):
        yield f"the level of confidence {level!r}"
    if not all(isinstance(config.get(name), str) for name in ("position", "rendering")):
        yield "no position or rendering"
    if type(config.get("seed")) is not int:
        yield f"the seed {config.get('seed')!r}"
    if not isinstance(config.get("layers"), list):
        yield "no layers"
    lists = {name: config.get(name) for name in LISTS}
    lists |= {"left_out": audit.corpus.get("left_out")} if isinstance(audit.corpus, Mapping) else {}
    for name, found in lists.items():
        if found is not None and not _words(found):
            yield f"{name} that are no list of words"


def _words(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _of_record(record: Row | Estimate | LanguageVerdict | Primary | Notice) -> Iterator[str]:
    for field in fields(record):
        kinds = str(field.type).split(" | ")
        if kinds[0] not in KINDS:
            continue
        value = getattr(record, field.name)
        if value is None and "None" in kinds:
            continue
        if type(value) not in KINDS[kinds[0]]:
            yield f"{field.name} {str(value)[:40]!r}"
