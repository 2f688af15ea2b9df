"""Boxes of every form that is common become the same persons in the same images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pose_hrnet.data.formats.detections import load_boxes, load_detections
from pose_hrnet.data.people import people_to_predict, read_annotations
from pose_hrnet.data.validation.validate import validate
from pose_hrnet.inference.sources import identify
from pose_hrnet.keypoints.records import Images
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import make_people, write_annotations

CORNERS = [10.0, 20.0, 50.0, 80.0]
XYWH = [10.0, 20.0, 40.0, 60.0]
SIZE = (100, 200)
CSV = "file_name,{},score\na.jpg,{},0.5\n"
YOLO = "0 0.3 0.25 0.4 0.3 0.5\n2 0.5 0.5 0.1 0.1 0.9\n"


def in_json(content: object) -> str:
    return json.dumps(content)


ANNOTATIONS = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": XYWH, "score": 0.5},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": XYWH, "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [1, 1, 2, 2]},
    ],
}
FORMS = {
    "coco.json": (in_json([{"file_name": "a.jpg", "bbox": XYWH, "score": 0.5}]), "xywh"),
    "corners.json": (in_json([{"file_name": "a.jpg", "bbox": CORNERS, "score": 0.5}]), "xyxy"),
    "named.json": (in_json([{"file_name": "a.jpg", "bbox_xyxy": CORNERS, "score": 0.5}]), "xywh"),
    "files.json": (in_json({"a.jpg": [[*XYWH, 0.5]]}), "xywh"),
    "cornered_files.json": (in_json({"a.jpg": [[*CORNERS, 0.5]], "b.jpg": []}), "xyxy"),
    "annotations.json": (in_json(ANNOTATIONS), "xywh"),
    "other.json": (
        in_json([{"image_id": "a.jpg", "category_id": 0, "bbox": XYWH, "score": 0.5}]), "xywh"
    ),
    "xywh.csv": (CSV.format("x,y,width,height", "10,20,40,60"), "xyxy"),
    "xyxy.csv": (CSV.format("xmin, ymin, xmax, ymax", "10,20,50,80"), "xywh"),
    "excel.csv": (CSV.format("x1,y1,x2,y2", "10,20,50,80").replace(",", ";"), "xywh"),
    "tabs.tsv": (CSV.format("X,Y,W,H", "10,20,40,60").replace(",", "\t"), "xywh"),
    "a.txt": (YOLO, "xywh"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_box(tmp_path: Path, name: str) -> None:
    text, box_format = FORMS[name]
    (tmp_path / name).write_text(text)
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in paths:
        Image.new("RGB", SIZE).save(path)
    sources = identify(paths, tmp_path / name, box_format=box_format)
    assert sources.boxes is not None
    assert list(sources.boxes) == paths[:1]
    np.testing.assert_allclose(sources.boxes[paths[0]], [[*CORNERS, 0.5]], rtol=1e-6)
    kept = identify(paths, tmp_path / name, box_format=box_format, min_box_score=0.6)
    assert kept.boxes == {}


def test_a_folder_of_yolos_labels_is_read_by_evaluate_too(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text(YOLO)
    (labels / "b.txt").write_text("\n")
    images = Images((7, 8), ("a.jpg", "b.jpg"), np.array([SIZE, SIZE], np.int32))
    people = load_detections(labels, images)
    np.testing.assert_allclose(people.boxes_xywh, [XYWH], rtol=1e-6)
    assert people.scores.tolist() == [0.5]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "other.json"])
def test_every_form_is_read_by_evaluate_and_validate(tmp_path: Path, name: str) -> None:
    text, box_format = FORMS[name]
    (tmp_path / name).write_text(text)
    people = make_people(2)
    people = replace(
        people, images=Images((7,), ("a.jpg",), np.array([SIZE], np.int32)),
        boxes_xywh=np.array([XYWH, XYWH], np.float32),
    )  # fmt: skip
    annotations = write_annotations(people, tmp_path / "people.json")
    found = people_to_predict(
        read_annotations(annotations), tmp_path / name, COCO17, box_format=box_format
    )
    np.testing.assert_allclose(found.boxes_xywh, [XYWH], rtol=1e-6)
    report = validate(annotations, detections=tmp_path / name, box_format=box_format)
    assert not [each for each in report if each.kind.startswith("detection")]


def test_a_turned_photograph_is_as_wide_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.txt").write_text("0 0.5 0.5 1 1")
    boxes = identify([tmp_path / "a.jpg"], tmp_path / "a.txt").boxes
    assert boxes is not None
    assert boxes[tmp_path / "a.jpg"].tolist() == [[0, 0, 200, 100, 1]]


@pytest.mark.parametrize("text", ["[]", "{}", in_json({"a.jpg": []})])
def test_a_file_without_boxes_has_no_persons(tmp_path: Path, text: str) -> None:
    (tmp_path / "boxes.json").write_text(text)
    assert load_boxes(tmp_path / "boxes.json") == []
    assert identify([tmp_path / "a.jpg"], tmp_path / "boxes.json").boxes == {}
    people = load_detections(tmp_path / "boxes.json", make_people(2).images)
    assert len(people) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "name,x\n", "has the columns name, x; expected file_name or image_id, x, y, w"),
        ("a.csv", "", "has the columns none; expected"),
        ("a.txt", "inf 0.5 0.5 1 1", "line 1 has 5 values; expected YOLO's class, x, y"),
        ("a.txt", "nan 0.5 0.5 1 1", "line 1 has 5 values; expected YOLO's class, x, y"),
        ("a.csv", "file_name\n" + "a" * 200_000, "is no CSV .field larger than field limit"),
        ("a.csv", CSV.format("x,y,w,h", "10,20,forty,60"), "line 2 has a box or score that is no"),
        ("a.csv", "file_name,x,y,w,h\n\n\na.jpg,1,2,k,4\n", "line 4 has a box or"),
        ("a.txt", "0 0.3 0.25", "line 1 has 3 values; expected YOLO's class, x, y, width, height"),
        ("a.txt", "person 0.3 0.2 0.1 0.1", "line 1 has 5 values; expected YOLO's"),
        ("a.json", "[{}]", "cannot be read"),
        ("a.json", in_json({"annotations": [3]}), "annotation 0 is no mapping"),
        ("a.json", in_json([{"file_name": "a", "bbox": XYWH, "category_id": c} for c in (3, 4)]),
         r"0 with category_id 1 or none \(there are [34], [34]\)"),
        ("absent.json", None, "absent.json does not exist"),
        ("absent.csv", None, "absent.csv does not exist; check the path"),
    ],
)  # fmt: skip
def test_what_is_no_box_file_is_refused_in_a_sentence(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    Image.new("RGB", SIZE).save(tmp_path / "a.jpg")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        identify([tmp_path / "a.jpg"], tmp_path / name)
    assert "\n" not in str(raised.value)
