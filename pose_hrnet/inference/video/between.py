"""Frames without a detector: boxes come from the last keypoints of those who are tracked."""

from __future__ import annotations

import numpy as np

from pose_hrnet.inference.video.tracker import UNCONFIRMED, Track, Tracker
from pose_hrnet.keypoints.geometry import iou_matrix
from pose_hrnet.keypoints.records import SEEN_SCORE, Float32, Float64

_FALLEN = 0.75
"""Share of the score at the last detection, below which a pose asks for the next one."""
_CROWDED = 0.5
"""IoU of two expected boxes from which on one pose may be taken for the other's."""
_MARGIN = 0.1
"""Of the extent of the keypoints on each side: COCO's boxes hold scalps, hands and feet, too."""
_BOUNDING = 0.5
"""Share of the keypoints that must be seen to say where the box is."""


class BetweenDetections:
    """Says for each frame whether to detect, and otherwise where the persons are.

    Args:
        tracker: That takes in the poses of each frame.
        every: Frames from one detection to the next at most; 1: all.

    Raises:
        ValueError: If `every` is below 1.

    Example:
        >>> between = BetweenDetections(tracker, every=5)  # doctest: +SKIP
        >>> boxes = between.boxes(time_s)  # doctest: +SKIP
        >>> boxes = detect(image) if boxes is None else boxes  # doctest: +SKIP
        >>> poses = tracker.update(estimator(image, boxes), time_s)  # doctest: +SKIP
    """

    def __init__(self, tracker: Tracker, every: int) -> None:
        if every < 1:
            raise ValueError(f"a detection every {every} frames; expected 1 or more")
        self.tracker, self.every = tracker, every
        self._since = every
        self._scores: dict[int, float] = {}

    def boxes(self, time_s: float) -> Float32 | None:
        """Where to predict poses in the next frame.

        Args:
            time_s: Its time, seconds.

        Returns:
            ``(N, 4)`` left, top, right, bottom, image pixels; None: this frame wants a detection,
            as it is its turn, there is nobody, somebody is not confirmed, was not seen in the
            last frame, or has a score that fell since the last detection, or two are at one
            place.
        """
        self._since += 1
        tracks = self.tracker.tracks
        if self._since == 1:  # the frame before was detected: what scores are worth here
            self._scores = {track.id: track.score for track in tracks}
        if self._since < self.every and tracks and not any(map(self._asks, tracks)):
            boxes = np.stack([expected_box(track, time_s) for track in tracks])
            if not (np.triu(iou_matrix(boxes, boxes), 1) > _CROWDED).any():
                return boxes.astype(np.float32)
        self._since = 0
        return None

    def _asks(self, track: Track) -> bool:
        """Whether a track wants a detection."""
        if track.id == UNCONFIRMED or track.seen_s < self.tracker.time_s:
            return True
        return track.score < _FALLEN * self._scores.get(track.id, np.inf)


def expected_box(track: Track, time_s: float) -> Float64:
    """``(4,)`` the box around the keypoints of a track where they are expected, image pixels.

    Where too few keypoints are seen, as of a person who is half out of the image, the box that is
    expected from the boxes before.
    """
    seen = track.keypoint_scores >= SEEN_SCORE
    if seen.mean() < _BOUNDING:
        return track.motion.box_at(time_s)
    points = track.keypoints_at(time_s)[seen]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * np.maximum(high - low, 1.0)
    return np.concatenate([low - margin, high + margin])
