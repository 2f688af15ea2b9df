"""ImageNet weights start every network: HRNet with both heads, V2, and SimpleBaseline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet

from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.hrnet_v2 import HRNetV2
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.load import initialise

SIZES = {"stem_width": 4, "stem_blocks": 1, "stage_modules": (1, 1, 2), "branch_blocks": 1}


def imagenet_file(path: Path) -> dict[str, Tensor]:
    """The official classification network of width 8: V2's backbone, and other heads."""
    torch.manual_seed(1)
    state = {name: torch.rand_like(v.float()) for name, v in backbone().state_dict().items()}
    heads = {
        "incre_modules.0.0.conv1.weight": torch.randn(8, 8, 1, 1),
        "final_layer.0.weight": torch.randn(8, 8, 1, 1),
        "classifier.weight": torch.randn(10, 8),
    }
    torch.save(state | heads, path)
    return state


def backbone() -> HRNetV2:
    return HRNetV2(8, **SIZES)


@pytest.mark.parametrize(
    ("model", "new"),
    [
        (HRNet(8, 5, **SIZES), "final_layer."),
        (HRNet(8, 5, head="v2", **SIZES), "head."),
        (backbone(), "none"),
    ],
    ids=["v1", "v2", "segmentation"],
)
def test_hrnets_start_from_the_classification_network(
    tmp_path: Path, model: nn.Module, new: str
) -> None:
    state = imagenet_file(tmp_path / "hrnet_w8.pth")
    before = {n: v.clone() for n, v in model.state_dict().items()}
    report = initialise(model, tmp_path / "hrnet_w8.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith(new) else state[name].to(value))
    assert report.kind == "ImageNet HRNet"
    assert report.missing == tuple(n for n in before if n.startswith(new))
    lost = {n for n in state if n not in before}  # what brings stage 4 to the coarser streams
    assert {n for n in report.left_over if n in state} == lost
    assert bool(lost) == (new == "final_layer.")
    assert report.mismatched == ()


def test_v2_starts_from_a_v1_pose_network(tmp_path: Path) -> None:
    torch.save(HRNet(8, 5, **SIZES).state_dict(), tmp_path / "pose.pth")
    report = initialise(HRNet(8, 5, head="v2", **SIZES), tmp_path / "pose.pth")
    assert report.left_over == ("final_layer.weight", "final_layer.bias")
    assert all(name.startswith(("head.", "stage4.1.fuse_layers.")) for name in report.missing)


def test_simple_baseline_starts_from_torchvision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, model = resnet.resnet18(weights=None), SimpleBaseline(18, 5)
    torch.save(source.state_dict(), tmp_path / "resnet18-f37072fd.pth")
    report = initialise(model, tmp_path / "resnet18-f37072fd.pth")
    kept = {n: v for n, v in source.state_dict().items() if not n.startswith("fc.")}
    assert report.kind == "ImageNet ResNet"
    assert set(report.used) == set(kept)
    assert all(torch.equal(model.state_dict()[n], v) for n, v in kept.items())
    assert report.left_over == ("fc.weight", "fc.bias")
    assert report.missing == tuple(n for n in model.state_dict() if n not in kept)
    assert all(n.startswith(("deconv_layers.", "final_layer.")) for n in report.missing)


def test_old_torchvision_files_lack_counters(tmp_path: Path) -> None:
    state = resnet.resnet18(weights=None).state_dict()
    old = {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "resnet18-5c106cde.pth")
    report = initialise(SimpleBaseline(18), tmp_path / "resnet18-5c106cde.pth")
    assert len(report.used) == len(old) - 2


@pytest.mark.parametrize(("file", "model"), [(18, 34), (34, 18)])
def test_another_depth_is_refused_and_changes_nothing(
    tmp_path: Path, file: int, model: int
) -> None:
    torch.save(getattr(resnet, f"resnet{file}")(weights=None).state_dict(), tmp_path / "r.pth")
    network = SimpleBaseline(model)
    before = {n: v.clone() for n, v in network.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=rf"ResNet, width 64, depth {file}\).*\(resnet, width 64, depth {model}\).*give weig",
    ):
        initialise(network, tmp_path / "r.pth")
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())


def test_a_resnet_does_not_start_an_hrnet(tmp_path: Path) -> None:
    torch.save(resnet.resnet18(weights=None).state_dict(), tmp_path / "r.pth")
    model = HRNet(8, 5, head="v2", **SIZES)
    count = len(backbone().state_dict())
    with pytest.raises(
        ValueError,
        match=rf"\(ImageNet ResNet, width 64, depth 18\) fits only \d+ of the {count} backbone",
    ):
        initialise(model, tmp_path / "r.pth")
