"""PEFT adapters on a loaded model: attached for a block, merged where that changes nothing else, then taken off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftConfig, PeftModel
from peft import __version__ as peft_version
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from safetensors import SafetensorError, safe_open

from isogloss.errors import ModelError
from isogloss.models.adapter_kinds import read_adapter_config
from isogloss.models.architecture import embedding_modules
from isogloss.models.base_state import BaseState, resize_vocabulary, shared_parameters
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_tokenizer
from isogloss.models.quiet import quiet_transformers

#: What peft and transformers raise where an adapter and a model do not go together.
FAULTS = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ImportError,
    OSError,
    SafetensorError,
)
#: Words of peft and torch about an adapter that was trained on another architecture.
MISFITS = ("size mismatch", "not found in the base model")
#: Ways to draw a LoRA's first weights that leave the base alone.
FIRST_WEIGHTS = frozenset({"none", "true", "false", "gaussian", "orthogonal", "eva"})
#: What the names of a base model's tensors begin with in an adapter's file.
PREFIX = "base_model.model."
#: Kinds that are merged; others are rare, and some of them peft cannot take out again.
MERGED = frozenset({"LORA", "ADALORA", "LOHA", "LOKR", "OFT", "BOFT", "IA3", "LN_TUNING", "VERA"})
#: Most that merging may move a logit, relative to the largest.
TOLERANCE = 1e-3
#: Tokens on which an adapter is checked; any will do.
TOKENS = 16


@contextlib.contextmanager
def use_checkpoint(model: LoadedModel, checkpoint: Checkpoint) -> Iterator[LoadedModel]:
    """Run the block with the checkpoint's adapter and tokenizer; without an adapter, leave the model as it is.

    Afterwards the model is what it was, except for rounding in the layers that the adapter was merged into.

    Raises:
        ModelError: the adapter belongs to another base model, or is of a kind that cannot be read.
    """
    if checkpoint.adapter_folder is None:
        yield model
        return
    before = _attach(model, checkpoint.adapter_folder, checkpoint)
    tokenizer = model.tokenizer
    try:
        if checkpoint.tokenizer_sha256 != checkpoint.base_sha256:
            model.tokenizer = load_tokenizer(checkpoint)
        with _merged(model) if merges(model) and _kind(model) in MERGED else contextlib.nullcontext():
            yield model
    finally:
        model.peft, model.tokenizer = None, tokenizer
        before.restore()


def merges(model: LoadedModel) -> bool:
    """Whether adapters are merged into the weights: elsewhere that would round them to the base's precision."""
    whole = next(model.causal.parameters()).dtype == torch.float32
    return whole and not getattr(model.causal, "is_quantized", False)


def modules_of_adapters(model: LoadedModel) -> set[torch.nn.Module]:
    """Return the modules inside layers whose adapter is active and not merged: it may read their weights."""
    if getattr(model, "peft", None) is None:
        return set()
    layers = (layer for layer in _layers(model) if not (layer.merged or layer.disable_adapters))
    return {module for layer in layers for module in layer.modules()}


def _layers(model: LoadedModel) -> list[Any]:
    return [module for module in model.causal.modules() if isinstance(module, BaseTunerLayer)]


@contextlib.contextmanager
def _merged(model: LoadedModel) -> Iterator[None]:
    """Merge the adapter into its layers within the block: apart from them it makes a forward pass a third slower.

    A weight that several modules share is never merged onto: the others would change with it. If a layer cannot be
    merged, or merging changes the logits, all stay as they are.
    """
    shared = shared_parameters(model.causal)
    layers = [
        layer
        for layer in _layers(model)
        if not any(id(weight) in shared for weight in layer.get_base_layer().parameters(recurse=False))
    ]
    expected = _logits(model.causal, model)
    try:
        for layer in layers:
            _merge(layer)
        same = _agree(_logits(model.causal, model), expected)
    except FAULTS:  # peft cannot merge some kinds, and some layers of others
        same = False
    if not same:
        _unmerge(layers)
    try:
        yield
    finally:
        _unmerge(layers)


def _merge(layer: Any) -> None:  # noqa: ANN401
    """Merge one layer, or leave it as it was: peft may refuse a layer after it has changed its weight."""
    weights = [(weight, weight.data.clone()) for weight in layer.get_base_layer().parameters(recurse=False)]
    try:
        layer.merge()
    except FAULTS:
        for weight, data in weights:
            weight.data = data
        raise


def _unmerge(layers: list[Any]) -> None:
    for layer in layers:
        if layer.merged:
            layer.unmerge()


def _attach(model: LoadedModel, folder: Path, checkpoint: Checkpoint) -> BaseState:
    """Attach an adapter to a model; return the state of the model before that.

    Peft draws what the file does not hold, so the generator is seeded, and put back afterwards.
    """
    before = None
    try:
        shapes = _tensor_shapes(folder / "adapter_model.safetensors")
        config = read_adapter_config(folder, str(checkpoint.ref.adapter))
        before = BaseState(model.causal, _overwritten(model.causal, config, shapes))
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            if rows := _vocabulary_rows(model.causal, shapes):
                resize_vocabulary(model.causal, rows)
            misfits = _load_adapter(model, folder)
        before.note_changes()
        if misfits:
            raise _other_base(checkpoint, f"{len(misfits)} tensors that do not fit, such as {misfits[0]}")
        _check_forward(model, checkpoint)
    except FAULTS as error:
        _detach(model, before)
        if isinstance(error, SafetensorError):
            raise ModelError(
                f"adapter {checkpoint.ref.adapter}",
                found=f"a broken adapter_model.safetensors ({_first_line(error)})",
                expected="an adapter trained on this base model, whole",
                do="copy or download the adapter again",
            ) from error
        if any(words in str(error) for words in MISFITS):
            raise _other_base(checkpoint, _first_line(error)) from error
        raise _unreadable(checkpoint, _first_line(error)) from error
    except ModelError:
        _detach(model, before)
        raise
    return before


def _detach(model: LoadedModel, before: BaseState | None) -> None:
    model.peft = None
    if before is not None:
        before.restore()


def _load_adapter(model: LoadedModel, folder: Path) -> list[str]:
    """Attach the adapter in a folder; return the names of tensors that fit nothing, or that the file lacks."""
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    name = "isogloss"
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    model.peft = kind(model.causal, config, adapter_name=name)
    mapping = getattr(model.causal, "_checkpoint_conversion_mapping", {})
    device = next(model.causal.parameters()).device
    result = model.peft.load_adapter(str(folder), adapter_name=name, torch_device=str(device), key_mapping=mapping)
    model.peft.eval()
    model.peft.requires_grad_(requires_grad=False)
    return sorted({*_unexpected(model, result.unexpected_keys), *_missing(model, set(result.missing_keys))})


def _unexpected(model: LoadedModel, names: list[str]) -> list[str]:
    """Keep the tensors that fit nothing. Of a module that is saved whole peft writes copies, and reads one of them."""
    whole = tuple(
        f"{PREFIX}{name}."
        for name, module in model.causal.named_modules()
        if isinstance(module, AuxiliaryTrainingWrapper)
    )
    return [name for name in names if not name.startswith(whole)]


def _missing(model: LoadedModel, names: set[str]) -> list[str]:
    """Keep the missing tensors that matter: inside the decoder or LM head, and not loaded under another name."""
    named = dict(model.peft.named_parameters(remove_duplicate=False)) if model.peft else {}
    loaded = {id(parameter) for name, parameter in named.items() if name not in names}
    head = embedding_modules(model.causal).values()
    inside = {id(parameter) for part in (model.decoder, *head) for parameter in part.parameters()}
    return [name for name in names if name in named and id(named[name]) in inside - loaded]


def _overwritten(
    causal: Any,  # noqa: ANN401
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
) -> list[torch.nn.Parameter]:
    """List the base's own parameters that attaching an adapter may overwrite.

    They are those that its file holds, such as resized embeddings or trained biases; or all, if peft takes the first
    components of the adapter out of the base.
    """
    if str(config.get("init_lora_weights")).lower() not in FIRST_WEIGHTS:
        return list(causal.parameters())
    names = {name.removeprefix(PREFIX) for name in shapes}
    names |= {name.replace(".base_layer.", ".").replace(".token_adapter.", ".") for name in names}
    named = causal.named_parameters(remove_duplicate=False)
    return list({id(parameter): parameter for name, parameter in named if name in names}.values())


def _vocabulary_rows(causal: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:  # noqa: ANN401
    """Rows of the embeddings or LM head in an adapter's file; None if it holds none."""
    rows = set()
    for module in embedding_modules(causal):
        for name, shape in shapes.items():
            if not name.startswith(f"{PREFIX}{module}."):
                continue
            if name.endswith("base_layer.weight") or name == f"{PREFIX}{module}.weight":
                rows.add(shape[0])
            elif name.endswith("lora_embedding_A"):
                rows.add(shape[1])
    return max(rows, default=None)


def _check_forward(model: LoadedModel, checkpoint: Checkpoint) -> None:
    """Refuse an adapter that does more than its layers do: the decoder is run without peft's own forward pass."""
    if not _agree(_logits(model.causal, model), _logits(model.peft, model)):
        raise _unreadable(checkpoint, f"a {_kind(model)} adapter that acts outside of the model's layers")


def _kind(model: LoadedModel) -> str:
    config = next(iter(model.peft.peft_config.values())) if model.peft else None
    return str(getattr(getattr(config, "peft_type", None), "value", "PEFT"))


def _logits(module: Any, model: LoadedModel) -> torch.Tensor:  # noqa: ANN401
    ids = torch.arange(TOKENS, device=model.device)[None, :]
    with torch.inference_mode():
        logits: torch.Tensor = module(input_ids=ids, use_cache=False).logits[0].float()
    return logits


def _agree(logits: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two sets of logits differ by rounding only; broken weights give equal broken logits."""
    finite = expected[torch.isfinite(expected)]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    return bool(torch.isclose(logits, expected, rtol=0, atol=TOLERANCE * largest, equal_nan=True).all())


def _tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not a dict


def _first_line(error: BaseException) -> str:
    """Take the line of an error that says most: torch lists the tensors of other sizes after a heading."""
    lines = str(error).splitlines() or [repr(error)]
    return next((line.strip() for line in lines if MISFITS[0] in line), lines[0])[:240]


def _other_base(checkpoint: Checkpoint, found: str) -> ModelError:
    return ModelError(
        f"adapter {checkpoint.ref.adapter} on {checkpoint.ref.base}",
        found=found,
        expected="an adapter trained on this base model",
        do="give the base that the adapter's adapter_config.json names",
    )


def _unreadable(checkpoint: Checkpoint, found: str) -> ModelError:
    return ModelError(
        f"adapter {checkpoint.ref.adapter} on {checkpoint.ref.base}",
        found=found,
        expected=f"an adapter that the installed peft ({peft_version}) can attach to this model",
        do="save it again with a current peft, or merge it where you trained it and give the merged model",
    )
