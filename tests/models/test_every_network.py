"""What holds for every network: crops in, heatmaps at stride 4 out, in each way that it is run."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from pose_hrnet.models import layers
from pose_hrnet.models.build import NETWORKS, build_network
from pose_hrnet.models.network import HeatmapNetwork
from tests.helpers.networks import TINY_NETWORKS

every_network = pytest.mark.parametrize("name", TINY_NETWORKS)


def built(name: str, keypoints: int = 5) -> HeatmapNetwork:
    torch.manual_seed(0)
    return build_network({**TINY_NETWORKS[name], "num_keypoints": keypoints})


def crops(count: int = 2, height: int = 96, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def awake(name: str, images: Tensor) -> HeatmapNetwork:
    """A network whose heatmaps depend on the crops, in eval mode.

    Batch norms have the statistics of these crops: as they start, the signal fades from layer to
    layer. Their bias of 1 lets most of it pass each ReLU: else fifty random layers enlarge
    every rounding until nothing else is left.
    """
    model = built(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            nn.init.ones_(module.bias)
    with torch.inference_mode():
        model.train()(images)
    return model.eval()


def without_means(heatmaps: Tensor) -> Tensor:
    """``(B, K, H, W)`` to ``(B, K * H * W)`` without each heatmap's mean, which says nothing."""
    return (heatmaps - heatmaps.mean((2, 3), keepdim=True)).flatten(1)


def test_every_network_is_among_them() -> None:
    assert {architecture["name"] for architecture in TINY_NETWORKS.values()} == set(NETWORKS)


@every_network
def test_every_parameter_gets_a_gradient(name: str) -> None:
    """Also of one crop, as the last batch of an epoch may be; of each output in training."""
    model = built(name)
    output = model(crops())
    assert output.shape[-4:] == (2, 5, 24, 24)
    assert len(model.supervision) == (len(output) if output.ndim == 5 else 1)
    assert model.supervision[-1] == 1
    output.square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert model(crops(1)).isfinite().all()


@every_network
def test_every_keypoint_gets_a_gradient_in_each_layer_of_its_own(name: str) -> None:
    """None is cut off from the start, as one behind a ReLU on its scores may be."""
    keypoints = 13  # no other layer of these networks has as many outputs
    model = built(name, keypoints)
    model(crops()).square().sum().backward()
    own = {
        name: layer.weight.grad.flatten(1).any(dim=1).tolist()
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.out_channels == keypoints
    }
    assert own
    assert [layer for layer, alive in own.items() if not all(alive)] == []


@every_network
def test_channels_last_and_bf16_give_the_same(name: str) -> None:
    images = crops(3)
    model = awake(name, images)
    with torch.inference_mode():
        expected = model(images)
        assert expected.shape == (3, 5, 24, 24)
        assert (without_means(expected).std(dim=1) > 1e-4).all()
        last = model.to(memory_format=torch.channels_last)
        found = last(images.to(memory_format=torch.channels_last))
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        with torch.autocast("cpu", torch.bfloat16):
            found = model(images).float()
    # Not cell by cell: where two maxima are as good as equal, unpooling exchanges them.
    here, there = without_means(expected), without_means(found)
    same = cosine_similarity(there, here)
    other = cosine_similarity(there, here.roll(1, dims=0))
    assert (same > 0.95).all()
    assert (10 * (1 - same) < 1 - other).all(), "as like another crop's as its own"


@every_network
def test_the_stride_is_that_of_the_features_before_they_are_resampled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strides = {4}

    def at_heatmap_size(features: Tensor, images: Tensor, stride: int) -> Tensor:
        strides.clear()
        strides.update({stride, images.shape[2] // features.shape[2]})
        return layers.at_heatmap_size(features, images, stride)

    model = built(name).eval()
    module = sys.modules[type(model).__module__]
    monkeypatch.setattr(module, "at_heatmap_size", at_heatmap_size, raising=False)
    with torch.inference_mode():
        model(crops(1))
    assert strides == {model.stride}


@every_network
def test_the_architecture_rebuilds_the_network(name: str) -> None:
    with torch.device("meta"):
        model = built(name)
        again = build_network(json.loads(json.dumps(model.architecture)))
    assert type(again) is type(model) is NETWORKS[TINY_NETWORKS[name]["name"]]
    assert again.architecture == model.architecture
    assert again.label == model.label
    assert list(again.state_dict()) == list(model.state_dict())
    assert model.label
    model.architecture.clear()
    assert model.architecture == again.architecture


@every_network
def test_sides_that_32_does_not_divide_are_padded_or_refused_in_one_sentence(name: str) -> None:
    model = built(name).eval()
    with torch.inference_mode():
        if name.startswith("vitpose"):
            message = (
                "height 100 and width 108; both must be multiples of 16, the sides of a patch$"
            )
            with pytest.raises(ValueError, match=message):
                model(crops(1, 100, 108))
        else:
            assert model(crops(1, 100, 108)).shape == (1, 5, 25, 27)
        with pytest.raises(ValueError, match="height 96 and width 110; both must be multiples of"):
            model(crops(1, 96, 110))


# Left out: ViTPose, OCR and Lite-HRNet, which see any crop whole, the valid U-Net, which mirrors
# as much as makes its sizes fit, and HRNetV2's head, which stretches its streams to the finest as
# the official code does.
@pytest.mark.parametrize(
    "name",
    ["hrnet", "resnet", "hourglass", "fcn_8s", "fcn_32s", "fcn_resnet_16s", "fcn_resnet_dilated",
     "unet", "deconvnet", "segnet", "fc_densenet", "dilated_net", "deeplab_v1", "deeplab_v2",
     "deeplab_v3", "deeplab_v3plus", "pspnet"],
)  # fmt: skip
def test_cells_stay_at_their_places_where_32_does_not_divide_a_side(name: str) -> None:
    """Far from the border heatmaps are those of a crop that is cut where 32 divides it."""
    model = built(name).eval()
    for parameter, value in model.named_parameters():
        if re.search(r"convs\.4\.1\.|pyramid\.\d\.0\.", parameter):
            nn.init.zeros_(value)  # means of the whole crop
    images = crops(1, 2084, 32)
    middle = slice(240, 272)  # in rows of heatmaps; no network among these sees the border
    with torch.inference_mode():
        odd, even = (model(x)[:, :, middle] for x in (images, images[:, :, :2048]))
    torch.testing.assert_close(odd, even, rtol=1e-4, atol=1e-5 * float(even.abs().max()))


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("wrong", [{"num_keypoints": 0}, {"width": 0}, {"width": 10**5}])
def test_sizes_that_cannot_be_built_are_refused(name: str, wrong: dict[str, Any]) -> None:
    if name == "fc_densenet" and "width" in wrong:
        wrong = {"growth": wrong["width"]}
    with torch.device("meta"), pytest.raises(ValueError, match=r"give|expected|at most"):
        build_network({"name": name, **wrong})
