"""Keypoints without jitter, frame by frame as they come: the One-Euro filter.

A low-pass filter whose cutoff grows with speed: who stands still does not shake, and who moves is
followed without lag (Casiez, Roussel and Vogel, CHI 2012). Speeds are in heights of the person per
second, so that one setting does for near and far, and times are those of the frames.

What all keypoints do together, as when a person walks or the camera turns, shakes less than each
of them: it is followed almost as it is, and what each does beside it is smoothed. That costs half
the lag of smoothing each keypoint where it is in the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pose_hrnet.inference.video.similarity import moved
from pose_hrnet.inference.video.tracker import UNCONFIRMED
from pose_hrnet.keypoints.records import SEEN_SCORE, Float32, Float64, Poses

_SPEED_CUTOFF = 1.0
"""Hertz, at which speeds are smoothed: the authors' value."""
_BODY_CUTOFF = 8.0
"""Hertz, at which the speed of all keypoints together is smoothed."""
_SURE = 0.5
"""Keypoint score from which on a keypoint counts in full; below it, in proportion."""


@dataclass
class _Person:
    """What the filter keeps of a track.

    Attributes:
        time_s: When it was last seen.
        raw: ``(K, 2)`` predicted keypoints then, image pixels.
        scores: ``(K,)`` of them.
        smooth: ``(K, 2)`` smoothed ones.
        body_speed: ``(2,)`` smoothed speed of all together, heights per second.
        speed: ``(K, 2)`` smoothed speed of each beside it, heights per second.
        height: Of the person, pixels, smoothed.
    """

    time_s: float
    raw: Float64
    scores: Float32
    smooth: Float64
    body_speed: Float64
    speed: Float64
    height: float


class OneEuro:
    """Smooths the keypoints of tracked persons.

    Args:
        min_cutoff: Hertz, of keypoints that do what the body does: lower is smoother.
        beta: Hertz by which the cutoff grows for each height per second: higher lags less.
        max_gap: Seconds; a person who was not seen for longer begins anew.

    Attributes:
        description: The filter and its numbers, for the file.

    Raises:
        ValueError: If a number is not above 0 (`beta` may be 0).
    """

    def __init__(
        self, *, min_cutoff: float = 2.0, beta: float = 10.0, max_gap: float = 0.5
    ) -> None:
        if not (min_cutoff > 0 and beta >= 0 and max_gap > 0):
            raise ValueError(
                f"a One-Euro filter got min_cutoff {min_cutoff} Hz, beta {beta} and max_gap "
                f"{max_gap} s; expected positive numbers"
            )
        self.min_cutoff, self.beta, self.max_gap = min_cutoff, beta, max_gap
        self.description = (
            f"one_euro min_cutoff_hz={min_cutoff:g} beta={beta:g} max_gap_s={max_gap:g}"
        )
        self._persons: dict[int, _Person] = {}

    def update(self, poses: Poses, time_s: float) -> Poses:
        """Smooth the poses of the next frame.

        Args:
            poses: N persons with `track_ids`; those without a track stay as they are.
            time_s: The time of the frame, seconds.

        Returns:
            The same persons with smoothed keypoints, and the predicted ones as
            `raw_keypoints_image`.

        Raises:
            ValueError: If the poses are not tracked, or the time is not later than before.
        """
        if poses.track_ids is None:
            raise ValueError("the poses have no track_ids; a Tracker gives them, before smoothing")
        self._persons = {
            number: person
            for number, person in self._persons.items()
            if time_s - person.time_s <= self.max_gap
        }
        smooth = poses.keypoints_image.copy()
        for row, number in enumerate(poses.track_ids.tolist()):
            if number != UNCONFIRMED:
                smooth[row] = self._smoothed(number, poses, row, time_s)
        return replace(
            poses,
            keypoints_image=smooth,
            raw_keypoints_image=poses.keypoints_image,
            smoothing=self.description,
        )

    def _smoothed(self, number: int, poses: Poses, row: int, time_s: float) -> Float64:
        """``(K, 2)`` smoothed keypoints of a person."""
        raw: Float64 = poses.keypoints_image[row].astype(np.float64)
        left, top, right, bottom = poses.boxes_xyxy[row].tolist()
        height = max(bottom - top, right - left, 1.0)
        person = self._persons.get(number)
        scores = poses.keypoint_scores[row]
        if person is None:
            still = np.zeros(2), np.zeros_like(raw)
            self._persons[number] = _Person(time_s, raw, scores, raw, *still, height)
            return raw
        dt = time_s - person.time_s
        if dt <= 0:
            raise ValueError(
                f"track {number} is at {time_s} s after it was at {person.time_s} s; expected "
                "later times"
            )
        kept = _kept(_SPEED_CUTOFF, dt)
        person.height += float(kept) * (height - person.height)
        seen = np.minimum(person.scores, scores) >= SEEN_SCORE
        by = moved(person.raw, raw, seen)
        body_speed = person.body_speed if by is None else by / (dt * person.height)
        person.body_speed = person.body_speed + _kept(_BODY_CUTOFF, dt) * (
            body_speed - person.body_speed
        )
        shift = person.body_speed * dt * person.height
        speed = (raw - person.raw - shift) / (dt * person.height)
        person.speed = person.speed + kept * (speed - person.speed)
        fastness = np.linalg.norm(person.speed, axis=1, keepdims=True)
        sure = np.clip(scores[:, None] / _SURE, 0.05, 1.0)
        share = sure * _kept(self.min_cutoff + self.beta * fastness, dt)
        expected = person.smooth + shift
        person.smooth = expected + share * (raw - expected)
        person.raw, person.scores, person.time_s = raw, scores, time_s
        return person.smooth


def _kept(cutoff: float | Float64, dt: float) -> Float64:
    """Share of a new value that a low-pass filter of first order takes in after `dt` seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * dt)))
