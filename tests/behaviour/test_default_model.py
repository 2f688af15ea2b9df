"""The weights inside the package: found by name, alike on every backend, and as good as said."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from safetensors import safe_open

from pose_hrnet import DataSet, PoseEstimator, evaluate, load_config, load_model
from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.models.weights.fetch import checkpoint_path, entry_meant
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.system.defaults import DEFAULT_WEIGHTS, DETECTOR
from pose_hrnet.system.download import sha256_of
from tests.helpers.command_line import run_here
from tests.helpers.networks import card_of, tiny

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
        found = PoseEstimator.from_pretrained(backend="eager", device="cpu")
    for told in (caplog.text, found.summary, repr(found)):
        assert "default: a small HRNet, 0.534 AP of 200 images (COCO val2017, not seen" in told
        assert "pose-hrnet weights list has better ones" in told
    assert repr(found).startswith("<PoseEstimator: ")
    assert "\n" not in repr(found)


def test_the_list_says_what_its_ap_does_not_mean():
    told, _ = run_here("weights", "list", "default")
    assert "its AP there means nothing" in " ".join(told.split())


def test_a_file_of_that_name_counts_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").write_text("no weights")
    with pytest.raises(ValueError, match="default"):
        load_model("default")


@pytest.fixture
def namesakes(tmp_path, monkeypatch):
    """A current folder with another model under the name of the weights inside, and no card."""
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "default", tiny().state_dict(), card_of(tiny()))
    return tmp_path


def test_where_nothing_is_named_no_file_of_that_name_is_taken(namesakes):
    """`serve` and `bulk` ask for their models as `predict` does; see `checkpoint_meant`."""
    cv2.imwrite("photo.png", np.zeros((64, 48, 3), np.uint8))
    predict = ["predict", "photo.png", "--whole-image", "--backend", "eager"]
    _, told = run_here(*predict, "--output", "out")
    assert "default: a small HRNet" in told
    _, told = run_here(*predict, "-c", "default", "--output", "own")
    assert "a small HRNet" not in told
    mine, ours = (json.loads(Path(out, "results.json").read_bytes()) for out in ("own", "out"))
    assert mine != ours
    load = partial(PoseEstimator.from_pretrained, backend="eager", device="cpu")
    assert "a small HRNet" in load().summary
    assert "a small HRNet" not in load("default").summary


def test_bulk_loads_the_weights_inside_where_nothing_is_named(namesakes):
    bulk = BulkEstimator.load(backend="eager", device="cpu")
    assert bulk.sha256 == sha256_of(checkpoint_path(DEFAULT_WEIGHTS)) != sha256_of(Path("default"))
    cv2.imwrite("photo.png", np.zeros((64, 48, 3), np.uint8))
    options = ["--whole-image", "--dry-run", 1, "--backend", "eager", "--output", "rows"]
    _, told = run_here("bulk", "photo.png", *options)
    assert "default: a small HRNet" in told


def test_a_recipe_that_ships_starts_from_the_list(namesakes):
    named = load_config("demo").model.pretrained
    assert checkpoint_path(named).name == "default.safetensors"
    given = load_config("demo", ["model.pretrained=default"]).model.pretrained
    assert checkpoint_path(given) == Path("default")


def test_a_folder_of_that_name_is_not_what_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    (tmp_path / "yolox_s").write_text("no detector")
    assert "a small HRNet" in load_model("default", backend="eager").summary
    assert entry_meant(DETECTOR).name == "yolox_s"
    assert entry_meant("yolox_s") is None
    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError, match="other is a folder"):
        load_model("other")


def test_the_card_says_what_not_to_report_and_evaluate_and_inspect_say_it(drawn, tmp_path):
    with safe_open(checkpoint_path(DEFAULT_WEIGHTS), "pt") as file:
        note = json.loads(file.metadata()["pose_hrnet"])["note"]
    assert "never report its AP on val2017" in note
    said, _ = run_here(
        "evaluate", "-c", "default", "--annotations", drawn / "annotations.json",
        "--images", drawn / "images", "--output", tmp_path / "scored", "--backend", "eager",
    )  # fmt: skip
    assert note in " ".join(said.split())
    metrics = json.loads((tmp_path / "scored/metrics.json").read_bytes())
    assert metrics["evaluated"]["note"] == note
    said, _ = run_here("weights", "inspect", "default")
    assert note in " ".join(said.split())


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
