"""Which device runs the network, and in which arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]


def pick_device(name: str = "auto") -> torch.device:
    """The named device, or the best one present.

    Args:
        name: ``auto``, or anything that `torch.device` takes: ``cpu``, ``cuda:1``, ``mps``.

    Raises:
        ValueError: If the name is no device, or that device is not present.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used ({reason}); try cpu or auto") from None
    return device


def uses_bf16(device: torch.device, precision: Precision) -> bool:
    """Whether the forward pass runs in bfloat16.

    ``auto`` means bf16 where the hardware multiplies it: Ampere GPUs and newer, and CPUs with AMX
    or AVX-512 BF16. Elsewhere bf16 is emulated and slower than fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        with torch.cuda.device(device):  # the query is about the current one
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and any(
        getattr(torch.cpu, query, lambda: False)()
        for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context that the forward pass runs in."""
    if uses_bf16(device, precision):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
