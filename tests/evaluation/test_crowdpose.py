"""CrowdPose's AP against numbers worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.people import load_people, read_annotations
from pose_hrnet.evaluation.metrics.crowdpose import CrowdTruth, score_crowdpose
from pose_hrnet.keypoints.skeleton import CROWDPOSE14


def person(image, number=1, **changes):
    """100 x 100 pixels with one labelled keypoint, the left shoulder at (150, 150)."""
    keypoints = [0.0] * 42
    keypoints[:3] = [150, 150, 2]
    row = {"id": number, "image_id": image, "category_id": 1, "bbox": [100, 100, 100, 100],
           "keypoints": keypoints, "num_keypoints": 1, "iscrowd": 0}  # fmt: skip
    return row | changes


def result(image, distance, score):
    keypoints = [0.0] * 42
    keypoints[:3] = [150 + distance, 150, 1]
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}


@pytest.fixture
def truth(tmp_path):
    """One person each in an easy, a medium and a hard image; sizes exchanged, as officially."""

    def write(*more, indices=(0.1, 0.2, 0.8), **changes):
        images = [
            {"id": i, "file_name": f"{i}.jpg", "width": 120, "height": 400, "crowdIndex": c}
            for i, c in enumerate(indices, start=1)
        ]
        persons = [person(i, i, **changes) for i in range(1, len(images) + 1)]
        names = list(CROWDPOSE14.keypoint_names)
        category = {"id": 1, "name": "person", "keypoints": names}
        content = {"images": images, "annotations": [*persons, *more], "categories": [category]}
        path = tmp_path / "crowdpose.json"
        path.write_text(json.dumps(content))
        return path

    return write


def score(path, results):
    return score_crowdpose(CrowdTruth.of(read_coco(path)), results)


# OKS 0.62 = exp(-d^2 / (2 A k^2)) with A = 0.53 * 100 * 100 and k = 2 * 0.079: three of the ten
# thresholds are reached. With the whole box for A it would be six.
NEAR = float(np.sqrt(-np.log(0.62) * 2 * 5300 * 0.158**2))


def test_nine_numbers_by_hand(truth):
    scores = score(truth(), [result(1, 0, 0.9), result(3, NEAR, 0.8)])
    values = scores.values
    assert list(values) == ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "APE", "APM", "APH"]
    assert (values["APE"], values["APM"]) == (pytest.approx(1), 0)
    assert values["APH"] == pytest.approx(0.3)
    # Of 101 recalls, 67 lie up to 2/3 and 34 up to 1/3.
    assert values["AP"] == pytest.approx((3 * 67 + 7 * 34) / 1010)
    assert values["AP50"] == pytest.approx(67 / 101)
    assert values["AP75"] == pytest.approx(34 / 101)
    assert values["AR"] == pytest.approx((3 * 2 / 3 + 7 / 3) / 10)
    assert scores.notes == ()


def test_notes_are_on_the_numbers_of_crowdpose(truth, tmp_path):
    nobody = truth(num_keypoints=0, keypoints=[0.0] * 42)
    notes = score(nobody, [result(1, 0, 0.9)]).notes
    assert any(note.startswith("all 6 numbers are -1") for note in notes)
    # A folder of any name: what it is called does not silence a note.
    (tmp_path / "square pixels").mkdir()
    path = truth(indices=(0.1, None, 0.8)).rename(tmp_path / "square pixels/crowdpose.json")
    notes = score(path, [result(1, 0, 0.9)]).notes
    assert "APM is -1: no person with keypoints stands in such images" in notes
    assert not any("medium" in note or "32^2" in note for note in notes)


def test_a_stated_area_is_not_read(truth):
    results = [result(i, NEAR, 0.9) for i in (1, 2, 3)]
    assert score(truth(area=1e6), results).values["AP"] == pytest.approx(0.3)


def test_crowds_and_the_twenty_first_result_do_not_count(truth):
    path = truth(person(1, 9, iscrowd=1, bbox=[300, 300, 50, 50]))
    perfect = [result(i, 0, 0.5) for i in (1, 2, 3)]
    assert score(path, perfect).values["AP"] == pytest.approx(1)
    better = [result(2, 500, 0.9) for _ in range(20)]
    values = score(path, [*better, *perfect]).values
    assert (values["APM"], values["APE"]) == (0, pytest.approx(1))


def test_groups_without_persons_are_minus_one_and_told(truth):
    scores = score(truth(indices=(0.1, 0.19, None)), [result(1, 0, 0.9)])
    assert (scores.values["APM"], scores.values["APH"]) == (-1, -1)
    told = " ".join(scores.notes)
    assert "1 image of" in told
    assert "without crowdIndex" in told
    assert "APH is -1" in told


def test_the_exchanged_sizes_of_the_official_files_are_not_believed(truth):
    path = truth()
    assert read_annotations(path).kind == "crowdpose"
    people = load_people(path, skeleton=CROWDPOSE14)
    assert people.images.sizes_wh.tolist() == [[0, 0]] * 3
    assert people.areas.tolist() == [10_000] * 3
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [300, 100, 80, 100]  # inside 400 x 120, outside 120 x 400
    path.write_text(json.dumps(content))
    assert len(load_people(path, skeleton=CROWDPOSE14)) == 3
