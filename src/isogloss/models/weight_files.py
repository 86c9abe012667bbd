"""Which files of a model hold its weights: those that transformers reads, and no other copies of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from isogloss.errors import ModelError

#: Files that decide a model besides its weights: configuration, tokenizer and templates; never pickles or code.
DESCRIBING = ("*.json", "*.model", "*.txt", "*.jinja")
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
#: Weights in the layout of the model's authors, which transformers does not read.
OTHER_LAYOUTS = ("consolidated*",)
#: More bytes than any model has.
LARGEST = 1e18
_NAME = re.compile(r"[\w.+-]+\.safetensors")


def indexed_files(folder: Path) -> list[str] | None:
    """List the files that the index of a folder names, in alphabetical order; None if it has no index.

    Raises:
        ModelError: the index is broken, or names files elsewhere.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        weight_map = json.loads(path.read_text("utf-8"))["weight_map"]
        names = {str(name) for name in weight_map.values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(folder, f"a broken {INDEX} ({type(error).__name__})") from error
    if not names or not all(_NAME.fullmatch(name) for name in names):
        raise _broken(folder, f"names in {INDEX} that are no safetensors files beside it")
    return sorted(names)


def indexed_size(folder: Path) -> int | None:
    """Bytes of all weights as the index of a folder states them; None if it has no index, or states none."""
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        size = json.loads(path.read_text("utf-8"))["metadata"]["total_size"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return int(size) if isinstance(size, int | float) and 0 <= size < LARGEST else None


def weight_files(folder: Path) -> list[str]:
    """List the files that hold the weights of a model or adapter; some may be missing from the folder.

    Raises:
        ModelError: see `indexed_files`.
    """
    if not (folder / "config.json").is_file() and (folder / ADAPTER).is_file():
        return [ADAPTER]
    if (folder / SINGLE).is_file():  # transformers prefers it
        return [SINGLE]
    if (names := indexed_files(folder)) is not None:
        return names
    return sorted(
        path.name for path in folder.glob("*.safetensors") if not any(path.match(pattern) for pattern in OTHER_LAYOUTS)
    )


def _broken(folder: Path, found: str) -> ModelError:
    return ModelError(
        f"model {folder}", found=found, expected="the index that save_pretrained writes", do="copy the model again"
    )
