"""A calibration is a rising curve, or it is none."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.keypoints.calibration import Calibration

CURVE = Calibration((0.1, 0.5, 0.9), (0.2, 0.8, 1.0))


def test_scores_follow_the_lines_between_the_points_and_stay_at_the_ends():
    scores = np.array([[0.0, 0.1, 0.3], [0.5, 0.9, 7.0]], np.float32)
    expected = np.array([[0.2, 0.2, 0.5], [0.8, 1.0, 1.0]])
    found = CURVE(scores)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert CURVE(np.empty((0, 17))).shape == (0, 17)
    assert Calibration(**CURVE.to_dict()) == Calibration([0.1, 0.5, 0.9], [0.2, 0.8, 1.0])


@pytest.mark.parametrize(
    ("scores", "probabilities", "fault"),
    [
        ([], [], "0 scores and 0 probabilities"),
        ([0.1, 0.2], [0.5], "2 scores and 1 probabilities"),
        ([0.2, 0.1], [0.5, 0.6], "do not rise"),
        ([0.1, 0.1], [0.5, 0.6], "do not rise"),
        ([0.1, float("nan")], [0.5, 0.6], "do not rise"),
        ([0.1, 0.2], [0.6, 0.5], "fall, or are not between 0 and 1"),
        ([0.1, 0.2], [0.6, 1.5], "fall, or are not between 0 and 1"),
        ([0.1, 0.2], [float("nan"), 0.5], "fall, or are not between 0 and 1"),
    ],
)
def test_what_is_no_curve_is_said(scores, probabilities, fault):
    with pytest.raises(ValueError, match=fault):
        Calibration(tuple(scores), tuple(probabilities))
