"""PEFT adapters on a loaded model: attached once, then switched on and off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open

from isogloss.errors import ModelError
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, quiet_transformers


@contextlib.contextmanager
def use_checkpoint(model: LoadedModel, checkpoint: Checkpoint) -> Iterator[LoadedModel]:
    """Run the block with the checkpoint's adapter active, or with every adapter off if it has none.

    Raises:
        ModelError: the adapter belongs to another base model.
    """
    if checkpoint.adapter_folder is None:
        with model.peft.disable_adapter() if model.peft else contextlib.nullcontext():
            yield model
        return
    name = str(checkpoint.adapter_sha256)[:16]
    if model.peft is None or name not in model.peft.peft_config:
        _attach(model, checkpoint.adapter_folder, name, checkpoint)
    assert model.peft is not None  # noqa: S101 - for the type checker: _attach set it
    model.peft.set_adapter(name)
    model.peft.requires_grad_(requires_grad=False)
    if not merges(model):
        yield model
        return
    # Merged, the adapter costs nothing; kept apart, it made a forward pass a third slower (dev/log.md).
    model.peft.merge_adapter(adapter_names=[name])
    try:
        yield model
    finally:
        model.peft.unmerge_adapter()


def merges(model: LoadedModel) -> bool:
    """Whether adapters are merged into the weights: elsewhere that would round them to the base's precision."""
    whole = next(model.causal.parameters()).dtype == torch.float32
    return whole and not getattr(model.causal, "is_quantized", False)


def _attach(model: LoadedModel, folder: Path, name: str, checkpoint: Checkpoint) -> None:
    try:
        shapes = _tensor_shapes(folder / "adapter_model.safetensors")
        with quiet_transformers():
            _load_adapter(model, folder, name)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise _other_base(checkpoint, (str(error).splitlines() or [repr(error)])[0]) from error
    assert model.peft is not None  # noqa: S101 - for the type checker: _load_adapter set it
    model.peft.eval()
    loaded = {key.replace(f".{name}", ""): tuple(value.shape) for key, value in model.peft.named_parameters()}
    if misfits := [key for key, shape in shapes.items() if loaded.get(key) != shape]:
        raise _other_base(
            checkpoint, f"{len(misfits)} adapter tensors that fit no tensor of the model, such as {misfits[0]}"
        )


def _load_adapter(model: LoadedModel, folder: Path, name: str) -> None:
    if model.peft is None:
        model.peft = PeftModel.from_pretrained(model.causal, str(folder), adapter_name=name)
    else:
        model.peft.load_adapter(str(folder), adapter_name=name)


def _tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not a dict


def _other_base(checkpoint: Checkpoint, found: str) -> ModelError:
    return ModelError(
        f"adapter {checkpoint.ref.adapter} on {checkpoint.ref.base}",
        found=found,
        expected="an adapter trained on this base model",
        do="give the base that the adapter's adapter_config.json names",
    )
