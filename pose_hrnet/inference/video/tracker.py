"""One person, one id: poses of frames that come one by one are joined to tracks.

ByteTrack (Zhang et al., ECCV 2022): poses of high score are matched with all tracks, those of low
score with the tracks that are left, so that a person who is half hidden keeps the id, while no
track begins with a doubtful pose. The cost of a pair is 1 - max(IoU, OKS): IoU of the boxes where
the person is expected and is, OKS of the keypoints likewise. Where persons cross, their boxes are
much the same, and their keypoints are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pose_hrnet.inference.video.motion import BoxMotion
from pose_hrnet.keypoints.geometry import iou_matrix
from pose_hrnet.keypoints.oks import oks_matrix
from pose_hrnet.keypoints.records import Float32, Float64, Poses

UNCONFIRMED = -1
"""The id of a pose that belongs to no track, or to one that has been seen once."""
SEEN_KEYPOINT = 0.2
"""Keypoints of a lower score do not count in similarities, as they do not in pose scores."""
_SIGMA = 0.08
"""Of keypoints whose skeleton is not known: about the mean of COCO's."""


@dataclass
class Track:
    """A person over the frames so far.

    Attributes:
        id: From 1; `UNCONFIRMED` until the second hit.
        motion: Where its box is expected.
        keypoints_image: ``(K, 2)`` where they were last seen, image pixels.
        keypoint_scores: ``(K,)`` then.
        box_xyxy: ``(4,)`` then, image pixels.
        score: Of the pose then.
        row: Of the poses of the frame in which it was last seen.
    """

    id: int
    motion: BoxMotion
    keypoints_image: Float32
    keypoint_scores: Float32
    box_xyxy: Float64
    score: float
    row: int

    @property
    def seen_s(self) -> float:
        """When it was last seen, seconds."""
        return self.motion.time_s

    def keypoints_at(self, time_s: float) -> Float64:
        """``(K, 2)`` where its keypoints are expected: they move and grow with the box."""
        low, high = self.motion.box_at(self.seen_s).reshape(2, 2)
        new_low, new_high = self.motion.box_at(time_s).reshape(2, 2)
        share = (self.keypoints_image - low) / np.maximum(high - low, 1e-6)
        return new_low + share * (new_high - new_low)


class Tracker:
    """Gives each person an id that stays.

    Args:
        high_score: Poses of this score and above begin tracks.
        low_score: Poses of this score and above continue them.
        max_unseen: Seconds after which a person who is not seen is forgotten; whoever comes later
            is somebody else.
        min_similarity: Of a pose and where a track expects it, so that they are the same person.
        keypoints: Whether OKS counts beside IoU.

    Attributes:
        tracks: Those that are not forgotten.
        time_s: Of the last frame, seconds; minus infinity before the first.
        first_hits: After an `update`: which poses of the frame before it were the first hit of a
            track that is confirmed now, and its id. Whoever holds a frame back can still say it.

    Raises:
        ValueError: If a number makes no sense.
    """

    def __init__(
        self,
        *,
        high_score: float = 0.4,
        low_score: float = 0.1,
        max_unseen: float = 2.0,
        min_similarity: float = 0.2,
        keypoints: bool = True,
    ) -> None:
        if not 0 <= low_score <= high_score or max_unseen < 0 or not 0 < min_similarity < 1:
            raise ValueError(
                f"a tracker got scores {low_score} to {high_score}, {max_unseen} s and similarity "
                f"{min_similarity}; expected 0 <= low_score <= high_score, max_unseen >= 0 and a "
                "similarity between 0 and 1"
            )
        self.high_score, self.low_score = high_score, low_score
        self.max_unseen, self.min_similarity = max_unseen, min_similarity
        self.keypoints = keypoints
        self.tracks: list[Track] = []
        self.first_hits: dict[int, int] = {}
        self.time_s = -np.inf
        self._next_id = 1

    def update(self, poses: Poses, time_s: float) -> Poses:
        """Take in the poses of the next frame.

        Args:
            poses: N persons, of one frame; scores from 0 to 1.
            time_s: Its time, seconds.

        Returns:
            The same persons in the same order, with `track_ids` and `time_s`.

        Raises:
            ValueError: If the time is not later than that of the frame before, or a number of the
                poses is not finite.
        """
        self._check(poses, time_s)
        self.time_s, self.first_hits = time_s, {}
        alive = [t for t in self.tracks if time_s - t.seen_s <= self.max_unseen]
        confirmed = [track for track in alive if track.id != UNCONFIRMED]
        tentative = [track for track in alive if track.id == UNCONFIRMED]
        high = np.flatnonzero(poses.scores >= self.high_score)
        low = np.flatnonzero((poses.scores < self.high_score) & (poses.scores >= self.low_score))
        ids = np.full(len(poses), UNCONFIRMED, np.int64)

        hits, lost, new = self._match(confirmed, poses, high, self.min_similarity)
        more, lost, _ = self._match(lost, poses, low, max(self.min_similarity, 0.5))
        second, _, new = self._match(tentative, poses, new, max(self.min_similarity, 0.3))
        for track, row in [*hits, *more, *second]:
            if track.id == UNCONFIRMED:
                track.id, self._next_id = self._next_id, self._next_id + 1
                self.first_hits[track.row] = track.id
            track.motion.update(_double(poses.boxes_xyxy[row]), time_s)
            _see(track, poses, row)
            ids[row] = track.id
        begun = [_begin(poses, row, time_s) for row in new]
        self.tracks = [*(track for track, _ in (*hits, *more, *second)), *lost, *begun]
        return replace(poses, track_ids=ids, time_s=np.full(len(poses), time_s))

    def _check(self, poses: Poses, time_s: float) -> None:
        if not time_s > self.time_s:
            raise ValueError(
                f"a frame at {time_s} s follows one at {self.time_s} s; expected later times"
            )
        numbers = (poses.keypoints_image, poses.keypoint_scores, poses.boxes_xyxy, poses.scores)
        if not all(np.isfinite(each).all() for each in numbers):
            raise ValueError(
                f"the poses of the frame at {time_s} s have numbers that are not finite; "
                "leave such persons out"
            )

    def _match(
        self, tracks: Sequence[Track], poses: Poses, rows: NDArray[np.intp], least: float
    ) -> tuple[list[tuple[Track, int]], list[Track], NDArray[np.intp]]:
        """Pairs of tracks and rows, tracks that are left, and rows that are left."""
        if not tracks or not len(rows):
            return [], list(tracks), rows
        similarity = self._similarity(tracks, poses[rows])
        # Pairs that cannot be count for nothing, so that none is made at the cost of a good one.
        possible = np.where(similarity >= least, similarity, 0.0)
        pairs = [(t, r) for t, r in zip(*linear_sum_assignment(-possible), strict=True)]
        pairs = [(t, r) for t, r in pairs if similarity[t, r] >= least]
        taken = {t for t, _ in pairs}
        left = np.delete(rows, [r for _, r in pairs])
        return (
            [(tracks[t], int(rows[r])) for t, r in pairs],
            [track for t, track in enumerate(tracks) if t not in taken],
            left,
        )

    def _similarity(self, tracks: Sequence[Track], poses: Poses) -> Float64:
        """``(tracks, N)``: the larger of IoU and OKS."""
        boxes = np.stack([track.motion.box_at(self.time_s) for track in tracks])
        iou = iou_matrix(boxes, _double(poses.boxes_xyxy))
        if not self.keypoints:
            return iou
        sigmas = poses.skeleton.sigmas if poses.skeleton else None
        size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
        oks = oks_matrix(
            np.stack([track.keypoints_at(self.time_s) for track in tracks]),
            size.prod(axis=1),
            poses.keypoints_image,
            None,
            sigmas or [_SIGMA] * poses.keypoint_scores.shape[1],
            np.stack([track.keypoint_scores for track in tracks]) >= SEEN_KEYPOINT,
        )
        return np.maximum(iou, oks)


def _begin(poses: Poses, row: int, time_s: float) -> Track:
    """A track that has been seen once."""
    box = _double(poses.boxes_xyxy[row])
    points, scores = poses.keypoints_image[row], poses.keypoint_scores[row]
    motion = BoxMotion(box, time_s)
    return Track(UNCONFIRMED, motion, points, scores, box, float(poses.scores[row]), row)


def _see(track: Track, poses: Poses, row: int) -> None:
    """What a track keeps of the pose that it was last seen with."""
    track.keypoints_image = poses.keypoints_image[row]
    track.keypoint_scores = poses.keypoint_scores[row]
    track.box_xyxy = _double(poses.boxes_xyxy[row])
    track.score, track.row = float(poses.scores[row]), row


def _double(values: NDArray[np.float32]) -> Float64:
    return values.astype(np.float64)
