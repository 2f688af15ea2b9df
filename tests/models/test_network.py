"""A network is added in three places: what docs/development.md shows works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models import build
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork, PixelNetwork
from pose_hrnet.models.weights.load import save_model

DOCS = Path(__file__).resolve().parents[2] / "docs/development.md"


def test_the_network_of_the_docs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    made: dict[str, type] = {}
    for example in examples:
        exec(compile(example, str(DOCS), "exec", dont_inherit=True), made)
    monkeypatch.setattr(build, "NETWORKS", {**build.NETWORKS, "strided": made["Strided"]})
    architecture = made["StridedConfig"](width=8).architecture(5)
    network = build.build_network(architecture)
    assert network.label == "Strided-8"
    assert network.architecture == architecture
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    heatmaps = network(images)
    assert heatmaps.shape == (2, 5, 16, 12)
    heatmaps.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    skeleton = Skeleton("five", tuple("abcde"), (), (), (0.1,) * 5, (), (1.0,) * 5)
    card = ModelCard(architecture, skeleton, HeatmapCodec(input_wh=(48, 64)))
    save_model(tmp_path / "strided.safetensors", network.state_dict(), card)
    inspect = ["weights", "inspect", str(tmp_path / "strided.safetensors")]
    done = CliRunner().invoke(app, inspect, catch_exceptions=False)
    assert "Strided-8, width 8" in done.output
    assert "loads as it is" in done.output


def test_a_network_without_its_parts_is_no_network() -> None:
    with pytest.raises(TypeError, match="abstract"):
        HeatmapNetwork()


def test_normalisation_is_not_in_the_state_dict() -> None:
    network = PixelNetwork()
    network.normalise_with((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))
    white = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    assert network.normalised(white)[0, :, 0, 0].tolist() == [2.0, 1.0, 0.5]
    assert not network.state_dict()
