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
_SAME = 0.5
"""Similarity of a keypoint, as of OKS, from which on it is at one place with another."""
_FAR = 0.1
"""What a height of distance from the expected centre costs."""


Bools: TypeAlias = NDArray[np.bool_]


class Expected(Protocol):
    """What a track says of its person."""

    motion: BoxMotion
    keypoint_scores: Float32

    def keypoints_at(self, time_s: float) -> Float64:
        """``(K, 2)`` where its keypoints are expected, image pixels."""


def similarities(
    tracks: Sequence[Expected], poses: Poses, time_s: float, own: Bools | None = None
) -> tuple[Float64, Float64]:
    """Of T tracks and N poses, where the tracks are expected at a time.

    Args:
        tracks: T of them.
        poses: N of them.
        time_s: Seconds.
        own: ``(N, K)`` keypoints that count, as of `not_repeated`; None: all.

    Returns:
        ``(T, N)`` IoU of the boxes, and ``(T, N)`` OKS of the keypoints that count and that the
        track has seen; where these are too few to tell persons apart, IoU again.
    """
    seen = np.stack([track.keypoint_scores for track in tracks]) >= SEEN_SCORE
    boxes = np.stack([track.motion.box_at(time_s) for track in tracks])
    iou = iou_matrix(boxes, poses.boxes_xyxy)
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    counted = np.broadcast_to(seen, (len(poses), *seen.shape))
    if own is not None:
        counted = counted & own[:, None]
    oks = oks_matrix(  # for each pose, as what counts is another of each pair
        np.stack([track.keypoints_at(time_s) for track in tracks])[None],
        sizes.prod(axis=1)[None],
        poses.keypoints_image[:, None],
        None,
        _sigmas(poses),
        counted,
    )[..., 0].T
    return iou, np.where(counted.mean(axis=2).T >= _TELLING, oks, iou)


def not_repeated(poses: Poses) -> Bools:
    """``(N, K)`` keypoints of N poses that are not at the place of a better pose's."""
    points, areas = poses.keypoints_image.astype(np.float64), poses.areas.astype(np.float64)
    off = np.linalg.norm(points[:, None] - points[None], axis=-1)
    areas = (areas[:, None] + areas[None]) / 2
    better = poses.scores[None, :] > poses.scores[:, None]
    repeated: Bools = better[..., None] & _at_one_place(off, areas, poses)
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
    boxes = np.stack([track.motion.box_at(time_s) for track in tracks])
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).prod(axis=1)
    expected = np.stack([track.keypoints_at(time_s) for track in tracks])
    off = np.linalg.norm(poses.keypoints_image[list(rows), None] - expected[None], axis=-1)
    mine = off[np.arange(len(rows)), np.arange(len(rows))][:, None]
    nearer: Bools = (off < mine) & _at_one_place(off, areas[None], poses)
    return np.asarray(nearer.any(axis=1))


def _at_one_place(off: Float64, areas: Float64, poses: Poses) -> Bools:
    """``(A, B, K)`` whether keypoints that are `off` pixels from each other are hardly so.

    Args:
        off: ``(A, B, K)``.
        areas: ``(A, B)`` of persons, square pixels.
        poses: Whose keypoints they are.
    """
    variances = np.maximum(areas, 1.0)[..., None] * (2 * np.asarray(_sigmas(poses))) ** 2
    return np.asarray(np.exp(-(off**2) / (2 * variances)) >= _SAME)


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
