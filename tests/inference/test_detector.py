"""Detectors of files of weights, and streams of images."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from pose_hrnet.data.images import read_rgb
from pose_hrnet.inference import detector as module
from pose_hrnet.inference.detector import detect_stream, load_detector
from tests.helpers.detectors import official_yolox, yolox_of_onnx


def pictures(count, shape=(48, 64, 3)):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_official_files_of_yolox_load_by_their_content(tmp_path, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    official_yolox(tmp_path / "any_name.pth")
    detector = load_detector(tmp_path / "any_name.pth", threshold=0.0, backend=backend)
    assert f"any_name.pth (YOLOX-8, {backend}, fp32)" in detector.summary
    together = detector(pictures(3))
    for image, expected in zip(pictures(3), together, strict=True):
        (alone,) = detector([image])
        assert len(alone) == len(expected) > 0
        np.testing.assert_allclose(alone.boxes_xyxy, expected.boxes_xyxy, atol=0.05)


def test_files_that_are_no_detector_are_told_so(tmp_path, checkpoint):
    with pytest.raises(ValueError, match="of no detector that is known"):
        load_detector(checkpoint)
    official_yolox(tmp_path / "cut.pth")
    file = torch.load(tmp_path / "cut.pth")
    del file["model"]["head.stems.1.conv.weight"]
    torch.save(file, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match="looks like YOLOX-8, but does not fit it"):
        load_detector(tmp_path / "cut.pth", backend="eager")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match="this is no checkpoint"):
        load_detector(tmp_path / "text.pth")
    with pytest.raises(FileNotFoundError):
        load_detector(tmp_path / "gone.pth")
    (tmp_path / "alone.onnx").write_bytes(b"\x08")
    with pytest.raises(FileNotFoundError, match=r"has no card beside it; write alone.yaml"):
        load_detector(tmp_path / "alone.onnx")
    with pytest.raises(ValueError, match="is nan; give one between 0 and 1"):
        load_detector(len, threshold=float("nan"))


def test_torchvisions_detectors_load_by_their_content(tmp_path):
    detection = importlib.import_module("torchvision.models.detection")
    torch.manual_seed(0)
    network = detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=3
    )
    torch.save(network.state_dict(), tmp_path / "fasterrcnn.pth")
    detector = load_detector(tmp_path / "fasterrcnn.pth", threshold=0.0, device="cpu")
    assert "torchvision's fasterrcnn_mobilenet_v3_large_fpn" in detector.summary
    found = detector(pictures(2))
    assert len(found) == 2
    for each in found:
        assert (each.boxes_xyxy[:, 2:] <= [64, 48]).all()
        assert (np.diff(each.scores) <= 0).all()


def test_a_stream_gives_every_image_in_order_and_in_batches(monkeypatch):
    monkeypatch.setattr(module, "BATCH_IMAGES", 3)
    sizes = []

    def function(images):
        sizes.append(len(images))
        return [[[0, 0, image[0, 0, 0] + 1, 5]] for image in images]

    images = [np.full((16, 300, 3), number, np.uint8) for number in range(7)]
    found = list(detect_stream(load_detector(function), enumerate(images)))
    assert [key for key, _, _ in found] == list(range(7))
    assert [boxes.boxes_xyxy[0, 2] for _, _, boxes in found] == list(range(1, 8))
    assert sizes == [3, 3, 1]
    assert list(detect_stream(load_detector(function), [])) == []


def test_torch_and_onnx_find_the_same_boxes_in_photographs(shared, tmp_path):
    pytest.importorskip("onnxruntime")
    path = shared / "models/yolox_nano/yolox_nano.onnx"
    network = yolox_of_onnx(path, width=16, depthwise=True)
    torch.save({"model": network.state_dict()}, tmp_path / "nano.pth")
    card = tmp_path / "nano.yaml"
    card.write_text(f"layout: yolox_raw\nmodel: {path}\ninput_wh: [416, 416]\n")
    images = [read_rgb(file) for file in sorted((shared / "coco_sample").rglob("*.jpg"))]
    assert images
    exported = load_detector(card, threshold=0.05, backend="onnx")(images)
    torched = load_detector(tmp_path / "nano.pth", threshold=0.05, backend="eager")(images)
    for ours, theirs in zip(torched, exported, strict=True):
        assert len(ours) > 0
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=0.02)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
