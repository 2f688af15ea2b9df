"""HRNet extended: published parameters, official names, and the formulas of its attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pose_hrnet.models.build import build_network
from pose_hrnet.models.high_resolution.attention import HRNetPSA, PolarisedAttention
from pose_hrnet.models.high_resolution.context import ObjectAttention
from pose_hrnet.models.high_resolution.lite_hrnet import LiteModule
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.layouts import identify, size_of
from tests.helpers.networks import TINY_NETWORKS


# Published: 1.1 and 1.8 (Lite-HRNet), 70.1 (PSA, W48), 70.4 (HRNetV2-W48 with OCR, 19 classes).
@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ({"name": "lite_hrnet"}, 1_130_769),
        ({"name": "lite_hrnet", "depth": 30}, 1_763_717),
        ({"name": "hrnet_psa", "width": 48}, 69_611_617),
        ({"name": "hrnet_ocr", "width": 48, "num_keypoints": 19}, 70_372_678),
    ],
)
def test_parameters_are_the_published_ones(architecture: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        model = build_network({"num_keypoints": 17, **architecture})
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["hrnet_psa_p", "lite_hrnet", "hrnet_v2"])
@pytest.mark.parametrize(
    "prefixes", [("", ""), ("backbone.", "keypoint_head."), ("backbone.", "head.")]
)
def test_they_are_told_from_names_and_shapes(name: str, prefixes: tuple[str, str]) -> None:
    with torch.device("meta"):
        model = build_network({**TINY_NETWORKS[name], "num_keypoints": 21})
    shapes = {
        prefixes[n.startswith(("final_layer.", "head."))] + n: tuple(v.shape)
        for n, v in model.state_dict().items()
    }
    if name == "hrnet_v2" and prefixes[0]:
        return  # nobody writes that
    found = identify(shapes)
    assert found.architecture == model.architecture
    assert size_of(found.architecture).startswith("width 8")


def test_a_lite_hrnet_has_the_official_entries() -> None:
    with torch.device("meta"):
        names = list(build_network({"name": "lite_hrnet"}).state_dict())
    for name in (
        "stem.conv1.conv.weight", "stem.branch1.0.bn.weight", "stem.linear_conv.conv.weight",
        "transition0.0.2.weight",
        "transition2.3.0.2.weight",
        "stage0.0.layers.0.cross_resolution_weighting.conv1.conv.weight",
        "stage1.3.layers.1.depthwise_convs.2.bn.running_mean",
        "stage2.1.layers.1.spatial_weighting.3.conv2.conv.bias",
        "stage2.0.fuse_layers.3.0.1.0.weight", "stage2.0.fuse_layers.0.3.1.weight",
        "head_layer.projects.0.depthwise_conv.conv.weight",
        "head_layer.projects.3.pointwise_conv.bn.bias",
    ):  # fmt: skip
        assert name in names


def test_the_lite_exchange_counts_the_finest_stream_twice_as_the_official_one_does() -> None:
    module = LiteModule([4, 8]).eval()
    module.layers = torch.nn.Sequential()
    streams = [torch.rand(1, 4, 8, 8), torch.zeros(1, 8, 4, 4)]
    with torch.inference_mode():
        torch.testing.assert_close(module(streams)[0], 2 * streams[0])


def test_attention_weighs_channels_and_space() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 4)
    parallel, sequential = (PolarisedAttention(8, sequential=s) for s in (False, True))
    sequential.load_state_dict(parallel.state_dict())
    with torch.inference_mode():
        channels, space = parallel.channel_weights(x), parallel.space_weights(x)
        assert channels.shape == (2, 8, 1, 1)
        assert space.shape == (2, 1, 6, 4)
        torch.testing.assert_close(parallel(x), x * (channels + space))
        first = x * channels
        torch.testing.assert_close(sequential(x), first * sequential.space_weights(first))
        # Collapsed by a softmax: over space for the channels, over space for each query.
        values = parallel.conv_v_right(x).flatten(2)
        attention = parallel.conv_q_right(x).flatten(1).softmax(1)
        collapsed = torch.einsum("bcn,bn->bc", values, attention)[..., None, None]
        torch.testing.assert_close(channels, parallel.conv_up(collapsed).sigmoid())


def test_attention_stands_in_every_block_and_leaves_the_rest_of_hrnet() -> None:
    sizes = {k: v for k, v in TINY_NETWORKS["hrnet"].items() if k != "name"}
    with torch.device("meta"):
        model, plain = HRNetPSA(**sizes), HRNet(**sizes)
    names = [n for n in model.state_dict() if ".deattn." not in n]
    assert names == list(plain.state_dict())
    blocks = {n.partition(".deattn.")[0] for n in model.state_dict() if ".deattn." in n}
    assert len(blocks) == 1 + 2 + 3 + 4


def test_pixels_are_told_of_the_keypoints_that_they_are_like() -> None:
    torch.manual_seed(0)
    attention = ObjectAttention(8, 4).eval()
    pixels, keypoints = torch.randn(1, 8, 3, 2), torch.randn(1, 8, 1, 1)
    with torch.inference_mode():
        # Of one keypoint all pixels are told the same.
        told = attention(pixels, keypoints)
        torch.testing.assert_close(
            told, attention.f_up(attention.f_down(keypoints)).expand_as(told)
        )
        # Of two alike, too.
        torch.testing.assert_close(attention(pixels, keypoints.expand(1, 8, 2, 1)), told)
