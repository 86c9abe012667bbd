"""A checkpoint -> the folder that transformers loads; GGUF files are converted to safetensors the first time."""

from __future__ import annotations

import functools
import struct
import tempfile
from pathlib import Path

import gguf as gguf_library
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from isogloss.errors import ModelError
from isogloss.io.files import CACHE_VARIABLE, UNFINISHED, saving, staged_folder
from isogloss.io.locks import locked
from isogloss.models.checkpoints import Checkpoint, converted_folder, embedded_gguf
from isogloss.models.quiet import quiet_transformers, replaced_attribute
from isogloss.progress import Track, silent


def local_folder(checkpoint: Checkpoint, track: Track = silent) -> Path:
    """Return the folder to load a checkpoint from; a GGUF file is converted to safetensors the first time."""
    if checkpoint.folder is not None:
        return checkpoint.folder
    target = converted_folder(checkpoint.base_sha256)
    if not (target / "config.json").is_file():
        with saving(target, CACHE_VARIABLE), locked(target.parent, wait=track):
            if not (target / "config.json").is_file():  # another process may have converted it
                _convert(checkpoint, target, track)
    return target


def _convert(checkpoint: Checkpoint, target: Path, track: Track) -> None:
    """Write the dequantised weights and the tokenizer of a GGUF file as a transformers folder (float32)."""
    # transformers would read the file and its 262,144 tokens again for tokenizer, configuration and weights.
    reader = functools.cache(gguf_library.GGUFReader)
    with (
        track("Converting the GGUF file (first run only)", 4) as advance,
        quiet_transformers(),
        replaced_attribute(gguf_library, "GGUFReader", reader),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".gguf.", suffix=UNFINISHED) as passing,
    ):
        gguf = checkpoint.gguf or embedded_gguf(checkpoint.ref, Path(passing))
        advance(1)
        source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        try:
            tokenizer = AutoTokenizer.from_pretrained(**source)
            advance(1)
            config = GgufConfig(dequantize=True)
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, quantization_config=config)
        except (ValueError, KeyError, IndexError, OSError, struct.error) as error:
            raise ModelError(
                f"model {gguf}",
                found=(str(error).splitlines() or [repr(error)])[0],
                expected="a GGUF file of an architecture that transformers can convert",
                do="give the safetensors checkpoint instead",
            ) from error
        advance(1)
        with staged_folder(target) as scratch:
            model.save_pretrained(scratch)
            tokenizer.save_pretrained(scratch)
        advance(1)
