"""Where a box is expected."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.inference.video.motion import BoxMotion

BOX = np.array((10.0, 40, 70, 200))


@pytest.mark.parametrize("rate", [10, 30, 120])
def test_constant_velocity_is_learnt_in_seconds_whatever_the_rate(rate):
    step = np.array((120.0, 30, 150, 60)) / rate  # moves and grows
    motion = BoxMotion(BOX, 0.0)
    for number in range(1, 2 * rate):
        motion.update(BOX + number * step, number / rate)
    np.testing.assert_allclose(motion.box_at(2.0), BOX + 2 * rate * step, atol=1.5)


def test_uneven_times_give_the_same_velocity():
    times = np.cumsum(np.random.default_rng(0).choice((0.02, 0.04, 0.1), 60))
    motion = BoxMotion(BOX, 0.0)
    for time_s in times:
        motion.update(BOX + 100 * time_s * np.array((1, 0, 1, 0)), time_s)
    later = times[-1] + 0.1
    np.testing.assert_allclose(motion.box_at(later)[0], 10 + 100 * later, atol=1)


def test_who_is_hidden_moves_on_and_keeps_the_size():
    motion = BoxMotion(BOX, 0.0)
    for number in range(1, 30):
        motion.update(BOX + number * np.array((3.0, 0, 5, 0)), number / 30)
    last, later = motion.box_at(29 / 30), motion.box_at(59 / 30)
    np.testing.assert_allclose(later[2:] - later[:2], last[2:] - last[:2])
    assert 100 < (later[:2] + later[2:] - last[:2] - last[2:])[0] / 2 < 140


def test_jitter_is_not_taken_for_motion():
    rng = np.random.default_rng(0)
    motion = BoxMotion(BOX, 0.0)
    for number in range(1, 90):
        motion.update(BOX + rng.normal(0, 3, 4), number / 30)
    np.testing.assert_allclose(motion.box_at(3.5), BOX, atol=25)
