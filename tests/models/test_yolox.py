"""YOLOX: official sizes and names, and the outputs of an official file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_hrnet.models.yolox import STRIDES, YOLOX
from tests.helpers.detectors import yolox_of_onnx

SIZES = {
    "YOLOX-Nano": ({"width": 16, "depthwise": True}, 0.91),
    "YOLOX-Tiny": ({"width": 24}, 5.06),
    "YOLOX-S": ({"width": 32}, 8.97),
    "YOLOX-M": ({"width": 48, "depth": 2}, 25.33),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes_have_the_published_number_of_parameters(name):
    sizes, millions = SIZES[name]
    with torch.device("meta"):
        network = YOLOX(**sizes)
    assert network.label == name
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    found = YOLOX.recognises({k: tuple(v.shape) for k, v in network.state_dict().items()})
    assert (found.width, found.depth, found.depthwise) == (
        network.width,
        network.depth,
        network.depthwise,
    )


def test_layers_are_called_as_in_the_official_files():
    names = YOLOX(8).state_dict()
    for name in (
        "backbone.backbone.stem.conv.conv.weight",
        "backbone.backbone.dark3.1.m.2.conv2.bn.running_var",
        "backbone.backbone.dark5.1.conv2.conv.weight",
        "backbone.C3_n4.conv3.bn.weight",
        "head.reg_convs.2.1.conv.weight",
        "head.obj_preds.0.bias",
    ):
        assert name in names
    assert "backbone.bu_conv1.dconv.conv.weight" in YOLOX(8, depthwise=True).state_dict()
    assert YOLOX.recognises({"conv1.weight": (64, 3, 7, 7)}) is None


def test_one_row_for_each_cell_and_a_gradient_in_every_parameter():
    network = YOLOX(8, num_classes=3)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    rows = network(images)
    assert rows.shape == (2, sum((64 // s) * (96 // s) for s in STRIDES), 8)
    assert ((rows[..., 4:] >= 0) & (rows[..., 4:] <= 1)).all()
    rows.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_outputs_are_those_of_the_official_file(shared):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = shared / "models/yolox_nano/yolox_nano.onnx"
    network = yolox_of_onnx(path, width=16, depthwise=True)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 3, 416, 416), dtype=torch.uint8, generator=generator)
    session = onnxruntime.InferenceSession(str(path))
    (expected,) = session.run(None, {"images": images.flip(1).float().numpy()})
    with torch.no_grad():
        found = network(images).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
