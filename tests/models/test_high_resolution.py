"""HRNet extended: published parameters, official names, and the formulas of its attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import build_network
from pose_hrnet.models.high_resolution.attention import (
    HRNetPSA,
    ParallelAttention,
    SequentialAttention,
)
from pose_hrnet.models.high_resolution.context import ObjectAttention, gathered
from pose_hrnet.models.high_resolution.lite_hrnet import LiteModule
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.layouts import identify, size_of
from tests.helpers.networks import TINY_NETWORKS


# Published in millions, OCR's for 19 classes. The official modules make 69.98 of PSA(p)'s 70.1 and
# 69.01 of PSA(s)'s 69.1.
@pytest.mark.parametrize(
    ("architecture", "parameters", "published"),
    [
        ({"name": "lite_hrnet"}, 1_130_769, 1.1),
        ({"name": "lite_hrnet", "depth": 30}, 1_763_717, 1.8),
        ({"name": "hrnet_psa", "width": 48}, 69_983_969, 70.1),
        ({"name": "hrnet_psa", "width": 48, "attention": "sequential"}, 69_008_545, 69.1),
        ({"name": "hrnet_ocr", "width": 48, "num_keypoints": 19}, 70_372_678, 70.4),
    ],
)
def test_parameters_are_the_published_ones(
    architecture: dict[str, Any], parameters: int, published: float
) -> None:
    with torch.device("meta"):
        model = build_network({"num_keypoints": 17, **architecture})
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert parameters / 1e6 == pytest.approx(published, abs=0.12)


@pytest.mark.parametrize("name", ["hrnet_psa_p", "hrnet_psa_s", "lite_hrnet", "hrnet_v2"])
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


def test_the_lite_exchange_is_the_official_one_which_sums_in_place() -> None:
    torch.manual_seed(0)
    module = LiteModule([4, 8, 16]).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    streams = [torch.randn(2, 4 * 2**i, 16 // 2**i, 8 // 2**i) for i in range(3)]
    with torch.inference_mode():
        found = module(streams)
        first, second, third = module.layers(streams)
        (_, a2, a3), (b1, _, b3), (c1, c2, _) = module.fuse_layers
        # `y = first; y += first` doubles the stream itself, which the sums below then start from.
        first *= 2
        first += a2(second)
        first += a3(third)
        expected = [first, 2 * b1(first) + second + b3(third), 2 * c1(first) + c2(second) + third]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs.relu())


def test_parallel_attention_is_the_official_module() -> None:
    torch.manual_seed(0)
    x, attention = torch.randn(2, 16, 6, 4), ParallelAttention(16)
    weights = dict(attention.named_parameters())
    assert {n: tuple(w.shape) for n, w in weights.items()} == {
        "conv_q_right.weight": (1, 16, 1, 1), "conv_v_right.weight": (8, 16, 1, 1),
        "conv_up.weight": (16, 8, 1, 1),
        "conv_q_left.weight": (8, 16, 1, 1), "conv_v_left.weight": (8, 16, 1, 1),
    }  # fmt: skip
    n, (q, v, up, mean_q, mean_v) = x.flatten(2), (w.flatten(1) for w in weights.values())
    collapsed = torch.einsum("vc,bcn,bn->bv", v, n, (q @ n)[:, 0].softmax(1))
    channels = (collapsed @ up.T).sigmoid()[..., None]
    # Over space there is one product, and its softmax.
    space = torch.einsum("bv,bvn->bn", (mean_q @ n).mean(2), mean_v @ n).softmax(1)
    expected = n * channels + n * space.sigmoid()[:, None]
    torch.testing.assert_close(attention(x).flatten(2), expected)


def test_sequential_attention_is_the_official_module() -> None:
    torch.manual_seed(0)
    x, attention = torch.randn(2, 16, 6, 4), SequentialAttention(16)
    weights = dict(attention.named_parameters())
    assert {n: tuple(w.shape) for n, w in weights.items()} == {
        "conv_q_right.weight": (1, 16, 1, 1), "conv_v_right.weight": (8, 16, 1, 1),
        "conv_up.0.weight": (2, 8, 1, 1), "conv_up.0.bias": (2,),
        "conv_up.1.weight": (2, 1, 1), "conv_up.1.bias": (2, 1, 1),
        "conv_up.3.weight": (16, 2, 1, 1), "conv_up.3.bias": (16,),
        "conv_q_left.weight": (8, 16, 1, 1), "conv_v_left.weight": (8, 16, 1, 1),
    }  # fmt: skip
    with torch.no_grad():
        for name in ("conv_up.1.weight", "conv_up.1.bias"):
            weights[name].normal_()
    n, by_name = x.flatten(2), {name: w.flatten(1) for name, w in weights.items() if w.ndim == 4}
    focus = (by_name["conv_q_right.weight"] @ n)[:, 0].softmax(1)
    collapsed = torch.einsum("vc,bcn,bn->bv", by_name["conv_v_right.weight"], n, focus)
    few = collapsed @ by_name["conv_up.0.weight"].T + weights["conv_up.0.bias"]
    few = (few - few.mean(1, keepdim=True)) / (few.var(1, False, keepdim=True) + 1e-5).sqrt()
    few = few * weights["conv_up.1.weight"].flatten() + weights["conv_up.1.bias"].flatten()
    raised = few.relu() @ by_name["conv_up.3.weight"].T + weights["conv_up.3.bias"]
    n = n * raised.sigmoid()[..., None]
    # Over space each value has a softmax of its own, before the product.
    query = (by_name["conv_q_left.weight"] @ n).mean(2)
    space = torch.einsum("bv,bvn->bn", query, (by_name["conv_v_left.weight"] @ n).softmax(2))
    torch.testing.assert_close(attention(x).flatten(2), n * space.sigmoid()[:, None])


@pytest.mark.parametrize("attention", ["parallel", "sequential"])
def test_attention_starts_as_the_official_module(attention: str) -> None:
    torch.manual_seed(0)
    sizes = {"width": 64, "stem_width": 64, "num_keypoints": 1, "attention": attention}
    model = build_network({**TINY_NETWORKS["hrnet_psa_p"], **sizes})
    for name, parameter in model.named_parameters():
        if ".deattn.conv_q_left" in name or ".deattn.conv_v_" in name:
            expected = (2 / parameter.shape[1]) ** 0.5  # kaiming, of what goes in
            assert parameter.std().item() == pytest.approx(expected, rel=0.1), name


def test_attention_stands_in_every_block_and_leaves_the_rest_of_hrnet() -> None:
    sizes = {k: v for k, v in TINY_NETWORKS["hrnet"].items() if k != "name"}
    with torch.device("meta"):
        model, plain = HRNetPSA(**sizes), HRNet(**sizes)
    names = [n for n in model.state_dict() if ".deattn." not in n]
    assert names == list(plain.state_dict())
    blocks = {n.partition(".deattn.")[0] for n in model.state_dict() if ".deattn." in n}
    assert len(blocks) == 1 + 2 + 3 + 4
    assert not any("deattn" in n for n, _ in plain.named_modules())


@pytest.mark.parametrize(("input_wh", "sigma"), [((192, 256), 2.0), ((288, 384), 3.0)])
@pytest.mark.parametrize("height", [1.0, 0.5])
def test_the_vector_of_a_keypoint_is_what_stands_at_its_place(
    input_wh: tuple[int, int], sigma: float, height: float
) -> None:
    codec = HeatmapCodec("gaussian", input_wh, sigma=sigma)
    cells = torch.tensor([[[20.0, 30.0], [33.0, 12.0], [9.0, 50.0]]])
    heatmaps, _ = codec.encode(4 * cells, torch.ones(1, 3))
    rows, columns = codec.heatmap_hw
    where = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    pixels = torch.stack([where[1], where[0]]).float()[None]
    found = gathered(pixels, height * heatmaps).transpose(1, 2)
    assert (found - cells).norm(dim=2).max() <= (0.02 if height == 1 else sigma)
    # A keypoint that is nowhere has the mean of the crop.
    nowhere = gathered(pixels, torch.zeros(1, 1, rows, columns))
    torch.testing.assert_close(nowhere[..., 0], pixels.mean(dim=(2, 3)))


def test_the_keypoints_are_gathered_where_the_coarse_heatmaps_have_them() -> None:
    torch.manual_seed(0)
    model = build_network({**TINY_NETWORKS["hrnet_ocr"], "num_keypoints": 3}).eval()
    heatmaps, pixels = torch.zeros(2, 3, 24, 24), torch.randn(2, 16, 24, 24)
    rows, columns = [3, 20, 12], [5, 7, 12]
    heatmaps[:, [0, 1, 2], rows, columns] = 1
    seen: list[Tensor] = []
    head = model.get_submodule("head")
    head.get_submodule("aux_head").register_forward_hook(lambda *_: heatmaps)
    head.get_submodule("conv3x3_ocr").register_forward_hook(lambda *_: pixels)
    head.get_submodule("object_context_block").register_forward_pre_hook(
        lambda _, inputs: seen.extend(inputs)
    )
    with torch.inference_mode():
        model(torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8))
    assert seen[0] is pixels
    expected = pixels[:, :, rows, columns]
    torch.testing.assert_close(seen[1][..., 0], expected, rtol=0, atol=1e-4)


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
