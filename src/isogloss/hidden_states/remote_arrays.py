"""Arrays of a safetensors file in a remote store, read by ranges of bytes: its header, and one array.

The file begins with 8 bytes, the length of the header; the header is JSON: name -> dtype, shape, data_offsets counted
from its end, and "__metadata__". The caller checks what it reads against the manifest.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isogloss.io.paths import get

if TYPE_CHECKING:
    from upath import UPath

LENGTH = 8
#: More than this is no header: it would be read at once.
LONGEST = 100_000_000


def array_bytes(path: UPath, name: str) -> bytes:
    """Read the bytes of one array, and nothing else of the file but its header (once).

    Raises:
        ValueError: the file has no such array, or no header.
        OSError: it cannot be read. Drivers have errors of their own: see `paths.refusals`.
    """
    spans = _spans(path)
    if name not in spans:
        raise ValueError(f"no array {name} in the header")
    start, end = spans[name]
    return get(path, start, end) if end > start else b""


def remote_metadata(path: UPath) -> Mapping[str, str]:
    """Read what the header says besides the arrays.

    Raises:
        ValueError: it has no header.
        OSError: see `array_bytes`.
    """
    metadata = _header(path)[0].get("__metadata__")
    return metadata if isinstance(metadata, dict) else {}


@functools.lru_cache(maxsize=1024)  # the name is the hash of the content, so the header of a path never changes
def _spans(path: UPath) -> Mapping[str, tuple[int, int]]:
    header, start = _header(path)
    try:
        offsets = {name: described["data_offsets"] for name, described in header.items() if name != "__metadata__"}
        return {name: (start + int(first), start + int(end)) for name, (first, end) in offsets.items()}
    except (LookupError, TypeError) as error:
        raise ValueError("a header that is not that of safetensors") from error


def _header(path: UPath) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(get(path, 0, LENGTH), "little")
    if not 0 < length < LONGEST:
        raise ValueError("a header of no possible length")
    header = json.loads(get(path, LENGTH, LENGTH + length))
    if not isinstance(header, dict):
        raise ValueError("a header that is not that of safetensors")
    return header, LENGTH + length
