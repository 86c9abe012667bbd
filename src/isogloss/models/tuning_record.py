"""The record that `isogloss tune` writes beside an adapter: its recipe, and the texts it was trained on. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import ModelError

RECORD = "isogloss_tune.json"


@dataclass(frozen=True, kw_only=True)
class TrainedTexts:
    """The texts that an adapter was trained on, with those of the adapters that it continues.

    `text_ids` names them by language and exact content; `content` by normalised content (`content_key`), so that a
    copy in another file, or in other capitals, is recognised.
    """

    text_ids: frozenset[str] = frozenset()
    content: frozenset[str] = frozenset()

    def __or__(self, other: TrainedTexts) -> TrainedTexts:
        """Put the texts of two adapters together."""
        return TrainedTexts(text_ids=self.text_ids | other.text_ids, content=self.content | other.content)

    def __bool__(self) -> bool:
        """Whether any text is known."""
        return bool(self.text_ids or self.content)


def read_tune_record(adapter: Path) -> Mapping[str, Any]:
    """Read the record in an adapter's folder; empty if there is none, as for adapters that others trained.

    Raises:
        ModelError: the file is not what `isogloss tune` wrote.
    """
    path = adapter / RECORD
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON or of UTF-8
        raise _strange(path, str(error)) from error
    if not isinstance(record, dict) or not isinstance(record.get("base_sha256", ""), str):
        raise _strange(path, "another content")
    return record


def trained_texts(adapter: Path) -> TrainedTexts:
    """Read which texts an adapter was trained on; none are known of adapters that others trained.

    Raises:
        ModelError: see `read_tune_record`.
    """
    record = read_tune_record(adapter)
    lists = [record.get(name, []) for name in ("trained_text_ids", "trained_content")]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
        raise _strange(adapter / RECORD, "no list of trained texts")
    return TrainedTexts(text_ids=frozenset(lists[0]), content=frozenset(lists[1]))


def _strange(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path.parent.name}/{path.name}",
        found=(found.splitlines() or ["nothing"])[0],
        expected="what `isogloss tune` writes beside an adapter",
        do="copy the adapter again, or remove this file if the adapter is not from isogloss",
    )
