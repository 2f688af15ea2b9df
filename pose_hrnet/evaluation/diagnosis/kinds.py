"""Why a keypoint is where it is: good, jitter, inversion, swap or miss.

A predicted keypoint of a result that has found its person is compared with each place where it
may have been put: the person's own keypoint, that of every other person in the image, the person's
own keypoint of the other side, and those of the others. The similarity of two points is
``exp(-d^2 / (2 A k^2))``, `A` the area of the person to whom the place belongs, ``k = 2 sigma`` of
the predicted keypoint (Ronchi and Perona, ICCV 2017, section 3). The most similar place decides,
and of equal ones the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.evaluation.diagnosis.scene import LOCALISED, Scene, Taken
from pose_hrnet.evaluation.metrics.coco_matching import Rows, pairs_within_images
from pose_hrnet.keypoints.records import Float64

KINDS = ("good", "jitter", "inversion", "swap", "miss")
"""What a predicted keypoint is, in the order of their numbers."""
GOOD, JITTER, INVERSION, SWAP, MISS = range(len(KINDS))
UNLABELLED = -1
"""Number of a keypoint that the annotation does not have: nothing is known of it."""
NEAR, EXACT = 0.5, 0.85
"""Similarities from which on a keypoint belongs to a place, and above which it is as good as the
annotators agree."""


@dataclass(frozen=True, eq=False)
class KeypointErrors:
    """The M results that have found a person, and what each of their keypoints is.

    Attributes:
        result: ``(M,)`` rows of the scene's results.
        person: ``(M,)`` rows of its persons.
        oks: ``(M,)``.
        kinds: ``(M, K)`` int8, of `KINDS`; `UNLABELLED` where nothing is annotated.
        own: ``(M, K)`` similarity to the right place; NaN where nothing is annotated.
        best: ``(M, K)`` similarity to the most similar place; likewise.
        background: ``(F,)`` rows of the results that count and are of nobody.
    """

    result: Rows
    person: Rows
    oks: Float64
    kinds: NDArray[np.int8]
    own: Float64
    best: Float64
    background: Rows

    def __len__(self) -> int:
        return len(self.result)


def classify_keypoints(scene: Scene, *, crowds: bool = False) -> KeypointErrors:
    """Tell the errors of a scene apart.

    Args:
        scene: Persons and results.
        crowds: Judge also the results that take a person who does not count, such as a crowd with
            keypoints, as the program of the paper's authors does.
    """
    taken = scene.take(scene.found, np.array([LOCALISED]))
    at, person = _found(scene, taken, crowds)
    result = taken.rows[at]
    keypoints = scene.found.keypoints[result].reshape(len(result), len(scene.sigmas), 3)[..., :2]
    # Every place in the image, result by result.
    row, place = pairs_within_images(
        scene.found.image_numbers[result], scene.persons.image_numbers
    )
    is_own = place == person[row]
    plain = _similarity(scene, keypoints[row], place, None)
    mirrored = _similarity(scene, keypoints[row], place, scene.flip_index)
    others, others_mirrored = (
        _highest(np.where(is_own[:, None], -1.0, each), row, len(result))
        for each in (plain, mirrored)
    )
    places = np.stack([plain[is_own], others, mirrored[is_own], others_mirrored])
    labelled = scene.persons.keypoints[person, :, 2] > 0
    first, best = places.argmax(axis=0), places.max(axis=0, initial=-1.0)
    kinds = np.select(
        [~labelled, best < NEAR, first == 2, first != 0, best <= EXACT],
        [UNLABELLED, MISS, INVERSION, SWAP, JITTER],
        GOOD,
    ).astype(np.int8)
    own = np.where(labelled, places[0], np.nan)
    oks = np.nanmean(own, axis=1) if len(own) else np.empty(0)
    best = np.where(labelled, np.maximum(best, 0), np.nan)
    nobody = (taken.person[:, 0] < 0) & ~taken.passed_over[:, 0]
    return KeypointErrors(result, person, oks, kinds, own, best, taken.rows[nobody])


def _found(scene: Scene, taken: Taken, crowds: bool) -> tuple[Rows, Rows]:
    """Results with a person whose keypoints are known, image by image; and that person."""
    person = taken.person[:, 0]
    is_judged = (scene.persons.num_keypoints > 0) if crowds else scene.counts
    is_judged = is_judged & (scene.persons.keypoints[..., 2] > 0).any(axis=1)
    at = np.flatnonzero(person >= 0)
    at = at[is_judged[person[at]]]
    return at, person[at]


def _similarity(scene: Scene, points: Float64, place: Rows, flip_index: Rows | None) -> Float64:
    """``(P, K)`` of points with the keypoints of persons; -1 where those are not labelled."""
    target = scene.persons.keypoints[place]
    if flip_index is not None:
        target = target[:, flip_index]
    squares = ((points - target[..., :2]) ** 2).sum(axis=-1)
    areas = scene.persons.areas[place, None] + np.spacing(1)
    similar: Float64 = np.exp(-squares / (2 * scene.sigmas) ** 2 / areas / 2)
    return np.where(target[..., 2] > 0, similar, -1.0)


def _highest(similar: Float64, row: Rows, count: int) -> Float64:
    """``(M, K)`` the highest of each result's pairs, of which each has at least one."""
    starts = np.searchsorted(row, np.arange(count))
    return np.maximum.reduceat(similar, starts, axis=0) if count else similar[:0]
