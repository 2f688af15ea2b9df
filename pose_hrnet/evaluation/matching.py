"""Which pose is whose: the best pose for each annotated person; the best and worst of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.keypoints.oks import oks_matrix
from pose_hrnet.keypoints.records import Float64, ImageId, People, Poses

MIN_KEYPOINTS = 6
"""Labelled keypoints of a person that is shown: the OKS of one or two says little."""


@dataclass(frozen=True, eq=False)
class Match:
    """The best pose for each annotated person.

    Attributes:
        oks: ``(N,)`` the highest OKS of a pose in the person's image; 0 where there is none.
        pose: ``(N,)`` its row; -1 where the image has no pose.
    """

    oks: Float64
    pose: NDArray[np.intp]


def match_best(people: People, poses: Poses, sigmas: Sequence[float]) -> Match:
    """The pose of highest OKS for each person, whatever box it was predicted in.

    Args:
        people: N annotated persons.
        poses: Predictions in the same images.
        sigmas: K standard deviations of the skeleton.
    """
    rows_of: dict[ImageId, list[int]] = {}
    for row, image_id in enumerate(poses.image_ids):
        rows_of.setdefault(image_id, []).append(row)
    oks = np.zeros(len(people))
    pose = np.full(len(people), -1, np.intp)
    for image in np.unique(people.image_index):
        found = np.array(rows_of.get(people.images.ids[image], []), np.intp)
        if not len(found):
            continue
        here = np.flatnonzero(people.image_index == image)
        similarity = oks_matrix(
            people.keypoints_image[here],
            people.areas[here],
            poses.keypoints_image[found],
            None,
            sigmas,
            people.visibility[here] > 0,
        )
        oks[here] = similarity.max(axis=1)
        pose[here] = found[similarity.argmax(axis=1)]
    return Match(oks, pose)


def worth_showing(labelled: NDArray[np.integer]) -> NDArray[np.intp]:
    """Rows of ``(N,)`` persons with `MIN_KEYPOINTS` labelled keypoints, or with any if none has.

    Args:
        labelled: How many each of them has.
    """
    fit = np.flatnonzero(labelled >= MIN_KEYPOINTS)
    return fit if len(fit) else np.flatnonzero(labelled > 0)


def best_and_worst(
    people: People, match: Match, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``(M,)`` rows of the persons of highest OKS, best first, and of lowest, worst first.

    No person is in both. Persons with fewer than `MIN_KEYPOINTS` labelled keypoints are passed
    over, unless all have fewer.

    Args:
        people: N annotated persons.
        match: What was predicted for them.
        count: Rows in each at most.
    """
    fit = worth_showing((people.visibility > 0).sum(axis=1))
    rising = fit[np.argsort(match.oks[fit], kind="stable")]
    worst = rising[: min(count, len(rising) // 2)]
    best = rising[::-1][: min(count, len(rising) - len(worst))]
    return best, worst
