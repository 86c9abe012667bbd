"""Fast kernels for linear layers, which replace torch's own within a block; afterwards the model is unchanged."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

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

    Packed weights replace the usual ones, so memory holds them once; they are unpacked at the end. No
    weight may be changed and no adapter switched inside.

    Args:
        model: with the wanted adapter active.
        execution: which kernel.
        precision: "fast" rounds inputs and weights of linear layers to bfloat16; sums, and all that stands between
            linear layers, stay in the model's precision.
    """
    if execution.kernel == "plain" and precision == "exact":
        yield
        return
    fused = execution.shortcuts and execution.kernel == "onednn" and precision == "exact"
    with contextlib.ExitStack() as stack:
        # Quantised layers stay as they are: those of bitsandbytes are of a class of their own, torchao's weights are.
        of_adapters = modules_of_adapters(model)
        for module in model.blocks.modules():
            if module in of_adapters:
                continue
            if type(module) is torch.nn.Linear and type(module.weight.data) is torch.Tensor:
                stack.enter_context(_replaced(module, execution, precision))
        for module in model.blocks.modules():
            if fused and (gated := gated_mlp(module)):
                stack.enter_context(_fused(module, gated))
        yield


@contextlib.contextmanager
def _replaced(linear: Any, execution: Execution, precision: Precision) -> Iterator[None]:  # noqa: ANN401
    usual = linear.weight.data
    operands = torch.bfloat16 if execution.kernel.endswith("bf16") else usual.dtype
    weight = usual if precision == "exact" else usual.bfloat16().to(operands)
    if execution.kernel.startswith("onednn"):
        # torch.compile uses these two operators; to_dense gives back the same bits.
        weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)  # noqa: SLF001
        multiply: Callable[..., torch.Tensor] = _onednn
    else:
        multiply = functional.linear
    unpack = weight.to_dense if precision == "exact" else lambda: usual
    if precision == "exact":
        linear.weight.data = usual = torch.empty(0, dtype=usual.dtype)
    if precision == "fast":
        multiply = functools.partial(_rounded, multiply, operands)
    linear.forward = functools.partial(_forward, multiply, weight, linear.bias)
    try:
        yield
    finally:
        del linear.forward
        linear.weight.data = unpack()


@dataclass(frozen=True, kw_only=True)
class GatedMlp:
    """The linear layers of `down(activation(gate(x)) * up(x))`, and what oneDNN calls the activation."""

    gate: torch.nn.Linear
    up: torch.nn.Linear
    down: torch.nn.Linear
    activation: tuple[str, str]


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
