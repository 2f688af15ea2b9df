"""Ground truth with bad rows: they are left out and told, and the others score as ever."""

from __future__ import annotations

import json

import pytest

from pose_hrnet.data.formats.rows import find_twin
from pose_hrnet.evaluation.metrics.coco_ap import score_results
from tests.helpers.coco_files import make_results, make_truth, raw_pycocotools

NAN = float("nan")
GOOD = make_truth()
RESULTS = make_results(GOOD, 5)
COMPLETE = GOOD["annotations"][0]
LABELLED = [10, 20, 2]


def write(folder, truth, name="truth"):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(truth))
    return path


def with_rows(*rows):
    return GOOD | {"annotations": [*GOOD["annotations"], *rows]}


def raw(folder, truth):
    return raw_pycocotools(write(folder, truth, "raw"), write(folder, RESULTS, "results"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keypoints": [1, 2, 2]}, "wrong number of keypoints (1: 99)"),
        ({"keypoints": [None, 20, 2] + LABELLED * 16}, "keypoint is not finite (1: 99)"),
        ({"keypoints": [NAN, 20, 1] + LABELLED * 16}, "keypoint is not finite (1: 99)"),
        ({"keypoints": [0, 0, None] + LABELLED * 16}, "keypoint is not finite (1: 99)"),
        ({"keypoints": "none"}, "malformed annotation (1: 99)"),
        ({"image_id": None}, "malformed annotation (1: 99)"),
        ({"area": "large"}, "malformed annotation (1: 99)"),
        ({"bbox": {"x": 1}}, "malformed annotation (1: 99)"),
        ({"category_id": "1"}, "unknown category id (1: 99)"),
        ({"image_id": "5"}, "unknown image id (1: 99); they do not count; write image_id '5'"),
        ({"id": None, "keypoints": [1, 2, 2]}, "wrong number of keypoints (1: 'without id')"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_told(tmp_path, change, told):
    path = write(tmp_path, with_rows(COMPLETE | {"id": 99} | change))
    scores = score_results(path, RESULTS)
    assert scores.values == raw(tmp_path, GOOD)
    (note,) = scores.notes
    assert f"truth.json: 1 row left out: {told}" in note


def test_rows_that_are_no_objects_and_images_without_id_are_told_in_one_note(tmp_path):
    truth = with_rows(None, 3) | {"images": [*GOOD["images"], {"file_name": "a.jpg"}]}
    (note,) = score_results(write(tmp_path, truth), RESULTS).notes
    assert "3 rows left out: malformed image (1: '#6')" in note
    assert "malformed annotation (2: '#12', '#13') (annotation '#12' cannot be read" in note


@pytest.mark.parametrize("skeleton", [None, "none", [[1]], [[1, None]], {"nose": 1}, 3])
def test_what_scoring_does_not_need_may_be_odd(tmp_path, skeleton):
    """No image is opened, and no limb drawn."""
    truth = GOOD | {
        "images": [image | {"file_name": None} for image in GOOD["images"]],
        "categories": [category | {"skeleton": skeleton} for category in GOOD["categories"]],
    }
    scores = score_results(write(tmp_path, truth), RESULTS)
    assert scores.values == raw(tmp_path, GOOD)
    assert scores.notes == ()


def test_unlabelled_keypoints_need_no_coordinates(tmp_path):
    """pycocotools does not look at them either, but cannot read null."""
    nothing = {"null": None, "nan": NAN}
    for name, value in nothing.items():
        changed = []
        for row in GOOD["annotations"]:
            keypoints = list(row["keypoints"])
            for k in range(0, len(keypoints), 3):
                if keypoints[k + 2] == 0:
                    keypoints[k : k + 2] = value, value
            changed.append(row | {"keypoints": keypoints})
        truth = GOOD | {"annotations": changed}
        assert truth != GOOD
        scores = score_results(write(tmp_path, truth, name), RESULTS)
        assert scores.values == raw(tmp_path, GOOD)
        assert scores.notes == ()


@pytest.mark.parametrize("bbox", [[NAN, 0, 5, 5], [None] * 4, [1, 2, 3], []])
def test_a_box_that_is_not_finite_is_as_good_as_none(tmp_path, bbox):
    rows = [COMPLETE | {"bbox": bbox}, *GOOD["annotations"][1:]]
    scores = score_results(write(tmp_path, GOOD | {"annotations": rows}), RESULTS)
    assert scores.values == raw(tmp_path, GOOD)
    assert "1 of 12 annotations" in scores.notes[0]
    assert "no usable bbox" in scores.notes[0]


@pytest.mark.parametrize("category", ["person", "1", 7])
def test_category_ids_may_be_text(tmp_path, category):
    truth = {
        "images": GOOD["images"],
        "categories": [{"id": category}, {"id": "zebra"}],
        "annotations": [row | {"category_id": category} for row in GOOD["annotations"]],
    }
    results = [row | {"category_id": category} for row in RESULTS]
    path = write(tmp_path, truth)
    scores = score_results(path, results)
    assert scores.values == raw(tmp_path, GOOD)
    assert scores.notes == ()
    with pytest.raises(ValueError, match=r"with category \['dog'\], but .* lists \[.*'zebra'\]"):
        score_results(path, [row | {"category_id": "dog"} for row in results])
    mixed = [row | {"category_id": "dog"} for row in results[:2]] + results[2:]
    scores = score_results(path, mixed)
    expected = score_results(path, results[2:])
    assert scores.values == expected.values
    assert scores.notes[0].startswith("2 of 10 entries")


def test_the_number_of_keypoints_may_be_a_float(tmp_path):
    rows = [r | {"num_keypoints": float(r["num_keypoints"])} for r in GOOD["annotations"]]
    scores = score_results(write(tmp_path, GOOD | {"annotations": rows}), RESULTS)
    assert scores.values == raw(tmp_path, GOOD)
    assert scores.notes == ()


@pytest.mark.parametrize("count", ["many", None, [3]])
def test_an_unusable_number_of_keypoints_is_counted_anew(tmp_path, count):
    rows = [COMPLETE | {"num_keypoints": count}, *GOOD["annotations"][1:]]
    scores = score_results(write(tmp_path, GOOD | {"annotations": rows}), RESULTS)
    assert scores.values == raw(tmp_path, GOOD)
    assert scores.notes[0].startswith("1 of 12 annotations")


def test_a_stated_number_of_zero_is_believed_and_told(tmp_path):
    rows = [COMPLETE | {"num_keypoints": 0}, *GOOD["annotations"][1:]]
    truth = GOOD | {"annotations": rows}
    scores = score_results(write(tmp_path, truth), RESULTS)
    assert scores.values == raw(tmp_path, truth)
    assert scores.counts["persons"] == 9
    (note,) = scores.notes
    assert note.startswith("1 of 12 annotations")
    assert "labelled keypoints but a num_keypoints of 0" in note


def test_a_twin_differs_in_type_or_leading_zeros_alone():
    assert find_twin([8, "0012"], [7, 12]) == ("0012", 12)
    assert find_twin([7], ["a", "007"]) == (7, "007")
    assert find_twin([0], ["0"]) == (0, "0")
    assert find_twin([70, "x"], [7, "y"]) is None
