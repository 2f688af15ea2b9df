"""What a network costs: parameters and multiply-adds, counted without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pose_hrnet.models.build import build_network


@dataclass(frozen=True)
class Complexity:
    """The cost of one crop.

    Attributes:
        label: The network as papers call it.
        parameters: Numbers that are learnt.
        multiply_adds: One multiplication with one addition each, of convolutions, transposed
            convolutions and matrix products: what the hardware does. Batch norm, ReLU, sums and
            upsampling, well under a hundredth of it, are left out, as everywhere in the field.
        published_gflops: As the official code of HRNet counts; see `complexity`.
    """

    label: str
    parameters: int
    multiply_adds: int
    published_gflops: float


def complexity(architecture: Mapping[str, Any], input_wh: tuple[int, int]) -> Complexity:
    """Count parameters and multiply-adds of a network, on tensors without memory.

    The GFLOPs of Xiao et al. (ECCV 2018), Sun et al. (CVPR 2019) and DARK are those of the
    official counter, which differ from 1e-9 times the multiply-adds in two ways: a G is 2**30;
    and a transposed convolution is counted as a convolution with as many outputs, which is its
    stride squared, 4, times too much. The first makes HRNet-W32 at 256x192 7.1 and not 7.6, the
    second SimpleBaseline-50 8.99 (the paper cuts it to 8.9) and not 5.05. Other papers
    count otherwise, Lite-HRNet's multiply-adds.

    Args:
        architecture: As `build_network` takes it.
        input_wh: Width and height of a crop.

    Raises:
        ValueError: If there is no such network, or the size does not suit it.
    """
    excess = 0

    def count_excess(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal excess
        assert isinstance(module, nn.ConvTranspose2d)
        positions = output.shape[2:].numel() - inputs[0].shape[2:].numel()
        excess += module.weight.numel() * positions

    width, height = input_wh
    with torch.device("meta"):
        network = build_network(architecture).eval()
        images = torch.zeros(1, 3, height, width)
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_hook(count_excess)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(images)
    multiply_adds = counter.get_total_flops() // 2
    return Complexity(
        label=network.label,
        parameters=sum(p.numel() for p in network.parameters()),
        multiply_adds=multiply_adds,
        published_gflops=(multiply_adds + excess) / 2**30,
    )
