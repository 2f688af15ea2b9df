"""Where a person's box is expected: a Kalman filter of constant velocity, on real times.

Centre and size of a box are four numbers, each with a filter of its own: value and velocity, moved
by a random acceleration (white noise, Bar-Shalom et al., Estimation with Applications to Tracking
and Navigation, 2001, section 6.2). Noise is stated in heights of the person, so that who is near
and who is far are treated alike, and in seconds, so that the frame rate does not matter.
"""

from __future__ import annotations

import numpy as np

from pose_hrnet.keypoints.records import Float64

_ACCELERATION = np.array((0.6, 0.6, 0.15, 0.15))
"""Of centre x, y, width and height: heights per second to the power 1.5, so that in a second a
velocity changes by about as many heights per second."""
_BOX_OFF = np.array((0.05, 0.05, 0.1, 0.1))
"""Heights, by which detected boxes are off; sizes more than centres."""
_KEYPOINTS_OFF = 0.01
"""Heights, by which the motion of the keypoints together is off."""
_FIRST_VELOCITY = np.array((1.0, 1.0, 0.2, 0.2))
"""Heights per second, of a person who has been seen once."""
_SIZES_CHANGE_S = 0.2
"""Seconds for which a size goes on changing: who is hidden neither shrinks nor grows."""


class BoxMotion:
    """The box of one person over time.

    Args:
        box_xyxy: ``(4,)`` image pixels, where it is first seen.
        time_s: Then, seconds.
    """

    def __init__(self, box_xyxy: Float64, time_s: float) -> None:
        self.state = np.zeros((4, 2))  # value and velocity of centre x, y, width, height
        self.state[:, 0] = _centre_and_size(box_xyxy)
        self.time_s = time_s
        self.covariance = np.zeros((4, 2, 2))
        self.covariance[:, 0, 0] = (_BOX_OFF * self.height) ** 2
        self.covariance[:, 1, 1] = (_FIRST_VELOCITY * self.height) ** 2

    @property
    def height(self) -> float:
        """Pixels; what noise is measured by, also of a person who lies."""
        return float(max(self.state[2:, 0].max(), 1.0))

    def _moved(self, time_s: float, *, sizes: bool) -> tuple[Float64, Float64]:
        """State and covariance at another time; without `sizes`, they stay what they are."""
        step = np.array(((1.0, time_s - self.time_s), (0.0, 1.0)))
        dt = step[0, 1]
        state = self.state @ step.T
        if not sizes:
            state[2:, 0] = self.state[2:, 0]
        state[2:, 0] = np.maximum(state[2:, 0], 0.5 * self.state[2:, 0])
        noise = np.array(((dt**3 / 3, dt**2 / 2), (dt**2 / 2, dt)))
        strength = (_ACCELERATION * self.height) ** 2
        return state, step @ self.covariance @ step.T + strength[:, None, None] * noise

    def box_at(self, time_s: float) -> Float64:
        """``(4,)`` left, top, right, bottom where the person is expected, image pixels."""
        state, _ = self._moved(time_s, sizes=time_s - self.time_s < _SIZES_CHANGE_S)
        centre, size = state[:2, 0], state[2:, 0]
        return np.concatenate([centre - size / 2, centre + size / 2])

    def update(
        self, box_xyxy: Float64, time_s: float, moved: Float64 | None = None, sure: float = 1.0
    ) -> None:
        """Take in a box that was seen.

        Args:
            box_xyxy: ``(4,)`` image pixels.
            time_s: When, seconds; later than before.
            moved: ``(2,)`` pixels by which the person moved since the last time, where its
                keypoints tell: the box of somebody who goes behind something shrinks, and its
                centre stays behind.
            sure: From 0 to 1; what is less sure is off by more.
        """
        dt = time_s - self.time_s
        state, covariance = self._moved(time_s, sizes=dt < _SIZES_CHANGE_S)
        self.time_s = time_s
        unit = self.height / max(sure, 1e-3)
        off = _centre_and_size(box_xyxy) - state[:, 0]
        state, covariance = _corrected(state, covariance, 0, off, (_BOX_OFF * unit) ** 2)
        if moved is not None:
            off = np.concatenate([moved / dt - state[:2, 1], np.zeros(2)])
            noise = np.array((1, 1, np.inf, np.inf)) * (_KEYPOINTS_OFF * unit / dt) ** 2
            state, covariance = _corrected(state, covariance, 1, off, noise)
        self.state, self.covariance = state, covariance


def _corrected(
    state: Float64, covariance: Float64, which: int, off: Float64, variance: Float64
) -> tuple[Float64, Float64]:
    """Kalman's correction by a measured value (0) or velocity (1), which is `off`."""
    gain = covariance[:, :, which] / (covariance[:, which, which] + variance)[:, None]
    return (
        state + gain * off[:, None],
        covariance - gain[:, :, None] * covariance[:, None, which, :],
    )


def _centre_and_size(box_xyxy: Float64) -> Float64:
    low, high = box_xyxy[:2], box_xyxy[2:]
    return np.concatenate([(low + high) / 2, high - low])
