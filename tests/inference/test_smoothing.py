"""Online smoothing: no shaking, no lag, no memory over gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.inference.video.smoothing import OneEuro
from tests.helpers.motion import poses_at, standing


def one(left, score=0.9, track=1):
    poses = poses_at([standing(left, score)])
    return replace(poses, track_ids=np.array([track]))


def lefts(smoother, path, times, score=0.9):
    """The smoothed left edges of somebody who is said to be at those of a path."""
    x = [smoother.update(one(left, score), t).keypoints_image[0, 0, 0]
         for left, t in zip(path, times, strict=True)]  # fmt: skip
    return np.array(x) - standing(0).keypoints[0, 0]


def test_who_stands_still_shakes_less():
    rng = np.random.default_rng(0)
    smoother, raw, smooth = OneEuro(), [], []
    for number in range(60):
        poses = one(100)
        shaken = poses.keypoints_image + rng.normal(0, 1, (1, 17, 2)).astype(np.float32)
        raw.append(shaken[0])
        shaken = replace(poses, keypoints_image=shaken)
        smooth.append(smoother.update(shaken, number / 30).keypoints_image[0])
    raw, smooth = (np.array(each) - one(100).keypoints_image[0] for each in (raw, smooth))
    assert np.diff(smooth, 2, axis=0).std() < 0.4 * np.diff(raw, 2, axis=0).std()
    assert abs(smooth[20:]).mean() < 0.75 * abs(raw[20:]).mean()


def test_an_arm_that_swings_is_followed_within_a_frame():
    """0.25 heights to and fro in a second, as of somebody who walks."""
    smoother, times, swing, smooth = OneEuro(), np.arange(75) / 25, [], []
    for t in times:
        poses = one(100)
        poses.keypoints_image[0, 9, 0] += 0.125 * 160 * np.sin(2 * np.pi * t)
        swing.append(poses.keypoints_image[0, 9, 0])
        smooth.append(smoother.update(poses, t).keypoints_image[0, 9, 0])
    lags = np.arange(0, 3, 0.1)
    earlier = [np.interp(times - lag / 25, times, swing)[25:] for lag in lags]
    errors = [abs(np.array(smooth)[25:] - each).mean() for each in earlier]
    assert lags[int(np.argmin(errors))] < 1


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_who_walks_is_followed_within_a_frame(rate):
    times = np.arange(2 * rate) / rate
    speed = 0.8 * 160  # heights per second: 1.4 m/s, of somebody 1.75 m tall
    smooth = lefts(OneEuro(), 100 + speed * times, times)
    lag = (100 + speed * times - smooth)[rate:] / speed
    assert 0 <= lag.mean() * rate < 1


def test_an_uncertain_keypoint_counts_for_less():
    times = np.arange(3) / 25
    path = np.array([100, 100, 110])
    assert lefts(OneEuro(), path, times, 0.1)[2] < lefts(OneEuro(), path, times, 0.9)[2] - 1


def test_after_a_gap_the_filter_begins_anew():
    assert lefts(OneEuro(max_gap=0.5), [100, 100, 300], [0, 0.04, 0.6])[2] == 300
    assert lefts(OneEuro(max_gap=0.5), [100, 100, 300], [0, 0.04, 0.4])[2] < 300


def test_predicted_keypoints_are_kept_beside_and_the_filter_is_named():
    smoother = OneEuro()
    smoother.update(one(100), 0)
    poses = one(110)
    smooth = smoother.update(poses, 0.04)
    assert smooth.raw_keypoints_image is poses.keypoints_image
    assert not np.array_equal(smooth.keypoints_image, poses.keypoints_image)
    (row,) = smooth.to_coco()
    assert row["smoothing"].startswith("one_euro min_cutoff_hz=")
    assert row["raw_keypoints"] == poses.to_coco()[0]["keypoints"]


def test_persons_do_not_mix_and_those_without_a_track_stay():
    smoother = OneEuro()
    smoother.update(one(100, track=1), 0)
    assert smoother.update(one(300, track=2), 0.04).keypoints_image[0, 0, 0] == 330
    smoother.update(one(100, track=-1), 0.08)
    assert smoother.update(one(300, track=-1), 0.12).keypoints_image[0, 0, 0] == 330


def test_bad_frames_are_refused():
    with pytest.raises(ValueError, match="no track_ids"):
        OneEuro().update(poses_at([standing(10)]), 0)
    smoother = OneEuro()
    smoother.update(one(100), 1)
    with pytest.raises(ValueError, match="track 1 is at 1 s after it was at 1 s"):
        smoother.update(one(100), 1)
    with pytest.raises(ValueError, match="expected positive numbers"):
        OneEuro(min_cutoff=0)
