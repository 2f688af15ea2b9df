"""Poses score as the results that are written of them; wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.formats.results import read_results
from pose_hrnet.evaluation.metrics.coco_ap import (
    number_results,
    results_of_poses,
    score_poses,
    score_results,
)
from pose_hrnet.evaluation.metrics.coco_truth import Truth
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.system.files import write_json
from tests.helpers.builders import make_people, write_annotations


@pytest.fixture
def poses():
    """The persons of `make_people`, moved by some pixels, with float32 scores."""
    people = make_people(30)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, people.keypoints_image.shape) * rng.uniform(0, 6, (30, 1, 1))
    corners = people.boxes_xywh[:, :2]
    return Poses(
        image_ids=object_array(people.image_ids),
        keypoints_image=(people.keypoints_image + noise).astype(np.float32),
        keypoint_scores=rng.random((30, 17), dtype=np.float32),
        boxes_xyxy=np.hstack([corners, corners + people.boxes_xywh[:, 2:]]),
        scores=rng.random(30, dtype=np.float32),
        areas=people.areas,
    )


@pytest.fixture
def annotations(tmp_path):
    return write_annotations(make_people(30), tmp_path / "people.json")


def test_poses_become_the_columns_of_the_file_written_of_them(poses, annotations, tmp_path):
    write_json(tmp_path / "results.json", poses.to_coco())
    truth = Truth.of(read_coco(annotations), 17)
    direct = number_results(results_of_poses(poses), truth, 17, [])
    read = number_results(read_results(tmp_path / "results.json", 17), truth, 17, [])
    listed = number_results(read_results(poses.to_coco(), 17), truth, 17, [])
    for name in ("image_numbers", "category_numbers", "keypoints", "scores", "areas"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(read, name))
        np.testing.assert_array_equal(getattr(direct, name), getattr(listed, name))
    flat = poses.flat_keypoints
    np.testing.assert_array_equal(flat.astype(np.float32)[:, 2::3], poses.keypoint_scores)
    x, y = flat[:, 0::3].T, flat[:, 1::3].T
    extents = (x.max(axis=0) - x.min(axis=0)) * (y.max(axis=0) - y.min(axis=0))
    np.testing.assert_array_equal(direct.areas, extents)


def test_boxes_of_results_give_their_areas(poses, annotations):
    rows = [row | {"bbox": [1, 2, 3, i]} for i, row in enumerate(poses.to_coco(), start=1)]
    truth = Truth.of(read_coco(annotations), 17)
    found = number_results(read_results(rows, 17), truth, 17, [])
    np.testing.assert_array_equal(found.areas, 3.0 * np.arange(1, 31))
    chosen = found[np.array([4, 2])]
    np.testing.assert_array_equal(chosen.areas, [15, 9])
    np.testing.assert_array_equal(chosen.keypoints, found.keypoints[[4, 2]])


@pytest.mark.parametrize("evaluator", ["fast", "pycocotools"])
def test_poses_score_as_their_results(poses, annotations, evaluator):
    direct = score_poses(annotations, poses, evaluator=evaluator)
    listed = score_results(annotations, poses.to_coco(), evaluator="pycocotools")
    assert direct.values == listed.values
    assert direct.counts == listed.counts
    assert 0.1 < direct.values["AP"] < 0.9
    assert direct.evaluator.startswith("pycocotools 2")
    assert direct.evaluator.endswith("at once") == (evaluator == "fast")


def test_no_poses_score_zero(poses, annotations):
    scores = score_poses(annotations, poses[:0])
    assert set(scores.values.values()) <= {0.0, -1.0}
    assert scores.values["AP"] == 0


def test_poses_that_cannot_be_scored_are_refused(poses, annotations):
    fewer = replace(
        poses,
        keypoints_image=poses.keypoints_image[:, 1:],
        keypoint_scores=poses.keypoint_scores[:, 1:],
    )
    with pytest.raises(ValueError, match=r"result 0 of the poses .* 48 keypoint values; .* of 17"):
        score_poses(annotations, fewer)
    broken = replace(poses, scores=np.where(np.arange(30) == 4, np.nan, poses.scores))
    with pytest.raises(ValueError, match=r"result 4 of the poses .* not all finite"):
        score_poses(annotations, broken)
    with pytest.raises(ValueError, match=r"30 of 30 entries of the poses with category \[7\]"):
        score_poses(annotations, replace(poses, category_ids=object_array([7] * 30)))
    strange = replace(poses, image_ids=object_array([str(i) for i in poses.image_ids]))
    with pytest.raises(ValueError, match="write '1' as 1"):
        score_poses(annotations, strange)
