"""Ground truth as pycocotools wants it: what it would trip over is mended or left out, and told.

Rows are left out by the rules of `pose_hrnet.data.formats.persons.SCORED`; a row that
pycocotools can score as it stands keeps every number that the file states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.coco import AnnotationFile, AnnotationRows, Category
from pose_hrnet.data.formats.persons import SCORED, judge
from pose_hrnet.data.formats.rows import Problem, find_twin, summarise
from pose_hrnet.evaluation.metrics.coco_matching import Persons
from pose_hrnet.keypoints.records import Float64, ImageId, Images
from pose_hrnet.system.text import counted

_FILLED_IN = {
    "keypoints": "they count as persons without keypoints, which are ignored",
    "num_keypoints": "their labelled keypoints were counted instead",
    "bbox": "the extent of their labelled keypoints stands in",
    "area": "their box area stands in; COCO's segment area is smaller and so gives lower scores",
    "iscrowd": "0 stands in",
    "id": "new ids stand in, since pycocotools takes 0 for unmatched and mixes up repeated ids",
}
"""What stands in for an annotation field that is missing or unusable, as a note tells it."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Annotations as pycocotools wants them.

    Attributes:
        name: The file.
        images: Its images.
        image_numbers: Images numbered from 1 in the order of their ids.
        category_numbers: Categories, likewise.
        persons: The persons of all categories.
        notes: What was mended or left out, one sentence each.
    """

    name: str
    images: Images
    image_numbers: dict[ImageId, int]
    category_numbers: dict[ImageId, int]
    persons: Persons
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        file: AnnotationFile,
        num_keypoints: int,
        *,
        category: Category | None = None,
        area_over_box: float | None = None,
    ) -> Truth:
        """The ground truth of a file.

        Args:
            file: COCO keypoint annotations.
            num_keypoints: K.
            category: What is scored; None: all categories. Each has its own AP, of which the mean
                is taken.
            area_over_box: Take this many times the box area for every area; None: the file's.

        Raises:
            ValueError: If the file lists no images, or all of its keypoints are of another number.
        """
        path, notes, rows = str(file), list[str](), file.rows
        # pycocotools goes through the images in the order of their ids, which settles equal
        # scores.
        images = _number(file.images.ids)
        if not images:
            raise ValueError(f"{path} lists no images; give annotations with at least one")
        categories = _number(each.id for each in file.categories)
        if category is not None and file.categories:
            categories = _number(category.ids)
            rows = rows[np.array([each in categories for each in rows.category_ids], np.bool_)]
        if not categories:
            categories = _number(rows.category_ids) or {1: 1}
            notes.append(f"{path} has no categories; those of its annotations stand in")
        _check_lengths(rows, num_keypoints, path)
        keypoints = rows.keypoints_image(num_keypoints)
        good, faults = judge(file, rows, rows.boxes_xywh, keypoints, SCORED)
        rows, keypoints = rows[good], np.nan_to_num(keypoints[good], copy=False)
        labelled = keypoints[..., 2] > 0
        boxes = _boxes(rows, keypoints, labelled)
        areas = rows.areas if area_over_box is None else np.full(len(rows), np.nan)
        scale = 1.0 if area_over_box is None else area_over_box
        counts = np.where(
            np.isnan(rows.num_keypoints) | (rows.keypoint_lengths == 0),
            labelled.sum(axis=1),
            rows.num_keypoints,
        )
        number_of_row = np.array([images[image] for image in file.images.ids], np.intp)
        persons = Persons(
            image_numbers=number_of_row[rows.image_index],
            category_numbers=np.array([categories[i] for i in rows.category_ids], np.intp),
            keypoints=keypoints,
            num_keypoints=counts,
            boxes_xywh=boxes,
            areas=np.where(np.isnan(areas), scale * boxes[:, 2] * boxes[:, 3], areas),
            is_crowd=rows.crowd > 0,
        )
        problems = [*file.problems, *faults]
        if problems:
            hint = _hint(problems, images)
            notes.append(f"{path}: {summarise(problems)}; they do not count{hint}")
        notes += _describe_gaps(rows, persons, path, area_is_read=area_over_box is None)
        return cls(path, file.images, images, categories, persons, tuple(notes))


def in_order(ids: Iterable[ImageId]) -> list[ImageId]:
    """Distinct ids, integers before strings."""
    return sorted(set(ids), key=lambda i: (isinstance(i, str), i))


def _number(ids: Iterable[ImageId]) -> dict[ImageId, int]:
    return {known: number for number, known in enumerate(in_order(ids), start=1)}


def _hint(problems: Sequence[Problem], images: Iterable[ImageId]) -> str:
    strays = [p.stray_image_id for p in problems if p.stray_image_id is not None]
    twins = find_twin(strays, images)
    return f"; write image_id {twins[0]!r} as {twins[1]!r}, as the images do" if twins else ""


def _check_lengths(rows: AnnotationRows, num_keypoints: int, path: str) -> None:
    """Refuse the file of another skeleton; a single odd row is only left out."""
    lengths = rows.keypoint_lengths[rows.keypoint_lengths > 0]
    if len(lengths) and 3 * num_keypoints not in lengths:
        raise ValueError(
            f"{path} has {lengths[0]} keypoint values for a person, but {num_keypoints} OKS "
            f"sigmas ask for {3 * num_keypoints}; give one sigma per keypoint"
        )


def _boxes(rows: AnnotationRows, keypoints: Float64, labelled: NDArray[np.bool_]) -> Float64:
    """``(G, 4)`` the boxes of the file; where one is unusable, the labelled keypoints' extent."""
    boxes: Float64 = rows.boxes_xywh.copy()
    for row in np.flatnonzero(~_has_box(rows)):
        points = keypoints[row, labelled[row], :2]
        corner = points.min(axis=0) if len(points) else np.zeros(2)
        boxes[row] = [*corner, *(points - corner).max(axis=0, initial=0.0)]
    return boxes


def _has_box(rows: AnnotationRows) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(rows.boxes_xywh).any(axis=1))


def _describe_gaps(
    rows: AnnotationRows, persons: Persons, path: str, *, area_is_read: bool
) -> list[str]:
    gaps = {
        "keypoints": np.sum(rows.keypoint_lengths == 0),
        "num_keypoints": np.isnan(rows.num_keypoints).sum(),
        "bbox": np.sum(~_has_box(rows)),
        "area": np.isnan(rows.areas).sum() if area_is_read else 0,
        "iscrowd": np.sum(rows.crowd < 0),
        "id": len(rows) - len({*rows.ids} - {None, 0}),
    }
    of = f"of {counted(len(rows), 'annotation')} of {path} with"
    notes = [
        f"{gaps[name]} {of} no usable {name}; {told}"
        for name, told in _FILLED_IN.items()
        if gaps[name]
    ]
    if empty := np.sum((persons.areas <= 0) & (persons.num_keypoints > 0)):
        notes.append(f"{empty} {of} keypoints but an area of 0: only an exact result matches")
    labelled = persons.keypoints[..., 2].any(axis=1)
    if passed_over := np.sum((persons.num_keypoints == 0) & ~persons.is_crowd & labelled):
        notes.append(
            f"{passed_over} {of} labelled keypoints but a num_keypoints of 0: COCO's rules "
            "ignore them; write the number of labelled keypoints"
        )
    return notes


__all__ = ["Persons", "Truth", "in_order"]
