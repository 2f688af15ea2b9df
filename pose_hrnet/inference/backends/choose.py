"""A checkpoint's network made fast: which program runs it and in which arithmetic, and why.

What comes out maps uint8 crops to float32 heatmaps, as the network that went in, so that flip
test, decoder and evaluation are the same for all. `eager` in fp32 runs the layers as they are, and
is the reference that the others agree with.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from pose_hrnet.inference.backends.convert import converted_session
from pose_hrnet.inference.backends.networks import (
    CompiledNetwork,
    FoldedNetwork,
    GraphedNetwork,
    SessionNetwork,
    channels_last,
)
from pose_hrnet.inference.backends.sessions import Backend, Runner
from pose_hrnet.inference.dataset import PoseCard
from pose_hrnet.models.cards import SUFFIXES
from pose_hrnet.system.device import Arithmetic, Precision, arithmetic, pick_device
from pose_hrnet.system.text import counted

FEW_CROPS = 100
"""Up to so many crops, layers of torch are done before another program is ready."""
MANY_CROPS = 5_000
"""From so many crops on, compiling for a minute pays on CUDA. On CPUs it hardly ever does: after
folding, compiled code is 5 % faster than oneDNN's layers, one by one, with HRNet-W32 in bf16."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Largest difference of a heatmap, over the largest value, up to which two programs agree.
_AGREEMENT = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.02}


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
    if backend == "compile" and (missing := _missing_to_compile(where)):
        raise ValueError(f"backend compile needs {missing}; install it, or use backend eager")
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
    if crops is not None and crops >= MANY_CROPS and not _missing_to_compile(where):
        return "compile", f"about {crops} crops are worth the minute that compiling takes"
    return "eager", "the fastest here without compiling"


def _missing_to_compile(where: torch.device) -> str | None:
    if where.type == "cuda":
        return None if find_spec("triton") else "the package triton"
    return None if cpp_compiler() else "a C++ compiler such as g++, and none was found"


def cpp_compiler() -> str | None:
    """The C++ compiler that torch would call; None if there is none."""
    return os.environ.get("CXX") or next(filter(shutil.which, ("g++", "clang++", "cl")), None)


def choose_for_file(
    path: Path,
    backend: Backend,
    device: str,
    precision: Precision,
    *,
    quantised: bool = False,
) -> Choice:
    """What runs a file: what it is for, or what was asked for and can.

    Args:
        path: The model file.
        backend: What was asked for.
        device: What was asked for.
        precision: What was asked for.
        quantised: It has INT8 layers; ``auto`` precision leaves the others in fp32, as measured.

    Raises:
        ValueError: If the file cannot be run so.
    """
    suffix = path.suffix.lower()
    possible: dict[str, tuple[Runner, ...]] = {
        SUFFIXES["onnx"]: ("onnx", "openvino"),
        SUFFIXES["openvino"]: ("openvino",),
        SUFFIXES["torch"]: ("eager",),
    }
    chosen = possible[suffix][0] if backend == "auto" else backend
    if chosen not in possible[suffix]:
        raise ValueError(
            f"{path} cannot be run by backend {chosen}; a {suffix} file needs "
            f"{' or '.join(possible[suffix])}"
        )
    reason = f"what a {suffix} file is for" if backend == "auto" else "as asked for"
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


def accelerate(
    network: nn.Module, card: PoseCard, choice: Choice, device: str = "auto"
) -> tuple[nn.Module, torch.device]:
    """The network as the choice says, and where it takes its crops.

    Args:
        network: Layers of torch with buffers `mean` and `std`: uint8 crops to heatmaps.
        card: Its input size.
        choice: From `choose`.
        device: As of `choose`.

    Raises:
        ValueError: If a package is missing, or the network cannot be converted.
    """
    network = network.eval()
    if choice.backend in ("openvino", "onnx"):
        session = converted_session(
            FoldedNetwork(network), card.codec.input_wh, choice.backend, device, choice.precision
        )
        return SessionNetwork(session).eval(), session.device
    where = pick_device(device)
    if choice.backend == "eager" and choice.precision == "fp32":
        return channels_last(network.to(where)), where
    folded = FoldedNetwork(network, _DTYPES[choice.precision]).to(where)
    if choice.backend == "compile":
        return CompiledNetwork(folded, card.codec.input_wh).eval(), where
    return (GraphedNetwork(folded).eval() if where.type == "cuda" else folded), where


@torch.inference_mode()
def agrees(
    fast: nn.Module,
    where: torch.device,
    reference: nn.Module,
    card: PoseCard,
    precision: Arithmetic,
) -> bool:
    """Whether a network gives, for a crop of noise, the heatmaps of the reference on the CPU.

    Args:
        fast: What is to prove itself.
        where: Takes its crops.
        reference: The layers that it was made from.
        card: Their input size.
        precision: The arithmetic of `fast`, which decides how near is near.
    """
    width, height = card.codec.input_wh
    generator = torch.Generator().manual_seed(0)
    crop = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)
    expected = reference(crop)
    limit = _AGREEMENT[precision] * float(expected.abs().max())
    return bool((fast(crop.to(where)).cpu() - expected).abs().max() <= limit)
