"""PCK, AUC and EPE: how far predicted keypoints lie from the labelled ones of the same person.

They need to know whose pose a prediction is, and so apply where the boxes are the annotated ones.
Definitions as MMPose's: PCK (Yang and Ramanan, PAMI 2013) counts errors below a threshold for each
keypoint and averages over keypoints, AUC averages PCK over thresholds, EPE is the mean error over
the labelled keypoints of the persons that were predicted; others count as wrong in PCK and AUC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.keypoints.records import Float64, People, Poses

PCK_THRESHOLDS = (0.05, 0.1, 0.2)
"""Errors that count as correct, in longer sides of the person's box."""
AUC_LIMIT = 0.5
"""Largest threshold of AUC, in longer sides of the box."""
AUC_LIMIT_PIXELS = 30.0
"""Largest threshold of AUC in pixels: MMPose's ``norm_factor``."""
AUC_STEPS = 20
"""Thresholds of AUC: 0, 1/20, ..., 19/20 of the limit, as MMPose's ``num_thrs``."""


def keypoint_errors(found: ArrayLike, truth: ArrayLike, labelled: ArrayLike) -> Float64:
    """Distances between predicted and labelled keypoints.

    Args:
        found: ``(N, K, 2)`` pixels; NaN where a person was not predicted.
        truth: ``(N, K, 2)`` pixels of the same persons.
        labelled: ``(N, K)``, true or above 0 where `truth` is labelled.

    Returns:
        ``(N, K)`` pixels; NaN where not labelled, infinite where not predicted.
    """
    difference = np.asarray(found, np.float64) - np.asarray(truth, np.float64)
    errors: Float64 = np.linalg.norm(difference, axis=-1)
    errors[np.isnan(errors)] = np.inf
    errors[~(np.asarray(labelled) > 0)] = np.nan
    return errors


def pck(errors: Float64, thresholds: ArrayLike, lengths: ArrayLike = 1.0) -> Float64:
    """Share of the labelled keypoints with an error below a threshold.

    Args:
        errors: ``(N, K)`` pixels, from `keypoint_errors`.
        thresholds: One or ``(T,)``, in units of `lengths`.
        lengths: ``(N,)`` pixels of each person, such as the longer side of the box or the size
            of the head, or one length for all.

    Returns:
        ``(T, K)``, or ``(K,)`` for one threshold; NaN for a keypoint that is never labelled.
    """
    limits = np.asarray(thresholds, np.float64)[..., None, None]
    sizes = np.broadcast_to(np.asarray(lengths, np.float64), len(errors))[:, None]
    return share(errors / sizes < limits, ~np.isnan(errors))


def share(correct: NDArray[np.bool_], counted: NDArray[np.bool_]) -> Float64:
    """``(..., N, K)`` correct among ``(N, K)`` counted: ``(..., K)``, NaN where none counts."""
    number = counted.sum(axis=0)
    right = (correct & counted).sum(axis=-2)
    shares: Float64 = np.full(right.shape, np.nan)
    np.divide(right, number, where=number > 0, out=shares)
    return shares


def auc(
    errors: Float64, limit: float, lengths: ArrayLike = 1.0, *, steps: int = AUC_STEPS
) -> float:
    """Mean over thresholds of the mean PCK over keypoints: the area under the PCK curve.

    Args:
        errors: ``(N, K)`` pixels.
        limit: Thresholds are ``limit * i / steps`` for i = 0 ... steps - 1.
        lengths: As in `pck`; 1: thresholds are pixels.
        steps: Number of thresholds.

    Returns:
        0 to 1; NaN if nothing is labelled.
    """
    return _mean(pck(errors, limit * np.arange(steps) / steps, lengths))


def epe(errors: Float64) -> float:
    """Mean of the ``(N, K)`` errors, in pixels, of the labelled keypoints that were predicted.

    NaN without any.
    """
    return _mean(np.where(np.isfinite(errors), errors, np.nan))


def keypoint_metrics(
    people: People, poses: Poses, rows: ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """PCK, AUC and EPE of predictions in annotated boxes.

    Args:
        people: N annotated persons.
        poses: One pose for each of the `rows`.
        rows: ``(M,)`` row of `people` that each pose is of; the others count as wrong, and
            not in EPE.
        names: K keypoint names.

    Returns:
        ``PCK@t`` for `PCK_THRESHOLDS` and ``AUC`` by the longer side of the box, ``AUC@30px``,
        ``EPE`` in pixels, and under ``per_keypoint`` ``PCK@0.1`` and ``EPE`` by name; NaN where
        nothing is labelled.
    """
    found = np.full(people.keypoints_image.shape, np.nan)
    found[np.asarray(rows, np.intp)] = poses.keypoints_image
    errors = keypoint_errors(found, people.keypoints_image, people.visibility)
    sides = people.boxes_xywh[:, 2:].max(axis=1)
    values: dict[str, Any] = {f"PCK@{t:g}": _mean(pck(errors, t, sides)) for t in PCK_THRESHOLDS}
    values["AUC"] = auc(errors, AUC_LIMIT, sides)
    values[f"AUC@{AUC_LIMIT_PIXELS:g}px"] = auc(errors, AUC_LIMIT_PIXELS)
    values["EPE"] = epe(errors)
    by_keypoint = pck(errors, 0.1, sides)
    values["per_keypoint"] = {
        name: {"PCK@0.1": float(by_keypoint[k]), "EPE": epe(errors[:, k])}
        for k, name in enumerate(names)
    }
    return values


def _mean(values: Float64) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


__all__ = ["auc", "epe", "keypoint_errors", "keypoint_metrics", "pck", "share"]
