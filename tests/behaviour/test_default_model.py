"""The weights inside the package: found by name, alike on every backend, and as good as said."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from pose_hrnet import DataSet, PoseEstimator, evaluate, load_model
from tests.helpers.command_line import run_here

PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"
"""Matplotlib's: Grace Hopper, by the United States Navy, in the public domain."""

FACE_AND_SHOULDERS = [  # nose, eyes, ears, shoulders, the left one first; image pixels
    (267.7, 228.3), (309.3, 190.5), (225.2, 193.3), (362.9, 220.9), (170.4, 223.0),
    (454.9, 430.5), (78.7, 417.3),
]  # fmt: skip
"""What the layers one by one gave in fp32 when the weights were new."""

COMPILED = pytest.param("compile", marks=pytest.mark.slow)  # a minute of compilation


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


@pytest.mark.parametrize("backend", ["eager", "openvino", "onnx", COMPILED])
def test_keypoints_of_a_photograph_are_these_on_every_backend(backend):
    needed = {"openvino": "openvino", "onnx": "onnxruntime"}.get(backend)
    if needed is not None:
        pytest.importorskip(needed)
    image = cv2.imread(str(PORTRAIT))[..., ::-1]
    model = load_model("default", backend=backend, device="cpu", precision="fp32")
    found = PoseEstimator(model)(image, [[0, 0, 512, 600]])
    assert np.flatnonzero(found.keypoint_scores[0] > 0.3).tolist() == list(range(7))
    assert found.keypoints_image[0, :7] == pytest.approx(np.array(FACE_AND_SHOULDERS), abs=0.5)


def test_ap_on_drawn_people(drawn):
    data = DataSet(annotations=drawn / "annotations.json", images=drawn / "images")
    scores = evaluate(load_model("default", device="cpu", precision="fp32"), data).scores.values
    assert scores["AP"] == pytest.approx(0.470, abs=0.02)


def test_predict_takes_them_where_nothing_else_is_named(drawn, tmp_path):
    path, _ = boxes_of(drawn)
    _, told = run_here("predict", path, "--whole-image", "--output", tmp_path / "out")
    assert "default: a small HRNet" in told
    assert len(json.loads((tmp_path / "out/results.json").read_bytes())) == 1


def test_from_pretrained_says_what_it_took(caplog):
    with caplog.at_level("INFO", logger="pose_hrnet"):
        PoseEstimator.from_pretrained(backend="eager", device="cpu")
    assert "default: a small HRNet, AP 0.534 on 200 images" in caplog.text
    assert "pose-hrnet weights list has better ones" in caplog.text


def test_the_list_says_what_its_ap_does_not_mean():
    told, _ = run_here("weights", "list", "default")
    assert "its AP there means nothing" in " ".join(told.split())


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
