"""What no backend can pass: how fast this machine multiplies matrices, and crops per second at it.

Convolutions are nearly all of a network, and sums of products as large matrix products are, which
libraries have run near the hardware's limit for decades. (Winograd's algorithm needs fewer
multiplications; none of the backends uses it for these networks.)
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

import torch
from torch import Tensor

SIDE = 2048
"""Rows and columns of the matrices: enough work for all cores, in a fraction of a second."""
_TURNS = 5


def matrix_rates(device: torch.device, side: int = SIDE) -> dict[str, float]:
    """Operations per second, an addition and a multiplication being two, of matrix products.

    Args:
        device: Where to multiply.
        side: Rows and columns.

    Returns:
        By arithmetic: ``fp32``, ``bf16`` and ``int8``, those that PyTorch multiplies there.
    """
    values = torch.randn(side, side, device=device)
    whole = values.clamp(-4, 4).to(torch.int8)
    return {
        name: 2 * side**3 / seconds
        for name, matrix in (("fp32", values), ("bf16", values.bfloat16()), ("int8", whole))
        if (seconds := _seconds(matrix)) is not None
    }


def limit_note(rates: dict[str, float], operations: float) -> str:
    """What the rates mean for a network, in a sentence.

    Args:
        rates: Of `matrix_rates`.
        operations: Of one crop, both passes of a flip test counted.
    """
    speeds = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in rates.items())
    crops = ", ".join(f"{rate / operations:,.1f}" for rate in rates.values())
    return (
        f"matrix products run here at (GFLOP/s) {speeds}: with {operations / 1e9:,.1f} GFLOP for "
        f"a crop, about {crops} crops/s is what can be reached"
    )


def _seconds(matrix: Tensor) -> float | None:
    """Of the product of a matrix with itself; None where PyTorch has none for its type."""
    multiply = torch._int_mm if matrix.dtype == torch.int8 else torch.matmul
    turns = []
    try:
        for _ in range(_TURNS + 1):
            began = perf_counter()
            multiply(matrix, matrix)
            if matrix.device.type == "cuda":
                torch.cuda.synchronize(matrix.device)
            turns.append(perf_counter() - began)
    except (RuntimeError, NotImplementedError):
        return None
    return median(turns[1:])
