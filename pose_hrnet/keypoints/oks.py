"""Object keypoint similarity (OKS), OKS non-maximum suppression, pose rescoring.

OKS between two poses is the mean over keypoints of ``exp(-d^2 / (2 A k^2))``: `d` the distance of
the two keypoints in pixels, `A` the person's area in square pixels, ``k = 2 sigma`` the keypoint's
constant (COCO keypoint evaluation; Ronchi and Perona, ICCV 2017). COCO's evaluation takes the area
and the labelled keypoints of the ground truth. NMS compares two predictions, so the official HRNet
code takes the mean of both areas and every keypoint, and so does this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.keypoints.records import Float64, Poses
from pose_hrnet.system.choices import NmsName

Rows: TypeAlias = NDArray[np.intp]

OFFICIAL_MAX_PER_IMAGE = 20
"""Poses that the official soft NMS keeps in an image at most; COCO scores the best 20 anyway."""

_EPS = np.spacing(1.0)  # keeps an area of 0 from dividing by 0, as pycocotools does
_CHUNK = 1 << 17  # keypoint distances held at once: 1 MB arrays stay in the cache


def oks_matrix(
    keypoints_a: ArrayLike,
    areas_a: ArrayLike,
    keypoints_b: ArrayLike,
    areas_b: ArrayLike | None,
    sigmas: ArrayLike,
    visible: ArrayLike | None = None,
) -> Float64:
    """OKS between every pose of `a` and every pose of `b`, in one frame.

    Axes in front of the stated ones are batch axes and broadcast. Computed in float64.

    Args:
        keypoints_a: ``(N, K, 2)`` pixels; the ground truth where there is one.
        areas_a: ``(N,)`` square pixels.
        keypoints_b: ``(M, K, 2)`` pixels.
        areas_b: ``(M,)`` square pixels: OKS uses the mean of both areas, as NMS does. ``None``
            uses the areas of `a` alone, as COCO's evaluation does.
        sigmas: ``(K,)`` standard deviations relative to sqrt(area).
        visible: ``(N, K)``, true (or above 0) for the keypoints of `a` that count; default all.

    Returns:
        ``(N, M)`` similarities from 0 to 1; 0 for a pose of `a` without visible keypoints.

    Raises:
        ValueError: If the number of sigmas is not the number of keypoints.
    """
    similarity = keypoint_similarities(keypoints_a, areas_a, keypoints_b, areas_b, sigmas)
    counted = (
        np.ones(similarity.shape[-1])
        if visible is None
        else np.asarray(visible)[..., :, None, :] > 0
    )
    similarity *= counted
    oks: Float64 = similarity.sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
    return oks


def keypoint_similarities(
    keypoints_a: ArrayLike,
    areas_a: ArrayLike,
    keypoints_b: ArrayLike,
    areas_b: ArrayLike | None,
    sigmas: ArrayLike,
) -> Float64:
    """What OKS is the mean of: ``(N, M, K)`` of each keypoint; as `oks_matrix`."""
    a, b = _double(keypoints_a)[..., :, None, :, :], _double(keypoints_b)[..., None, :, :, :]
    variances = (2 * _double(sigmas)) ** 2
    if not a.shape[-2] == b.shape[-2] == variances.size:
        raise ValueError(
            f"OKS got {variances.size} sigmas for poses of {a.shape[-2]} and {b.shape[-2]} "
            "keypoints; give one sigma per keypoint, from the skeleton of the poses"
        )
    areas = _double(areas_a)[..., :, None]
    if areas_b is not None:
        areas = (areas + _double(areas_b)[..., None, :]) / 2
    exponents = (a[..., 0] - b[..., 0]) ** 2
    exponents += (a[..., 1] - b[..., 1]) ** 2
    exponents /= -2 * variances
    exponents /= (areas + _EPS)[..., None]
    similarities: Float64 = np.exp(exponents, out=exponents)
    return similarities


def rescore(poses: Poses, *, keypoint_threshold: float = 0.2) -> Poses:
    """Pose score = box score x mean of the keypoint scores above the threshold (official HRNet).

    Args:
        poses: Poses whose scores are those of their boxes.
        keypoint_threshold: Keypoint scores at or below it do not count; a pose without any
            above it scores 0.

    Returns:
        The same rows with pose scores.
    """
    scores = _double(poses.keypoint_scores)
    counted = scores > keypoint_threshold
    means = (scores * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return times(poses, means)


def times(poses: Poses, factors: ArrayLike) -> Poses:
    """Poses whose scores are multiplied, by those of their boxes for example.

    Args:
        poses: N poses.
        factors: ``(N,)`` finite numbers. What is beyond single precision becomes its largest
            number: networks that learned nothing give 1e20, and some files have such scores, too.
    """
    most = np.finfo(np.float32).max
    products = _double(poses.scores) * _double(factors)
    return replace(poses, scores=products.clip(-most, most).astype(np.float32))


def oks_nms(poses: Poses, sigmas: Sequence[float], *, threshold: float = 0.9) -> Poses:
    """Greedy OKS-NMS within each image: a pose goes when a better kept one is too similar.

    Args:
        poses: Poses of any number of images, in any order; `areas` scale the similarity (the
            official code gives the area of the padded crop).
        sigmas: K standard deviations of the skeleton.
        threshold: Highest OKS at which both poses stay.

    Returns:
        The kept rows: images in order of first appearance, best score first within each; of
        equal scores the earlier row comes first.

    Raises:
        ValueError: If the number of sigmas is not the number of keypoints.
    """
    kept = []
    for rows in _equal_counts(poses):
        keypoints, areas = _double(poses.keypoints_image[rows]), _double(poses.areas[rows])
        alive = np.ones(rows.shape, dtype=bool)
        for i in range(rows.shape[1]):
            if not alive[:, i].any():
                continue
            later = slice(i + 1, None)
            best = keypoints[:, i, None], areas[:, i, None]
            oks = oks_matrix(*best, keypoints[:, later], areas[:, later], sigmas)[:, 0]
            alive[:, later] &= ~((oks > threshold) & alive[:, i, None])
        kept.append(rows[alive])
    return poses[_by_image(poses, kept)]


def soft_oks_nms(
    poses: Poses,
    sigmas: Sequence[float],
    *,
    threshold: float = 0.9,
    max_per_image: int | None = OFFICIAL_MAX_PER_IMAGE,
    decay_scores: bool = False,
) -> Poses:
    """Soft NMS (Bodla et al., ICCV 2017) with OKS: similar poses sink instead of going.

    The best pose is taken, the scores of the others in the image are multiplied by
    ``exp(-oks^2 / threshold)``, and so on. The official HRNet code uses the decayed scores to
    choose and then reports the scores from before, so that without its cap of 20 poses per image
    it changes nothing in COCO's numbers. That is the default here; `decay_scores` gives soft NMS
    as published.

    Args:
        poses: Poses of any number of images, in any order.
        sigmas: K standard deviations of the skeleton.
        threshold: The Gaussian's width: smaller decays more.
        max_per_image: Poses taken in each image at most; ``None`` takes all.
        decay_scores: Return the decayed scores rather than those that came in.

    Returns:
        The taken rows: images in order of first appearance, in the order taken within each.

    Raises:
        ValueError: If the number of sigmas is not the number of keypoints, `threshold` is not
            above 0 or `max_per_image` is below 1.
    """
    if threshold <= 0 or (max_per_image is not None and max_per_image < 1):
        raise ValueError(
            f"soft OKS-NMS got threshold {threshold} and max_per_image {max_per_image}; "
            "give a threshold above 0, and at least 1 pose per image or None for all"
        )
    kept, scores = decayed_scores(poses, sigmas, threshold=threshold, max_per_image=max_per_image)
    if not decay_scores:
        return poses[kept]
    return replace(poses[kept], scores=scores[kept].astype(np.float32))


def decayed_scores(
    poses: Poses, sigmas: Sequence[float], *, threshold: float, max_per_image: int | None = None
) -> tuple[Rows, Float64]:
    """What soft NMS takes, and the scores that it leaves.

    Args:
        poses: As of `soft_oks_nms`, like the other arguments.
        sigmas: K standard deviations of the skeleton.
        threshold: The Gaussian's width.
        max_per_image: Poses taken in each image at most; ``None`` takes all.

    Returns:
        ``(M,)`` the taken rows, images in order of first appearance, in the order taken within
        each; and ``(N,)`` the scores of all rows, decayed by those that were taken before them.
    """
    taken, scores = [], _double(poses.scores).copy()
    for rows in _equal_counts(poses):
        keypoints, areas = _double(poses.keypoints_image[rows]), _double(poses.areas[rows])
        images, waiting = np.arange(len(rows)), np.ones(rows.shape, dtype=bool)
        order = np.empty((len(rows), min(rows.shape[1], max_per_image or rows.shape[1])), np.intp)
        for step in range(order.shape[1]):
            first = np.where(waiting, scores[rows], -np.inf).argmax(axis=1)
            order[:, step], waiting[images, first] = rows[images, first], False
            best = keypoints[images, first][:, None], areas[images, first][:, None]
            oks = oks_matrix(*best, keypoints, areas, sigmas)[:, 0]
            scores[rows] *= np.where(waiting, np.exp(-(oks**2) / threshold), 1.0)
        taken.append(order.ravel())
    return _by_image(poses, taken), scores


def remove_duplicates(
    poses: Poses, sigmas: Sequence[float], *, nms: NmsName, threshold: float
) -> Poses:
    """Remove the duplicates within each image, by any of the ways that have a name.

    Args:
        poses: As of `oks_nms`, rescored.
        sigmas: K standard deviations of the skeleton.
        nms: ``oks``: `oks_nms`; ``soft_oks``: `soft_oks_nms` as the official code has it;
            ``soft_oks_decayed``: as published; ``none``: all stay.
        threshold: Of that function.
    """
    if nms == "oks":
        return oks_nms(poses, sigmas, threshold=threshold)
    if nms == "soft_oks":
        return soft_oks_nms(poses, sigmas, threshold=threshold)
    if nms == "soft_oks_decayed":
        return soft_oks_nms(
            poses, sigmas, threshold=threshold, max_per_image=None, decay_scores=True
        )
    return poses


def _double(values: ArrayLike) -> Float64:
    return np.asarray(values, dtype=np.float64)


def _image_rows(poses: Poses) -> Rows:
    """``(N,)`` running number of each row's image, in order of first appearance."""
    numbers = {image_id: i for i, image_id in enumerate(dict.fromkeys(poses.image_ids))}
    return np.array([numbers[image_id] for image_id in poses.image_ids], dtype=np.intp)


def _equal_counts(poses: Poses) -> Iterator[Rows]:
    """Yield ``(I, n)`` row numbers of I images with n poses each, best score first.

    Images with equally many poses are worked on together, as arrays without padding.
    """
    image = _image_rows(poses)
    order = np.lexsort((-_double(poses.scores), image))  # stable: equal scores stay in row order
    counts = np.bincount(image)
    starts = np.cumsum(counts) - counts
    for count in np.unique(counts):
        rows = order[starts[counts == count, None] + np.arange(count)]
        size = max(1, _CHUNK // (count * poses.keypoint_scores.shape[1]))
        yield from (rows[i : i + size] for i in range(0, len(rows), size))


def _by_image(poses: Poses, kept: list[Rows]) -> Rows:
    """Join the kept rows, images in order of first appearance, the order within each unchanged."""
    rows = np.concatenate([np.empty(0, dtype=np.intp), *kept])
    return rows[np.argsort(_image_rows(poses)[rows], kind="stable")]
