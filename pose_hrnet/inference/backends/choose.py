"""Which program runs a model and in which arithmetic, and why.

A choice that was made by itself is tried on a batch by `pose_hrnet.inference.load`, which falls
back to the layers of torch where the two disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch

from pose_hrnet.models.card import SUFFIXES
from pose_hrnet.system.choices import Arithmetic, Backend, Precision, Runner
from pose_hrnet.system.device import arithmetic, missing_compiler, pick_device
from pose_hrnet.system.text import counted

FEW_CROPS = 100
"""Up to so many crops, layers of torch are done before another program is ready."""
MANY_CROPS = 5_000
"""From so many crops on, compiling for a minute pays on CUDA. On CPUs it hardly ever does: after
folding, compiled code is 5 % faster than oneDNN's layers, one by one, with HRNet-W32 in bf16."""


@dataclass(frozen=True)
class Choice:
    """What runs a network.

    Attributes:
        backend: The program.
        precision: Its arithmetic.
        reason: Why.
    """

    backend: Runner
    precision: Arithmetic
    reason: str

    @property
    def summary(self) -> str:
        """The choice and its reason in one line."""
        return f"{self.backend}, {self.precision}: {self.reason}"


def choose(
    backend: Backend, precision: Precision, device: str = "auto", *, crops: int | None = None
) -> Choice:
    """Decide what runs a checkpoint.

    Args:
        backend: What was asked for; ``auto``: on CPUs OpenVINO where it is installed, else layers
            of torch; on CUDA these, compiled where the crops are many.
        precision: What was asked for; ``auto``: as of `pose_hrnet.system.device.arithmetic`.
        device: As of `pick_device`; for OpenVINO as of `open_openvino`.
        crops: About how many will be predicted; None: unknown.

    Raises:
        ValueError: If the backend or the device cannot do what was asked for.
    """
    # OpenVINO and ONNX Runtime may have accelerators that torch does not know.
    elsewhere = backend in ("openvino", "onnx")
    where = torch.device("cpu") if elsewhere else pick_device(device)
    runner, reason = _runner(backend, where, crops)
    if runner == "onnx":
        if precision not in ("auto", "fp32"):
            raise ValueError(
                f"ONNX Runtime computes in fp32 here, and {precision} was asked for; use fp32, or "
                "another backend"
            )
        return Choice("onnx", "fp32", reason)
    if elsewhere and device not in ("auto", "cpu"):  # torch does not know what it multiplies
        return Choice(runner, "fp32" if precision == "auto" else precision, reason)
    chosen = arithmetic(where, precision)
    if chosen == "fp16" and where.type == "cpu":
        raise ValueError("the CPU does not compute in fp16; use precision bf16 or fp32")
    if precision == "auto" and chosen != "fp32":
        reason = f"{reason}, and the hardware multiplies {chosen}"
    return Choice(runner, chosen, reason)


def _runner(backend: Backend, where: torch.device, crops: int | None) -> tuple[Runner, str]:
    """The program, and why."""
    if backend == "compile" and (missing := missing_compiler(where)):
        raise ValueError(
            f"backend compile needs the compiler {missing}, which is not found; install it, or "
            "use backend eager"
        )
    if backend != "auto":
        return backend, "as asked for"
    if where.type not in ("cpu", "cuda"):
        return "eager", f"the one for device {where.type}"
    if crops is not None and crops < FEW_CROPS:
        return "eager", f"quickest to start, for about {counted(crops, 'crop')}"
    if where.type == "cpu" and find_spec("openvino"):
        return "openvino", "the fastest here, OpenVINO is installed"
    if where.type == "cpu":
        return "eager", "OpenVINO would be faster: pip install 'pose-hrnet[openvino]'"
    if crops is not None and crops >= MANY_CROPS and not missing_compiler(where):
        return "compile", f"about {crops} crops are worth the minute that compiling takes"
    return "eager", "the fastest here without compiling"


def choose_for_file(
    path: Path,
    backend: Backend,
    precision: Precision,
    device: str,
    *,
    quantised: bool = False,
) -> Choice:
    """What runs a file: what it is for, or what was asked for and can.

    Args:
        path: The model file.
        backend: What was asked for.
        precision: What was asked for.
        device: What was asked for.
        quantised: It has INT8 layers; ``auto`` precision leaves the others in fp32, as measured.

    Raises:
        ValueError: If the file cannot be run so.
    """
    suffix = path.suffix.lower()
    possible: dict[str, tuple[Runner, ...]] = {
        SUFFIXES["onnx"]: ("onnx", "openvino"),
        SUFFIXES["openvino"]: ("openvino",),
    }
    chosen = possible[suffix][0] if backend == "auto" else backend
    if chosen not in possible[suffix]:
        raise ValueError(
            f"{path} cannot be run by backend {chosen}; a {suffix} file needs "
            f"{' or '.join(possible[suffix])}"
        )
    reason = f"which runs {suffix} files" if backend == "auto" else "as asked for"
    if quantised:
        reason = f"{reason}, with INT8 layers"
    if chosen != "openvino" and precision not in ("auto", "fp32"):
        raise ValueError(
            f"{path} has its arithmetic built in, and {precision} was asked for; use precision "
            "fp32"
        )
    if chosen != "openvino" or (precision == "auto" and quantised):
        return Choice(chosen, "fp32", reason)
    return replace(choose("openvino", precision, device), reason=reason)
