"""Linear layers multiplied as fast as this machine can; the model is as it was afterwards."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from isogloss.activations.execution import Execution
from isogloss.activations.spec import Precision
from isogloss.models.load import LoadedModel

#: Rows of the products that oneDNN lays weights out for; others work as well.
ROWS = 1024


@contextlib.contextmanager
def fast_linears(model: LoadedModel, execution: Execution, precision: Precision = "exact") -> Iterator[None]:
    """Within the block, multiply in the linear layers of the transformer blocks by the kernel of `execution`.

    Packed weights take the place of the usual ones, so that memory holds them once; they are unpacked at the end. No
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
    with contextlib.ExitStack() as stack:
        # Quantised layers are of classes of their own and stay as they are.
        for module in model.blocks.modules():
            if type(module) is torch.nn.Linear:
                stack.enter_context(_replaced(module, execution, precision))
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
