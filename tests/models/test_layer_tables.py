"""Networks have the layers of their papers' tables: channels, kernels, spreads, and what is added.

Numbers of parameters alone would not tell: a dilation has none, and two mistakes may even out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pose_hrnet.models.build import build_network
from pose_hrnet.models.dilated.pspnet import PSPNet
from pose_hrnet.models.encoder_decoder.fcn import FCN, FCNResNet
from pose_hrnet.models.encoder_decoder.hourglass import Residual, StackedHourglass

K = 17
VGG = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


def convolutions(module: nn.Module) -> list[tuple[int, ...]]:
    """Inputs, outputs, kernel, and dilation of each convolution, in the order of parameters."""
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.dilation[0])
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def threes(*channels: int, dilation: int = 1) -> list[tuple[int, ...]]:
    """3x3 convolutions in a row."""
    return [(a, b, 3, dilation) for a, b in pairwise(channels)]


def built(**architecture: Any) -> nn.Module:
    with torch.device("meta"):
        return build_network({"num_keypoints": K, **architecture})


SPREAD_VGG = threes(*VGG[:11]) + threes(*VGG[10:], dilation=2)
ASPP = [
    (2048, 256, 1, 1), (2048, 256, 3, 12), (2048, 256, 3, 24), (2048, 256, 3, 36),
    (2048, 256, 1, 1), (1280, 256, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("fcn", [
            *threes(*VGG), (512, 4096, 7, 1), (4096, 4096, 1, 1), (4096, K, 1, 1),
            (512, K, 1, 1), (256, K, 1, 1),
        ]),
        ("deconvnet", [
            *threes(*VGG), *threes(512, 512, 512, 512), *threes(512, 512, 512, 256),
            *threes(256, 256, 256, 128), *threes(128, 128, 64), *threes(64, 64, 64),
            (512, 4096, 7, 1), (4096, 4096, 1, 1), (4096, 512, 7, 1), (64, K, 1, 1),
        ]),
        ("segnet", [
            *threes(*VGG), *threes(512, 512, 512, 512), *threes(512, 512, 512, 256),
            *threes(256, 256, 256, 128), *threes(128, 128, 64), *threes(64, 64, K),
        ]),
        ("unet", [
            *threes(3, 64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024),
            (1024, 512, 2, 1), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1),
            *threes(1024, 512, 512), *threes(512, 256, 256), *threes(256, 128, 128),
            *threes(128, 64, 64), (64, K, 1, 1),
        ]),
        ("dilated_net", [
            *SPREAD_VGG, (512, 4096, 7, 4), (4096, 4096, 1, 1), (4096, K, 1, 1),
            *((K, K, 3, spread) for spread in (1, 1, 2, 4, 8, 16, 1)), (K, K, 1, 1),
        ]),
        ("deeplab_v1", [
            *SPREAD_VGG, (512, 1024, 3, 12), (1024, 1024, 1, 1), (1024, K, 1, 1),
        ]),
    ],
)  # fmt: skip
def test_networks_of_plain_convolutions(name: str, table: list[tuple[int, ...]]) -> None:
    assert convolutions(built(name=name)) == table


# The ResNets themselves are torchvision's, by tests/models/test_backbones.py.
@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("deeplab_v2", [(2048, K, 3, rate) for rate in (6, 12, 18, 24)]),
        ("deeplab_v3", [*ASPP, (256, 256, 3, 1), (256, K, 1, 1)]),
        ("deeplab_v3plus", [
            *ASPP, (256, 48, 1, 1), (304, 256, 3, 1), (256, 256, 3, 1), (256, K, 1, 1),
        ]),
        ("pspnet", [
            *[(2048, 512, 1, 1)] * 4, (4096, 512, 3, 1), (512, K, 1, 1),
            (1024, 256, 3, 1), (256, K, 1, 1),
        ]),
        ("fcn_resnet", [(2048, 512, 3, 1), (512, K, 1, 1), (1024, K, 1, 1), (512, K, 1, 1)]),
    ],
)  # fmt: skip
def test_what_stands_behind_a_resnet(name: str, table: list[tuple[int, ...]]) -> None:
    assert convolutions(built(name=name))[-len(table) :] == table
    for layer in built(name=name).modules():
        if isinstance(layer, nn.Conv2d) and layer.dilation[0] > 4:
            assert layer.padding == layer.dilation  # so that it keeps the size


def residual(ins: int, outs: int) -> list[tuple[int, ...]]:
    half = outs // 2
    skip = [] if ins == outs else [(ins, outs, 1, 1)]
    return [(ins, half, 1, 1), (half, half, 3, 1), (half, outs, 1, 1), *skip]


def test_an_hourglass_network_is_in_the_papers_order() -> None:
    """Also on its way: pooled behind the first residual, and 13 of them in an hourglass."""
    with torch.device("meta"):
        model = StackedHourglass(2)
    assert convolutions(model.stem) == [(3, 64, 7, 1), *residual(64, 128)]
    assert convolutions(model.stem_end) == [*residual(128, 128), *residual(128, 256)]
    stack = [*residual(256, 256) * 14, (256, 256, 1, 1)]
    assert convolutions(model.hourglasses) == stack * 2
    behind = [(256, K, 1, 1), (256, 256, 1, 1), (K, 256, 1, 1), (256, K, 1, 1)]
    assert convolutions(model)[-4:] == behind
    order = [type(layer) for layer in Residual(8, 8).layers]
    assert order == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] * 3
    sizes: list[int] = []
    model = StackedHourglass(1, 16, 2).eval()
    for layers in (model.stem[0], *model.stem[3:], *model.stem_end, *model.hourglasses):
        layers.register_forward_hook(lambda _, __, found: sizes.append(found.shape[2]))
    with torch.inference_mode():
        model(torch.zeros(1, 3, 64, 64))
    assert sizes == [32, 32, 16, 16, 16]


def test_an_hourglass_is_corrected_by_the_heatmaps_before() -> None:
    """Written out: features, and heatmaps led back to as many channels, are added."""
    torch.manual_seed(0)
    model = StackedHourglass(2, 16, 3).eval()
    images = torch.randn(1, 3, 64, 64)
    entered: list[Tensor] = []
    for hourglass in model.hourglasses:
        hourglass.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    with torch.inference_mode():
        found = model(images)
        features = model.hourglasses[0](entered[0])
        back = model.heatmaps_on[0](model.heads[0](features))
        second = entered[0] + model.features_on[0](features) + back
        torch.testing.assert_close(entered[1], second)
        torch.testing.assert_close(found, model.final_layer(model.hourglasses[1](second)))


@pytest.mark.parametrize(
    ("depth", "growth", "layers", "down", "up"),
    [
        (56, 12, [4] * 11, [96, 144, 192, 240, 288], [384, 336, 288, 240, 192]),
        (67, 16, [5] * 11, [128, 208, 288, 368, 448], [608, 528, 448, 368, 288]),
        # The paper's table 2, but for its 578, where 112 + 304 + 160 are 576.
        (103, 16, [4, 5, 7, 10, 12, 15, 12, 10, 7, 5, 4], [112, 192, 304, 464, 656],
         [1088, 816, 576, 384, 256]),
    ],
)  # fmt: skip
def test_fc_densenet_has_the_channels_of_its_table(
    depth: int, growth: int, layers: list[int], down: list[int], up: list[int]
) -> None:
    model = built(name="fc_densenet", depth=depth, growth=growth)
    blocks = [*model.down, model.bottom, *model.up]
    assert [len(block.layers) for block in blocks] == layers
    ends = [convolutions(block)[-1][0] + growth for block in blocks]  # all that its last layer saw
    assert ends[:5] == down
    assert ends[5] == down[-1] + layers[5] * growth
    assert ends[6:] == up
    assert convolutions(model.transitions) == [(c, c, 1, 1) for c in down]
    new = [n * growth for n in layers[5:10]]
    assert convolutions(model.raise_) == [(c, c, 3, 1) for c in new]
    assert convolutions(model.stem) == [(3, 48, 3, 1)]
    assert convolutions(model)[-1] == (up[-1], K, 1, 1)
    assert {shape[1:] for block in blocks for shape in convolutions(block)} == {(growth, 3, 1)}


@pytest.mark.parametrize("variant", ["32s", "16s", "8s"])
@pytest.mark.parametrize("network", [FCN, FCNResNet])
def test_finer_scores_are_added_where_the_coarser_have_been_raised(
    network: Any, variant: str
) -> None:
    torch.manual_seed(0)
    model = network(variant, width=4, num_keypoints=2).eval()
    for layer in model.skips:  # which start at 0
        nn.init.normal_(layer.weight)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        features = model.pooled(images) if network is FCN else model.stages(images)
        heatmaps = model.final_layer(model.head(features[-1]))
        for skip, finer in zip(model.skips, features[-2::-1], strict=False):
            heatmaps = interpolate(heatmaps, scale_factor=2.0, mode="bilinear") + skip(finer)
        rest = {"32s": 8.0, "16s": 4.0, "8s": 2.0}[variant]
        expected = interpolate(heatmaps, scale_factor=rest, mode="bilinear")
        assert len(model.skips) == {"32s": 0, "16s": 1, "8s": 2}[variant]
        torch.testing.assert_close(model(images), expected)


def test_pspnet_sees_the_means_of_1_4_9_and_36_regions() -> None:
    """Written out, of 12x12 cells, which 1, 2, 3 and 6 divide."""
    torch.manual_seed(0)
    model = PSPNet(50, 4, 3).eval()
    images = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        features = model.stages(images)[-1]
        seen = [features]
        for regions, layer in zip((1, 2, 3, 6), model.pyramid, strict=True):
            side = 12 // regions
            means = features.unfold(2, side, side).unfold(3, side, side).mean(dim=(4, 5))
            seen.append(interpolate(layer(means), (12, 12), mode="bilinear"))
        heatmaps = model.final_layer(model.head(torch.cat(seen, dim=1)))
        expected = interpolate(heatmaps, scale_factor=2.0, mode="bilinear")
        torch.testing.assert_close(model(images), expected)
