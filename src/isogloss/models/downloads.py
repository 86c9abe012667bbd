"""A model or adapter on the hub -> a local folder with what transformers reads, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from isogloss.errors import ModelError
from isogloss.io.hub import Snapshot, download
from isogloss.models.weight_files import ADAPTER, DESCRIBING, OTHER_LAYOUTS, SINGLE, indexed_files

#: Folders of a repository hold other copies of the weights, checkpoints of the training and the like.
FOLDERS = "*/*"


def download_model(name: str, revision: str | None, *, adapter: bool = False) -> Snapshot:
    """Download a model or adapter: first what describes it, then the weights that its index names.

    A repository may hold its weights several times: in another layout, in pickles, as GGUF, or step by step.

    Raises:
        ModelError: see `download`; or the index is broken.
    """

    def get(
        revision: str | None, patterns: Sequence[str], without: Sequence[str] = (), *, begun: bool = True
    ) -> Snapshot:
        forms = "a folder, a hub id, a .gguf file or embedded/gemma-3-270m"
        return download(
            name,
            revision,
            kind="model",
            patterns=patterns,
            without=(FOLDERS, *without),
            fault=ModelError,
            forms=forms,
            begun=begun,
        )

    described = get(revision, DESCRIBING, begun=False)
    weights = [ADAPTER] if adapter else indexed_files(described.folder) or [SINGLE]
    # The configuration is there already; the client complains of patterns that match nothing.
    snapshot = get(described.revision, ["*config.json", *weights])
    if not adapter and not any((snapshot.folder / weight).is_file() for weight in weights):
        return get(described.revision, ["*config.json", "*.safetensors"], OTHER_LAYOUTS)
    return snapshot
