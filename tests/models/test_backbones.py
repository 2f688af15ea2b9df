"""Our VGG16 and ResNets are torchvision's: same entries, same outputs of the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet50, vgg16_bn
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50

from pose_hrnet.models.backbones import VGGNetwork
from pose_hrnet.models.build import NETWORKS
from pose_hrnet.models.dilated.deeplab import DeepLabV3
from pose_hrnet.models.encoder_decoder.fcn import FCN, FCNResNet
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.inspect import inspect_weights
from pose_hrnet.models.weights.layouts import identify

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(1, 3, 64, 64, generator=GENERATOR)


def shaken(model: nn.Module) -> nn.Module:
    """With batch statistics that are not those of the start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=GENERATOR)
            module.running_var.uniform_(0.8, 1.2, generator=GENERATOR)
    return model.eval()


def test_vgg_has_torchvisions_entries_and_output() -> None:
    ours = FCN("32s", 64, 2)
    with torch.device("meta"):
        theirs = {n: v.shape for n, v in vgg16_bn().state_dict().items() if n.startswith("f")}
    state = ours.state_dict()
    assert {n: v.shape for n, v in state.items() if n.startswith("features.")} == theirs
    with torch.inference_mode():
        pooled = shaken(ours).pooled(IMAGES)
        torch.testing.assert_close(pooled[-1], ours.features(IMAGES))
    assert [x.shape[1:] for x in pooled] == [
        (64 * times, side, side) for times, side in ((1, 32), (2, 16), (4, 8), (8, 4), (8, 2))
    ]


def test_torchvisions_files_are_a_backbone_alone_and_no_network_of_ours(tmp_path: Path) -> None:
    """A VGG16 is told as such, whichever of its networks it will start; so is a ResNet."""
    with torch.device("meta"):
        files = {"VGG16": vgg16_bn(), "ResNet": resnet50()}
    for backbone, model in files.items():
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        layout = identify(shapes)
        assert layout.kind == f"ImageNet {backbone}"
        assert not layout.predicts
        assert "variant" not in layout.architecture
    state = FCN("8s", 4, 2).state_dict()
    torch.save({n: v for n, v in state.items() if n.startswith("features.")}, tmp_path / "v.pth")
    found = inspect_weights(tmp_path / "v.pth")
    assert (found.kind, found.label) == ("VGG16 backbone", "VGG16")
    assert found.report.used
    vggs = [network for network in NETWORKS.values() if issubclass(network, VGGNetwork)]
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for network in vggs:
        expected = {"name": network.name, "width": 4, "num_keypoints": 0}
        assert network.recognises(shapes) == expected


def test_a_resnet_has_torchvisions_entries_and_output() -> None:
    ours, theirs = FCNResNet("32s", 50, 64, 2), shaken(resnet50())
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert {name.split(".")[0] for name in missing} == {"head", "final_layer"}
    assert unexpected == ["fc.weight", "fc.bias"]
    with torch.inference_mode():
        features = ours.eval().stages(IMAGES)[-1]
        torch.testing.assert_close(theirs.fc(features.mean(dim=(2, 3))), theirs(IMAGES))


@pytest.mark.parametrize(
    ("theirs", "network", "last"),
    [
        (fcn_resnet50, FCNResNet("dilated", 50, 64, 21), "4"),
        (deeplabv3_resnet50, DeepLabV3(50, 64, 21), "4"),
    ],
)
def test_segmentation_networks_give_torchvisions_output(
    theirs: object, network: HeatmapNetwork, last: str
) -> None:
    """At their stride of 8: torchvision interpolates to the image's size, ours to its quarter."""
    official = shaken(theirs(weights=None, weights_backbone=None))  # type: ignore[operator]
    state = {
        name.removeprefix("backbone.")
        .replace(f"classifier.{last}.", "final_layer.")
        .replace("classifier.", "head."): value
        for name, value in official.state_dict().items()
    }
    network.load_state_dict(state)
    with torch.inference_mode():
        scores = official.classifier(official.backbone(IMAGES)["out"])
        expected = nn.functional.interpolate(scores, scale_factor=2, mode="bilinear")
        found = network.eval()(IMAGES)
    assert found.shape == (1, 21, 16, 16)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
