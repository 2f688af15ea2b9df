"""Each person gets the pose that fits best in its image; best and worst are told by numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.evaluation.matching import MIN_KEYPOINTS, Match, best_and_worst, match_best
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import make_people, make_poses


def test_each_person_gets_the_pose_of_highest_oks_in_the_image():
    people = make_people(6)
    poses = make_poses(people, [0, 1, 2, 4, 8, 16])
    match = match_best(people, poses[[5, 4, 3, 2, 1, 0]], COCO17.sigmas)
    assert match.pose.tolist()[:4] == [5, 4, 3, 2]
    assert match.oks[0] == pytest.approx(1)
    assert match.oks[:4].tolist() == sorted(match.oks[:4], reverse=True)


def test_a_person_without_a_pose_in_the_image_has_none():
    people = make_people(6)
    poses = make_poses(people, np.zeros(6))[[0, 1, 4]]
    match = match_best(people, poses, COCO17.sigmas)
    assert (match.pose[2:4] == -1).all()
    assert (match.oks[2:4] == 0).all()
    # The other person of its image has one, which is no reason to have none.
    assert match.pose[5] == 2


def test_best_and_worst_by_numbers():
    people = make_people(8)
    oks = np.array([0.5, 0.9, 0.1, 1.0, 0.3, 0.7, 0.0, 0.2])
    visibility = people.visibility.copy()
    visibility[3, MIN_KEYPOINTS - 1 :] = 0  # nearly unlabelled persons say little
    visibility[6, MIN_KEYPOINTS - 1 :] = 0
    people = replace(people, visibility=visibility)
    best, worst = best_and_worst(people, Match(oks, np.arange(8)), 2)
    assert best.tolist() == [1, 5]
    assert worst.tolist() == [2, 7]
    best, worst = best_and_worst(people, Match(oks, np.arange(8)), 12)
    assert best.tolist() == [1, 5, 0]
    assert worst.tolist() == [2, 7, 4]
    visibility[:, 2:] = 0
    best, worst = best_and_worst(replace(people, visibility=visibility), Match(oks, oks), 1)
    assert (best.tolist(), worst.tolist()) == ([3], [6])
