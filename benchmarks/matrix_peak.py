"""The limit of a machine: how fast it multiplies at the shapes of a model's own linear layers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch.nn import functional

from isogloss.hidden_states.execution import can_pack
from isogloss.models.load import LoadedModel


def flops_per_token(model: LoadedModel) -> float:
    """Multiplications and additions of a token in the linear layers of all blocks; attention itself is left out."""
    return 2.0 * sum(rows * columns for rows, columns in _shapes(model))


def matrix_peak(
    model: LoadedModel, *, tokens: int = 1024, dtype: torch.dtype = torch.float32, passes: int = 8
) -> float:
    """Measure the best rate, in floating-point operations a second, of products and nothing else.

    All linear layers of the blocks in their order, so that weights come from memory as in a forward pass; weights and
    inputs are random. The best of torch's own products and oneDNN's packed ones.
    """
    shapes = _shapes(model)
    device = model.device
    weights = [torch.randn(shape, dtype=dtype, device=device) for shape in shapes]
    inputs = {columns: torch.randn(tokens, columns, dtype=dtype, device=device) for _, columns in set(shapes)}
    best = 0.0
    with torch.inference_mode():
        for packed in (False, True):
            if packed and not (device.type == "cpu" and can_pack()):
                continue
            if packed:
                weights = [torch.ops.mkldnn._reorder_linear_weight(weight, tokens) for weight in weights]  # noqa: SLF001
            for _ in range(passes):
                taken = _once(weights, shapes, inputs, packed=packed)
                best = max(best, tokens * flops_per_token(model) / taken)
    return best


def _once(
    weights: Sequence[torch.Tensor],
    shapes: Sequence[tuple[int, int]],
    inputs: dict[int, torch.Tensor],
    *,
    packed: bool,
) -> float:
    cuda = next(iter(inputs.values())).is_cuda
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for weight, (_, columns) in zip(weights, shapes, strict=True):
        if packed:
            torch.ops.mkldnn._linear_pointwise(inputs[columns], weight, None, "none", [], "")  # noqa: SLF001
        else:
            functional.linear(inputs[columns], weight)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _shapes(model: LoadedModel) -> list[tuple[int, int]]:
    return [
        (module.out_features, module.in_features)
        for module in model.blocks.modules()
        if isinstance(module, torch.nn.Linear)
    ]
