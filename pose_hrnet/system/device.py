"""Which device runs the network, and in which arithmetic."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import psutil
import torch

from pose_hrnet.system.choices import Arithmetic, Precision

_KINDS = ("cpu", "cuda", "mps")
"""Kinds of devices that are named where one is misspelt; torch takes others of its build, too."""

_CPP_COMPILERS = {"darwin": "clang++", "win32": "cl"}
"""What torch calls where no CXX is named; elsewhere it is g++, and clang++ does not stand in."""


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
    except RuntimeError:
        raise ValueError(
            f"there is no device {name!r}; use auto, {', '.join(_KINDS)}, or a number with it as "
            "in cuda:1"
        ) from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # of builds without such devices, too
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used ({reason}); try cpu or auto") from None
    return device


def arithmetic(device: torch.device, precision: Precision) -> Arithmetic:
    """What the forward pass computes in.

    ``auto`` means bf16 where the hardware multiplies it: Ampere GPUs and newer, and CPUs with AMX
    or AVX-512 BF16. Elsewhere bf16 is emulated and slower: older GPUs take fp16, CPUs fp32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        with torch.cuda.device(device):  # the query is about the current one
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    multiplies_bf16 = device.type == "cpu" and any(
        getattr(torch.cpu, query, lambda: False)()
        for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    return "bf16" if multiplies_bf16 else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context that the forward pass runs in."""
    chosen = arithmetic(device, precision)
    if chosen == "fp32":
        return nullcontext()
    dtype = torch.bfloat16 if chosen == "bf16" else torch.float16
    return torch.autocast(device.type, dtype=dtype)


def usable_cores() -> int:
    """Cores that this process may use: all, where the system does not bind it to some."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # macOS has none
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def missing_compiler(device: torch.device) -> str | None:
    """The compiler that `torch.compile` needs for a device, but is not there; None: it is."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton"
    needed = os.environ.get("CXX") or _CPP_COMPILERS.get(sys.platform, "g++")
    return None if shutil.which(needed) else needed
