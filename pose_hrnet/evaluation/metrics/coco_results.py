"""Keypoint results as pycocotools wants them: with the numbers that the ground truth gives ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.results import Results, malformed_result
from pose_hrnet.data.formats.rows import find_twin
from pose_hrnet.evaluation.metrics.coco_truth import Truth, in_order
from pose_hrnet.keypoints.records import Float64, ImageId
from pose_hrnet.system.text import counted


@dataclass(frozen=True, eq=False)
class Found:
    """N keypoint results, with the numbers that a `Truth` gives their images and categories.

    Attributes:
        image_numbers: ``(N,)``.
        category_numbers: ``(N,)``; 0, none of the ground truth's, where its category is unknown.
        keypoints: ``(N, 3 * K)`` float64: x, y (image pixels) and score of each keypoint.
        scores: ``(N,)`` float64.
        areas: ``(N,)`` float64 square pixels, those that pycocotools' `loadRes` gives.
    """

    image_numbers: NDArray[np.intp]
    category_numbers: NDArray[np.intp]
    keypoints: Float64
    scores: Float64
    areas: Float64

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Found:
        return Found(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def of(cls, results: Results, truth: Truth, num_keypoints: int, notes: list[str]) -> Found:
        """Check values and ids, and replace ids by the numbers of the ground truth.

        Args:
            results: As they are stated.
            truth: What they are scored against.
            num_keypoints: K.
            notes: What does not count is appended, one sentence each.

        Raises:
            ValueError: If a result is not finite, has another number of keypoints or an image
                that `truth` lacks, or if none has a category of `truth`.
        """
        length = results.keypoints.shape[1]
        if len(results) and length != 3 * num_keypoints:
            raise malformed_result(0, results.image_ids[0], length, num_keypoints, results.name)
        for at in results.not_finite():
            fault = " or a score that are not all finite"
            raise malformed_result(
                at, results.image_ids[at], length, num_keypoints, results.name, fault
            )
        check_images(results.image_ids, truth, results.name)
        _check_categories(results, truth, notes)
        numbers = truth.category_numbers  # pycocotools passes category 0 over, and so does ours
        return cls(
            np.array([truth.image_numbers[i] for i in results.image_ids], np.intp),
            np.array([numbers.get(i, 0) for i in results.category_ids], np.intp),
            results.keypoints,
            results.scores,
            _areas(results, notes),
        )


def check_images(image_ids: Sequence[ImageId], truth: Truth, owner: str) -> None:
    """Refuse image ids that the annotations lack, where pycocotools would only assert.

    Raises:
        ValueError: If there are any.
    """
    unknown = [image_id for image_id in image_ids if image_id not in truth.image_numbers]
    if not unknown:
        return
    different = list(dict.fromkeys(unknown))
    hint = "give the annotations of the same images"
    if twins := find_twin(different, truth.image_numbers):
        hint = f"write {twins[0]!r} as {twins[1]!r}, as the annotations do, and so the others"
    raise ValueError(
        f"{len(unknown)} of {counted(len(image_ids), 'entry')} of {owner} with "
        f"{counted(len(different), 'image id')} that {truth.name} does not list, such as "
        f"{', '.join(map(repr, different[:3]))}; {hint}"
    )


def _check_categories(results: Results, truth: Truth, notes: list[str]) -> None:
    strays = [each for each in results.category_ids if each not in truth.category_numbers]
    if not strays:
        return
    found = f"{len(strays)} of {counted(len(results), 'entry')} of {results.name} with category"
    found = f"{found} {in_order(strays)}, but {truth.name} lists {list(truth.category_numbers)}"
    if len(strays) == len(results):
        raise ValueError(f"{found}; write one of the latter as category_id")
    notes.append(f"{found}; they do not count")


def _areas(results: Results, notes: list[str]) -> Float64:
    """Areas of the boxes if all results have one, else of the keypoints' extents (`loadRes`)."""
    boxed = int(np.isfinite(results.box_areas).sum())
    if boxed and boxed == len(results):
        return results.box_areas
    if boxed:
        notes.append(
            f"only {boxed} of {counted(len(results), 'entry')} of {results.name} with a bbox; "
            "the area of all was taken from their keypoints"
        )
    x, y = results.keypoints[:, 0::3], results.keypoints[:, 1::3]
    extents: Float64 = np.ptp(x, axis=1) * np.ptp(y, axis=1)
    return extents


__all__ = ["Found", "check_images"]
