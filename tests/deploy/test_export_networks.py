"""Every network leaves as ONNX and OpenVINO, and gives there what it gives here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pose_hrnet.deploy.export import export_model
from pose_hrnet.inference.backends.convert import PACKAGES
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import SUFFIXES, ModelCard
from tests.helpers.networks import TINY_NETWORKS
from tests.helpers.pose_models import pose_model

SIDE = 96
QUICK = {("deconvnet", "openvino"), ("vitpose", "openvino"), ("pspnet", "onnx")}
"""Those that go by other operations than the rest: the fast tests have them alone."""


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        pytest.param(name, fmt, marks=() if (name, fmt) in QUICK else pytest.mark.slow)
        for name in TINY_NETWORKS
        for fmt in ("onnx", "openvino")
    ],
)
def test_an_export_gives_the_networks_heatmaps(name: str, fmt: str, tmp_path: Path) -> None:
    for package in PACKAGES[fmt]:
        pytest.importorskip(package)
    torch.manual_seed(0)
    network = build_network({**TINY_NETWORKS[name], "num_keypoints": 17})
    crops = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of these crops: else the signal fades
    with torch.inference_mode():
        network.train()(crops.permute(0, 3, 1, 2))
        expected = network.eval()(crops.permute(0, 3, 1, 2))
    card = ModelCard(network.architecture, COCO17, HeatmapCodec("udp", (SIDE, SIDE)))
    path = tmp_path / f"{name}{SUFFIXES[fmt]}"
    export_model(pose_model(network, card, flip_test=False), path, fmt, heatmaps=True)
    heatmaps = load_model(path, device="cpu").network.session.run(crops)[2]
    assert heatmaps.shape == expected.shape
    assert (heatmaps - expected).abs().max() < 1e-3 * expected.abs().max()
