"""Tracking and smoothing judged by clips whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.inference.video.offline import Offline
from pose_hrnet.inference.video.smoothing import OneEuro
from pose_hrnet.inference.video.tracker import Tracker
from pose_hrnet.keypoints.records import Float64, Poses
from tests.helpers.clips import Clip
from tests.helpers.scenarios import Detections, detect
from tests.helpers.track_metrics import Frame, accelerations, hota, idf1, switches


@dataclass(frozen=True, eq=False)
class Played:
    """A clip, what a detector found in it, and the poses of a model."""

    clip: Clip
    found: Sequence[Detections]
    poses: Sequence[Poses]


def play(
    clips: Sequence[Clip], poses_of: Callable[[Clip, Sequence[Detections]], Sequence[Poses]]
) -> list[Played]:
    """Detect the persons of clips, and ask for their poses."""
    found = [detect(clip) for clip in clips]
    return [Played(c, f, poses_of(c, f)) for c, f in zip(clips, found, strict=True)]


@dataclass(frozen=True)
class Ids:
    """How well persons keep their ids, each pose being taken to be where its person is."""

    switches: int
    idf1: float
    hota: float


def judge_ids(played: Played, tracker: Tracker) -> Ids:
    """Track a clip, in which it is known whose each detection is."""
    ids: list[NDArray[np.int64]] = []
    for poses, time_s in zip(played.poses, played.clip.times.tolist(), strict=True):
        tracked = tracker.update(poses, time_s).track_ids
        assert tracked is not None
        for row, number in tracker.first_hits.items():
            ids[-1][row] = number
        ids.append(tracked.copy())
    frames = []
    for each, found in zip(ids, played.found, strict=True):
        kept = each > 0
        same = (found.counted[:, None] == found.owners[None, kept]).astype(np.float64)
        frames.append(Frame(found.counted.tolist(), each[kept].tolist(), same))
    return Ids(switches(frames), idf1(frames), hota(frames))


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a clip, in the frames in which it was found.

    Attributes:
        times: ``(F,)`` seconds.
        truth: ``(F, 17, 2)`` frame pixels.
        heights: ``(F,)`` pixels.
        labelled: ``(17,)``.
        poses: F of them.
    """

    times: Float64
    truth: Float64
    heights: Float64
    labelled: NDArray[np.bool_]
    poses: Poses


def persons_of(played: Played) -> list[Person]:
    """The persons, one by one, whoever the tracker takes them for."""
    persons = []
    truth, heights, labelled = played.clip.keypoints, played.clip.heights, played.clip.labelled
    for n in range(truth.shape[1]):
        rows = [np.flatnonzero(found.owners == n) for found in played.found]
        at = np.array([f for f, row in enumerate(rows) if len(row)])
        parts = [played.poses[f][rows[f]] for f in at]
        times = played.clip.times[at]
        ones = np.ones(len(at), np.int64)
        poses = replace(Poses.concatenate(parts), track_ids=ones, time_s=times)
        persons.append(Person(times, truth[at, n], heights[at, n], labelled[n], poses))
    return persons


Smoother = Callable[[Person], Float64]
"""The smoothed ``(F, 17, 2)`` keypoints of a person."""


def raw(person: Person) -> Float64:
    """Not smoothed at all."""
    return person.poses.keypoints_image.astype(np.float64)


def online(person: Person) -> Float64:
    """Smoothed frame by frame."""
    smoother = OneEuro()
    frames = [
        smoother.update(person.poses[[f]], float(time_s)).keypoints_image[0]
        for f, time_s in enumerate(person.times)
    ]
    return np.array(frames, np.float64)


def offline(how: Offline) -> Smoother:
    """Smoothed as a whole."""

    def smooth(person: Person) -> Float64:
        points, boxes = raw(person), person.poses.boxes_xyxy
        heights = (boxes[:, 2:] - boxes[:, :2]).max(axis=1).astype(np.float64)
        scores = person.poses.keypoint_scores.astype(np.float64)
        for piece in how.pieces(person.times):
            points[piece] = how.smooth(
                person.times[piece], points[piece], scores[piece], heights[piece]
            )
        return points

    return smooth


SMOOTHERS: dict[str, Smoother] = {
    "none": raw,
    "one_euro": online,
    "savgol": offline(Offline("savgol")),
    "butterworth": offline(Offline("butterworth")),
}


def errors(persons: Sequence[Person], smoother: Smoother) -> tuple[float, float]:
    """Mean errors over frames, keypoints and persons, in heights of the person.

    Returns:
        Of positions, heights; of accelerations, heights per square second.
    """
    positions, shakes = [], []
    for person in persons:
        points, height = smoother(person), person.heights[:, None]
        off = np.linalg.norm(points - person.truth, axis=-1) / height
        positions.append(off[:, person.labelled].mean())
        shake = accelerations(points, person.times) - accelerations(person.truth, person.times)
        shake = np.linalg.norm(shake, axis=-1) / height[1:-1]
        shakes.append(shake[:, person.labelled].mean())
    return float(np.mean(positions)), float(np.mean(shakes))


def lag_frames(person: Person, smoother: Smoother) -> float:
    """By how many frames smoothed keypoints of who moves are behind the predicted ones.

    The mean of what they are behind by along the true motion, over the motion of a frame; shaking,
    which has no direction, does not count.
    """
    step = np.gradient(person.truth, axis=0)
    behind = ((raw(person) - smoother(person)) * step).sum()
    return float(behind / np.square(step).sum())
