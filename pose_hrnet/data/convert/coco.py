"""COCO annotations, in and out. Format: https://cocodataset.org/#format-data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.data.convert.labelled import (
    PIXEL_DECIMALS,
    LabelledImage,
    LabelledSet,
    Person,
    box_around,
    safe_name,
    told,
)
from pose_hrnet.data.convert.labelled import check_names as check_image_names
from pose_hrnet.data.formats.coco import AnnotationFile, read_coco
from pose_hrnet.data.formats.persons import check_names
from pose_hrnet.data.formats.rows import LARGEST
from pose_hrnet.data.formats.skeletons import category_row, find_skeleton, skeleton_of


def read_coco_set(
    path: Path, category: str | int | None = None, skeleton: str | None = None
) -> LabelledSet:
    """The persons of an annotation file; crowds are left out, which is told.

    Args:
        path: The file.
        category: As `AnnotationFile.category` takes it.
        skeleton: As `find_skeleton` takes it; None: the keypoints that the category names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or rows or names in it are faulty.
    """
    file = read_coco(path)
    if file.problems:
        raise ValueError(f"{path}: {file.problems[0].sentence}; correct it")
    chosen = file.category(category)
    if skeleton is None:
        own = skeleton_of(chosen, path)
    else:
        own = find_skeleton(skeleton, path, category)
        check_names(chosen, own, path)
    persons = _persons(file, list(chosen.ids), own.num_keypoints)
    images = tuple(
        LabelledImage(
            safe_name(name, path),
            tuple(persons.get(at, ())),
            (int(width), int(height)) if width and height else None,
        )
        for at, (name, (width, height)) in enumerate(
            zip(file.images.file_names, file.images.sizes_wh, strict=True)
        )
    )
    check_image_names(images, path)
    return LabelledSet(
        "annotations",
        own.keypoint_names,
        images,
        tuple(file.names_of(chosen).values()),
        own.links,
        own.flip_pairs,
    )


def _persons(file: AnnotationFile, kinds: list[Any], count: int) -> dict[int, list[Person]]:
    """By the row of their image."""
    rows, left_out = file.rows, Counter[str]()
    keypoints = rows.keypoints_image(count)
    persons: dict[int, list[Person]] = {}
    for at in range(len(rows)):
        name = f"{file.path}: annotation {rows.ids[at]!r}"
        if rows.category_ids[at] not in kinds:
            continue
        if rows.crowd[at] == 1:
            left_out["crowds"] += 1
            continue
        if rows.image_index[at] < 0:
            raise ValueError(
                f"{name} is of image {rows.stray_image_ids[at]!r}, which the file does not list"
            )
        if rows.keypoint_lengths[at] not in (0, 3 * count):
            raise ValueError(
                f"{name} has {rows.keypoint_lengths[at]} keypoint values; expected {3 * count}"
            )
        if not (np.abs(keypoints[at]) <= LARGEST).all():
            raise ValueError(f"{name} has keypoints that are no numbers, or absurd ones")
        if not np.isin(keypoints[at][:, 2], (0, 1, 2)).all():
            raise ValueError(f"{name} has a visibility beside 0, 1 and 2; correct it")
        box = None
        if rows.box_lengths[at]:
            left, top, width, height = rows.boxes_xywh[at].tolist()
            box = left, top, width, height
            if rows.box_lengths[at] != 4 or not (np.abs(box) <= LARGEST).all():
                raise ValueError(f"{name} has a box that is not four numbers, or absurd ones")
            if width <= 0 or height <= 0:
                left_out["persons with an empty box"] += 1
                continue
        area = float(rows.areas[at])
        persons.setdefault(int(rows.image_index[at]), []).append(
            Person(
                keypoints[at],
                box,
                kinds.index(rows.category_ids[at]),
                area if abs(area) <= LARGEST**2 else None,
            )
        )
    told(left_out, file.path)
    return persons


def coco_content(labelled: LabelledSet) -> dict[str, Any]:
    """The content of an annotation file; ids count from 1.

    Persons without a box and without a labelled keypoint are left out: there is nothing of them.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(labelled.images, start=1):
        row: dict[str, Any] = {"id": image_id, "file_name": image.file_name}
        if image.size_wh is not None:
            row |= {"width": image.size_wh[0], "height": image.size_wh[1]}
        images.append(row)
        for person in image.persons:
            box = person.box_xywh or box_around(person.keypoints, image.size_wh)
            if box is None:
                continue
            area = person.area
            if area is None:
                area = round(box[2] * box[3], PIXEL_DECIMALS)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": person.kind + 1,
                    "bbox": [_plain(v) for v in box],
                    "area": _plain(area),
                    "iscrowd": 0,
                    "keypoints": [_plain(v) for v in person.keypoints.ravel().tolist()],
                    "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
                }
            )
    categories = [
        category_row(at, kind, labelled.keypoint_names, labelled.links)
        for at, kind in enumerate(labelled.kinds, start=1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _plain(value: float) -> float | int:
    """Whole numbers without a point."""
    return int(value) if value == int(value) else value
