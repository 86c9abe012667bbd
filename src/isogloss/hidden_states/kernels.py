"""Fast kernels for linear layers, which replace torch's own within a block; afterwards the model is unchanged."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch.nn import functional
from torch.utils._pytree import tree_map

from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.spec import Precision
from isogloss.models.adapters import modules_of_adapters
from isogloss.models.load import LoadedModel

#: Activations of transformers that oneDNN can apply to a product before it is written, with its name and algorithm.
ONEDNN_ACTIVATIONS = {
    "GELUTanh": ("gelu", "tanh"),
    "GELUActivation": ("gelu", "none"),
    "SiLUActivation": ("swish", ""),
    "SiLU": ("swish", ""),
}

#: Rows of the products that oneDNN lays weights out for; others work as well.
ROWS = 1024


@contextlib.contextmanager
def fast_linears(model: LoadedModel, execution: Execution, precision: Precision = "exact") -> Iterator[None]:
    """Within the block, multiply in the linear layers of the transformer blocks by the kernel of `execution`.

    Packed weights replace the usual ones, so memory holds them once; they are unpacked at the end, and wherever a
    module reads the weight of another. Weights that several modules share stay as they are. No weight may be changed
    and no adapter switched inside.

    Args:
        model: with the wanted adapter active.
        execution: which kernel.
        precision: "fast" rounds inputs and weights of linear layers to bfloat16; sums, and all that stands between
            linear layers, stay in the model's precision.
    """
    packed = execution.takes("packed weights")
    if not packed and precision == "exact":
        yield
        return
    fused = execution.takes("fused MLP") and execution.kernel == "onednn" and precision == "exact"
    owners = Counter(id(parameter) for module in model.blocks.modules() for parameter in _parameters(module))
    with contextlib.ExitStack() as stack:
        # Quantised layers stay as they are: those of bitsandbytes are of a class of their own, torchao's weights are.
        # So do layers that another library has given a forward pass of its own, and layers with an active adapter.
        of_adapters = modules_of_adapters(model)
        for module in model.blocks.modules():
            if (
                type(module) is torch.nn.Linear
                and module not in of_adapters
                and "forward" not in vars(module)
                and type(module.weight.data) is torch.Tensor
                and owners[id(module.weight)] == 1
            ):
                replaced = _packed(module) if precision == "exact" else _rounding(module, execution)
                stack.enter_context(replaced)
        for module in model.blocks.modules():
            if fused and "forward" not in vars(module) and (gated := gated_mlp(module)) and gated.packed:
                stack.enter_context(_fused(module, gated))
        yield


def _parameters(module: torch.nn.Module) -> Iterator[torch.nn.Parameter]:
    """Yield the parameters of a module itself; those that it shares with others, too."""
    yield from (parameter for _, parameter in module.named_parameters(recurse=False, remove_duplicate=False))


@contextlib.contextmanager
def usual_linears(model: LoadedModel) -> Iterator[None]:
    """Within the block, multiply by torch's own products again, inside `fast_linears` with "fast" precision."""
    replaced = {
        module: vars(module).pop("forward")
        for module in model.blocks.modules()
        if type(module) is torch.nn.Linear and isinstance(vars(module).get("forward"), functools.partial)
    }
    try:
        yield
    finally:
        for module, forward in replaced.items():
            vars(module)["forward"] = forward


class PackedWeight(torch.Tensor):
    """Stands for the weight of a packed linear layer, without memory of its own.

    It is unpacked wherever it is read, for some modules read the weight of another: Mamba, for one.
    """

    packed: torch.Tensor

    @classmethod
    def stand_for(cls, usual: torch.Tensor, packed: torch.Tensor) -> Self:
        """Take shape and type of the usual weight, and keep the packed one."""
        weight: Self = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001
            cls, usual.shape, dtype=usual.dtype, device=usual.device
        )
        weight.packed = packed
        return weight

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch's own subclasses are class methods, too
        cls,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Do what is to be done with the unpacked weight."""
        del types

        def unpack(value: Any) -> Any:  # noqa: ANN401
            return value.packed.to_dense() if isinstance(value, cls) else value

        return func(*tree_map(unpack, args), **tree_map(unpack, kwargs or {}))


@contextlib.contextmanager
def _packed(linear: torch.nn.Linear) -> Iterator[None]:
    parameter = linear.weight
    # torch.compile uses these two operators; to_dense gives back the same bits.
    weight = torch.ops.mkldnn._reorder_linear_weight(parameter.data.contiguous(), ROWS)  # noqa: SLF001
    vars(linear)["weight"] = PackedWeight.stand_for(parameter.data, weight)
    parameter.data = torch.empty(0, dtype=parameter.dtype)
    linear.forward = functools.partial(_forward, _onednn, weight, linear.bias)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del linear.forward
        del vars(linear)["weight"]
        parameter.data = weight.to_dense()


@contextlib.contextmanager
def _rounding(linear: torch.nn.Linear, execution: Execution) -> Iterator[None]:
    operands = torch.bfloat16 if execution.kernel.endswith("bf16") else linear.weight.dtype
    weight = linear.weight.data.bfloat16().to(operands)
    multiply: Callable[..., torch.Tensor] = functional.linear
    if execution.takes("packed weights"):
        weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)  # noqa: SLF001
        multiply = _onednn
    rounded = functools.partial(_rounded, multiply, operands)
    linear.forward = functools.partial(_forward, rounded, weight, linear.bias)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del linear.forward


@dataclass(frozen=True, kw_only=True)
class GatedMlp:
    """The linear layers of `down(activation(gate(x)) * up(x))`, and what oneDNN calls the activation."""

    gate: torch.nn.Linear
    up: torch.nn.Linear
    down: torch.nn.Linear
    activation: tuple[str, str]

    @property
    def packed(self) -> bool:
        """Whether all three layers are packed; a weight that others share is not."""
        return all(isinstance(vars(linear).get("weight"), PackedWeight) for linear in (self.gate, self.up, self.down))


def gated_mlp(module: torch.nn.Module) -> GatedMlp | None:
    """Recognise a gated MLP by its parts, as Llama, Qwen, Gemma and their kin name them; None if it is anything else.

    A module with these parts could still do something else: `self_check.settle` compares the whole model with its
    own numbers.
    """
    gate, up, down = (_linear_inside(getattr(module, name, None)) for name in ("gate_proj", "up_proj", "down_proj"))
    activation = ONEDNN_ACTIVATIONS.get(type(getattr(module, "act_fn", None)).__name__)
    if gate is None or up is None or down is None or activation is None:
        return None
    return GatedMlp(gate=gate, up=up, down=down, activation=activation)


def _linear_inside(module: Any) -> torch.nn.Linear | None:  # noqa: ANN401
    """Return the linear layer, or the one inside a peft layer that adds nothing to it: switched off, or merged."""
    if getattr(module, "disable_adapters", False) or getattr(module, "merged", False):
        module = getattr(module, "base_layer", None)
    return module if type(module) is torch.nn.Linear else None


@contextlib.contextmanager
def _fused(mlp: Any, gated: GatedMlp) -> Iterator[None]:  # noqa: ANN401
    """Apply activation and gate while a product is still in the processor's cache; its layers are packed already."""
    gate, up, down = (linear.forward.args[1:] for linear in (gated.gate, gated.up, gated.down))  # type: ignore[attr-defined]

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        name, algorithm = gated.activation
        opened = torch.ops.mkldnn._linear_pointwise(hidden, *gate, name, [], algorithm)  # noqa: SLF001
        inner = torch.ops.mkldnn._linear_pointwise.binary(hidden, opened, *up, "mul")  # noqa: SLF001
        return _onednn(inner, *down)

    mlp.forward = forward
    try:
        yield
    finally:
        del mlp.forward


def _forward(
    multiply: Callable[..., torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None, hidden: torch.Tensor
) -> torch.Tensor:
    return multiply(hidden, weight, bias)


def _onednn(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")  # noqa: SLF001
    return out


def _rounded(
    multiply: Callable[..., torch.Tensor],
    operands: torch.dtype,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    out = multiply(hidden.bfloat16().to(operands), weight, None).to(hidden.dtype)
    return out if bias is None else out + bias
