"""Dilated networks: published parameters, stride 8, and what the papers say of their layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pose_hrnet.models.build import build_network
from pose_hrnet.models.dilated.deeplab_v1 import DeepLabV1
from pose_hrnet.models.dilated.dilated_net import DilatedNet
from pose_hrnet.models.dilated.pspnet import PSPNet
from pose_hrnet.models.layers import PooledBatchNorm


# Published millions: DeepLab V1's in its paper; 134.3 of DilatedNet's front end, VGG16 with its
# classes made convolutions, before a context of few channels; V3 is torchvision's, which
# tests/models/test_backbones.py holds entry by entry. Of the others none is published.
@pytest.mark.parametrize(
    ("architecture", "parameters", "published"),
    [
        ({"name": "dilated_net"}, 134_357_273, 134.3),
        ({"name": "deeplab_v1"}, 20_509_777, 20.5),
        ({"name": "deeplab_v2"}, 43_753_604, None),
        ({"name": "deeplab_v3"}, 39_637_841, 39.6),
        ({"name": "deeplab_v3plus"}, 40_351_153, None),
        ({"name": "pspnet"}, 48_954_722, None),
    ],
)
def test_parameters_are_the_published_ones(
    architecture: dict[str, Any], parameters: int, published: float | None
) -> None:
    with torch.device("meta"):
        model = build_network({"num_keypoints": 17, **architecture})
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert published is None or parameters / 1e6 == pytest.approx(published, rel=0.001)


def test_the_context_module_starts_as_the_identity_of_any_score() -> None:
    model = DilatedNet(4, 3).eval()
    scores = torch.randn(1, 3, 40, 40) - 1
    with torch.inference_mode():
        torch.testing.assert_close(model.final_layer(model.in_context(scores)), scores)
    assert [layer.dilation[0] for layer in model.context] == [1, 1, 2, 4, 8, 16, 1]


def test_the_context_module_adds_what_it_makes_of_positive_scores() -> None:
    """Written out: of a score alone, and 16 cells beside it."""
    model = DilatedNet(4, 1).eval()
    scores = torch.zeros(1, 1, 40, 40)
    scores[0, 0, 20, 20], scores[0, 0, 4, 4] = 3.0, -3.0
    expected = scores.clone()
    with torch.inference_mode():
        model.context[5].weight[0, 0, 1, 0] = 0.5  # of dilation 16, its tap to the left
        expected[0, 0, 20, 36] += 1.5
        assert torch.equal(model.in_context(scores), expected)


def test_dilated_net_learns_with_every_keypoint_alive() -> None:
    """Heatmaps are next to 0 nearly everywhere, and no keypoint's becomes 0 for good."""
    torch.manual_seed(0)
    model, keypoints = DilatedNet(4, 8), 8
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    rows = torch.arange(16.0).view(1, 1, 16, 1) - torch.randint(0, 16, (2, keypoints, 1, 1))
    columns = torch.arange(16.0) - torch.randint(0, 16, (2, keypoints, 1, 1))
    targets = (-(rows**2 + columns**2) / 8).exp()
    optimiser, losses = torch.optim.Adam(model.parameters(), 1e-3), []
    for _ in range(60):
        each = (model(images) - targets).square().mean(dim=(0, 2, 3))
        losses.append(each.detach())
        optimiser.zero_grad()
        each.sum().backward()
        assert model.head[-1].weight.grad.flatten(1).any(dim=1).all()
        optimiser.step()
    zeros = targets.square().mean(dim=(0, 2, 3))
    assert (losses[-1] < 0.8 * zeros).all()  # better than 0 everywhere, each of them


@pytest.mark.parametrize("network", [DilatedNet, DeepLabV1])
def test_a_dilated_vgg_stays_at_stride_8(network: Any) -> None:
    model = network(4, 2).eval()
    smooth = network is DeepLabV1
    with torch.inference_mode():
        features = model.dilated_features(torch.zeros(1, 3, 64, 96), smooth=smooth)
    assert features.shape == (1, 32, 8, 12)
    spreads = [layer.dilation for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert spreads == [(1, 1)] * 10 + [(2, 2)] * 3


@pytest.mark.parametrize(
    ("name", "cells", "taps"),
    [
        ("deeplab_v1", (32, 24), [9]),
        ("deeplab_v2", (32, 24), [9, 9, 9, 3]),
        ("deeplab_v3", (32, 24), [9, 3, 1]),
        ("deeplab_v3plus", (32, 24), [9, 3, 1]),
        ("deeplab_v1", (16, 12), [3]),
        ("deeplab_v2", (16, 12), [9, 3, 1, 1]),
        ("deeplab_v3", (16, 12), [3, 1, 1]),
        ("deeplab_v3plus", (16, 12), [3, 1, 1]),
    ],
)
def test_as_many_taps_reach_a_crop_as_the_docs_say(
    name: str, cells: tuple[int, int], taps: list[int]
) -> None:
    """Of widely spread convolutions on the features of 256x192 and 128x96."""
    found = []
    for layer in build_network({"name": name, "width": 4, "num_keypoints": 2}).modules():
        if isinstance(layer, nn.Conv2d) and layer.dilation[0] >= 6:
            layer(torch.rand(1, layer.in_channels, *cells)).sum().backward()
            found.append(int(layer.weight.grad.abs().sum(dim=(0, 1)).count_nonzero()))
    assert found == taps


def test_a_regions_mean_of_one_crop_is_normalised_in_training() -> None:
    norm = PooledBatchNorm(3).train()
    x = torch.randn(1, 3, 1, 1)
    torch.testing.assert_close(norm(x), x / (1 + norm.eps) ** 0.5)
    assert not norm.running_mean.any()
    plain = nn.BatchNorm2d(3)
    torch.testing.assert_close(norm(x.expand(2, 3, 1, 1)), plain(x.expand(2, 3, 1, 1)))


def test_pspnet_is_supervised_at_layer3_in_training_alone() -> None:
    model = PSPNet(50, 4, 5)
    assert model.supervision == (0.4, 1.0)
    images = torch.randn(2, 3, 64, 64)
    assert model(images).shape == (2, 2, 5, 16, 16)
    assert model.eval()(images).shape == (2, 5, 16, 16)
