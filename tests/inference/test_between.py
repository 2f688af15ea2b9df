"""When a detection is asked for, and where persons are expected without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.inference.video.between import BetweenDetections
from pose_hrnet.inference.video.tracker import Tracker
from tests.helpers.motion import poses_at, standing


def detections(frames, every):
    """Which frames are detected; each has the left edge and the score of each person."""
    tracker = Tracker()
    between = BetweenDetections(tracker, every)
    found = []
    for number, persons in enumerate(frames):
        if between.boxes(number * 0.04) is None:
            found.append(number)
        tracker.update(poses_at([standing(*person) for person in persons]), number * 0.04)
    return found


STILL = [[(10, 0.9), (300, 0.9)]] * 13


def test_every_nth_frame_is_detected_once_all_are_confirmed():
    assert detections(STILL, 1) == list(range(13))
    assert detections(STILL, 5) == [0, 1, 6, 11]


def test_a_falling_score_or_a_lost_person_asks_for_a_detection():
    fallen = [*STILL[:4], *[[(10, 0.9), (300, 0.6)]] * 9]
    assert detections(fallen, 9) == [0, 1, 5]
    lost = [*STILL[:4], *[[(10, 0.9)]] * 2, *STILL[:7]]
    assert detections(lost, 9) == [0, 1, 5, 6]
    assert detections([[]] * 4, 9) == [0, 1, 2, 3]


def test_boxes_go_with_the_keypoints():
    tracker = Tracker()
    for number in range(6):
        tracker.update(poses_at([standing(10 + 5 * number)]), number * 0.04)
    between = BetweenDetections(tracker, 5)
    assert between.boxes(0.2) is None
    (box,) = between.boxes(0.24)
    np.testing.assert_allclose(box, standing(10 + 5 * 6).box, atol=8)


def test_a_box_without_enough_keypoints_is_where_the_last_one_moves():
    tracker = Tracker()
    hidden = replace(standing(10), keypoint_scores=np.full(17, 0.01, np.float32))
    for number in range(3):
        tracker.update(poses_at([hidden]), number * 0.04)
    between = BetweenDetections(tracker, 5)
    between.boxes(0.1)
    np.testing.assert_allclose(between.boxes(0.12)[0], standing(10).box, atol=0.5)


def test_two_at_one_place_ask_for_a_detection():
    apart, together = [(10, 0.9), (300, 0.9)], [(10, 0.9), (25, 0.9)]
    assert detections([apart] * 8, 9) == [0, 1]
    assert detections([together] * 8, 9) == list(range(8))


def test_at_least_every_frame():
    with pytest.raises(ValueError, match="expected 1 or more"):
        BetweenDetections(Tracker(), 0)
