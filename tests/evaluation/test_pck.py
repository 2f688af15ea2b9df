"""PCK, AUC and EPE against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.evaluation.metrics.pck import auc, epe, keypoint_errors, keypoint_metrics, pck
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import make_people

TRUTH = np.zeros((2, 3, 2))
FOUND = np.array([[[3, 4], [0, 0], [30, 40]], [[0, 10], [6, 8], [7, 7]]], float)
LABELLED = np.array([[2, 1, 2], [2, 0, 0]])
# Errors: person 0: 5, 0, 50; person 1: 10, -, -.
ERRORS = keypoint_errors(FOUND, TRUTH, LABELLED)


def test_errors_are_distances_where_labelled():
    np.testing.assert_array_equal(ERRORS, [[5, 0, 50], [10, np.nan, np.nan]])


def test_pck_by_keypoint_threshold_and_length():
    np.testing.assert_allclose(pck(ERRORS, 6.0), [0.5, 1, 0])
    np.testing.assert_allclose(pck(ERRORS, 5.0), [0, 1, 0])  # below, as MMPose counts
    by_length = pck(ERRORS, [0.05, 0.2], lengths=[100, 60])
    np.testing.assert_allclose(by_length, [[0, 1, 0], [1, 1, 0]])
    assert np.isnan(pck(ERRORS[1:], 6.0)[1:]).all()


def test_auc_is_the_mean_over_thresholds():
    # Limit 20 in 4 steps: thresholds 0, 5, 10, 15. Keypoint 0: 0, 0, 1/2, 1; 1: 0, 1, 1, 1; 2: 0.
    expected = np.mean([0, (0 + 1 + 0) / 3, (0.5 + 1 + 0) / 3, (1 + 1 + 0) / 3])
    assert auc(ERRORS, 20.0, steps=4) == pytest.approx(expected)
    # The same in lengths of 40 pixels.
    assert auc(ERRORS, 0.5, np.array([40, 40]), steps=4) == pytest.approx(expected)


def test_epe_is_the_mean_over_labelled_keypoints():
    assert epe(ERRORS) == pytest.approx((5 + 0 + 50 + 10) / 4)
    assert math.isnan(epe(ERRORS[1:, 1:]))


def test_a_person_who_was_not_predicted_counts_as_wrong_but_has_no_distance():
    errors = keypoint_errors(
        np.where(np.arange(2)[:, None, None] == 1, np.nan, FOUND), TRUTH, LABELLED
    )
    np.testing.assert_allclose(pck(errors, 60.0), [0.5, 1, 1])
    assert epe(errors) == pytest.approx(55 / 3)


def test_report_puts_each_pose_to_its_person():
    people = make_people(4)
    people = replace(people, boxes_xywh=np.tile(np.float32([0, 0, 50, 100]), (4, 1)))
    rows = [2, 0, 1]
    shift = np.float32([[0, 0], [6, 8], [30, 0]])[:, None]  # errors 0, 10, 30 px: 0, 0.1, 0.3
    poses = Poses(
        image_ids=object_array([1, 2, 3]),
        keypoints_image=people.keypoints_image[rows] + shift,
        keypoint_scores=np.ones((3, 17), np.float32),
        boxes_xyxy=np.zeros((3, 4), np.float32),
        scores=np.ones(3, np.float32),
        areas=np.ones(3, np.float32),
    )
    values = keypoint_metrics(people, poses, rows, COCO17.keypoint_names)
    assert values["PCK@0.05"] == pytest.approx(1 / 4)
    assert values["PCK@0.2"] == pytest.approx(2 / 4)
    assert values["EPE"] == pytest.approx(40 / 3, rel=1e-5)
    # Of 20 thresholds up to 0.5 exact poses pass 19, 0.1 passes 0.125 ... 0.475: 15, 0.3: 7.
    assert values["AUC"] == pytest.approx((19 + 15 + 7) / 80, abs=1.01 / 80)
    assert values["per_keypoint"]["nose"]["EPE"] == pytest.approx(40 / 3, rel=1e-5)
    assert len(values["per_keypoint"]) == 17
