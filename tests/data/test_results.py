"""Training persons, detections and results: files in, files out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.data.formats.detections import load_detections
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.system.files import few_digits, write_json
from tests.helpers.annotation_files import NAN, keypoints, person, write


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([10, 20, 100, 200], [10, 20, 99, 199]),
        ([-5, -6, 50, 60], [0, 0, 49, 59]),  # the width is not cut at the left: official rule
        ([600, 400, 100, 100], [600, 400, 39, 79]),
        ([639.5, 20, 10, 10], None),  # begins behind the centre of the last pixel
        ([10, 20, 1, 1], None),  # a point
        ([10, 20, 1, 5], [10, 20, 0, 4]),
    ],
)
def test_training_boxes_follow_the_official_rule(tmp_path, box, clipped):
    people = load_people(write(tmp_path, person(bbox=box), person(2)))
    kept = labelled_people(people)
    expected = [] if clipped is None else [clipped]
    assert kept.boxes_xywh.tolist() == [*expected, [10, 20, 99, 199]]
    assert people.boxes_xywh[0].tolist() == np.float32(box).tolist(), "the input is not changed"


def test_training_leaves_out_crowds_and_the_unlabelled(tmp_path):
    people = load_people(
        write(
            tmp_path,
            person(1),
            person(2, iscrowd=1),
            person(3, keypoints=keypoints()),
            person(4, keypoints=[]),
            person(5, area=0),
            person(6, num_keypoints=0),
        )
    )
    assert people.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert labelled_people(people).ids.tolist() == [1, 6]
    assert len(labelled_people(people[people.is_crowd])) == 0


def test_training_boxes_are_those_of_the_reference_crops(shared):
    people = labelled_people(load_people(shared / "coco_sample" / "person_keypoints.json"))
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    order = np.argsort(people.image_ids, kind="stable")
    people = people[order]
    assert people.image_ids == reference["image_id"].tolist()
    sizes = people.boxes_xywh[:, 2:]
    np.testing.assert_allclose(
        people.boxes_xywh[:, :2] + sizes / 2, reference["center"], atol=1e-4
    )
    padded = 1.25 * np.maximum(sizes, sizes[:, ::-1] * [192 / 256, 256 / 192]) / 200
    np.testing.assert_allclose(padded, reference["scale"], atol=1e-6)
    np.testing.assert_array_equal(people.keypoints_image, reference["joints_image"])
    np.testing.assert_array_equal(people.visibility > 0, reference["vis"] > 0)


@pytest.mark.parametrize(
    ("name", "images", "persons", "training"),
    [
        ("coco/annotations/person_keypoints_train.json", 600, 1439, 1130),
        ("coco/annotations/person_keypoints_val.json", 200, 472, 334),
        ("coco_scale/person_keypoints_val2017.json", 2693, 11004, 6352),
        ("coco_scale/person_keypoints_val2014_100_recovered.json", 100, 256, 139),
    ],
)
def test_real_files_are_read_whole(shared, name, images, persons, training):
    people = load_people(shared / name, on_bad="raise")
    found = len(people.images), len(people), len(labelled_people(people))
    assert found == (images, persons, training)


def detection(image_id: object = 7, **changes: object) -> dict[str, object]:
    row = {"image_id": image_id, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}
    return {key: value for key, value in (row | changes).items() if value is not None}


@pytest.fixture
def images(tmp_path):
    return load_people(write(tmp_path, person())).images


def write_detections(folder: Path, *rows: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(rows))
    return path


def test_detections_become_people_without_keypoints(tmp_path, images, caplog):
    path = write_detections(
        tmp_path,
        detection(score=0.25, bbox=[-4, 2, 30, 40.5]),
        detection("cam-2", score=1),
        detection(category_id=2),
        detection(score=0.125),
    )
    people = load_detections(path, images, min_score=0.25)
    assert people.images is images
    assert people.image_ids == [7, "cam-2"]
    assert people.boxes_xywh.tolist() == [[-4, 2, 30, 40.5], [1, 2, 30, 40]]
    assert people.scores.tolist() == [0.25, 1]
    assert people.areas.tolist() == [30 * 40.5, 1200]
    assert people.visibility.shape == (2, 17)
    assert not people.visibility.any()
    assert not caplog.messages


def test_bad_detections_are_counted(tmp_path, images, caplog):
    path = write_detections(
        tmp_path,
        detection(),
        detection(8),
        detection(9),
        detection(score="high"),
        detection(score=NAN),
        detection(score=1e300),
        detection(bbox=[0, 0, 1e300, 5]),
        detection(bbox=[0, 0, 8e25, 8e25]),
        detection(bbox=None),
        detection(bbox=[1, 2, 0, 5]),
    )
    assert len(load_detections(path, images)) == 1
    (warning,) = caplog.messages
    for part in (
        "9 rows",
        "unknown image id (2: 8, 9)",
        "malformed detection (6:",
        "empty (1: 7)",
    ):
        assert part in warning


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([detection("7"), detection("8")], r"'7' \(str\).*id 7 \(int\)"),
        ([detection(8)], "unknown image id"),
        ([detection(category_id=4)], "no box has this category and score"),
    ],
)
def test_detections_that_match_nothing_are_one_sentence(tmp_path, images, rows, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        load_detections(write_detections(tmp_path, *rows), images)
    assert "\n" not in str(error.value)


def test_an_empty_list_says_that_nobody_was_found(tmp_path, images, caplog):
    assert len(load_detections(write_detections(tmp_path), images)) == 0
    assert "has no box: nobody was found" in caplog.text


def test_boxes_of_annotations_are_detections(tmp_path, images):
    people = load_detections(write(tmp_path, person()), images)
    assert people.boxes_xywh.tolist() == [[10, 20, 100, 200]]


def test_official_detections_are_read_whole(shared):
    sample = shared / "coco_sample"
    people = load_people(sample / "person_keypoints.json")
    assert len(load_detections(sample / "person_detections.json", people.images)) == 118


def poses(count: int = 2) -> Poses:
    rng = np.random.default_rng(0)
    return Poses(
        image_ids=object_array([7, "cam-2"][:count]),
        keypoints_image=rng.uniform(0, 640, (count, 17, 2)).astype(np.float32),
        keypoint_scores=rng.random((count, 17), dtype=np.float32),
        boxes_xyxy=np.zeros((count, 4), np.float32),
        scores=rng.random(count, dtype=np.float32),
        areas=np.ones(count, np.float32),
    )


def test_results_keep_every_digit(tmp_path):
    expected = replace(poses(), category_ids=object_array([3, 4]))
    path = tmp_path / "results.json"
    write_json(path, expected.to_coco())
    rows = json.loads(path.read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(7, 3), ("cam-2", 4)]
    triples = np.array([row["keypoints"] for row in rows]).reshape(2, 17, 3)
    triples = triples.astype(np.float32)
    np.testing.assert_array_equal(triples[..., :2], expected.keypoints_image)
    np.testing.assert_array_equal(triples[..., 2], expected.keypoint_scores)
    assert [np.float32(row["score"]) for row in rows] == expected.scores.tolist()
    assert expected[:0].to_coco() == []


def test_results_hold_no_noise_and_both_boxes():
    """The shortest decimals that are the same float32; pycocotools takes areas from ``bbox``."""
    numbers = np.array([0.1, 93.30517, 1e-7, 12345.678, 0.0, -2.5], np.float32)
    assert few_digits(numbers).tolist() == [0.1, 93.30517, 1e-07, 12345.678, 0.0, -2.5]
    boxes = np.array([[1.5, 2.1, 11.5, 22.4]] * 2, np.float32)
    expected = replace(poses(), boxes_xyxy=boxes)
    rows = expected.to_coco("a.jpg")
    assert {row["file_name"] for row in rows} == {"a.jpg"}
    assert "file_name" not in expected.to_coco()[0]
    assert rows[0]["box"] == [1.5, 2.1, 10.0, 20.3]
    assert all(len(repr(value)) <= 12 for row in rows for value in row["keypoints"])
    low, high = (each(expected.keypoints_image, axis=1) for each in (np.min, np.max))
    found = np.array([row["bbox"] for row in rows])
    np.testing.assert_allclose(found, np.hstack([low, high - low]), rtol=1e-6)


def test_a_pose_that_is_not_finite_is_refused():
    broken = poses()
    broken.keypoints_image[1, 4] = np.nan
    with pytest.raises(ValueError, match=r"1 of 2 poses.*'cam-2'"):
        broken.to_coco()


def test_json_replaces_a_file_in_one_piece(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"AP": np.float32(0.5), "per_keypoint": np.arange(2), "none": NAN})
    assert json.loads(path.read_text()) == {"AP": 0.5, "per_keypoint": [0, 1], "none": None}
    with pytest.raises(TypeError, match="object has no JSON form"):
        write_json(path, {"AP": object()})
    assert json.loads(path.read_text())["AP"] == 0.5, "the earlier file stays"
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")
def test_an_index_of_150_000_persons_is_small():
    script = Path(__file__).parents[2] / "tools" / "measure_coco_index.py"
    table = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    numbers = dict(re.findall(r"(\S.*?) {2,}([\d.,]+)", table.stdout))
    assert numbers["persons"] == "150,000.0"
    assert float(numbers["memory added, MB"]) <= 150
