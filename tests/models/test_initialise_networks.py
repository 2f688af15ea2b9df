"""ImageNet weights start every network that stands on VGG16, a ResNet or an HRNet, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pose_hrnet.models.build import build_network
from pose_hrnet.models.weights.load import initialise
from tests.helpers.networks import TINY_NETWORKS

VGG = ("fcn_8s", "deconvnet", "segnet", "dilated_net", "deeplab_v1")
RESNET = ("fcn_resnet_dilated", "deeplab_v2", "deeplab_v3", "deeplab_v3plus", "pspnet")
HRNET = ("hrnet_psa_p", "hrnet_ocr")


def classifier_of(name: str) -> dict[str, Tensor]:
    """A state dict as torchvision or the official code have it: a backbone, and classes."""
    if name in VGG:
        layers = build_network({"name": "fcn", "width": 4, "num_keypoints": 1}).state_dict()
        kept = {n: v for n, v in layers.items() if n.startswith("features.")}
        return {**kept, "classifier.0.weight": torch.randn(8, 32)}
    base = "fcn_resnet_16s" if name in RESNET else "hrnet_v2"
    layers = build_network({**TINY_NETWORKS[base], "num_keypoints": 1}).state_dict()
    kept = {n: v for n, v in layers.items() if not n.startswith(("head", "final_layer", "skips"))}
    return {**kept, ("fc." if name in RESNET else "classifier.") + "weight": torch.randn(8, 32)}


@pytest.mark.parametrize("name", [*VGG, *RESNET, *HRNET])
def test_imagenet_weights_fill_the_backbone(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = classifier_of(name)
    torch.save(source, tmp_path / "classes.pth")
    model = build_network({**TINY_NETWORKS[name], "num_keypoints": 5})
    before = {n: v.clone() for n, v in model.state_dict().items()}
    report = initialise(model, tmp_path / "classes.pth")
    kinds = {"VGG16": VGG, "ResNet": RESNET, "HRNet": HRNET}
    (kind,) = (kind for kind, names in kinds.items() if name in names)
    assert report.kind == f"ImageNet {kind}"
    after = model.state_dict()
    backbone = [n for n in after if n in source]
    assert set(report.used) == set(backbone)
    assert all(torch.equal(after[n], source[n]) for n in backbone)
    assert all(torch.equal(after[n], before[n]) for n in after if n not in source)
    assert len(backbone) > 50
