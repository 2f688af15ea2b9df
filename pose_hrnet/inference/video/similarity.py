"""How much a pose is like what a track expects: boxes, keypoints, and where who was hidden is.

In the box of somebody who is half hidden a model sees the person in front once more, in part or
wholly. Such keypoints say nothing about who is behind, and are told by where they are: at the
place of the same keypoint of a better pose, or where another track expects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.inference.video.motion import BoxMotion
from pose_hrnet.keypoints.geometry import iou_matrix
from pose_hrnet.keypoints.oks import keypoint_similarities, oks_matrix
from pose_hrnet.keypoints.records import SEEN_SCORE, Float32, Float64, Poses

Bools: TypeAlias = NDArray[np.bool_]

_SIGMA = 0.08
"""Of keypoints whose skeleton is not known: about the mean of COCO's."""
_TELLING = 0.3
"""Share of the keypoints that must be seen to say who a person is, or how it moved."""
_HIDDEN_S = 0.1
"""Seconds after which who is not seen was hidden, and not just missed."""
_REACH = 0.5
"""Heights that who is hidden may be off what is expected, for each second; for one at most."""
_ONE_PLACE = 0.5
"""Similarity of two keypoints, as of OKS, from which on they are at one place."""
_FAR = 0.1
"""What a height of distance from the expected centre costs."""


class Expected(Protocol):
    """What a track says of its person."""

    motion: BoxMotion
    keypoint_scores: Float32

    def keypoints_at(self, time_s: float) -> Float64:
        """``(K, 2)`` where its keypoints are expected, image pixels."""


def similarities(
    tracks: Sequence[Expected], poses: Poses, time_s: float, own: Bools
) -> tuple[Float64, Float64]:
    """Of T tracks and N poses, where the tracks are expected at a time.

    Args:
        tracks: T of them.
        poses: N of them.
        time_s: Seconds.
        own: ``(N, K)`` keypoints that count, as of `not_repeated`.

    Returns:
        ``(T, N)`` IoU of the boxes, and ``(T, N)`` OKS of the keypoints that count and that the
        track has seen; where these are too few to tell persons apart, IoU again.
    """
    seen = np.stack([track.keypoint_scores for track in tracks]) >= SEEN_SCORE
    counted = seen & own[:, None]
    boxes, areas, points = _expected(tracks, time_s)
    iou = iou_matrix(boxes, poses.boxes_xyxy)
    oks = oks_matrix(  # pose by pose, as what counts is another of each pair
        points[None],
        areas[None],
        poses.keypoints_image[:, None],
        None,
        _sigmas(poses),
        counted,
    )[..., 0].T
    return iou, np.where(counted.mean(axis=2).T >= _TELLING, oks, iou)


def not_repeated(poses: Poses) -> Bools:
    """``(N, K)`` keypoints of N poses that are not at the place of a better pose's."""
    them = poses.keypoints_image, _areas(poses.boxes_xyxy)  # not `areas`, of padded crops
    similar = keypoint_similarities(*them, *them, _sigmas(poses))
    better = poses.scores[None, :] > poses.scores[:, None]
    repeated = better[..., None] & (similar >= _ONE_PLACE)
    return np.asarray(~repeated.any(axis=1))


def expected_elsewhere(
    tracks: Sequence[Expected], poses: Poses, rows: Sequence[int], time_s: float
) -> Bools:
    """Keypoints that are where another track expects them, more than where their own does.

    Args:
        tracks: T of them; the first R have poses.
        poses: Of a frame.
        rows: R poses, those of the tracks.
        time_s: Its time, seconds.

    Returns:
        ``(R, K)``.
    """
    _, areas, expected = _expected(tracks, time_s)
    points = poses.keypoints_image[list(rows)]
    similar = keypoint_similarities(expected, areas, points, None, _sigmas(poses))
    off = np.linalg.norm(points - expected[:, None], axis=-1)
    nearer = off < np.linalg.norm(points - expected[: len(rows)], axis=-1)
    return np.asarray((nearer & (similar >= _ONE_PLACE)).any(axis=0))


def _expected(tracks: Sequence[Expected], time_s: float) -> tuple[Float64, Float64, Float64]:
    """``(T, 4)`` boxes, ``(T,)`` their areas and ``(T, K, 2)`` keypoints; image pixels."""
    boxes = np.stack([track.motion.box_at(time_s) for track in tracks])
    points = np.stack([track.keypoints_at(time_s) for track in tracks])
    return boxes, _areas(boxes), points


def _areas(boxes_xyxy: Float32 | Float64) -> Float64:
    """``(N,)`` square pixels of boxes, each side being one pixel at least."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 1.0)
    return np.asarray(sides.prod(axis=1, dtype=np.float64))


def _sigmas(poses: Poses) -> Sequence[float]:
    """Of their K keypoints."""
    count = poses.keypoint_scores.shape[1]
    return poses.skeleton.sigmas if poses.skeleton else [_SIGMA] * count


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


def moved(before: Float32 | Float64, after: Float32 | Float64, seen: Bools) -> Float64 | None:
    """``(2,)`` pixels by which most keypoints moved; None: too few are seen.

    Args:
        before: ``(K, 2)``.
        after: ``(K, 2)``.
        seen: ``(K,)``, both times.
    """
    if seen.mean() < _TELLING:
        return None
    return np.asarray(np.median(after[seen] - before[seen], axis=0), np.float64)
