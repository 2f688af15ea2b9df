"""Which images and which keypoints changed most between two results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.keypoints.records import Float64, ImageId


@dataclass(frozen=True)
class ImageChange:
    """How the persons of an image were found before and after.

    Attributes:
        image_id: The image.
        file_name: Its file, if the annotations say it.
        persons: Persons in it with keypoints.
        before: Sum of their OKS, 0 for one without a result; the mean over the files of a side.
        after: The same of the other side.
    """

    image_id: ImageId
    file_name: str | None
    persons: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """After less before: persons more that are found exactly."""
        return self.after - self.before


def image_changes(
    first: Sequence[MatchedFile], second: Sequence[MatchedFile]
) -> list[ImageChange]:
    """Every image with persons, those first whose change is largest.

    Args:
        first: The files of a side.
        second: Of the other, on the same images.
    """
    before, after = (np.mean([_sums(file) for file in side], axis=0) for side in (first, second))
    file = first[0]
    persons = np.bincount(file.best.image, minlength=file.best.images)
    images = file.truth.coco.images
    names = dict(zip(images.ids, images.file_names, strict=True))
    every = [
        ImageChange(
            image_id,
            names.get(image_id),
            int(persons[at]),
            float(before[at]),
            float(after[at]),
        )
        for at, image_id in enumerate(file.image_ids)
        if persons[at]
    ]
    return sorted(every, key=lambda image: -abs(image.change))


def _sums(file: MatchedFile) -> Float64:
    """``(I,)`` the OKS of the persons of each image, summed up."""
    return np.bincount(file.best.image, file.best.oks, file.best.images).astype(np.float64)
