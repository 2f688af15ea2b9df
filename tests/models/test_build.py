"""Architectures name their network; older checkpoints, which do not, mean HRNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter

from pose_hrnet.config.networks import ModelConfig, NetworkConfig
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import NETWORKS, build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import load_network, save_model

TINY = {"width": 8, "stem_width": 4, "stem_blocks": 1, "stage_modules": [1, 1, 1]}


def test_an_architecture_without_a_name_is_an_hrnet() -> None:
    network = build_network(TINY, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    assert isinstance(network, HRNet)
    assert network.architecture["name"] == "hrnet"
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.std.flatten().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_networks_defaults_are_those_of_its_settings(name: str) -> None:
    """Whoever names a network alone means the same one in code and in a configuration."""
    settings: NetworkConfig = TypeAdapter(ModelConfig).validate_python({"name": name})
    with torch.device("meta"):
        asked, named = build_network(settings.architecture(17)), build_network({"name": name})
    assert named.architecture == asked.architecture


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"name": "vit"}, "network 'vit' is unknown; use one of hrnet, resnet"),
        ({"name": "resnet", "stacks": 2}, "'resnet' does not take .*stacks.*newer pose_hrnet"),
        ({"depth": 50}, "'hrnet' does not take .*depth"),
    ],
)
def test_what_does_not_fit_is_named(architecture: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_network(architecture)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "hrnet", **TINY},
        {"name": "hrnet", "head": "v2", **TINY},
        {"name": "resnet", "depth": 18, "width": 4},
        {},  # as checkpoints had it before networks had names and heads
    ],
    ids=["hrnet", "hrnet v2", "resnet", "before names"],
)
def test_checkpoints_come_back_equal(tmp_path: Path, architecture: dict[str, object]) -> None:
    model = build_network(architecture or TINY).eval()
    kept = {**model.architecture}
    if not architecture:
        del kept["name"], kept["head"]
    card = ModelCard(kept, COCO17, HeatmapCodec(input_wh=(64, 64)))
    save_model(tmp_path / "model.safetensors", model.state_dict(), card)
    loaded = load_network(tmp_path / "model.safetensors")
    assert type(loaded.network) is type(model)
    assert loaded.network.architecture == model.architecture
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded.network(images), model(images))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            {"name": "vitpose", "width": 100},
            "ViTPose got heads 12; give a number that divides the",
        ),
        ({"name": "vitpose", "depth": 65}, "ViTPose got depth 65; give 1 to 64"),
        ({"name": "vitpose", "width": 4096}, "ViTPose got width 4096; give 1 to 2048"),
        ({"name": "lite_hrnet", "width": 41}, "LiteHRNet got width 41; give an even number up to"),
        ({"name": "lite_hrnet", "depth": 20}, "LiteHRNet got depth 20; give one of 18, 30"),
        ({"name": "hrnet_psa", "width": 30}, "HRNetPSA got width 30; give a multiple of 4"),
        ({"name": "hrnet_psa", "attention": "p"}, "HRNetPSA got attention 'p'; give parallel or"),
        ({"name": "hrnet_psa", "stem_width": 6}, "HRNetPSA got stem_width 6; give a multiple of"),
        (
            {"name": "hrnet_ocr", "context_width": 1},
            "HRNetOCR got context_width 1; give 2 to 4096",
        ),
        ({"name": "hourglass", "stacks": 17}, "StackedHourglass got stacks 17; give 1 to 16"),
        ({"name": "hourglass", "width": 6}, "StackedHourglass got width 6; give a multiple of 4"),
        ({"name": "fc_densenet", "growth": 0}, "FCDenseNet got growth 0; give 1 to 128"),
        ({"name": "segnet", "width": 0}, "SegNet got width 0; give 1 to"),
    ],
)
def test_the_one_wrong_value_is_named(architecture: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"^{message}") as caught:
        build_network(architecture)
    assert str(caught.value).count("got") == 1
