"""Draws the random parameters of a training crop; touches no pixels.

A sample's randomness comes from ``(seed, epoch, index)`` alone, so that it depends neither on the
number of loader processes nor on where a run was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.keypoints.geometry import fit_aspect
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.keypoints.skeleton import Skeleton

HALF_BODY_PADDING = 1.5
"""Official factor on the box around the keypoints of a half body."""


@dataclass(frozen=True)
class Region:
    """The part of the image that becomes a crop.

    Attributes:
        center_image: ``(2,)`` image pixels.
        size_wh: ``(2,)`` image pixels, in the aspect ratio of the input.
        rotation_deg: Angle by which the region is turned.
        flip: Whether the crop is mirrored.
    """

    center_image: Float64
    size_wh: Float64
    rotation_deg: float = 0.0
    flip: bool = False


def draw_region(
    region: Region,
    keypoints_image: NDArray[np.floating],
    visibility: NDArray[np.integer],
    skeleton: Skeleton,
    settings: AugmentConfig,
    rng: np.random.Generator,
) -> Region:
    """Change a region at random: half body, scale, rotation, flip (Sun et al., CVPR 2019).

    Args:
        region: The padded person box.
        keypoints_image: ``(K, 2)`` image pixels.
        visibility: ``(K,)``; half bodies are made of the labelled keypoints.
        skeleton: Says which keypoints are the upper body; without one, or without a lower
            body, there are no half bodies.
        settings: Chances and amounts.
        rng: The sample's generator. Every number is drawn whether or not it is used, so that
            one setting does not change the numbers of another.

    Returns:
        The region to crop.
    """
    half, upper, rotate, flip = rng.random(4)
    size_normal, angle_normal = rng.standard_normal(2)

    labelled = visibility > 0
    if half < settings.half_body_probability and _has_halves(labelled, skeleton, settings):
        prefer_upper = bool(upper < settings.upper_body_probability)
        region = _half_body(region, keypoints_image, labelled, skeleton, prefer_upper)
    # min and max: np.clip takes ten times as long on a single number.
    factor = 1 + min(max(float(size_normal), -1.0), 1.0) * settings.scale_std
    angle = min(max(float(angle_normal), -2.0), 2.0) * settings.rotation_std
    return Region(
        center_image=region.center_image,
        size_wh=region.size_wh * factor,
        rotation_deg=angle if rotate < settings.rotation_probability else 0.0,
        flip=bool(flip < settings.flip_probability),
    )


def reach_xyxy(
    region: Region,
    keypoints_image: NDArray[np.floating],
    visibility: NDArray[np.integer],
    skeleton: Skeleton,
    settings: AugmentConfig,
) -> Float64:
    """The smallest upright box that holds every crop that `draw_region` can give.

    A region of w x h turned by a, up to A, reaches w/2 cos a + h/2 sin a sideways, at most at
    ``min(A, atan2(h, w))``, where that is half its diagonal; upwards alike.

    Args:
        region: As in `draw_region`; and so are the others.

    Returns:
        ``(4,)`` left, top, right, bottom in image pixels.
    """
    labelled = visibility > 0
    bases = [region]
    if settings.half_body_probability and _has_halves(labelled, skeleton, settings):
        halves = (True, False)
        bases += [_half_body(region, keypoints_image, labelled, skeleton, h) for h in halves]
    centers = np.array([base.center_image for base in bases])
    halves_wh = np.array([base.size_wh for base in bases]) / 2 * (1 + settings.scale_std)
    others = halves_wh[:, ::-1]
    largest = np.deg2rad(2 * settings.rotation_std) if settings.rotation_probability else 0.0
    angles = np.minimum(largest, np.arctan2(others, halves_wh))
    reach = halves_wh * np.cos(angles) + others * np.sin(angles)
    return np.concatenate([(centers - reach).min(axis=0), (centers + reach).max(axis=0)])


def _has_halves(labelled: NDArray[np.bool_], skeleton: Skeleton, settings: AugmentConfig) -> bool:
    """Whether a person may be cropped to a half."""
    has_two = 0 < len(skeleton.upper_body) < skeleton.num_keypoints
    return has_two and bool(labelled.sum() > settings.half_body_min_keypoints)


def _half_body(
    region: Region,
    keypoints_image: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    skeleton: Skeleton,
    prefer_upper: bool,
) -> Region:
    """The box around the upper or the lower body's labelled keypoints, if it has three of them.

    The official code falls back to the other half where the preferred has two or fewer, and to the
    whole person where that one has fewer than two.
    """
    is_upper = np.zeros(len(labelled), dtype=bool)
    is_upper[list(skeleton.upper_body)] = True
    upper, lower = labelled & is_upper, labelled & ~is_upper
    # As the official code: the lower half is taken with three keypoints, else always the upper.
    chosen = upper if (prefer_upper and upper.sum() > 2) or lower.sum() <= 2 else lower
    points = keypoints_image[chosen].astype(np.float64)
    if len(points) < 2:
        return region
    extent = points.max(axis=0) - points.min(axis=0)
    if not extent.any():
        return region
    width, height = region.size_wh
    size = fit_aspect(extent, (width, height)) * HALF_BODY_PADDING
    return Region(points.mean(axis=0), size, region.rotation_deg, region.flip)
