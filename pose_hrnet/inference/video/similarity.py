"""How much a pose is like what a track expects: boxes, keypoints, and where who was hidden is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.inference.video.motion import BoxMotion
from pose_hrnet.keypoints.geometry import iou_matrix
from pose_hrnet.keypoints.oks import oks_matrix
from pose_hrnet.keypoints.records import SEEN_SCORE, Float32, Float64, Poses

_SIGMA = 0.08
"""Of keypoints whose skeleton is not known: about the mean of COCO's."""
_TELLING = 0.3
"""Share of the keypoints that must be seen to say who a person is, or how it moved."""
_HIDDEN_S = 0.1
"""Seconds after which who is not seen was hidden, and not just missed."""
_REACH = 0.5
"""Heights that who is hidden may be off what is expected, for each second; for one at most."""
_FAR = 0.1
"""What a height of distance from the expected centre costs."""


class Expected(Protocol):
    """What a track says of its person."""

    motion: BoxMotion
    keypoint_scores: Float32

    def keypoints_at(self, time_s: float) -> Float64:
        """``(K, 2)`` where its keypoints are expected, image pixels."""


def similarities(
    tracks: Sequence[Expected], poses: Poses, time_s: float
) -> tuple[Float64, Float64]:
    """Of T tracks and N poses, where the tracks are expected at a time.

    Returns:
        ``(T, N)`` IoU of the boxes, and ``(T, N)`` OKS of the keypoints that the track has seen;
        where it has seen too few to tell persons apart, IoU again.
    """
    seen = np.stack([track.keypoint_scores for track in tracks]) >= SEEN_SCORE
    boxes = np.stack([track.motion.box_at(time_s) for track in tracks])
    iou = iou_matrix(boxes, poses.boxes_xyxy)
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    oks = oks_matrix(
        np.stack([track.keypoints_at(time_s) for track in tracks]),
        sizes.prod(axis=1),
        poses.keypoints_image,
        None,
        poses.skeleton.sigmas if poses.skeleton else [_SIGMA] * poses.keypoint_scores.shape[1],
        seen,
    )
    return iou, np.where(seen.mean(axis=1)[:, None] >= _TELLING, oks, iou)


def within_reach(tracks: Sequence[Expected], poses: Poses, time_s: float) -> Float64:
    """How well N poses lie where T tracks that were hidden may be.

    Who comes back from behind something shows a part first, and may have gone slower or faster: of
    the box, the share counts that is in the expected one, grown by what may be by now.

    Returns:
        ``(T, N)`` shares, less some for distance; 0 for tracks that were seen just now.
    """
    worth = np.zeros((len(tracks), len(poses)))
    boxes = poses.boxes_xyxy.astype(np.float64)
    centres, areas = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for row, track in enumerate(tracks):
        unseen = time_s - track.motion.time_s
        if unseen <= _HIDDEN_S:
            continue
        low, high = track.motion.box_at(time_s).reshape(2, 2)
        reach = _REACH * track.motion.height * min(unseen, 1.0)
        inside = np.minimum(high + reach, boxes[:, 2:]) - np.maximum(low - reach, boxes[:, :2])
        distance = abs(centres - (low + high) / 2).sum(axis=1) / track.motion.height
        worth[row] = inside.clip(0).prod(axis=1) / np.maximum(areas, 1e-6) - _FAR * distance
    return worth


def moved(
    before: Float32 | Float64, after: Float32 | Float64, seen: NDArray[np.bool_]
) -> Float64 | None:
    """``(2,)`` pixels by which most keypoints moved; None: too few are seen.

    Args:
        before: ``(K, 2)``.
        after: ``(K, 2)``.
        seen: ``(K,)``, both times.
    """
    if seen.mean() < _TELLING:
        return None
    return np.asarray(np.median(after[seen] - before[seen], axis=0), np.float64)
