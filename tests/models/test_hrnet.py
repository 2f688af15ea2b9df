"""The network is the official one: names, shapes, counts and numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_hrnet.models.build import build_network
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from tests.helpers.reference_network import reference_output

TINY: dict[str, Any] = {
    "width": 8, "num_keypoints": 5, "stem_width": 4, "stem_blocks": 2,
    "stage_modules": (1, 2, 2), "branch_blocks": 1,
}  # fmt: skip


def tiny() -> HRNet:
    torch.manual_seed(0)
    return HRNet(**TINY)


@pytest.mark.parametrize(("width", "parameters"), [(32, 28_536_113), (48, 63_595_745)])
def test_parameter_counts_are_the_published_ones(width: int, parameters: int) -> None:
    with torch.device("meta"):
        model = HRNet(width)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == 1754


def test_state_dict_is_the_official_one(shared: Path) -> None:
    official = json.loads((shared / "reference/arch_hrnet_w32_256x192.json").read_text())
    with torch.device("meta"):
        model = HRNet()
    ours = [(name, list(value.shape)) for name, value in model.state_dict().items()]
    assert ours == list(official["state_dict"].items())


def test_output_is_the_official_one(shared: Path) -> None:
    expected = np.load(shared / "reference/arch_hrnet_w32_256x192.npz")["output"]
    output = reference_output(HRNet())
    assert output.shape == expected.shape == (2, 17, 64, 48)
    assert np.abs(output - expected).max() < 1e-5 * np.abs(expected).max()


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny()
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_uint8_is_normalised_inside() -> None:
    model = tiny().eval()
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), model((images / 255 - mean) / std))


def test_normalisation_can_be_given() -> None:
    model = HRNet(**TINY)
    model.normalise_with((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))
    streams: list[Tensor] = []
    model.conv1.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0]))
    model.eval()(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    assert streams[0].mean(dim=(0, 2, 3)).tolist() == [2.0, 1.0, 0.5]
    assert not {"mean", "std"} & set(model.state_dict())


@pytest.mark.parametrize(("height", "width"), [(64, 32), (96, 128)])
def test_shapes_of_small_networks(height: int, width: int) -> None:
    # The second one's first stream already has its channels after the stem: nothing to adapt.
    for model in (tiny(), HRNet(16, 5, stem_width=4, stage_modules=(1, 1, 1), branch_blocks=1)):
        images = torch.randn(2, 3, height, width)
        channels = model.architecture["width"]
        model.eval()
        assert model(images).shape == (2, 5, height // 4, width // 4)
        assert [tuple(f.shape) for f in model.features(images)] == [
            (2, channels * 2**i, height // 2 ** (i + 2), width // 2 ** (i + 2)) for i in range(4)
        ]


def test_official_initialisation() -> None:
    model = HRNet(16)
    weights = torch.cat([p.flatten() for p in model.parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(1e-3, rel=0.01)
    assert abs(weights.mean().item()) < 1e-5
    assert model.final_layer.bias is not None
    assert not model.final_layer.bias.any()
    assert all((p == 1).all() for n, p in model.named_parameters() if n.endswith("bn1.weight"))


def test_architecture_rebuilds_the_network() -> None:
    model = tiny()
    architecture = json.loads(json.dumps(model.architecture))
    again = build_network(architecture)
    assert again.architecture == architecture
    assert architecture == {"name": "hrnet", "head": "v1", **TINY, "stage_modules": [1, 2, 2]}
    again.load_state_dict(model.state_dict(), strict=True)
    model.architecture["stage_modules"].append(9)
    assert model.architecture == architecture


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 64, 46), r"height 64 and width 46; both must be multiples of 4"),
        (torch.zeros(1, 1, 64, 64), r"shape \(1, 1, 64, 64\)"),
        (torch.zeros(3, 64, 64), r"shape \(3, 64, 64\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.int64), r"type torch.int64; give uint8"),
    ],
)
def test_unsuitable_images_are_refused(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny()(images)


@pytest.mark.parametrize(
    "wrong", [{"stage_modules": (1, 2)}, {"width": 0}, {"stage_modules": (1, 0, 1)}]
)
def test_impossible_architectures_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="HRNet got"):
        HRNet(**{**TINY, **wrong})


def test_sides_that_32_does_not_divide():
    """The coarse streams round up; what reaches beyond the image is cut off again."""
    model = HRNet(8, 3, stem_width=8, stem_blocks=1, stage_modules=(1, 1, 1), branch_blocks=1)
    images = torch.zeros(2, 3, 68, 44)
    assert model(images).shape == (2, 3, 17, 11)
    assert [tuple(x.shape[2:]) for x in model.features(images)] == [
        (17, 11), (9, 6), (5, 3), (3, 2),
    ]  # fmt: skip
