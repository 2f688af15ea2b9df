"""Networks scaled to a cost, and what each takes: parameters, crops a second, memory."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pose_hrnet.models.build import build_network
from pose_hrnet.models.complexity import complexity
from pose_hrnet.system.device import autocast
from pose_hrnet.system.memory import peak_memory, resident_memory

NETWORKS: dict[str, dict[str, Any]] = {
    "hrnet": {"name": "hrnet"},
    "hrnet_small": {
        "name": "hrnet",
        "stem_blocks": 2,
        "stage_modules": [1, 3, 1],
        "branch_blocks": 2,
    },
    "hrnet_v2": {"name": "hrnet", "head": "v2"},
    "hrnet_psa_p": {"name": "hrnet_psa"},
    "hrnet_psa_s": {"name": "hrnet_psa", "attention": "sequential"},
    "hrnet_ocr": {"name": "hrnet_ocr"},
    "lite_hrnet": {"name": "lite_hrnet", "depth": 18},
    "simple_baseline": {"name": "resnet", "depth": 50},
    "simple_baseline_18": {"name": "resnet", "depth": 18},
    "hourglass_1": {"name": "hourglass", "stacks": 1},
    "hourglass_2": {"name": "hourglass", "stacks": 2},
    "hourglass_8": {"name": "hourglass", "stacks": 8},
    "fcn_32s": {"name": "fcn", "variant": "32s"},
    "fcn_16s": {"name": "fcn", "variant": "16s"},
    "fcn_8s": {"name": "fcn", "variant": "8s"},
    "fcn_resnet": {"name": "fcn_resnet", "depth": 50, "variant": "8s"},
    "unet": {"name": "unet"},
    "unet_valid": {"name": "unet", "padding": "valid"},
    "deconvnet": {"name": "deconvnet"},
    "segnet": {"name": "segnet"},
    "fc_densenet": {"name": "fc_densenet", "depth": 56},
    "dilated_net": {"name": "dilated_net"},
    "deeplab_v1": {"name": "deeplab_v1"},
    "deeplab_v2": {"name": "deeplab_v2", "depth": 50},
    "deeplab_v3": {"name": "deeplab_v3", "depth": 50},
    "deeplab_v3plus": {"name": "deeplab_v3plus", "depth": 50},
    "pspnet": {"name": "pspnet", "depth": 50},
    "vitpose": {"name": "vitpose", "depth": 12},
}
"""What is scaled by its width (FC-DenseNet: its growth)."""


@dataclass(frozen=True)
class Size:
    """What a network costs.

    Attributes:
        network: Its name in `NETWORKS`.
        architecture: Scaled.
        input_wh: Of the crops.
        parameters: In millions.
        gmacs: 1e-9 multiply-adds of a crop.
    """

    network: str
    architecture: dict[str, Any]
    input_wh: tuple[int, int]
    parameters: float
    gmacs: float


@dataclass(frozen=True)
class Speed:
    """What a network takes, in its own process.

    Attributes:
        forward: Crops a second, in eval mode, fp32.
        training: Crops a second, forward and backward, in the arithmetic that is trained in.
        memory_mb: What network and step take, of the GPU where there is one.
        crops: At once.
    """

    forward: float
    training: float
    memory_mb: float
    crops: int


STEPS = {"fc_densenet": 1, "hourglass": 4, "lite_hrnet": 4, "vitpose": 4}
"""What widths are multiples of, if not 2: a growth, bottlenecks of a quarter, four heads."""


def sized(network: Mapping[str, Any], width: int) -> dict[str, Any]:
    """A network's architecture at a width; its stem and context go with it."""
    if network["name"] == "fc_densenet":
        return {**network, "growth": width}
    sizes: dict[str, Any] = {"width": width}
    if network["name"].startswith("hrnet"):
        sizes["stem_width"] = 2 * width
    if network["name"] == "hrnet_ocr":
        sizes["context_width"] = 16 * width
    if network["name"] == "vitpose":
        sizes["heads"] = 4
    return {**network, **sizes}


def scaled(network: Mapping[str, Any], gmacs: float, input_wh: tuple[int, int]) -> dict[str, Any]:
    """The width whose multiply-adds come nearest to a number, of multiples of `STEPS`."""
    step = STEPS.get(network["name"], 2)

    def cost(width: int) -> float:
        return complexity(sized(network, width * step), input_wh).multiply_adds / 1e9

    width, known = 4, dict[int, float]()
    while width not in known:  # costs grow about as the square of the width
        known[width] = cost(width)
        width = max(1, min(512 // step, round(width * (gmacs / known[width]) ** 0.5)))
    nearest = min(known, key=lambda width: abs(known[width] - gmacs))
    return sized(network, nearest * step)


def size_of(name: str, gmacs: float, input_wh: tuple[int, int]) -> Size:
    """A network, scaled."""
    architecture = scaled(NETWORKS[name], gmacs, input_wh)
    cost = complexity(architecture, input_wh)
    millions, used = cost.parameters / 1e6, cost.multiply_adds / 1e9
    return Size(name, architecture, input_wh, millions, used)


def speed_of(size: Size) -> Speed:
    """Measure a network; in a process of its own, whose memory nothing else has raised."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = 64 if device.type == "cuda" else 16
    width, height = size.input_wh
    before = 0 if device.type == "cuda" else resident_memory()
    network = build_network({**size.architecture, "num_keypoints": 17}).to(device)
    network = network.to(memory_format=torch.channels_last)
    crops = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, device=device)

    def rate(run: Callable[[], object]) -> float:
        seconds = []
        for _ in range(6):
            began = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        return count / statistics.median(seconds[1:])

    def forward() -> object:
        with torch.inference_mode():
            return network(crops)

    def learn() -> None:
        with autocast(device, "auto"):
            outputs = network(crops)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        losses = [output.float().square().mean() for output in outputs]
        torch.autograd.backward(losses)

    network.train()
    learn()
    peak = peak_memory(learn, device)
    memory = math.nan if peak is None else (peak - before) / 2**20
    training = rate(learn)
    network.eval()
    return Speed(rate(forward), training, memory, count)
