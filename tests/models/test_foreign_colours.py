"""Networks that learnt on BGR take RGB: every layout gets the pixels that it was trained on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.load import initialise, load_network, save_model
from tests.helpers.mmpose_files import CONFIG_0X, CONFIG_1X, META_1X, changed, in_mmpose
from tests.helpers.networks import TINY_SIZES, tiny


def as_trained(rgb: Tensor, order: str, mean: Any = IMAGENET_MEAN, std: Any = IMAGENET_STD):
    """What a toolkit feeds its network: the numbers as its configuration lists them, channel by
    channel, whatever the channels are."""
    crops = rgb.flip(1) if order == "BGR" else rgb
    values = crops.double() / 255 - torch.tensor(mean)[:, None, None]
    return values / torch.tensor(std)[:, None, None]


IN_BGR = (("bgr_to_rgb=True", "bgr_to_rgb=False"),)


@pytest.mark.parametrize(
    ("network", "head", "meta", "order", "origin"),
    [
        ("HRNet", None, {}, "RGB", "assumed, as in the official recipes"),
        ("ResNet", None, {}, "BGR", "assumed, as in the official recipes"),
        ("HRNet", "keypoint_head.", {}, "RGB", "assumed, as in the published MMPose recipes"),
        ("ResNet", "keypoint_head.", {"config": CONFIG_0X}, "RGB", "the file"),
        ("ResNet", "head.", {}, "RGB", "assumed, as in the published MMPose recipes"),
        ("ResNet", "head.", META_1X, "RGB", "the file"),
        ("HRNet", "head.", {"cfg": changed(CONFIG_1X, IN_BGR)}, "BGR", "the file"),
    ],
)
def test_every_layout_gets_the_pixels_that_it_was_trained_on(
    tmp_path: Path,
    networks: Any,
    network: str,
    head: str | None,
    meta: Any,
    order: str,
    origin: str,
) -> None:
    model, path = networks[network].eval(), tmp_path / "epoch_210.pth"
    state = model.state_dict() if head is None else in_mmpose(model, head)
    torch.save({"state_dict": state, "meta": meta}, path)
    rgb = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    said = "BGR, its weights turned to RGB" if order == "BGR" else "RGB"
    with torch.inference_mode():
        loaded = load_network(path)
        expected = copy.deepcopy(model).double()(as_trained(rgb, order))
        torch.testing.assert_close(loaded.network.double()(rgb), expected, rtol=1e-6, atol=1e-6)
        assert f"colour {said} ({origin})" in map(str, loaded.report.settings)
        other = "RGB" if order == "BGR" else "BGR"
        given = load_network(path, colour=other)
        expected = copy.deepcopy(model).double()(as_trained(rgb, other))
        if given.card.mean == (IMAGENET_MEAN if other == "RGB" else IMAGENET_MEAN[::-1]):
            torch.testing.assert_close(given.network.double()(rgb), expected, rtol=1e-6, atol=1e-6)
    save_model(tmp_path / "ours", loaded.network.state_dict(), loaded.card)
    with pytest.raises(ValueError, match=r"takes RGB, but BGR is asked for; leave that out"):
        load_network(tmp_path / "ours", colour="BGR")


def test_a_simple_baseline_starts_from_the_official_one_on_rgb(
    tmp_path: Path, networks: Any
) -> None:
    model, source = SimpleBaseline(18), networks["ResNet"].state_dict()
    torch.save(source, tmp_path / "pose_resnet_18_256x192.pth")
    initialise(model, tmp_path / "pose_resnet_18_256x192.pth")
    assert torch.equal(model.conv1.weight, source["conv1.weight"].flip(1))
    backbone = {n: v for n, v in source.items() if not n.startswith(("deconv", "final"))}
    for classes in ({"fc.weight": torch.zeros(10, 512)}, {}):  # torchvision, timm: RGB
        torch.save(backbone | classes, tmp_path / "resnet18.pth")
        initialise(model, tmp_path / "resnet18.pth")
        assert torch.equal(model.conv1.weight, source["conv1.weight"])


def test_bgr_networks_take_rgb(tmp_path: Path) -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    bgr = HRNet(8, **TINY_SIZES)
    bgr.normalise_with(mean, std)
    bgr.load_state_dict(tiny().state_dict())
    in_255 = (("[123.675, 116.28, 103.53]", "[25.5, 51.0, 76.5]"), ("58.395", "127.5"))
    in_255 += (("57.12", "153.0"), ("57.375", "178.5"), ("to_rgb=True", "to_rgb=False"))
    meta = {"cfg": changed(CONFIG_1X, in_255)}
    torch.save({"state_dict": in_mmpose(bgr, "head."), "meta": meta}, tmp_path / "bgr.pth")
    loaded = load_network(tmp_path / "bgr.pth")
    assert loaded.card.mean == mean[::-1]
    assert loaded.card.std == std[::-1]
    rgb = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded.network.double()(rgb), bgr.eval().double()(rgb.flip(1)), rtol=1e-9, atol=1e-9
        )


def test_bgr_turns_what_the_file_says_and_not_what_is_assumed(tmp_path: Path) -> None:
    bgr = ("bgr_to_rgb=True", "bgr_to_rgb=False")
    unreadable = ("mean=[123.675, 116.28, 103.53]", "mean=of(x)")
    config = changed(CONFIG_1X, (bgr, unreadable, ("58.395", "25.5")))
    meta = {"cfg": config.replace("25.5, 57.12, 57.375", "25.5, 51.0, 76.5")}
    torch.save({"state_dict": in_mmpose(tiny(), "head."), "meta": meta}, tmp_path / "bgr.pth")
    loaded = load_network(tmp_path / "bgr.pth")
    assert loaded.card.mean == IMAGENET_MEAN
    assert loaded.card.std == (0.3, 0.2, 0.1)
    assert "std (0.3, 0.2, 0.1) (the file)" in map(str, loaded.report.settings)


def test_a_preprocessor_without_a_mean_does_not_normalise(tmp_path: Path) -> None:
    values = "        mean=[123.675, 116.28, 103.53],\n        std=[58.395, 57.12, 57.375],\n"
    meta = {"cfg": changed(CONFIG_1X, ((values, ""),))}
    torch.save({"state_dict": in_mmpose(tiny(), "head."), "meta": meta}, tmp_path / "x.pth")
    loaded = load_network(tmp_path / "x.pth")
    assert (loaded.card.mean, loaded.card.std) == ((0, 0, 0), (1 / 255,) * 3)
    told = map(str, loaded.report.settings)
    assert "normalisation none, values 0 to 255 (the file)" in told
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    model = loaded.network.double()
    with torch.inference_mode():
        expected = model(images.double())
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=atol)
