"""High to low to high: the papers' numbers of parameters, unpooling, stacks, sizes on the way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pose_hrnet.models.build import build_network
from pose_hrnet.models.encoder_decoder.hourglass import Hourglass, StackedHourglass
from pose_hrnet.models.encoder_decoder.unet import UNet
from pose_hrnet.models.encoder_decoder.unpooling import PoolWithPlaces, Unpool


# Published millions, and by how many per cent ours may differ from what is rounded there:
# Hourglass-8 in HRNet's paper, which does not say whose code was counted; FC-DenseNet in its own,
# whose 1.5 for the depth of 56 its own table of layers does not give, nor quite its 9.4
# (tests/models/test_layer_tables.py has its channels); SegNet in the same; DeconvNet in its own;
# U-Net's paper has none, its layers are commonly counted as 31.0.
@pytest.mark.parametrize(
    ("architecture", "parameters", "published", "within"),
    [
        ({"name": "hourglass"}, 25_437_960, 25.1, 1.5),
        ({"name": "unet"}, 31_044_561, 31.0, 0.2),
        ({"name": "unet", "padding": "valid"}, 31_044_561, 31.0, 0.2),
        ({"name": "deconvnet"}, 251_792_913, 252, 0.2),
        ({"name": "segnet"}, 29_449_105, 29.5, 0.2),
        ({"name": "fc_densenet", "depth": 56, "growth": 12}, 1_377_953, 1.5, 8.5),
        ({"name": "fc_densenet", "depth": 67}, 3_464_977, 3.5, 1.1),
        ({"name": "fc_densenet"}, 9_323_633, 9.4, 1.0),
    ],
)
def test_parameters_are_about_the_published_ones(
    architecture: dict[str, Any], parameters: int, published: float, within: float
) -> None:
    with torch.device("meta"):
        model = build_network({"num_keypoints": 17, **architecture})
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert parameters / 1e6 == pytest.approx(published, rel=within / 100)


@pytest.mark.parametrize(("stacks", "parameters"), [(1, 3_426_705), (2, 6_571_170)])
def test_hourglasses_of_which_no_number_is_published(stacks: int, parameters: int) -> None:
    with torch.device("meta"):
        model = build_network({"name": "hourglass", "stacks": stacks, "num_keypoints": 17})
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_fcn_has_the_published_parameters_but_for_what_the_docs_say() -> None:
    """134.5 million with 21 classes: without batch norm, and with upsampling that is learnt."""
    with torch.device("meta"):
        model = build_network({"name": "fcn", "num_keypoints": 21})
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    convolutions = sum(p.numel() for layer in layers for p in layer.parameters())
    upsampling = 21 * 21 * (4**2 + 4**2 + 16**2)
    assert round((convolutions + upsampling) / 1e6, 1) == 134.5
    assert sum(p.numel() for p in model.parameters()) == 134_371_199


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
