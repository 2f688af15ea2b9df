"""High to low to high: the papers' numbers of parameters and tables of layers, odd sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pose_hrnet.models.build import build_network
from pose_hrnet.models.encoder_decoder.hourglass import Hourglass, StackedHourglass
from pose_hrnet.models.encoder_decoder.unet import UNet
from pose_hrnet.models.encoder_decoder.unpooling import PoolWithPlaces, Unpool


# Of the papers: 134.5 (FCN, with 21 classes), 31.0, 252, 29.4, 1.5, 3.5, 9.4 million. Hourglass:
# HRNet's paper has 25.1 for 8 stacks.
@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ({"name": "hourglass", "stacks": 1}, 3_426_705),
        ({"name": "hourglass", "stacks": 2}, 6_571_170),
        ({"name": "hourglass"}, 25_437_960),
        ({"name": "fcn", "num_keypoints": 21}, 134_371_199),
        ({"name": "unet"}, 31_044_561),
        ({"name": "unet", "padding": "valid"}, 31_044_561),
        ({"name": "deconvnet"}, 251_792_913),
        ({"name": "segnet"}, 29_449_105),
        ({"name": "fc_densenet", "depth": 56, "growth": 12}, 1_377_953),
        ({"name": "fc_densenet", "depth": 67}, 3_464_977),
        ({"name": "fc_densenet"}, 9_323_633),
    ],
)
def test_parameters_are_the_published_ones(architecture: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        model = build_network({"num_keypoints": 17, **architecture})
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("depth", [56, 67, 103])
def test_fc_densenet_has_as_many_convolutions_as_its_name_says(depth: int) -> None:
    """The first one, the head, 5 transitions down and 5 up, and the layers of the blocks."""
    with torch.device("meta"):
        model = build_network({"name": "fc_densenet", "depth": depth})
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == depth


def test_unpooling_is_torchs() -> None:
    x = torch.randn(2, 3, 8, 6)
    values, places = PoolWithPlaces()(x)
    expected, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected)
    raised = nn.functional.max_unpool2d(expected, indices, 2)
    assert torch.equal(Unpool()(values, places), raised)


def test_an_hourglass_looks_at_four_coarser_resolutions() -> None:
    sizes = []
    model = Hourglass(8).eval()
    for module in model.modules():
        if isinstance(module, Hourglass):
            module.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[2:]))
    with torch.inference_mode():
        assert model(torch.zeros(1, 8, 24, 20)).shape == (1, 8, 24, 20)
    assert sizes == [(24, 20), (12, 10), (6, 5), (3, 3)]


def test_every_stack_is_supervised_and_the_last_one_predicts() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(3, 16, 5)
    images = torch.randn(2, 3, 64, 64)
    assert model.supervision == (1, 1, 1)
    outputs = model(images)
    assert outputs.shape == (3, 2, 5, 16, 16)
    assert len({output.sum().item() for output in outputs}) == 3
    for module in model.modules():  # the same statistics in both modes
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(images)[-1], model.eval()(images))


def test_the_valid_unet_sees_the_papers_border() -> None:
    """Of 572 rows 388 are left, by the paper's sizes on the way."""
    model = UNet("valid", 4, 2).eval()
    sizes = []
    for layers in (*model.down, *model.up):
        layers.register_forward_hook(lambda *given: sizes.append(given[2].shape[2]))
    with torch.inference_mode():
        model(torch.zeros(1, 3, 388, 388))
        assert sizes == [568, 280, 136, 64, 28, 52, 100, 196, 388]
        with pytest.raises(ValueError, match="height 64 and width 96; with valid convolutions"):
            model(torch.zeros(1, 3, 64, 96))
        assert model(torch.zeros(1, 3, 96, 128)).shape == (1, 2, 24, 32)
