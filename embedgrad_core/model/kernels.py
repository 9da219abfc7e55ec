"""Matrix products with frozen weights on a CPU, in fp32, through oneDNN.

PyTorch sends an fp32 ``linear`` on a CPU to MKL, which repacks the whole weight at each call: for the few rows of a
decoding step that costs more than the product. oneDNN reads the weight where it lies, and faster still from a copy in
its own blocked order, made once: the weights never change. Same arithmetic, other order of summation (docs/performance.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from embedgrad_core.model.memory import free_memory
from embedgrad_core.model.sizes import SMALLEST

# Rows that a packed weight is laid out for: the usual decoding batch.
ROWS = 16


def suits(weight: torch.Tensor) -> bool:
    """Whether a weight (out, in) is one that oneDNN multiplies faster than PyTorch's default."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.numel() >= SMALLEST
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def linear(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``rows @ weight.T + bias``: (..., in), (out, in), (out) → (..., out). Without gradient."""
    if suits(weight):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return torch.nn.functional.linear(rows, weight, bias)


def back(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``rows @ weight``, the gradient of :func:`linear` to its rows: (..., out), (out, in) → (..., in)."""
    if suits(weight):
        return torch.ops.mkldnn._linear_pointwise(rows.contiguous(), weight.t(), None, "none", [], "")
    return rows @ weight


class FrozenLinear(torch.nn.Linear):
    """A ``Linear`` whose weight never changes; gradient to its input only."""

    packed: torch.Tensor | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As ``Linear``."""
        if torch.is_grad_enabled() and input.requires_grad:
            return _FrozenProduct.apply(input, self.weight, self.bias)
        return linear(input, self.weight if self.packed is None else self.packed, self.bias)


class _FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return back(upstream, ctx.saved_tensors[0]), None, None


def freeze_linears(network: torch.nn.Module) -> None:
    """Let every large ``Linear`` of a frozen network multiply through this module; its state dict stays as it is."""
    for module in network.modules():
        if type(module) is torch.nn.Linear and suits(module.weight):
            module.__class__ = FrozenLinear


@contextmanager
def packed_weights(network: torch.nn.Module) -> Iterator[int]:
    """Within the block, multiply from packed copies of the weights; yields their bytes.

    A copy costs as much memory as the weights. Where less than twice that is free, nothing is packed.
    """
    layers = [module for module in network.modules() if isinstance(module, FrozenLinear)]
    size = sum(layer.weight.numel() * layer.weight.element_size() for layer in layers)
    if size * 2 > free_memory():
        layers, size = [], 0
    try:
        for layer in layers:
            layer.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
        yield size
    finally:
        for layer in layers:
            layer.packed = None
