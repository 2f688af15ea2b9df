"""What a results file is worth and where it errs: all numbers of its report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_hrnet.evaluation.calibration import (
    ECE,
    Reliability,
    keypoint_reliability,
    person_reliability,
)
from pose_hrnet.evaluation.diagnosis.diagnose import Diagnosis, diagnose
from pose_hrnet.evaluation.metrics.pck import pck
from pose_hrnet.evaluation.statistics.bootstrap import Interval, Intervals, bootstrap
from pose_hrnet.evaluation.statistics.results import DrawnFile, MatchedFile
from pose_hrnet.keypoints.records import Float64

PCK_LIMITS = np.linspace(0, 0.3, 61)
"""Thresholds of the PCK curve, in longer sides of the box."""
FEW_REPLICATES = 200
"""Draws for the calibration errors, whose intervals are told to one digit."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Of one results file.

    Attributes:
        drawn: It, and all its numbers.
        diagnosis: What it gets wrong.
        keypoint_scores: How reliable they are.
        person_scores: Likewise.
        calibration_errors: Of keypoint scores and of person scores, with intervals.
        recalls: ``(R,)``.
        precisions: ``(T, R)`` at the OKS thresholds of the diagnosis, mean over categories.
        pck: ``(L, K)`` share of keypoints within `PCK_LIMITS`; NaN where none is labelled.
    """

    drawn: DrawnFile
    diagnosis: Diagnosis
    keypoint_scores: Reliability
    person_scores: Reliability
    calibration_errors: tuple[Interval, Interval]
    recalls: Float64
    precisions: Float64
    pck: Float64

    @property
    def file(self) -> MatchedFile:
        """The file, matched."""
        return self.drawn.file

    @property
    def intervals(self) -> Intervals:
        """Of all numbers."""
        return self.drawn.intervals

    @property
    def ap(self) -> float:
        """AP, 0 to 1."""
        return float(self.intervals.values["AP"].value or 0)


def collect(drawn: DrawnFile) -> Numbers:
    """All numbers of a results file.

    Args:
        drawn: Results, matched with annotations, and drawn again.

    Raises:
        ValueError: As `diagnose`.
    """
    matched, skeleton = drawn.file.matched, drawn.file.truth.skeleton
    replicates = len(drawn.draws.draws)
    diagnosis = diagnose(matched, skeleton)
    keypoints = keypoint_reliability(matched, diagnosis.scene, diagnosis.errors)
    persons = person_reliability(matched, diagnosis.scene)
    return Numbers(
        drawn,
        diagnosis,
        keypoints,
        persons,
        (_error(keypoints, replicates), _error(persons, replicates)),
        np.asarray(matched.evaluation.params.recThrs, np.float64),
        _precisions(matched.evaluation.eval["precision"]),
        np.asarray(pck(drawn.file.best.errors, PCK_LIMITS)),
    )


def _error(reliability: Reliability, replicates: int) -> Interval:
    if not reliability.count:
        return Interval(None)
    draws = bootstrap(reliability, replicates=min(replicates, FEW_REPLICATES))
    return draws.intervals().values[ECE]


def _precisions(precision: Float64) -> Float64:
    """``(T, R)`` of pycocotools' ``(T, R, K, A, M)``: of all sizes, the mean over categories."""
    every = precision[:, :, :, 0, -1]
    known = every > -1
    means: Float64 = np.where(known, every, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    return means
