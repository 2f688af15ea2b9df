"""What AP would be if errors of one kind did not occur.

A keypoint that is corrected goes to the right place, at a distance at which its similarity is: of
a miss 0.5, of jitter 0.85, of an inversion or a swap the one that it has to the wrong place. Then
all is matched anew. Corrected scores are the highest OKS with a person of the image, decayed by
soft NMS; results that find nobody, and persons whom no result finds, are passed over, at each OKS
threshold on its own (Ronchi and Perona, ICCV 2017, sections 4 and 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pose_hrnet.evaluation.diagnosis.kinds import (
    EXACT,
    INVERSION,
    JITTER,
    MISS,
    NEAR,
    SWAP,
    KeypointErrors,
)
from pose_hrnet.evaluation.diagnosis.scene import Scene
from pose_hrnet.evaluation.metrics.coco_matching import Bools, Found, Rows
from pose_hrnet.keypoints.oks import decayed_scores
from pose_hrnet.keypoints.records import Float64, Poses, object_array

CORRECTIONS = (
    "miss", "swap", "inversion", "jitter", "score", "background false positives",
    "false negatives",
)  # fmt: skip
"""What is corrected, in the order in which the corrections are added up."""
_KEYPOINTS = {"miss": MISS, "swap": SWAP, "inversion": INVERSION, "jitter": JITTER}
_INSIDE = 1 - 1e-9
"""A corrected keypoint stands this little nearer, so that rounding puts none below its aim."""
_SOFTNESS = 0.5
"""Width of the soft NMS of corrected scores."""


@dataclass(frozen=True, eq=False)
class Corrected:
    """AP at each OKS threshold, -1 where there is nobody to find.

    Attributes:
        thresholds: ``(T,)`` OKS.
        as_is: ``(T,)`` of the results as they are.
        alone: ``(T,)`` for each of `CORRECTIONS`, by name: without this kind of error.
        cumulated: The same, without it and those before it.
    """

    thresholds: Float64
    as_is: Float64
    alone: dict[str, Float64]
    cumulated: dict[str, Float64]


def correct(scene: Scene, errors: KeypointErrors, *, reference: bool = False) -> Corrected:
    """Score the results again without each kind of error.

    Args:
        scene: Persons and results.
        errors: Theirs.
        reference: As the program of the paper's authors (github.com/matteorr/coco-analyze) does:
            it moves keypoints to distances for `sigma`, half of those for the ``k = 2 sigma`` that
            it scores with, so that corrected keypoints are better than they should be; and false
            negatives alone are corrected in addition to background false positives.
    """
    corrected = _corrected_keypoints(scene, errors, 1.0 if reference else 2.0)
    as_is = scene.found

    def keypoints(names: Iterable[str]) -> Found:
        """The results with these kinds of keypoints corrected."""
        all_points = as_is.keypoints.reshape(len(as_is), len(scene.sigmas), 3).copy()
        wrong = np.isin(errors.kinds, [_KEYPOINTS[name] for name in names])
        at, k = np.nonzero(wrong)
        all_points[errors.result[at], k, :2] = corrected[at, k]
        return replace(as_is, keypoints=all_points.reshape(as_is.keypoints.shape))

    def precision(found: Found, background: bool = False, missed: bool = False) -> Float64:
        return average_precision(scene, found, no_background=background, no_missed=missed)

    names = list(_KEYPOINTS)
    alone = {name: precision(keypoints([name])) for name in names}
    alone |= {
        "score": precision(_rescored(scene, as_is)),
        "background false positives": precision(as_is, background=True),
        "false negatives": precision(as_is, background=reference, missed=True),
    }
    cumulated = {name: precision(keypoints(names[: i + 1])) for i, name in enumerate(names)}
    best = _rescored(scene, keypoints(names))
    cumulated |= {
        "score": precision(best),
        "background false positives": precision(best, background=True),
        "false negatives": precision(best, background=True, missed=True),
    }
    return Corrected(scene.thresholds, precision(as_is), alone, cumulated)


def average_precision(
    scene: Scene, found: Found, *, no_background: bool = False, no_missed: bool = False
) -> Float64:
    """COCO's AP at each of T OKS thresholds, averaged over categories.

    Args:
        scene: Persons, and how AP is counted.
        found: Results in the order of the scene's.
        no_background: Pass over results that find nobody at this threshold.
        no_missed: Pass over persons whom no result finds at this threshold.

    Returns:
        ``(T,)``; -1 where there is nobody to find.
    """
    taken = scene.take(found, scene.thresholds)
    right = (taken.person >= 0) & ~taken.passed_over
    wrong = np.zeros_like(right) if no_background else (taken.person < 0) & ~taken.passed_over
    by_category = []
    for category in np.unique(scene.persons.category_numbers):
        count = np.count_nonzero(scene.counts & (scene.persons.category_numbers == category))
        of = taken.found.category_numbers == category
        positives = right[of].sum(axis=0) if no_missed else np.full(len(scene.thresholds), count)
        curves = precision_at_recalls(
            taken.found.scores[of], right[of], wrong[of], positives, scene.recalls
        )
        by_category.append(curves.mean(axis=0))
    every = np.array(by_category).reshape(-1, len(scene.thresholds))
    known = every > -1
    means: Float64 = np.where(known, every, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), means, -1.0)


def precision_at_recalls(
    scores: Float64, right: Bools, wrong: Bools, positives: Rows, recalls: Float64
) -> Float64:
    """Precision at given recalls, as `COCOeval.accumulate` has it.

    Args:
        scores: ``(D,)``.
        right: ``(D, T)`` whether a result has found a person.
        wrong: ``(D, T)`` whether it has found nobody; neither: it does not count.
        positives: ``(T,)`` persons to be found.
        recalls: ``(R,)``.

    Returns:
        ``(R, T)`` the highest precision at this recall or a higher one, 0 where it is not reached;
        -1 where there is nobody to find.
    """
    order = np.argsort(-scores, kind="mergesort")
    hits = right[order].cumsum(axis=0, dtype=np.float64)
    false = wrong[order].cumsum(axis=0, dtype=np.float64)
    precision = hits / (false + hits + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    curves = np.full((len(recalls), len(positives)), -1.0)
    for t in np.flatnonzero(positives):
        at = np.searchsorted(hits[:, t] / positives[t], recalls, side="left")
        curves[:, t] = np.append(precision[:, t], 0.0)[at]
    return curves


def _corrected_keypoints(scene: Scene, errors: KeypointErrors, sigmas_per_k: float) -> Float64:
    """``(M, K, 2)`` places of corrected keypoints, moved along x alone."""
    aim = np.select([errors.kinds == MISS, errors.kinds == JITTER], [NEAR, EXACT], errors.best)
    with np.errstate(divide="ignore"):
        squares = -2 * np.log(aim) * scene.persons.areas[errors.person, None]
    distance = np.sqrt(squares) * sigmas_per_k * scene.sigmas * _INSIDE
    places: Float64 = scene.persons.keypoints[errors.person, :, :2].copy()
    places[..., 0] += np.nan_to_num(distance, posinf=0.0)
    return places


def _rescored(scene: Scene, found: Found) -> Found:
    """The results with the scores that they should have."""
    pairs = scene.pairs(found)
    oks = np.where(scene.counts[pairs.person], pairs.oks, 0.0)
    best = np.zeros(len(found))
    np.maximum.at(best, pairs.result, oks)
    points = found.keypoints.reshape(len(found), len(scene.sigmas), 3)[..., :2]
    columns: dict[str, Any] = {  # in double precision, as the program computes
        "keypoints_image": points,
        "keypoint_scores": np.zeros(points.shape[:2]),
        "boxes_xyxy": np.zeros((len(found), 4)),
        "scores": best,
        "areas": np.ptp(points, axis=1).prod(axis=1),
    }
    poses = Poses(image_ids=object_array(found.image_numbers.tolist()), **columns)
    scores = decayed_scores(poses, scene.sigmas.tolist(), threshold=_SOFTNESS)[1]
    return replace(found, scores=scores)
