"""Costs are the published ones, and exact where they can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pose_hrnet.models.complexity import complexity


@pytest.mark.parametrize(
    ("width", "input_wh", "parameters", "gflops"),
    [
        (32, (192, 256), 28_536_113, "7.1"),
        (32, (288, 384), 28_536_113, "16.0"),
        (48, (192, 256), 63_595_745, "14.6"),
        (48, (288, 384), 63_595_745, "32.9"),
        # Not in the paper.
        (18, (192, 256), 9_318_215, "3.0"),
        (40, (192, 256), 44_319_753, "10.5"),
    ],
)
def test_hrnet(width: int, input_wh: tuple[int, int], parameters: int, gflops: str) -> None:
    cost = complexity({"name": "hrnet", "width": width}, input_wh)
    assert cost.parameters == parameters
    assert f"{cost.published_gflops:.1f}" == gflops
    # No transposed convolution: the published number is the exact one in other units.
    assert cost.multiply_adds == cost.published_gflops * 2**30


# The paper prints 8.9, 12.4 and 15.7: two of them cut, one rounded.
@pytest.mark.parametrize(
    ("depth", "published", "exact"), [(50, 8.9, 5.43), (101, 12.4, 9.06), (152, 15.7, 12.70)]
)
def test_simple_baseline(depth: int, published: float, exact: float) -> None:
    cost = complexity({"name": "resnet", "depth": depth}, (192, 256))
    assert cost.published_gflops == pytest.approx(published, abs=0.1)
    assert cost.multiply_adds / 1e9 == pytest.approx(exact, abs=0.005)


def test_the_v2_head_costs_its_two_convolutions_and_the_exchange() -> None:
    sizes: dict[str, Any] = {"width": 8, "stem_width": 4, "stage_modules": (1, 1, 1)}
    v1 = complexity({**sizes, "head": "v1"}, (64, 64))
    v2 = complexity({**sizes, "head": "v2"}, (64, 64))
    head = 16 * 16 * (120 * 120 + 120 * 17 - 8 * 17)
    exchange = v2.multiply_adds - v1.multiply_adds - head
    assert 0 < exchange < 0.3 * v1.multiply_adds
    assert not torch.is_inference_mode_enabled()
