"""Box files of images and folders."""

from __future__ import annotations

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_hrnet.config.data import DataSet
from pose_hrnet.inference.detected import detect_data_set, detect_files
from pose_hrnet.inference.detector import load_detector
from pose_hrnet.inference.sources import identify
from pose_hrnet.system.defaults import SCORING
from tests.helpers.builders import make_people, write_annotations, write_images


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "photos")


def function(images):
    """Two boxes in every image but the second."""
    function.seen += len(images)
    return [
        [] if number == 1 else [[10, 20, 50.5, 90, 0.9], [0, 0, 30, 40, 0.4]]
        for number in range(function.seen - len(images), function.seen)
    ]


@pytest.fixture(autouse=True)
def begin():
    function.seen = 0


def test_what_is_written_is_what_predict_reads(folder, tmp_path):
    output = tmp_path / "new" / "boxes.json"
    done = detect_files(load_detector(function), [folder], output)
    assert (done.images, done.persons, done.empty, done.failures) == (3, 4, 1, ())
    assert done.in_words() == "4 persons in 3 images, none in 1 of them"
    first = json.loads(output.read_text())[0]
    assert first == {
        "image_id": "000001.png",
        "file_name": "000001.png",
        "category_id": 1,
        "bbox": [10.0, 20.0, 40.5, 70.0],
        "score": 0.9,
    }
    paths = sorted(folder.iterdir())
    boxes = identify(paths, output).boxes
    assert set(boxes) == {paths[0], paths[2]}
    np.testing.assert_allclose(boxes[paths[0]][1], [0, 0, 30, 40, 0.4])


def test_ids_are_those_of_the_annotations_or_the_numbers_of_cocos_names(folder, tmp_path):
    (folder / "000001.png").rename(folder / "000000000017.png")
    output = tmp_path / "boxes.json"
    detect_files(load_detector(function), [folder], output)
    ids = [row["image_id"] for row in json.loads(output.read_text())]
    assert ids == [17, 17, "000003.png", "000003.png"]


def test_no_person_at_all_is_no_error(folder, tmp_path):
    output = tmp_path / "boxes.json"
    done = detect_files(load_detector(lambda images: [[] for _ in images]), [folder], output)
    assert (done.persons, done.empty) == (0, 3)
    assert json.loads(output.read_text()) == []


def test_an_image_that_cannot_be_read_is_counted(folder, tmp_path):
    (folder / "000002.png").write_bytes(b"no image")
    done = detect_files(load_detector(function), [folder], tmp_path / "boxes.json")
    assert (done.images, len(done.failures)) == (2, 1)
    assert "000002.png" in done.failures[0]


@pytest.mark.slow
def test_person_ap_of_yolox_nano_is_the_measured_one(shared, tmp_path):
    pytest.importorskip("onnxruntime")
    card, output = tmp_path / "nano.yaml", tmp_path / "boxes.json"
    model = shared / "models/yolox_nano/yolox_nano.onnx"
    card.write_text(f"layout: yolox_raw\nmodel: {model}\ninput_wh: [416, 416]\n")
    detect_files(load_detector(card, threshold=SCORING), [shared / "coco/val"], output)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(shared / "coco/annotations/person_keypoints_val.json"))
        scored = COCOeval(truth, truth.loadRes(str(output)), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    assert scored.stats[:2] == pytest.approx([0.471, 0.729], abs=0.003)


def test_data_sets_name_no_images_outside_of_their_folder(folder, tmp_path):
    """And as every reader of them, a detector finds backslashes' files."""
    (folder / "day").mkdir()
    (folder / "000002.png").rename(folder / "day/000002.png")
    people = make_people(6)
    path = write_annotations(people, tmp_path / "people.json")
    content = json.loads(path.read_text())
    shutil.copy(folder / "000001.png", tmp_path / "outside.png")
    names = ("../outside.png", "day\\000002.png", "000003.png")
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    path.write_text(json.dumps(content))
    done = detect_data_set(
        load_detector(lambda images: [[[10, 20, 50, 90, 0.9]] for _ in images]),
        DataSet(annotations=path, images=folder),
        tmp_path / "boxes.json",
    )
    assert [row["image_id"] for row in json.loads((tmp_path / "boxes.json").read_text())] == [2, 3]
    assert (done.images, len(done.failures)) == (2, 1)
    assert "'../outside.png' is not read, because its file_name leads out" in done.failures[0]
