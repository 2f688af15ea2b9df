"""Ids that stay, in cases that are small enough to be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.inference.video.tracker import Tracker
from tests.helpers.motion import Person, poses_at, standing


def walk(tracker, frames, dt=0.04):
    """The ids of each frame, given the left edges (and scores) of its persons."""
    ids = []
    for number, persons in enumerate(frames):
        people = [standing(*person) if isinstance(person, tuple) else standing(person)
                  for person in persons]  # fmt: skip
        tracked = tracker.update(poses_at(people), number * dt)
        assert tracked.time_s.tolist() == [number * dt] * len(people)
        ids.append(tracked.track_ids.tolist())
    return ids


def half_hidden(tracker):
    """Two who stand, until the model sees who is in front in both boxes; the two, as they are."""
    front, behind = standing(100), standing(130, 0.8)
    again = replace(behind, keypoints=front.keypoints, score=0.5)
    for number in range(12):
        second = behind if number < 3 else again
        tracked = tracker.update(poses_at([front, second]), number * 0.04)
        assert tracked.track_ids.tolist() == ([1, 2] if number else [-1, -1])
    return front, behind


def test_an_id_comes_with_the_second_hit_and_begins_at_1():
    assert walk(Tracker(), [[10, 300], [12, 298], [14, 296]]) == [[-1, -1], [1, 2], [1, 2]]


def test_ids_follow_persons_and_not_rows():
    assert walk(Tracker(), [[10, 300], [300, 10], [10, 300]]) == [[-1, -1], [2, 1], [1, 2]]


def test_who_is_seen_once_gets_no_id_and_uses_none_up():
    assert walk(Tracker(), [[10, 300], [10], [10], [10, 600], [10, 600]]) == [
        [-1, -1], [1], [1], [1, -1], [1, 2],
    ]  # fmt: skip


def test_the_first_hits_are_known_one_frame_later():
    tracker = Tracker()
    tracker.update(poses_at([standing(300), standing(10)]), 0.0)
    assert tracker.first_hits == {}
    tracker.update(poses_at([standing(10), standing(300)]), 0.04)
    assert tracker.first_hits == {0: 1, 1: 2}


def test_ids_are_never_used_again():
    tracker = Tracker(max_unseen=0.1)
    ids = walk(tracker, [[10], [10], [], [], [], [], [10], [10]])
    assert ids == [[-1], [1], [], [], [], [], [-1], [2]]


def test_seconds_and_not_frames_decide_who_is_forgotten():
    for dt, last in ((0.04, 1), (0.9, 2)):
        ids = walk(Tracker(max_unseen=1.0), [[10], [10], [], [], [10], [10]], dt)
        assert ids[-1] == [last]


def test_a_low_score_continues_a_track_and_begins_none():
    low = 0.1
    ids = walk(Tracker(), [[10, (300, low)], [10, (300, low)], [(10, low), (300, low)]])
    assert ids == [[-1, -1], [1, -1], [1, -1]]
    assert walk(Tracker(), [[10], [10], [(10, 0.01)]])[-1] == [-1]


def test_a_person_who_walks_is_expected_ahead():
    frames = [[0], [20], [40], [60], [80], [], [], [], [], [180]]  # boxes of 60 by 160
    assert walk(Tracker(keypoints=False), frames)[-1] == [1]
    assert walk(Tracker(keypoints=False), [[0], [70], [140]])[-1] == [-1]  # they do not touch


def test_keypoints_tell_persons_apart_whose_boxes_are_the_same():
    persons = [standing(100), standing(112)]
    middle = standing(106).box
    for keypoints, expected in ((True, [2, 1]), (False, [1, 2])):
        tracker = Tracker(keypoints=keypoints)
        for number in range(3):
            tracker.update(poses_at(persons), number * 0.04)
        crossing = poses_at([replace(person, box=middle) for person in persons[::-1]])
        assert tracker.update(crossing, 0.12).track_ids.tolist() == expected


def test_who_is_behind_keeps_own_keypoints_where_the_model_sees_who_is_in_front():
    """In both boxes: else the two would be the same to whatever comes next."""
    tracker = Tracker()
    front, behind = half_hidden(tracker)
    first, second = sorted(tracker.tracks, key=lambda track: track.id)
    np.testing.assert_allclose(first.keypoints_image, front.keypoints, atol=1)
    np.testing.assert_allclose(second.keypoints_image, behind.keypoints, atol=3)
    alone = tracker.update(poses_at([replace(front, box=standing(115).box)]), 12 * 0.04)
    assert alone.track_ids.tolist() == [1]


def test_keypoints_that_come_back_are_no_motion():
    """What was expected of them meanwhile was off: they did not go from there in one frame."""
    tracker = Tracker()
    front, behind = half_hidden(tracker)
    back = replace(behind, keypoints=behind.keypoints + np.float32((15, 0)))
    tracker.update(poses_at([front, back]), 12 * 0.04)
    (track,) = (each for each in tracker.tracks if each.id == 2)
    assert abs(track.motion.state[:2, 1]).max() < 20  # pixels per second


def test_bad_frames_are_refused():
    tracker = Tracker()
    tracker.update(poses_at([standing(10)]), 1.0)
    with pytest.raises(ValueError, match=r"a frame at 1\.0 s follows one at 1\.0 s"):
        tracker.update(poses_at([]), 1.0)
    poses = poses_at([standing(10)])
    with pytest.raises(ValueError, match="not finite"):
        tracker.update(replace(poses, scores=np.float32([np.nan])), 2.0)
    with pytest.raises(ValueError, match="expected 0 <= low_score"):
        Tracker(low_score=0.5, high_score=0.4)


def test_frames_without_persons_are_frames():
    tracked = Tracker().update(poses_at([]), 0.0)
    assert len(tracked) == 0
    assert tracked.track_ids.dtype == np.int64


def test_a_newcomer_far_away_costs_nobody_who_comes_back_an_id():
    """Distances count in heights: to somebody small, who is hidden, too, it is very far."""
    near, small = standing(100), standing(320)
    middle = small.box.reshape(2, 2).mean(axis=0)
    points = ((small.keypoints - middle) / 8 + middle).astype(np.float32)
    box = ((small.box.reshape(2, 2) - middle) / 8 + middle).astype(np.float32).ravel()
    small = Person(points, small.keypoint_scores, box, small.score)
    tracker = Tracker()
    for number in range(3):
        tracker.update(poses_at([near, small]), number * 0.04)
    tracker.update(poses_at([]), 0.12)
    # Nearly where it was, but turned round, so that neither box nor keypoints say who it is.
    back = Person(near.keypoints, np.full(17, 0.9, np.float32),
                  np.array((120, 150, 150, 190), np.float32), 0.9)  # fmt: skip
    back = replace(back, keypoints=back.keypoints[::-1].copy())
    found = tracker.update(poses_at([back, standing(3000)]), 0.32)
    assert found.track_ids.tolist() == [1, -1]
