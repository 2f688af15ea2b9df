"""How often each kind of error occurs: by keypoint, size, visibility, overlap and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pose_hrnet.evaluation.diagnosis.kinds import KINDS, UNLABELLED, KeypointErrors
from pose_hrnet.evaluation.diagnosis.scene import Scene
from pose_hrnet.evaluation.metrics.coco_matching import Bools
from pose_hrnet.keypoints.records import Float64

Ranges: TypeAlias = dict[str, tuple[float, float]]

OVERLAPPING = 0.1
"""IoU above which the boxes of two persons overlap."""
SIZES: Ranges = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
"""COCO's sizes: areas from, and below, square pixels."""
OVERLAPS: Ranges = {"0": (0, 1), "1-2": (1, 3), "3 and more": (3, np.inf)}
"""Persons whose boxes overlap with one's: from, and below."""
LABELLED: Ranges = {"1-5": (1, 6), "6-10": (6, 11), "11-15": (11, 16), "16 and more": (16, np.inf)}
"""Labelled keypoints of a person: from, and below."""
VISIBILITIES = {"hidden": 1, "visible": 2}
"""COCO's visibility of a labelled keypoint."""


@dataclass(frozen=True)
class Group:
    """Keypoints that have something in common, and what became of them.

    Attributes:
        by: What they have in common: ``keypoint``, ``size``, ``visibility``, ``overlap`` or
            ``labelled``.
        name: Which of them.
        persons: That have to be found.
        found: Of them, those that a result has found.
        counts: Keypoints of the persons found, by `KINDS`.
    """

    by: str
    name: str
    persons: int
    found: int
    counts: dict[str, int]

    @property
    def keypoints(self) -> int:
        """Labelled ones of the persons found."""
        return sum(self.counts.values())

    @property
    def shares(self) -> dict[str, float]:
        """Of the keypoints, by `KINDS`; 0 to 1, all 0 where there is none."""
        return {name: count / max(self.keypoints, 1) for name, count in self.counts.items()}


def groups_of(
    scene: Scene, errors: KeypointErrors, names: Sequence[str]
) -> tuple[Group, tuple[Group, ...]]:
    """All keypoints, and the groups of them.

    Args:
        scene: Persons and results.
        errors: Theirs.
        names: Of the K keypoints.

    Returns:
        The group of all; and those of each keypoint, size, visibility, overlap and number of
        labelled keypoints that persons have.
    """
    everybody = np.ones((len(scene.persons), len(names)), np.bool_)
    groups = [
        _group(scene, errors, by, name, member & everybody)
        for by, name, member in _members(scene, names)
    ]
    return (
        _group(scene, errors, "all", "all", everybody),
        tuple(group for group in groups if group.persons),
    )


def _members(scene: Scene, names: Sequence[str]) -> Iterator[tuple[str, str, Bools]]:
    """``(G, K)`` or ``(G, 1)``: the keypoints of persons that are in each group."""
    persons = scene.persons
    for k, name in enumerate(names):
        yield "keypoint", name, (np.arange(len(names)) == k)[None]
    for name, value in VISIBILITIES.items():
        yield "visibility", name, persons.keypoints[..., 2] == value
    columns: dict[str, tuple[Float64, Ranges]] = {
        "size": (persons.areas, SIZES),
        "overlap": (overlaps(scene), OVERLAPS),
        "labelled": ((persons.keypoints[..., 2] > 0).sum(axis=1, dtype=np.float64), LABELLED),
    }
    for by, (values, ranges) in columns.items():
        for name, (low, high) in ranges.items():
            yield by, name, ((values >= low) & (values < high))[:, None]


def _group(scene: Scene, errors: KeypointErrors, by: str, name: str, member: Bools) -> Group:
    labelled: Bools = scene.persons.keypoints[..., 2] > 0
    member = member & labelled
    has_some: Bools = np.any(member, axis=1)
    kinds = errors.kinds[member[errors.person] & (errors.kinds != UNLABELLED)]
    numbers = np.bincount(kinds, minlength=len(KINDS)).tolist()
    found = np.unique(errors.person[has_some[errors.person]])
    return Group(
        by,
        name,
        int(np.count_nonzero(has_some & scene.counts)),
        int(np.count_nonzero(scene.counts[found])),
        dict(zip(KINDS, numbers, strict=True)),
    )


def overlaps(scene: Scene) -> Float64:
    """``(G,)`` other annotations of a person's image whose box overlaps with the person's."""
    first, second = scene.neighbours()
    boxes = scene.persons.boxes_xywh
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    inner = np.minimum(high[first], high[second]) - np.maximum(low[first], low[second])
    shared = inner.clip(0).prod(axis=1)
    sizes = boxes[:, 2:].prod(axis=1)
    union = sizes[first] + sizes[second] - shared
    is_near = (shared > OVERLAPPING * union) & (first != second)
    return np.bincount(first[is_near], minlength=len(boxes)).astype(np.float64)
