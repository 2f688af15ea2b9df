"""SimpleBaseline is the official one: names, shapes, counts and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pose_hrnet.models.build import build_network
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.models.simple_baseline import SimpleBaseline
from tests.helpers.reference_network import reference_output


# Published: 34.0, 53.0 and 68.6 million.
@pytest.mark.parametrize(
    ("depth", "parameters"), [(50, 33_999_697), (101, 52_991_825), (152, 68_635_473)]
)
def test_parameter_counts_are_the_published_ones(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        model = SimpleBaseline(depth)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_state_dict_is_the_official_one(shared: Path) -> None:
    official = json.loads((shared / "reference/arch_resnet50_256x192.json").read_text())
    with torch.device("meta"):
        model = SimpleBaseline()
    ours = [(name, list(value.shape)) for name, value in model.state_dict().items()]
    assert ours == list(official["state_dict"].items())


def test_output_is_the_official_one(shared: Path) -> None:
    expected = np.load(shared / "reference/arch_resnet50_256x192.npz")["output"]
    output = reference_output(SimpleBaseline())
    assert output.shape == expected.shape == (2, 17, 64, 48)
    assert np.abs(output - expected).max() < 1e-5 * np.abs(expected).max()


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = SimpleBaseline(18, 5)
    output = model(torch.randn(2, 3, 64, 96))
    assert output.shape == (2, 5, 16, 24)
    output.square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_uint8_is_normalised_inside() -> None:
    model = SimpleBaseline(18).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), model((images / 255 - mean) / std))


def test_official_initialisation_behind_the_backbone() -> None:
    model = SimpleBaseline(18)
    for weight in (model.deconv_layers[3].weight, model.final_layer.weight):
        assert weight.std().item() == pytest.approx(1e-3, rel=0.05)
    assert not model.final_layer.bias.any()


def test_architecture_rebuilds_the_network() -> None:
    with torch.device("meta"):
        model = SimpleBaseline(34, 5)
        again = build_network(json.loads(json.dumps(model.architecture)))
    assert model.architecture == {"name": "resnet", "depth": 34, "width": 64, "num_keypoints": 5}
    assert isinstance(again, SimpleBaseline)
    assert again.architecture == model.architecture
    assert list(again.state_dict()) == list(model.state_dict())


def test_a_narrow_one_is_narrow_throughout_and_known_again() -> None:
    model = SimpleBaseline(50, 5, width=16)
    assert (model.conv1.out_channels, model.final_layer.in_channels) == (16, 64)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert SimpleBaseline.recognises(shapes) == model.architecture
    assert model(torch.zeros(1, 3, 64, 48)).shape == (1, 5, 16, 12)


def test_unsuitable_images_and_depths_are_refused() -> None:
    with torch.device("meta"):
        model = SimpleBaseline(18)
    with pytest.raises(ValueError, match="SimpleBaseline got images of height 64 and width 46"):
        model(torch.zeros(1, 3, 64, 46))
    assert model(torch.zeros(1, 3, 64, 48, device="meta")).shape == (1, 17, 16, 12)
    with pytest.raises(ValueError, match="depth 51; give one of 18, 34, 50, 101, 152"):
        SimpleBaseline(51)
    with pytest.raises(ValueError, match="num_keypoints 0"):
        SimpleBaseline(18, 0)
