"""Filters of whole tracks: what they remove, what they leave, what they fill in."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.inference.video.offline import Offline, fill_times, without_outliers

TIMES = np.arange(75) / 25
HEIGHTS = np.full(75, 200.0)
SURE = np.full((75, 1), 0.9)


def path(times=TIMES):
    """``(F, 1, 2)`` somebody who walks, and swings."""
    x = 100 * times + 10 * np.sin(2 * np.pi * times)
    return np.stack([x, np.zeros_like(x)], axis=-1)[:, None]


@pytest.mark.parametrize("name", ["savgol", "butterworth"])
def test_noise_goes_and_motion_stays_where_it_is(name):
    how = Offline(name)
    noise = np.random.default_rng(0).normal(0, 2, (75, 40, 2))
    smooth = how.smooth(TIMES, path() + noise, SURE.repeat(40, axis=1), HEIGHTS)
    # A cutoff of 5 Hz out of 12.5 leaves the root of 0.4 of white noise.
    assert abs(smooth - path()).mean() < 0.65 * abs(noise).mean()
    shake = np.diff(smooth - path(), 2, axis=0).std() / np.diff(noise, 2, axis=0).std()
    assert shake < 0.3
    clean = how.smooth(TIMES, path(), SURE, HEIGHTS)
    assert abs(clean - path()).max() < 0.5
    assert abs((clean - path()).mean()) < 0.02


@pytest.mark.parametrize("name", ["savgol", "butterworth"])
def test_uneven_times_are_times(name):
    steps = np.random.default_rng(0).choice((1 / 60, 1 / 30, 1 / 15), 75)
    times = np.cumsum(steps)
    smooth = Offline(name).smooth(times, path(times), SURE, HEIGHTS)
    assert abs(smooth - path(times)).mean() < 1


def test_butterworth_is_3_db_down_at_its_cutoff():
    """After both passes (Winter 2009)."""
    times = np.arange(400) / 50
    wave = 10 * np.cos(2 * np.pi * 5 * times)
    points = np.stack([wave, wave], axis=-1)[:, None]
    sure, heights = np.full((400, 1), 0.9), np.full(400, 20_000.0)
    smooth = Offline("butterworth").smooth(times, points, sure, heights)
    assert abs(smooth[100:300]).max() == pytest.approx(10 / 2**0.5, rel=0.01)


def test_an_outlier_is_replaced_and_its_neighbours_are_not_pulled():
    points = path()
    points[30] += 60
    smooth = Offline().smooth(TIMES, points, SURE, HEIGHTS)
    assert abs(smooth - path()).max() < 3
    still = np.zeros((9, 1))
    still[4] = 0.5  # nobody's height
    assert without_outliers(still, np.full(9, 200.0), 2)[4] == 0.5
    still[4] = 5
    assert without_outliers(still, np.full(9, 200.0), 2)[4] == 0


def test_unsure_keypoints_are_filled_in_for_no_longer_than_stated():
    points, scores = path(), SURE.copy()
    points[30:33] += 500
    scores[30:33] = 0.05
    smooth = Offline(max_gap=0.2).smooth(TIMES, points, scores, HEIGHTS)
    assert abs(smooth - path()).max() < 3
    scores[20:60], points[20:60] = 0.05, path()[20:60] + 500
    smooth = Offline(max_gap=0.2).smooth(TIMES, points, scores, HEIGHTS)
    assert abs(smooth - points)[25:55].max() < 3


def test_a_track_is_cut_at_long_gaps_alone():
    how = Offline(max_gap=0.2)
    times = np.array([0, 0.04, 0.08, 0.2, 0.24, 1.0, 1.04])
    assert how.pieces(times) == [slice(0, 5), slice(5, 7)]
    assert Offline(max_gap=0).pieces(times) == [slice(0, 3), slice(3, 5), slice(5, 7)]
    assert how.pieces(times[:1]) == [slice(0, 1)]


def test_frames_between_are_filled_up_to_the_stated_length():
    every = np.arange(10) / 10
    times = every[[0, 1, 4, 8]]
    assert fill_times(times, every, 0.3).tolist() == pytest.approx([0.2, 0.3])
    assert fill_times(times, every, 0.2).tolist() == []


@pytest.mark.parametrize("name", ["savgol", "butterworth"])
def test_short_pieces_and_low_rates_come_through(name):
    for count in range(1, 9):
        times = TIMES[:count]
        smooth = Offline(name).smooth(times, path(times), SURE[:count], HEIGHTS[:count])
        assert np.isfinite(smooth).all()
        assert abs(smooth - path(times)).max() < 3
    slow = np.arange(20) / 2
    smooth = Offline(name).smooth(slow, path(slow), SURE[:20], HEIGHTS[:20])
    np.testing.assert_allclose(smooth, path(slow), atol=1e-6)


def test_the_filter_is_named_with_its_numbers():
    assert Offline().description == "savgol window_s=0.36 order=2 hampel=3 max_gap_s=0.2"
    assert Offline("butterworth").description.startswith("butterworth cutoff_hz=5 order=4")
    with pytest.raises(ValueError, match="expected numbers above 0"):
        Offline(window_s=0)
