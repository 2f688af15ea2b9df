"""Whether scores say how sure a prediction is: reliability, its error, and a curve that mends it.

Scores are sorted into ten bins of equal width from 0 to 1. In each, the mean score stands beside
the share of predictions that are right: keypoints with a similarity of at least 0.5 to the
labelled one, of results that have found their person at OKS 0.1; results with an OKS of at least
0.5 to a person that none better has taken. The expected calibration error is the mean of the
differences, weighted by the predictions in each bin (Naeini et al., AAAI 2015; Guo et al., ICML
2017). Of keypoints that are not labelled nothing is known, and they do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from pose_hrnet.config.data import DataSet
from pose_hrnet.evaluation.diagnosis.kinds import NEAR, KeypointErrors, classify_keypoints
from pose_hrnet.evaluation.diagnosis.scene import LOCALISED, Scene
from pose_hrnet.evaluation.evaluate import Evaluation, evaluate
from pose_hrnet.evaluation.metrics.coco_ap import Matched, match_results, results_of_poses
from pose_hrnet.evaluation.metrics.coco_matching import Bools, Rows
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.calibration import Calibration
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.progress import SILENT, Progress

BINS = 10
ECE = "ECE"
"""Name of the expected calibration error."""
FEWEST_TO_FIT = 200
"""Keypoints that a curve is fitted to, at least."""
_OF_A_POINT, _POINTS = 20, 50
"""Keypoints that a point of the curve is of, at least; and points of a curve, at most."""


@dataclass(frozen=True)
class Bin:
    """Predictions of about equal scores.

    Attributes:
        low: Lowest score that belongs into it.
        high: The one from which on they belong into the next.
        count: Predictions.
        score: Their mean score; those outside of 0 to 1 count as 0 and 1.
        right: Share of those that are right.
        similarity: Mean similarity to what they stand for.
    """

    low: float
    high: float
    count: int
    score: float
    right: float
    similarity: float


@dataclass(frozen=True, eq=False)
class Reliability:
    """Scores beside what they stand for, as a `Statistic` whose number is the `ECE`.

    Attributes:
        counts: ``(I, B)`` predictions of each image in each bin.
        scores: ``(I, B)`` sums of their scores.
        right: ``(I, B)`` how many of them are right.
        similarity: ``(I, B)`` sums of their similarities.
        outside: Share of the predictions whose score is below 0 or above 1.
    """

    counts: Float64
    scores: Float64
    right: Float64
    similarity: Float64
    outside: float

    @classmethod
    def of(
        cls, image: Rows, scores: Float64, right: Bools, similarity: Float64, images: int
    ) -> Reliability:
        """Sort N predictions into bins.

        Args:
            image: ``(N,)`` of each, from 0.
            scores: ``(N,)``.
            right: ``(N,)``.
            similarity: ``(N,)``.
            images: I.
        """
        clipped = scores.clip(0, 1)
        cell = image * BINS + np.minimum((clipped * BINS).astype(np.intp), BINS - 1)
        outside = scores != clipped

        def sums(values: NDArray[Any] | None) -> Float64:
            summed = np.bincount(cell, values, minlength=images * BINS)
            return summed.astype(np.float64).reshape(images, BINS)

        return cls(
            sums(None),
            sums(clipped),
            sums(right),
            sums(similarity),
            float(outside.mean()) if len(outside) else 0.0,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The number's."""
        return (ECE,)

    @property
    def images(self) -> int:
        """I."""
        return len(self.counts)

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """``(R, 1)`` of ``(R, I)``, as `Statistic.weighted`."""
        gaps = np.abs(weights @ (self.scores - self.right)).sum(axis=1)
        counts = (weights @ self.counts).sum(axis=1)
        errors = np.full(len(weights), np.nan)
        np.divide(gaps, counts, out=errors, where=counts > 0)
        return errors[:, None]

    @property
    def count(self) -> int:
        """Predictions."""
        return int(self.counts.sum())

    @property
    def bins(self) -> tuple[Bin, ...]:
        """Those with predictions in them."""
        edges = np.linspace(0, 1, BINS + 1).tolist()
        sums = [
            each.sum(axis=0) for each in (self.counts, self.scores, self.right, self.similarity)
        ]
        return tuple(
            Bin(edges[b], edges[b + 1], int(n), *(float(each[b] / n) for each in sums[1:]))
            for b, n in enumerate(sums[0])
            if n
        )


def keypoint_reliability(matched: Matched, scene: Scene, errors: KeypointErrors) -> Reliability:
    """Of the keypoints of results that have found their person."""
    scores, similarity = keypoint_scores(scene, errors)
    at, _ = np.nonzero(~np.isnan(errors.own))
    image = _image(matched, scene, errors.result[at])
    right = similarity >= NEAR
    return Reliability.of(image, scores, right, similarity, len(matched.images))


def person_reliability(matched: Matched, scene: Scene) -> Reliability:
    """Of the results that count: the best 20 of an image, but for those that take a crowd."""
    taken = scene.take(scene.found, np.array([LOCALISED, NEAR]))
    pairs = scene.pairs(taken.found)
    is_own = pairs.person == taken.person[pairs.result, 0]
    similarity = np.zeros(len(taken.rows))
    similarity[pairs.result[is_own]] = pairs.oks[is_own]
    counts = ~taken.passed_over.any(axis=1)
    return Reliability.of(
        _image(matched, scene, taken.rows[counts]),
        taken.found.scores[counts],
        taken.person[counts, 1] >= 0,
        similarity[counts],
        len(matched.images),
    )


def keypoint_scores(scene: Scene, errors: KeypointErrors) -> tuple[Float64, Float64]:
    """Score and similarity, ``(N,)`` each, of the labelled keypoints of results with a person."""
    triples = scene.found.keypoints.reshape(len(scene.found), len(scene.sigmas), 3)
    known = ~np.isnan(errors.own)
    return triples[errors.result, :, 2][known], errors.own[known]


def fit_calibration(scores: Float64, similarity: Float64) -> Calibration:
    """The rising curve of least squares through scores and whether their keypoints are right.

    Neighbouring scores are averaged first, and isotonic regression (Zadrozny and Elkan, KDD 2002)
    makes the averages rise.

    Args:
        scores: ``(N,)``, from `keypoint_scores`.
        similarity: ``(N,)``, likewise.

    Raises:
        ValueError: If there are too few keypoints, or the scores are all the same.
    """
    if len(scores) < FEWEST_TO_FIT:
        raise ValueError(
            f"{len(scores)} labelled keypoints of persons that were found are too few to "
            f"calibrate scores with; give at least {FEWEST_TO_FIT}, better thousands"
        )
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(_POINTS, len(order) // _OF_A_POINT))
    at = np.array([scores[part].mean() for part in parts])
    right = np.array([(similarity[part] >= NEAR).mean() for part in parts])
    size = np.array([len(part) for part in parts], np.float64)
    at, same = np.unique(at.round(6), return_inverse=True)
    weights = np.bincount(same, size)
    if len(at) < 2:
        raise ValueError(
            f"all keypoints have the score {at[0]:g}, which says nothing of how sure they are; "
            "give results with scores"
        )
    means = np.bincount(same, size * right) / weights
    rising = isotonic_regression(means, weights=weights).x.clip(0, 1)
    return Calibration(tuple(at.tolist()), tuple(rising.round(6).tolist()))


def calibrate(
    model: PoseModel, data: DataSet, *, workers: int = 0, progress: Progress = SILENT
) -> tuple[Calibration, Evaluation]:
    """Measure what the scores of a model mean.

    Args:
        model: Whose scores are as its heatmaps give them.
        data: Annotated images that it was not trained on, at best: on those that it was, scores
            are right more often.
        workers: Loader processes.
        progress: Watches.

    Returns:
        The curve, and the evaluation that it comes from.

    Raises:
        FileNotFoundError: As `evaluate`.
        ValueError: As `evaluate` and `fit_calibration`, or if the annotations are MPII's.
    """
    truth = FileTruth.of(data.annotations, category=data.category)
    evaluation = evaluate(model, data, workers=workers, progress=progress)
    results = results_of_poses(evaluation.poses)
    matched = match_results(truth.coco, results, sigmas=truth.skeleton.sigmas)
    scene = Scene.of(matched, truth.skeleton.flip_index, None)
    scores, similarity = keypoint_scores(scene, classify_keypoints(scene))
    return fit_calibration(scores, similarity), evaluation


def _image(matched: Matched, scene: Scene, rows: Rows) -> Rows:
    """Which image, from 0, each result of the scene stands in."""
    numbers = matched.found.image_numbers[scene.result_rows[rows]]
    return np.searchsorted(matched.images, numbers)
