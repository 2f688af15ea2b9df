"""Every network starts from checkpoints of its own, those with a known backbone from ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.load import initialise, load_network, save_model
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


def saved(path: Path, **architecture: Any) -> HeatmapNetwork:
    """A checkpoint of ours, of 17 keypoints."""
    torch.manual_seed(0)
    model = build_network({**architecture, "num_keypoints": 17})
    codec = HeatmapCodec("gaussian", (96, 96))
    save_model(path, model.state_dict(), ModelCard(model.architecture, COCO17, codec))
    return model.eval()


@pytest.mark.parametrize("name", TINY_NETWORKS)
def test_a_checkpoint_of_ours_loads_and_starts_its_own_network(name: str, tmp_path: Path) -> None:
    """Of 17 keypoints whole, of 5 but for what has a row or a column for each of them."""
    path = tmp_path / "own.safetensors"
    source = saved(path, **TINY_NETWORKS[name])
    loaded = load_network(path)
    assert loaded.network.architecture == source.architecture
    taken, wanted = loaded.network.state_dict(), source.state_dict()
    assert list(taken) == list(wanted)
    assert all(torch.equal(taken[entry], value) for entry, value in wanted.items())
    for count in (17, 5):
        model = build_network({**TINY_NETWORKS[name], "num_keypoints": count})
        report = initialise(model, path)
        assert report.missing == report.left_over == ()
        other = {each.partition(":")[0] for each in report.mismatched}
        state = model.state_dict()
        for entry, value in wanted.items():
            assert entry in other or torch.equal(state[entry], value)
        for entry in other:
            assert 5 in state[entry].shape[:2]
        assert bool(other) == (count == 5)
        assert "final_layer.bias" in other or "head.3.bias" in other or count == 17


@pytest.mark.parametrize(
    ("file", "model", "said"),
    [
        # A part of each file's entries is all that the model has.
        ("deeplab_v2", {"depth": 101}, "deeplab_v2, width 4, depth 101) is .*width 4, depth 50)"),
        ("fcn_resnet_16s", {"depth": 152}, "width 4, depth 152) is of another size than"),
        ("hourglass", {"stacks": 4}, "hourglass, width 16, stacks 4) is .*16, stacks 2); give"),
        ("vitpose", {"depth": 4}, "vitpose, width 24, depth 4, heads 2) is of another size than"),
        ("vitpose", {"heads": 4}, "width 24, depth 2, heads 4) is of another .*depth 2, heads 2)"),
        ("unet", {"width": 8}, "unet, width 8) fits only .*unet, width 4); give weights of its"),
        ("fc_densenet", {"growth": 4}, "depth 56, growth 4) fits only .*depth 56, growth 2)"),
        ("segnet", {"name": "unet"}, "unet, width 4) fits only .* of the model (segnet, width 4)"),
    ],
)
def test_a_file_of_another_size_is_refused_with_both(
    file: str, model: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    saved(path, **{**TINY_NETWORKS[file], **model})
    network = build_network({**TINY_NETWORKS[file], "num_keypoints": 17})
    before = {n: v.clone() for n, v in network.state_dict().items()}
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        initialise(network, path)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
