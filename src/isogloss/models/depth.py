"""The depth of a checkpoint, read without its weights and, where its configuration says it, without torch."""

from __future__ import annotations

import json

from isogloss.errors import ModelError
from isogloss.models.checkpoints import Checkpoint, converted_folder
from isogloss.progress import Track, silent


def read_depth(checkpoint: Checkpoint, track: Track = silent) -> int:
    """Count the transformer blocks of a checkpoint from its configuration; weights are not loaded.

    Raises:
        ModelError: the configuration is broken, or transformers does not know the architecture.
    """
    if checkpoint.ref.loaded is not None:
        return checkpoint.ref.loaded.depth
    folder = checkpoint.folder or converted_folder(checkpoint.base_sha256)
    if (folder / "config.json").is_file():
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            depth = config.get("text_config", config).get("num_hidden_layers")
        except (ValueError, AttributeError) as error:
            raise ModelError(
                f"model {checkpoint.ref}", found=f"a broken config.json ({error})", expected="JSON", do="copy it again"
            ) from error
        if isinstance(depth, int):
            return depth
    # An unusual configuration, or a GGUF file that has not been converted yet: transformers knows.
    from isogloss.models.load import model_depth  # noqa: PLC0415 - imports torch

    return model_depth(checkpoint, track)
