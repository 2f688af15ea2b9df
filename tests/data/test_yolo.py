"""YOLO-pose in and out: what the labels say, to the written digits."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import yaml

from pose_hrnet.data.convert.convert import convert
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.keypoints.skeleton import COCO17

WIDTH, HEIGHT = 427, 323


@pytest.fixture
def yolo(tmp_path):
    """A data set of three keypoints, two persons in one of two images."""
    root = tmp_path / "set"
    for name in ("images/train/sub", "labels/train/sub"):
        (root / name).mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        cv2.imwrite(str(root / "images/train" / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (root / "labels/train/a.txt").write_text(
        "0 0.500000 0.400000 0.300000 0.200000 0.123456 0.654321 2 0.5 0.25 1 0 0 0\n"
        "1 0.51234567891 0.4 0.31 0.2 0.1 0.9 2 0.2 0.8 2 0.33333333333 0.7 2\n"
    )
    data = {
        "path": "/datasets/elsewhere",
        "train": "images/train",
        "kpt_shape": [3, 3],
        "flip_idx": [0, 2, 1],
        "names": {0: "person", 1: "dog"},
        "kpt_names": {0: ["tip", "one", "two"], 1: ["tip", "one", "two"]},
    }
    (root / "data.yaml").write_text(yaml.safe_dump(data))
    return root


def test_paths_as_roboflow_writes_them(yolo, tmp_path):
    text = (yolo / "data.yaml").read_text()
    text = text.replace("train: images/train", "train: ../train/images").replace("path:", "was:")
    (yolo / "data.yaml").write_text(text)
    for kind in ("images", "labels"):
        (yolo / "train").mkdir(exist_ok=True)
        (yolo / kind / "train").rename(yolo / "train" / kind)
    assert convert(yolo / "data.yaml", tmp_path / "out").persons == 2


def content(path):
    return json.loads(path.read_bytes())


def numbers(text):
    return [[float(part) for part in line.split()] for line in text.splitlines()]


def test_yolo_to_coco_is_what_the_text_says(yolo, tmp_path):
    done = convert(yolo, tmp_path / "out")
    assert (done.images, done.persons) == (2, 2)
    assert done.files == (tmp_path / "out/train.json",)
    read = content(done.files[0])
    assert [image["file_name"] for image in read["images"]] == ["a.png", "sub/b.png"]
    assert read["images"][0]["width"] == WIDTH
    first, second = read["annotations"]
    keypoints = np.reshape(first["keypoints"], (3, 3))
    np.testing.assert_allclose(keypoints[0], [0.123456 * WIDTH, 0.654321 * HEIGHT, 2], rtol=1e-11)
    assert keypoints[:, 2].tolist() == [2, 1, 0]
    np.testing.assert_allclose(
        first["bbox"], [0.35 * WIDTH, 0.3 * HEIGHT, 0.3 * WIDTH, 0.2 * HEIGHT], rtol=1e-10
    )
    assert [c["name"] for c in read["categories"]] == ["person", "dog"]
    assert second["category_id"] == 2
    assert read["categories"][0]["keypoints"] == ["tip", "one", "two"]
    skeleton = find_skeleton(str(tmp_path / "out/skeleton.yaml"), done.files[0], "person")
    assert skeleton.flip_pairs == ((1, 2),)


def test_yolo_to_coco_to_yolo_has_the_same_digits(yolo, tmp_path):
    convert(yolo, tmp_path / "coco")
    back = convert(tmp_path / "coco/train.json", tmp_path / "yolo", to="yolo", category="all")
    assert back.files == (tmp_path / "yolo/data.yaml",)
    before = numbers((yolo / "labels/train/a.txt").read_text())
    text = (tmp_path / "yolo/labels/train/a.txt").read_text()
    assert numbers(text) == before
    assert text.startswith("0 0.500000 0.400000 0.300000 0.200000 0.123456 0.654321 2 0.500000")
    assert (tmp_path / "yolo/labels/train/sub/b.txt").read_text() == ""
    data = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert data["val"] == data["train"]  # which Ultralytics asks for; read back once
    (yolo / "labels").rename(tmp_path / "yolo/before")
    (yolo / "images").rename(tmp_path / "yolo/images")
    assert convert(tmp_path / "yolo", tmp_path / "again").images == 2


def test_coco_to_yolo_to_coco_has_the_same_digits(tmp_path):
    random = np.random.default_rng(0)
    rows = []
    for number in range(1, 41):
        points = random.uniform([0, 0], [WIDTH, HEIGHT], (17, 2)).round(random.integers(0, 7))
        seen = random.integers(0, 3, (17, 1))
        triples = np.where(seen > 0, np.concatenate([points, seen], axis=1), 0)
        box = random.uniform(1, 150, 4).round(2).tolist()
        rows.append(
            {"id": number, "image_id": 5, "category_id": 1, "bbox": box, "area": 10, "iscrowd": 0,
             "keypoints": triples.ravel().tolist()}
        )  # fmt: skip
    images = [{"id": 5, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names)}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [category]}))
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures/a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    convert(path, tmp_path / "yolo", to="yolo", images=tmp_path / "pictures")
    labels = np.loadtxt(tmp_path / "yolo/labels/train/a.txt")
    assert labels.shape == (40, 5 + 51)
    points = labels[:, 5:].reshape(40, 17, 3)
    assert labels.min() >= 0  # as Ultralytics asks for
    assert points[..., :2].max() <= 1
    data = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert data["kpt_shape"] == [17, 3]
    assert data["flip_idx"] == list(COCO17.flip_index)
    assert data["kpt_names"][0] == list(COCO17.keypoint_names)
    assert (tmp_path / "yolo" / data["train"] / "a.png").is_file()
    convert(tmp_path / "yolo", tmp_path / "back")
    back = content(tmp_path / "back/train.json")["annotations"]
    for before, after in zip(rows, back, strict=True):
        assert after["keypoints"] == before["keypoints"]
        assert after["bbox"] == before["bbox"]


def coco(row):
    images = [{"id": 3, "file_name": "a.jpg", "width": 64, "height": 48}]
    category = {"id": 1, "name": "person", "keypoints": ["a", "b"]}
    whole = {"id": 1, "image_id": 3, "category_id": 1, "keypoints": [3, 4, 2, 9, 8, 1], **row}
    return json.dumps({"images": images, "annotations": [whole], "categories": [category]})


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"keypoints": [1e300, 4, 2, 0, 0, 0]}, "annotation 1 has keypoints that are no numbers"),
        ({"keypoints": [3, 4, 3, 0, 0, 0]}, "annotation 1 has a visibility beside 0, 1 and 2"),
        ({"keypoints": [3, 4, 2]}, "annotation 1 has 3 keypoint values; expected 6"),
        ({"bbox": [1, 2, 3]}, "annotation 1 has a box that is not four numbers"),
        ({"image_id": 4}, "annotation 1 is of image 4, which the file does not list"),
    ],
)
def test_faulty_rows_of_coco_are_named(row, sentence, tmp_path):
    (tmp_path / "a.json").write_text(coco(row))
    with pytest.raises(ValueError, match=sentence):
        convert(tmp_path / "a.json", tmp_path / "out", to="yolo")


def test_rows_of_coco_that_no_label_can_say_are_told(tmp_path, caplog):
    told = {
        (1, 2, 0, 5): "persons with an empty box: 1",
        (100, 2, 5, 5): "persons outside of their image: 1",
    }
    for at, (box, sentence) in enumerate(told.items()):
        (tmp_path / "a.json").write_text(coco({"bbox": box}))
        convert(tmp_path / "a.json", tmp_path / str(at), to="yolo")
        assert (tmp_path / str(at) / "labels/train/a.txt").read_text() == ""
        assert sentence in caplog.text
    (tmp_path / "a.json").write_text(coco({}))  # no box at all: that of the keypoints
    convert(tmp_path / "a.json", tmp_path / "out", to="yolo")
    assert len((tmp_path / "out/labels/train/a.txt").read_text().splitlines()) == 1
