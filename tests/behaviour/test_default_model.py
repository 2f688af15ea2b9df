"""The weights inside the package: found by name, alike on every backend, and as good as said."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from pose_hrnet import DataSet, PoseEstimator, evaluate, load_model
from tests.helpers.command_line import run_here


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Four drawn pictures with their annotations."""
    folder = tmp_path_factory.mktemp("drawn")
    run_here("data", "synthesize", "--output", folder, "--images", 4, "--seed", 0)
    return folder


def boxes_of(drawn):
    """File name and person boxes of the first picture."""
    data = json.loads((drawn / "annotations.json").read_bytes())
    first = data["images"][0]
    boxes = [a["bbox"] for a in data["annotations"] if a["image_id"] == first["id"]]
    return drawn / "images" / first["file_name"], [[x, y, x + w, y + h] for x, y, w, h in boxes]


@pytest.mark.parametrize("backend", ["openvino", "onnx", "compile"])
def test_keypoints_are_those_of_the_layers_on_every_backend(drawn, backend):
    if backend != "compile":
        pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    path, boxes = boxes_of(drawn)
    image = cv2.imread(str(path))[..., ::-1]
    found = {
        name: PoseEstimator(load_model("default", backend=name, device="cpu"))(image, boxes)
        for name in ("eager", backend)
    }
    sure = found["eager"].keypoint_scores > 0.3
    assert sure.sum() >= 10
    apart = found[backend].keypoints_image - found["eager"].keypoints_image
    assert np.abs(apart[sure]).max() < 0.5


def test_predict_takes_them_where_nothing_else_is_named(drawn, tmp_path):
    path, _ = boxes_of(drawn)
    _, told = run_here("predict", path, "--whole-image", "--output", tmp_path / "out")
    assert "default: a small HRNet" in told
    assert len(json.loads((tmp_path / "out/results.json").read_bytes())) == 1


def test_a_file_of_that_name_counts_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").write_text("no weights")
    with pytest.raises(ValueError, match="default"):
        load_model("default")


@pytest.mark.slow
def test_ap_on_photographs_is_what_the_docs_say(shared):
    """docs/default_model.md: AP 0.534, AP50 0.814 on 334 persons of 200 images."""
    data = DataSet(
        annotations=shared / "coco/annotations/person_keypoints_val.json",
        images=shared / "coco/val",
    )
    scores = evaluate(load_model("default", device="cpu"), data).scores.values
    assert scores["AP"] == pytest.approx(0.534, abs=0.002)
    assert scores["AP50"] == pytest.approx(0.814, abs=0.002)
