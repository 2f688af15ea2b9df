"""The persons of an annotation file: the rules by which rows are left out, and `People`.

Training and prediction ask for all `RULES`. The metrics ask for those of `SCORED` alone: what
pycocotools can score as it stands keeps every number that the file states.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.coco import AnnotationFile, AnnotationRows, Category
from pose_hrnet.data.formats.rows import LARGEST, Problem
from pose_hrnet.keypoints.records import Float32, Float64, Images, People
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.text import counted

RULES = {
    "annotation without id": "{name} has no id; give each annotation its own",
    "duplicate annotation id": "{name} has the id of an earlier one",
    "unknown image id": "{name} is of image {image!r}, which the file does not list",
    "unknown category id": "{name} is of category {category!r}, which the file does not list",
    "box is not four numbers": "{name} has a box of {box_length} numbers; give x, y, width and "
    "height",
    "wrong number of keypoints": "{name} has {length} keypoint values; expected {expected}, x, y "
    "and visibility of {keypoints}",
    "box is not finite": "{name} has the box {box}; give four finite numbers of pixels",
    "box is empty": "{name} has the box {box}; give a width and height above 0",
    "box is outside the image": "{name} has the box {box} (x, y, width, height), which lies "
    "outside its image of {height}x{width} (height x width) pixels",
    "visibility is not 0, 1 or 2": "{name} has the keypoint visibilities {visibility}; give 0 "
    "(not labelled), 1 (hidden) or 2 (visible)",
    "keypoint is not finite": "{name} has a labelled keypoint without finite x and y",
}
"""What makes a row unusable, and the sentence about it; of several the first is told."""

SCORED = (
    "unknown image id",
    "unknown category id",
    "wrong number of keypoints",
    "keypoint is not finite",
)
"""The rules for ground truth: pycocotools cannot score such rows."""


@dataclass(frozen=True, eq=False)
class AnnotatedPersons:
    """The usable persons of one category.

    Attributes:
        people: N persons, with their boxes as the file has them.
        problems: The rows of the file that were left out.
        category: The category that was read.
        stated_areas: ``(N,)`` float64 ``area`` of the file, NaN where it has none.
        stated_num_keypoints: ``(N,)`` float64 ``num_keypoints`` of the file, NaN where it has
            none.
    """

    people: People
    problems: tuple[Problem, ...]
    category: Category
    stated_areas: Float64
    stated_num_keypoints: Float64


def read_persons(
    file: AnnotationFile, skeleton: Skeleton, category: str | int | None = None
) -> AnnotatedPersons:
    """Read the persons of a category, by all `RULES`.

    Args:
        file: COCO-style annotations.
        skeleton: The keypoints of the category.
        category: Name or id; None: the one that has keypoints, or else is called ``person``.

    Raises:
        ValueError: If the file lacks the category, or has it with other keypoints.
    """
    chosen = file.category(category)
    check_names(chosen, skeleton, file)
    file, nameless = _without_nameless_images(file)
    rows = file.rows[_of_category(file.rows, chosen)]
    with np.errstate(over="ignore"):
        boxes = rows.boxes_xywh.astype(np.float32)
        keypoints = rows.keypoints_image(skeleton.num_keypoints).astype(np.float32)
        areas = rows.areas.astype(np.float32)
    good, problems = judge(file, rows, boxes, keypoints)
    problems += _unlisted(file)
    boxes, visibility = boxes[good], keypoints[good, :, 2].astype(np.uint8)
    areas = areas[good]
    people = People(
        images=file.images,
        image_index=rows.image_index[good],
        ids=rows.ids[good],
        boxes_xywh=boxes,
        keypoints_image=np.where(visibility[..., None] > 0, keypoints[good, :, :2], np.float32(0)),
        visibility=visibility,
        areas=np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas),
        scores=np.ones(len(boxes), np.float32),
        is_crowd=rows.crowd[good] > 0,
        category_ids=rows.category_ids[good],
    )
    return AnnotatedPersons(
        people=people,
        problems=(*file.problems, *nameless, *problems),
        category=chosen,
        stated_areas=rows.areas[good],
        stated_num_keypoints=rows.num_keypoints[good],
    )


def _unlisted(file: AnnotationFile) -> list[Problem]:
    """The rows of categories that the file does not list, where it lists some."""
    known = {category.id for category in file.categories} or {*file.rows.category_ids}
    kind, rows = "unknown category id", file.rows
    return [
        Problem(
            kind,
            rows.ids[row] if rows.ids[row] is not None else f"#{row}",
            RULES[kind].format(name=f"annotation {rows.ids[row]!r}", category=each),
        )
        for row, each in enumerate(rows.category_ids)
        if each not in known
    ]


def _of_category(rows: AnnotationRows, category: Category) -> NDArray[np.bool_]:
    if not category.others:
        return np.asarray(rows.category_ids == category.id, np.bool_)
    return np.array([each in category.ids for each in rows.category_ids], np.bool_)


def check_names(category: Category, skeleton: Skeleton, owner: object) -> None:
    """Refuse a category of other keypoints than the skeleton's.

    Raises:
        ValueError: If they are others.
    """
    found, expected = category.keypoint_names, skeleton.keypoint_names
    if not skeleton.reads(found):
        raise ValueError(
            f"{owner} has {counted(len(found), 'keypoint')} ({', '.join(found)}) in category "
            f"{category.name!r}, but skeleton {skeleton.name!r} has {len(expected)} "
            f"({', '.join(expected)}); use a skeleton with the file's names in the file's order"
        )


def judge(
    file: AnnotationFile,
    rows: AnnotationRows,
    boxes: Float32 | Float64,
    keypoints: Float32 | Float64,
    rules: Collection[str] = tuple(RULES),
) -> tuple[NDArray[np.bool_], list[Problem]]:
    """Find the rows that can be used; each other one becomes a problem.

    Args:
        file: Whose images and categories the rows name.
        rows: N rows of it.
        boxes: ``(N, 4)`` their boxes x, y, width and height, in the precision that is asked for.
        keypoints: ``(N, K, 3)`` their keypoints, likewise.
        rules: Of `RULES`.

    Returns:
        ``(N,)`` whether a row can be used, and the problems of the others.
    """
    masks = {kind: mask for kind, mask in _masks(file, rows, boxes, keypoints) if kind in rules}
    kinds, found = list(masks), np.array(list(masks.values()))
    bad = np.asarray(found.any(axis=0))
    problems = []
    for row, first in zip(np.flatnonzero(bad).tolist(), found[:, bad].argmax(axis=0), strict=True):
        facts = _facts(file, rows, row, boxes[row], keypoints[row])
        sentence = RULES[kinds[first]].format(**facts)
        problems.append(Problem(kinds[first], facts["id"], sentence, rows.stray_image_ids[row]))
    return ~bad, problems


def _masks(
    file: AnnotationFile, rows: AnnotationRows, boxes: Any, keypoints: Any
) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Of each rule ``(N,)`` whether a row breaks it, in the order of `RULES`."""
    no_id = np.array([row_id is None for row_id in rows.ids], np.bool_)
    known = {category.id for category in file.categories} or {*rows.category_ids}
    strange = rows.image_index < 0
    no_category = np.array([each not in known for each in rows.category_ids], np.bool_)
    no_box = rows.box_lengths != 4
    lengths = rows.keypoint_lengths
    no_keypoints = (lengths > 0) & (lengths != 3 * keypoints.shape[1])
    of_form = ~(no_id | strange | no_category | no_box | no_keypoints)
    visibility = keypoints[..., 2]
    low = boxes[:, :2]
    with np.errstate(invalid="ignore"):
        high = low + boxes[:, 2:]
    sizes = np.append(file.images.sizes_wh, [[0, 0]], axis=0)[rows.image_index]  # -1: the last
    beyond = (high <= 0) | ((sizes > 0) & (low >= sizes))
    not_finite = ~np.isfinite(keypoints[..., :2]).all(axis=2) & (visibility > 0)
    found = (
        no_id,
        _repeated(rows, of_form),
        strange,
        no_category,
        no_box,
        no_keypoints,
        ~(np.abs(boxes) <= LARGEST).all(axis=1),
        (boxes[:, 2:] <= 0).any(axis=1),
        beyond.any(axis=1),
        ~np.isin(visibility, (0, 1, 2)).all(axis=1),
        (not_finite | ~np.isfinite(visibility)).any(axis=1),
    )
    return zip(RULES, found, strict=True)


def _repeated(rows: AnnotationRows, of_form: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``(N,)`` whether an earlier row, which is not malformed itself, has a row's id."""
    seen: set[object] = set()
    repeated = np.zeros(len(rows), np.bool_)
    for row, (row_id, counts) in enumerate(zip(rows.ids, of_form, strict=True)):
        repeated[row] = row_id in seen
        if counts:
            seen.add(row_id)
    return repeated


def _facts(
    file: AnnotationFile, rows: AnnotationRows, row: int, box: Any, keypoints: Any
) -> dict[str, Any]:
    """What the sentences of `RULES` say of one row."""
    row_id = "without id" if rows.ids[row] is None else rows.ids[row]
    image = rows.image_index[row]
    width, height = file.images.sizes_wh[image] if image >= 0 else (0, 0)
    return {
        "id": row_id,
        "name": f"annotation {row_id!r}",
        "image": rows.stray_image_ids[row],
        "category": rows.category_ids[row],
        "box": "[" + ", ".join(f"{value:g}" for value in box) + "]",
        "box_length": rows.box_lengths[row],
        "length": rows.keypoint_lengths[row],
        "expected": 3 * len(keypoints),
        "keypoints": counted(len(keypoints), "keypoint"),
        "width": width,
        "height": height,
        "visibility": np.unique(keypoints[:, 2]).tolist(),
    }


def _without_nameless_images(file: AnnotationFile) -> tuple[AnnotationFile, list[Problem]]:
    """The file without the images that have no file name: they could not be opened."""
    named = np.array([bool(name) for name in file.images.file_names], np.bool_)
    if named.all():
        return file, []
    ids, names = file.images.ids, file.images.file_names
    problems = [
        Problem("image without file name", ids[row], f"image {ids[row]!r} has no file_name")
        for row in np.flatnonzero(~named)
    ]
    kept = np.flatnonzero(named)
    images = Images(
        tuple(ids[row] for row in kept),
        tuple(names[row] for row in kept),
        file.images.sizes_wh[kept],
    )
    place = np.append(np.where(named, np.cumsum(named) - 1, -1), -1).astype(np.int32)
    rows, strays = file.rows, file.rows.stray_image_ids.copy()
    for row in np.flatnonzero((place[rows.image_index] < 0) & (rows.image_index >= 0)):
        strays[row] = ids[rows.image_index[row]]
    rows = replace(rows, image_index=place[rows.image_index], stray_image_ids=strays)
    crowd_indices = file.crowd_indices[kept]
    return replace(file, images=images, crowd_indices=crowd_indices, rows=rows), problems


__all__ = ["RULES", "SCORED", "AnnotatedPersons", "check_names", "judge", "read_persons"]
