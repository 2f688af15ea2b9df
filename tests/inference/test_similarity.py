"""How a pose is compared with what a track expects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.inference.video.similarity import (
    expected_elsewhere,
    moved,
    not_repeated,
    similarities,
    within_reach,
)
from pose_hrnet.inference.video.tracker import Track
from tests.helpers.motion import poses_at, standing


def seen(left):
    """A track of somebody who stood there at 0 s."""
    return Track.begun(poses_at([standing(left)]), 0, 0.0)


def compared(tracks, poses):
    """By all keypoints, a frame later."""
    return similarities(tracks, poses, 0.04, np.ones(poses.keypoint_scores.shape, bool))


def test_boxes_and_keypoints_are_compared_where_they_are_expected():
    iou, oks = compared([seen(100), seen(400)], poses_at([standing(100), standing(130)]))
    np.testing.assert_allclose(iou, [[1, 1 / 3], [0, 0]])
    assert oks[0, 0] == 1
    assert oks[0, 1] < 0.5
    assert oks[1].max() < 1e-3


def test_keypoints_that_the_track_has_not_seen_do_not_count():
    track = seen(100)
    poses = poses_at([standing(100)])
    poses.keypoints_image[0, 9] += 500
    assert compared([track], poses)[1] < 1
    track.keypoint_scores = track.keypoint_scores.copy()
    track.keypoint_scores[9] = 0.1
    assert compared([track], poses)[1] == 1


def test_too_few_keypoints_tell_nobody_apart():
    track = seen(100)
    track.keypoint_scores = np.where(np.arange(17) < 2, 0.9, 0.1).astype(np.float32)
    iou, oks = compared([track], poses_at([standing(100), standing(130)]))
    np.testing.assert_array_equal(iou, oks)


def test_a_skeleton_that_is_not_known_is_compared_too():
    poses = replace(poses_at([standing(100)]), skeleton=None)
    assert compared([seen(100)], poses)[1] == 1


def test_who_was_hidden_is_looked_for_farther_the_longer():
    away = poses_at([standing(100 + 100)])  # 0.6 heights
    assert within_reach([seen(100)], away, 0.05) == 0
    assert within_reach([seen(100)], away, 0.3) < 0.6
    assert within_reach([seen(100)], away, 1.0) > 0.6
    assert within_reach([seen(100)], poses_at([standing(500)]), 1.5) <= 0
    half = standing(100)
    half.box[0] = 145  # a part of it is as good
    assert within_reach([seen(100)], poses_at([half]), 0.3) > 0.9


def test_motion_is_that_of_most_keypoints():
    before = standing(100).keypoints
    after = before + np.float32((3, -2))
    after[:5] += 50
    every = np.ones(17, bool)
    assert moved(before, after, every).tolist() == pytest.approx([3, -2], abs=1e-4)
    assert moved(before, after, np.arange(17) < 5) is None


def seen_twice():
    """Somebody in front, and somebody behind in whose box the left half of the first is seen."""
    front, behind = standing(100, 0.9), standing(130, 0.5)
    behind.keypoints[1::2] = front.keypoints[1::2]
    return [front, behind]


def test_keypoints_at_the_place_of_a_better_pose_are_not_its_own():
    own = not_repeated(poses_at(seen_twice()))
    assert own[0].all()
    assert own[1].tolist() == [k % 2 == 0 for k in range(17)]
    assert not_repeated(poses_at(seen_twice()[::-1]))[1].all()
    assert not_repeated(poses_at([])).shape == (0, 17)


def test_places_are_as_large_as_persons_and_not_as_their_padded_crops():
    """A crop of 3 to 4 around somebody who stands, padded by a quarter, is 3 times as large."""
    poses = poses_at([standing(100, 0.9), standing(130, 0.5)])
    for areas in (poses.areas, 3 * poses.areas):
        assert not_repeated(replace(poses, areas=areas)).all()


def test_keypoints_that_another_track_expects_are_not_its_own():
    """Also where that one has no pose, and whatever the scores say."""
    front, behind = seen_twice()
    poses = poses_at([replace(behind, score=0.99)])
    elsewhere = expected_elsewhere([seen(130), seen(100)], poses, [0], 0.04)
    assert elsewhere.tolist() == [[k % 2 == 1 for k in range(17)]]
    assert not expected_elsewhere([seen(130), seen(400)], poses, [0], 0.04).any()
    assert not expected_elsewhere([seen(100), seen(130)], poses_at([front]), [0], 0.04).any()


def test_keypoints_that_are_not_its_own_do_not_count():
    poses = poses_at(seen_twice()[1:])
    own = np.arange(17)[None] % 2 == 0
    assert compared([seen(130)], poses)[1] < 0.8
    assert similarities([seen(130)], poses, 0.04, own)[1] == 1
