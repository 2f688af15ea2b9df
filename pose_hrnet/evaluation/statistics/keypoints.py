"""Similarity and PCK of each keypoint, of results that do not say whose they are.

A person's pose is the result of highest OKS in the image, whatever its score: the numbers of a
keypoint then say where it was put, and not how the results were ranked. A person in whose image
there is no result has similarity 0 and no keypoint within reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.evaluation.metrics.coco_ap import Matched
from pose_hrnet.evaluation.metrics.pck import PCK_THRESHOLDS, keypoint_errors
from pose_hrnet.evaluation.statistics.weighted import Means, Ratios
from pose_hrnet.keypoints.oks import oks_matrix
from pose_hrnet.keypoints.records import Float64

PCK_OF_KEYPOINT = 0.1
"""Threshold of the PCK that is told for each keypoint, in longer sides of the box."""
OKS_OF_KEYPOINT = "OKS "
"""What the name of a keypoint's mean similarity begins with."""
_OF_KEYPOINT = (OKS_OF_KEYPOINT, f"PCK@{PCK_OF_KEYPOINT:g} ")


def is_of_keypoint(name: str) -> bool:
    """Whether a number is of one keypoint, as those of `BestPoses.by_keypoint`, by its name."""
    return name.startswith(_OF_KEYPOINT)


@dataclass(frozen=True, eq=False)
class BestPoses:
    """The result of highest OKS for each of G persons with keypoints, crowds left out.

    Attributes:
        names: K keypoint names.
        images: I.
        image: ``(G,)`` from 0, in the order of image ids.
        person: ``(G,)`` row of `Truth.persons`.
        pose: ``(G,)`` row of `Matched.found`; -1 where the image has none.
        oks: ``(G,)``; 0 where there is none.
        similarity: ``(G, K)`` ``exp(-d^2 / (2 A (2 sigma)^2))``; NaN where not labelled.
        errors: ``(G, K)`` distances in longer sides of the person's box; NaN where not labelled,
            infinite without a pose.
    """

    names: tuple[str, ...]
    images: int
    image: NDArray[np.intp]
    person: NDArray[np.intp]
    pose: NDArray[np.intp]
    oks: Float64
    similarity: Float64
    errors: Float64

    @classmethod
    def of(cls, matched: Matched, names: Sequence[str]) -> BestPoses:
        """Find them, among all results of the person's category in the image."""
        persons, found, numbers = matched.truth.persons, matched.found, np.array(matched.images)
        visible = persons.keypoints[..., 2] > 0
        counts = (persons.num_keypoints > 0) & ~persons.is_crowd & visible.any(axis=1)
        rows = np.flatnonzero(counts & np.isin(persons.image_numbers, numbers))
        rows = rows[np.argsort(persons.image_numbers[rows], kind="stable")]
        truth, labelled = persons[rows], visible[rows]
        xy = found.keypoints.reshape(len(found), len(matched.sigmas), 3)[..., :2]
        pose, oks = np.full(len(rows), -1, np.intp), np.zeros(len(rows))
        order = np.lexsort((found.category_numbers, found.image_numbers))
        keys = _keys(found.image_numbers, found.category_numbers)[order]
        for key, here in _groups(_keys(truth.image_numbers, truth.category_numbers)):
            first, last = np.searchsorted(keys, [key, key + 1])
            if first == last:
                continue
            there = order[first:last]
            every = oks_matrix(
                truth.keypoints[here][..., :2],
                truth.areas[here],
                xy[there],
                None,
                matched.sigmas,
                labelled[here],
            )
            pose[here], oks[here] = there[every.argmax(axis=1)], every.max(axis=1)
        placed = np.full((*labelled.shape, 2), np.nan)
        placed[pose >= 0] = xy[pose[pose >= 0]]
        distances = keypoint_errors(placed, truth.keypoints[..., :2], labelled)
        variances = (2 * matched.sigmas) ** 2
        with np.errstate(over="ignore"):
            scale = 2 * variances * (truth.areas[:, None] + np.spacing(1))
            similarity = np.exp(-(distances**2) / scale)
            sides = np.maximum(truth.boxes_xywh[:, 2:].max(axis=1), np.spacing(1))
            errors = distances / sides[:, None]
        return cls(
            tuple(names),
            len(numbers),
            np.searchsorted(numbers, truth.image_numbers),
            rows,
            pose,
            oks,
            similarity,
            errors,
        )

    def by_keypoint(self) -> tuple[Ratios, Ratios]:
        """Mean similarity, and PCK@0.1, of each keypoint: ``OKS nose``, ``PCK@0.1 nose``."""
        near = self._share(PCK_OF_KEYPOINT)
        similarity = self._ratios("OKS", np.nan_to_num(self.similarity))
        return similarity, near

    def pck(self) -> Means:
        """PCK at `PCK_THRESHOLDS`, each the mean over keypoints."""
        shares = [self._share(threshold) for threshold in PCK_THRESHOLDS]
        count = len(self.names)
        together = Ratios(
            tuple(name for each in shares for name in each.names),
            np.hstack([each.numerators for each in shares]),
            np.hstack([each.denominators for each in shares]),
        )
        return Means(
            tuple(f"PCK@{threshold:g}" for threshold in PCK_THRESHOLDS),
            together,
            tuple(range(i * count, (i + 1) * count) for i in range(len(shares))),
        )

    def _share(self, threshold: float) -> Ratios:
        with np.errstate(invalid="ignore"):
            return self._ratios(f"PCK@{threshold:g}", (self.errors < threshold).astype(float))

    def _ratios(self, kind: str, values: Float64) -> Ratios:
        """Means of ``(G, K)`` values over the labelled keypoints of each image."""
        sums = np.zeros((2, self.images, len(self.names)))
        labelled = ~np.isnan(self.errors)
        np.add.at(sums[0], self.image, np.where(labelled, values, 0.0))
        np.add.at(sums[1], self.image, labelled.astype(float))
        return Ratios(tuple(f"{kind} {name}" for name in self.names), sums[0], sums[1])


def _keys(images: NDArray[np.intp], categories: NDArray[np.intp]) -> NDArray[np.intp]:
    """A number for each pair of image and category, rising with the image."""
    return np.asarray(images * (1 << 20) + categories, np.intp)


def _groups(keys: NDArray[np.intp]) -> list[tuple[int, NDArray[np.intp]]]:
    """The rows of each key."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return list(zip(found.tolist(), np.split(order, starts[1:]), strict=True))
