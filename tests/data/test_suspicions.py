"""Every command warns of the same things by the same rules, and of nothing in good data."""

from __future__ import annotations

import json

import numpy as np

from pose_hrnet.data.formats.detections import load_detections
from pose_hrnet.data.formats.suspicions import suspect_boxes
from pose_hrnet.data.people import load_people
from pose_hrnet.inference.image_files import find_images
from pose_hrnet.inference.sources import identify
from tests.helpers.builders import make_people, write_annotations, write_images

SIZES = np.tile([640, 480], (4, 1))
GOOD = np.array([[10, 20, 100, 200], [400, 100, 239, 379], [-3, 0, 50, 60], [500, 5, 145, 90]])


def kinds(boxes, sizes=SIZES):
    return [(each.kind, int(each.rows.sum())) for each in suspect_boxes(np.array(boxes), sizes)]


def test_good_boxes_are_not_suspected():
    assert kinds(GOOD) == kinds(GOOD, 0 * SIZES) == kinds(np.empty((0, 4)), SIZES[:0]) == []
    assert kinds([[100, 100, 200, 300]], SIZES[:1]) == [], "fits as both"


def test_all_boxes_of_another_format_are_one_suspicion():
    corners = [[300, 200, 500, 400], [10, 200, 630, 470]]
    assert kinds(corners, SIZES[:2]) == [("box looks like x1, y1, x2, y2", 2)]
    parts = GOOD[[0, 2, 3]] / [640, 480, 640, 480]
    assert kinds(parts, SIZES[:3]) == [("box in parts of the image, not pixels", 3)]


def test_single_odd_boxes_are_counted():
    odd = np.array([[10, 10, 0.5, 40], [600, 20, 200, 40], [10, 20, 30, 40], [10, 20, 30, 40]])
    assert kinds(odd) == [("box is smaller than a pixel", 1), ("box ends beyond the image", 1)]
    assert kinds(odd, 0 * SIZES) == [("box is smaller than a pixel", 1)]


def test_training_evaluation_and_prediction_warn_alike(tmp_path, caplog):
    people = make_people(6)
    folder = write_images(people, tmp_path / "images")
    annotations = write_annotations(people, tmp_path / "people.json")
    content = json.loads(annotations.read_text())
    boxes = []
    for row in content["annotations"]:
        size = content["images"][[i["id"] for i in content["images"]].index(row["image_id"])]
        x, y, w, h = row["bbox"]
        part = [x / size["width"], y / size["height"], w / size["width"], h / size["height"]]
        boxes.append({"image_id": row["image_id"], "bbox": part})
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    images = load_people(annotations).images
    assert not caplog.messages
    load_detections(tmp_path / "boxes.json", images)
    identify(find_images([folder]), tmp_path / "boxes.json", annotations)
    for row, box in zip(content["annotations"], boxes, strict=True):
        row["bbox"] = box["bbox"]
    annotations.write_text(json.dumps(content))
    load_people(annotations)
    assert [m.split(": ")[1] for m in caplog.messages] == [
        "box in parts of the image, not pixels (6 of 6)"
    ] * 3
