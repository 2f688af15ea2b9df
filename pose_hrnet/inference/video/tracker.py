"""One person, one id: poses of frames that come one by one are joined to tracks.

ByteTrack (Zhang et al., ECCV 2022): poses of high score are matched with all tracks, those of low
score with the tracks that are left, so that a person who is half hidden keeps the id, while no
track begins with a doubtful pose. Here a pose may be a track's if 1 - max(IoU, OKS) is low enough:
IoU of its box with the one where the person is expected, OKS of the keypoints likewise. Among
those that may be, the mean of both decides: where persons cross, all of their boxes are much the
same, and the larger of the two would be IoU, which then says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pose_hrnet.inference.video.motion import BoxMotion
from pose_hrnet.inference.video.similarity import (
    Bools,
    expected_elsewhere,
    moved,
    not_repeated,
    similarities,
    within_reach,
)
from pose_hrnet.keypoints.records import SEEN_SCORE, Float32, Float64, Poses

UNCONFIRMED = -1
"""The id of a pose that belongs to no track, or to one that has been seen once."""
_USUAL_S = 4.0
"""Seconds in which a score that is usual for a person falls by half, if it is not seen again."""
_LOW_SIMILARITY = 0.5
"""Of a pose of low score and a track, at least: ByteTrack's."""
_TENTATIVE_SIMILARITY = 0.3
"""Of a pose and a track that has been seen once, at least: ByteTrack's."""
_POSSIBLE = 0.2
"""What a pair that may be is worth at least; at most 1."""
_WITHIN_REACH = 0.6
"""Of a pose and a track that was hidden, at least."""

Rows: TypeAlias = NDArray[np.intp]


@dataclass
class Track:
    """A person over the frames so far.

    Attributes:
        id: From 1; `UNCONFIRMED` until the second hit.
        motion: Where its box is expected.
        keypoints_image: ``(K, 2)`` where they were last seen, image pixels.
        keypoint_scores: ``(K,)`` then.
        score: Of the pose then.
        usual_score: The best of late: what falls below it is hidden in part.
        row: Of the poses of the frame in which it was last seen.
        own: ``(K,)`` keypoints that were this person's then; others are where they were expected.
    """

    id: int
    motion: BoxMotion
    keypoints_image: Float32
    keypoint_scores: Float32
    score: float
    usual_score: float
    row: int
    own: Bools

    @classmethod
    def begun(cls, poses: Poses, row: int, time_s: float) -> Track:
        """A track that has been seen once."""
        points, scores = poses.keypoints_image[row], poses.keypoint_scores[row]
        score = float(poses.scores[row])
        motion = BoxMotion(poses.boxes_xyxy[row].astype(np.float64), time_s)
        own = np.ones(len(scores), bool)
        return cls(UNCONFIRMED, motion, points, scores, score, score, row, own)

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

    def see(self, poses: Poses, row: int, time_s: float, own: Bools) -> None:
        """Take in the pose that is this track's in a frame.

        A low score, for this person, says that something is in front, which pulls box and
        keypoints to itself: they are trusted by the square of it. Keypoints that are somebody
        else's are left where they are expected.

        Args:
            poses: Of the frame.
            row: This track's.
            time_s: Of the frame, seconds.
            own: ``(K,)`` keypoints that are this person's.
        """
        self.score = float(poses.scores[row])
        faded = self.usual_score * 0.5 ** ((time_s - self.seen_s) / _USUAL_S)
        self.usual_score = max(self.score, faded)
        sure = (self.score / self.usual_score) ** 2 if self.usual_score > 0 else 1.0
        points = np.where(own[:, None], poses.keypoints_image[row], self.keypoints_at(time_s))
        points = points.astype(np.float32)
        scores = np.where(own, poses.keypoint_scores[row], self.keypoint_scores)
        both_seen = np.minimum(self.keypoint_scores, scores) >= SEEN_SCORE
        by = moved(self.keypoints_image, points, both_seen & own & self.own)
        self.motion.update(poses.boxes_xyxy[row].astype(np.float64), time_s, by, sure)
        self.keypoints_image, self.keypoint_scores = points, scores
        self.row, self.own = row, own


class Tracker:
    """Gives each person an id that stays.

    Args:
        high_score: Poses of this score and above begin tracks.
        low_score: Poses of this score and above continue them.
        max_unseen: Seconds after which a person who is not seen is forgotten; whoever comes later
            is somebody else.
        min_similarity: Of a pose and where a track expects it, so that they may be one person.
        keypoints: Whether keypoints count beside boxes.

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
        high_score: float = 0.2,
        low_score: float = 0.05,
        max_unseen: float = 2.0,
        min_similarity: float = 0.2,
        keypoints: bool = True,
    ) -> None:
        sensible = 0 <= low_score <= high_score < np.inf and 0 <= max_unseen < np.inf
        if not (sensible and 0 < min_similarity < 1):
            raise ValueError(
                f"a tracker got scores {low_score} to {high_score}, {max_unseen} s and similarity "
                f"{min_similarity}; expected 0 <= low_score <= high_score, max_unseen >= 0 and a "
                "similarity between 0 and 1"
            )
        self.high_score, self.low_score = high_score, low_score
        self.max_unseen, self.min_similarity = max_unseen, min_similarity
        self.keypoints = keypoints
        self.tracks: list[Track] = []
        self.time_s = -np.inf
        self.first_hits: dict[int, int] = {}
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

        match = partial(self._match, poses, not_repeated(poses))
        first, left, new = match(confirmed, high)
        weak, left, _ = match(left, low, _LOW_SIMILARITY)
        again, _, new = match(tentative, new, _TENTATIVE_SIMILARITY)
        reach = within_reach(left, poses[new], time_s)
        back, left, new = _paired(left, new, reach, _WITHIN_REACH)
        ids = np.full(len(poses), UNCONFIRMED, np.int64)
        hits = [*first, *weak, *again, *back]
        owned = self._owned(hits, left, poses)
        for (track, row), own in zip(hits, owned, strict=True):
            if track.id == UNCONFIRMED:
                track.id, self._next_id = self._next_id, self._next_id + 1
                self.first_hits[track.row] = track.id
            track.see(poses, row, time_s, own)
            ids[row] = track.id
        begun = [Track.begun(poses, int(row), time_s) for row in new]
        self.tracks = [*(track for track, _ in hits), *left, *begun]
        return replace(poses, track_ids=ids, time_s=np.full(len(poses), time_s))

    def _check(self, poses: Poses, time_s: float) -> None:
        if not (time_s > self.time_s and np.isfinite(time_s)):
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
        self, poses: Poses, own: Bools, tracks: Sequence[Track], rows: Rows, least: float = 0.0
    ) -> tuple[list[tuple[Track, int]], list[Track], Rows]:
        """Pairs of tracks and rows, tracks that are left, and rows that are left.

        They are as similar as `least` and `min_similarity` say; `own` is as of `similarities`.
        """
        if not tracks or not len(rows):
            return [], list(tracks), rows
        iou, oks = similarities(tracks, poses[rows], self.time_s, own[rows])
        if not self.keypoints:
            oks = iou
        possible = np.maximum(iou, oks) >= max(least, self.min_similarity)
        worth = _POSSIBLE + (1 - _POSSIBLE) * (iou + oks) / 2
        return _paired(tracks, rows, np.where(possible, worth, 0.0), _POSSIBLE)

    def _owned(
        self, hits: Sequence[tuple[Track, int]], left: Sequence[Track], poses: Poses
    ) -> Bools:
        """``(hits, K)`` keypoints that are their track's; by boxes alone, none is taken in."""
        if not (self.keypoints and hits):
            return np.zeros((len(hits), poses.keypoint_scores.shape[1]), bool)
        known = [*(track for track, _ in hits), *left]
        rows = [row for _, row in hits]
        return ~expected_elsewhere(known, poses, rows, self.time_s)


def _paired(
    tracks: Sequence[Track], rows: Rows, worth: Float64, least: float
) -> tuple[list[tuple[Track, int]], list[Track], Rows]:
    """The pairs that are worth most together, each at least so much; and what is left.

    Pairs of less worth count for nothing, so that none is made at the cost of a good one.

    Args:
        tracks: T of them.
        rows: N of them.
        worth: ``(T, N)``.
        least: Of a pair.
    """
    worth = np.where(worth >= least, worth, 0.0)
    pairs = [(t, r) for t, r in zip(*linear_sum_assignment(-worth), strict=True) if worth[t, r]]
    taken = {t for t, _ in pairs}
    return (
        [(tracks[t], int(rows[r])) for t, r in pairs],
        [track for t, track in enumerate(tracks) if t not in taken],
        np.delete(rows, [r for _, r in pairs]),
    )
