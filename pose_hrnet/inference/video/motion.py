"""Where a person's box is expected: a Kalman filter of constant velocity, on real times.

Centre and size of a box are four numbers, each with a filter of its own: value and velocity, moved
by a random acceleration (white noise, Bar-Shalom et al., Estimation with Applications to Tracking
and Navigation, 2001, section 6.2). Noise is stated in heights of the person, so that who is near
and who is far are treated alike, and in seconds, so that the frame rate does not matter.
"""

from __future__ import annotations

import numpy as np

from pose_hrnet.keypoints.records import Float64

_ACCELERATION = np.array((4.0, 4.0, 1.0, 1.0))
"""Heights per square second, by which centre x, y, width and height change their velocity."""
_MEASURED = np.array((0.02, 0.02, 0.05, 0.05))
"""Heights, by which detected boxes are off; sizes more than centres."""
_FIRST_VELOCITY = np.array((1.0, 1.0, 0.2, 0.2))
"""Heights per second, of a person who has been seen once."""


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
        self.covariance[:, 0, 0] = (_MEASURED * self._height) ** 2
        self.covariance[:, 1, 1] = (_FIRST_VELOCITY * self._height) ** 2

    @property
    def _height(self) -> float:
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
        strength = (_ACCELERATION * self._height) ** 2 * 0.1
        return state, step @ self.covariance @ step.T + strength[:, None, None] * noise

    def box_at(self, time_s: float) -> Float64:
        """``(4,)`` left, top, right, bottom where the person is expected, image pixels.

        A size goes on changing for as long as a frame or two: who is hidden neither shrinks nor
        grows.
        """
        state, _ = self._moved(time_s, sizes=time_s - self.time_s < _SIZES_CHANGE_S)
        centre, size = state[:2, 0], state[2:, 0]
        return np.concatenate([centre - size / 2, centre + size / 2])

    def update(self, box_xyxy: Float64, time_s: float) -> None:
        """Take in a box that was seen.

        Args:
            box_xyxy: ``(4,)`` image pixels.
            time_s: When, seconds; later than before.
        """
        state, covariance = self._moved(time_s, sizes=time_s - self.time_s < _SIZES_CHANGE_S)
        variance = covariance[:, 0, 0] + (_MEASURED * self._height) ** 2
        gain = covariance[:, :, 0] / variance[:, None]
        off = _centre_and_size(box_xyxy) - state[:, 0]
        self.state = state + gain * off[:, None]
        self.covariance = covariance - gain[:, :, None] * covariance[:, None, 0, :]
        self.time_s = time_s


_SIZES_CHANGE_S = 0.2


def _centre_and_size(box_xyxy: Float64) -> Float64:
    low, high = box_xyxy[:2], box_xyxy[2:]
    return np.concatenate([(low + high) / 2, high - low])
