"""A checkpoint -> a loaded model whose decoder blocks can be hooked."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.models.architecture import auto_class, check_complete, find_decoder, read_config, remote_code
from isogloss.models.checkpoints import Checkpoint, read_template
from isogloss.models.conversion import local_folder
from isogloss.models.devices import check_device
from isogloss.models.precision import device_map, quantization_config
from isogloss.models.quiet import quiet_transformers
from isogloss.progress import Track, silent

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(kw_only=True)
class LoadedModel:
    """A causal language model with its tokenizer.

    `decoder` is the body without the LM head, `blocks` its transformer blocks. Adapters are attached to the same
    weights by `adapters.use_checkpoint`, so that a pair that shares its base is loaded once.
    """

    causal: torch.nn.Module
    decoder: torch.nn.Module
    blocks: torch.nn.ModuleList
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    peft: PeftModel | None = field(default=None)

    @property
    def depth(self) -> int:
        """Number of transformer blocks."""
        return len(self.blocks)

    @property
    def vocabulary(self) -> int:
        """Rows of the embeddings; every token id is smaller."""
        rows: int = self.decoder.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        return rows

    @property
    def context(self) -> int | None:
        """Most tokens that the configuration says the model was made for; None if it names no limit."""
        limit = getattr(self.causal.config.get_text_config(), "max_position_embeddings", None)  # type: ignore[union-attr, operator]
        return limit if isinstance(limit, int) else None


def load_model(
    checkpoint: Checkpoint,
    *,
    dtype: str = "float32",
    quantize: str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> LoadedModel:
    """Load the base of a checkpoint without its adapter (see `adapters.use_checkpoint`), or make an untrained model.

    An untrained model has the architecture of the checkpoint, randomly initialised; no weights are read. Equal seeds
    give equal weights on any device.

    Args:
        checkpoint: from `fetch`.
        dtype: float32 or bfloat16. float16 is not offered: hidden states of several models exceed its range.
        quantize: a name from QUANTIZERS; the rest of the model stays in `dtype`.
        device: a torch device; None takes a GPU if there is one. A model that does not fit is spread over all devices.
        track: progress display.

    Raises:
        ModelError: the weights are missing, pickled, not whole or broken, or no decoder is found.
        UsageError: the package that quantises is not installed, or the device does not exist.
    """
    seed = checkpoint.ref.random_seed
    if checkpoint.ref.loaded is not None and seed is None:
        return look_inside(_held_model(checkpoint), checkpoint.ref.loaded.tokenizer)
    if device is not None:
        check_device(device)
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        with quiet_transformers():
            tokenizer = load_tokenizer(checkpoint, track)
            if seed is not None:
                causal = _draw_weights(checkpoint, _config_of(checkpoint, track), dtype, quantize, seed)
            else:
                causal = _read_weights(checkpoint, local_folder(checkpoint, track), DTYPES[dtype], quantize, target)
    except ImportError as error:
        raise _missing_package(checkpoint, error) from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unknown_model(checkpoint, error) from error
    causal.eval().requires_grad_(requires_grad=False)
    if getattr(causal, "hf_device_map", None) is None:
        causal.to(target)
    return _with_decoder(causal, tokenizer, target, str(checkpoint.ref))


def _held_model(checkpoint: Checkpoint) -> Any:  # noqa: ANN401 - transformers is untyped
    held = checkpoint.ref.loaded
    model = held.model() if held else None
    if model is None:
        raise ModelError(
            f"model {checkpoint.ref}",
            found="a model that is no longer in memory",
            expected="the loaded model that the audit was called with",
            do="keep it until the audit ends",
        )
    return model


def look_inside(model: Any, tokenizer: PreTrainedTokenizerBase) -> LoadedModel:  # noqa: ANN401
    """Find the decoder and blocks of a model that is already loaded, with or without peft's adapters around it.

    Raises:
        ModelError: no decoder is found.
    """
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    device = next(causal.parameters()).device
    return _with_decoder(causal, tokenizer, device, type(causal).__name__)


def _with_decoder(causal: Any, tokenizer: PreTrainedTokenizerBase, device: torch.device, name: str) -> LoadedModel:  # noqa: ANN401
    depth = causal.config.get_text_config().num_hidden_layers
    decoder, blocks = find_decoder(causal, depth, name)
    return LoadedModel(causal=causal, decoder=decoder, blocks=blocks, tokenizer=tokenizer, device=device)


def _read_weights(
    checkpoint: Checkpoint, folder: Path, dtype: torch.dtype, quantize: str | None, device: torch.device
) -> Any:  # noqa: ANN401 - transformers is untyped
    config = read_config(folder)
    quantized = quantize is not None or getattr(config, "quantization_config", None) is not None
    # None would hide the configuration of a checkpoint that is quantised already.
    extra = {"quantization_config": quantization_config(quantize, dtype)} if quantize else {}
    model, report = auto_class(config).from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map(folder, device, quantized=quantized),
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **extra,
    )
    check_complete(set(report["missing_keys"]), str(checkpoint.ref))
    return model


def _draw_weights(checkpoint: Checkpoint, config: Any, dtype: str, quantize: str | None, seed: int) -> Any:  # noqa: ANN401
    """Build an untrained model on the CPU: the configured architecture, with weights that its class draws."""
    if quantize is not None:
        raise ModelError(
            f"model {checkpoint.ref}",
            found=f"--quantize {quantize} for an untrained model",
            expected="weights of a file",
            do="leave out the control `untrained`: --controls bits_per_character",
        )
    # Only the CPU's generator is seeded and put back: torch.manual_seed would also reset that of every GPU.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return auto_class(config).from_config(config, dtype=DTYPES[dtype], trust_remote_code=False)


def _config_of(checkpoint: Checkpoint, track: Track) -> Any:  # noqa: ANN401
    """Read the configuration of a checkpoint; of a model in memory, without what belongs to its quantised weights."""
    if checkpoint.ref.loaded is None:
        return read_config(local_folder(checkpoint, track))
    model = _held_model(checkpoint)
    config = copy.deepcopy((model.get_base_model() if isinstance(model, PeftModel) else model).config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _missing_package(checkpoint: Checkpoint, error: ImportError) -> ModelError:
    return ModelError(
        f"model {checkpoint.ref}",
        found=(str(error).strip().splitlines() or [repr(error)])[0],
        expected="the package that its quantised weights need",
        do='install it (for bitsandbytes and torchao: pip install "isogloss[quantized]"), or give whole weights',
    )


def _unknown_model(checkpoint: Checkpoint, error: Exception) -> ModelError:
    if "trust_remote_code" in str(error):  # from a tokenizer: the configuration was checked before
        return remote_code(local_folder(checkpoint))
    return ModelError(
        f"model {checkpoint.ref}",
        found=(str(error).splitlines() or [repr(error)])[0],
        expected="a causal language model that transformers knows, with its tokenizer",
        do="check the folder",
    )


def load_tokenizer(checkpoint: Checkpoint, track: Track = silent) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint: the adapter's, if it brings one, with the adapter's chat template.

    Raises:
        ModelError: there is none that transformers knows.
    """
    if checkpoint.ref.loaded is not None:
        tokenizer: PreTrainedTokenizerBase = checkpoint.ref.loaded.tokenizer
        return tokenizer
    folder = local_folder(checkpoint, track)
    try:
        with quiet_transformers():
            return _tokenizer_of(checkpoint, folder)
    except (OSError, ValueError, KeyError) as error:
        raise _unknown_model(checkpoint, error) from error


def added_tokens(checkpoint: Checkpoint) -> int | None:
    """Count the tokens that an adapter's own tokenizer has and the base's has not; None if it brings none.

    Raises:
        ModelError: see `load_tokenizer`.
    """
    if checkpoint.tokenizer_folder is None:
        return None
    base = load_tokenizer(replace(checkpoint, adapter_folder=None, adapter_sha256=None))
    return len(load_tokenizer(checkpoint).get_vocab().keys() - base.get_vocab().keys())


def _tokenizer_of(checkpoint: Checkpoint, folder: Path) -> PreTrainedTokenizerBase:
    adapter_folder = checkpoint.tokenizer_folder
    if adapter_folder is not None:
        return _read_tokenizer(adapter_folder, checkpoint.tokenizer_sha256, base=folder)
    return _read_tokenizer(folder, checkpoint.tokenizer_sha256, template=checkpoint.template_file)


@functools.lru_cache(maxsize=4)
def _read_tokenizer(
    folder: Path, sha256: str, *, base: Path | None = None, template: Path | None = None
) -> PreTrainedTokenizerBase:
    """Read a tokenizer once a process: a large vocabulary takes longer than the weights of a small model.

    Args:
        folder: of the tokenizer.
        sha256: part of the key: files in the folder may have changed.
        base: the folder with the configuration of the model, where that of the tokenizer has none.
        template: a file with another chat template.
    """
    del sha256
    config = {} if base is None or (folder / "config.json").is_file() else {"config": read_config(base)}
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **config)
    if template is not None:
        tokenizer.chat_template = read_template(template)
    return tokenizer


def model_depth(checkpoint: Checkpoint, track: Track = silent) -> int:
    """Count the transformer blocks of a checkpoint without loading its weights."""
    try:
        config = read_config(local_folder(checkpoint, track))
    except (OSError, ValueError, KeyError) as error:
        raise _unknown_model(checkpoint, error) from error
    return int(config.get_text_config().num_hidden_layers)
