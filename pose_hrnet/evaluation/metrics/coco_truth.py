"""Reads ground truth for pycocotools: what it would trip over is mended or left out, and told.

Rows are left out where `data.annotations` would have to leave them out, too; a row that
pycocotools can score as it stands keeps every number that the file states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from pose_hrnet.data.formats.rows import (
    Problem,
    Source,
    decode_rows,
    find_twin,
    open_annotations,
    summarise,
)
from pose_hrnet.keypoints.records import ImageId
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


@dataclass(frozen=True)
class Truth:
    """Annotations as pycocotools wants them.

    Attributes:
        name: The file.
        image_numbers: Images numbered from 1 in the order of their ids.
        category_numbers: Categories, likewise.
        persons: COCO annotations with these numbers for ids, and all fields that pycocotools
            reads: ``keypoints`` is a ``(3 * K,)`` float64 array without NaN.
        notes: What was mended or left out, one sentence each.
    """

    name: str
    image_numbers: dict[ImageId, int]
    category_numbers: dict[ImageId, int]
    persons: list[dict[str, Any]]
    notes: tuple[str, ...]


class _HasId(msgspec.Struct):
    id: ImageId


class _Annotation(msgspec.Struct):
    image_id: ImageId
    category_id: ImageId
    id: ImageId | None = None
    keypoints: list[float | None] | None = None
    num_keypoints: Any = None
    bbox: list[float | None] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None


def read_truth(source: Source, num_keypoints: int, *, area_over_box: float | None = None) -> Truth:
    """Read the annotations of all categories.

    Args:
        source: COCO keypoint annotations, JSON.
        num_keypoints: K.
        area_over_box: Take this many times the box area for every area; None: the file's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, lists no images, or all of its keypoints are of
            another number.
    """
    file = open_annotations(source)
    path, notes = str(file), list[str]()
    problems: list[Problem] = []
    # pycocotools goes through the images in the order of their ids, which settles equal scores.
    images = _number(row.id for row in decode_rows(file.images, _HasId, "image", problems))
    if not images:
        raise ValueError(f"{path} lists no images; give annotations with at least one")
    annotations = list(decode_rows(file.annotations, _Annotation, "annotation", problems))
    categories = _number(category.id for category in file.categories_as(_HasId))
    if not categories:
        categories = _number(row.category_id for row in annotations) or {1: 1}
        notes.append(f"{path} has no categories; those of its annotations stand in")
    _check_lengths(annotations, num_keypoints, path)
    counted = list(_usable(annotations, images, categories, num_keypoints, problems))
    persons = [_person(annotation, num_keypoints) for annotation in counted]
    if area_over_box is not None:
        for person in persons:
            person["area"] = area_over_box * person["bbox"][2] * person["bbox"][3]
    for number, (person, annotation) in enumerate(zip(persons, counted, strict=True), start=1):
        person["id"] = number
        person["image_id"] = images[annotation.image_id]
        person["category_id"] = categories[annotation.category_id]
    if problems:
        notes.append(f"{path}: {summarise(problems)}; they do not count{_hint(problems, images)}")
    notes += _describe_gaps(counted, persons, path, area_is_read=area_over_box is None)
    return Truth(path, images, categories, persons, tuple(notes))


def in_order(ids: Iterable[ImageId]) -> list[ImageId]:
    """Distinct ids, integers before strings."""
    return sorted(set(ids), key=lambda i: (isinstance(i, str), i))


def _number(ids: Iterable[ImageId]) -> dict[ImageId, int]:
    return {known: number for number, known in enumerate(in_order(ids), start=1)}


def _hint(problems: list[Problem], images: Iterable[ImageId]) -> str:
    strays = [p.stray_image_id for p in problems if p.stray_image_id is not None]
    twins = find_twin(strays, images)
    return f"; write image_id {twins[0]!r} as {twins[1]!r}, as the images do" if twins else ""


def _check_lengths(annotations: list[_Annotation], num_keypoints: int, path: str) -> None:
    """Refuse the file of another skeleton; a single odd row is only left out."""
    given = [annotation for annotation in annotations if annotation.keypoints]
    lengths = [len(annotation.keypoints or ()) for annotation in given]
    if lengths and 3 * num_keypoints not in lengths:
        raise ValueError(
            f"{path} has {lengths[0]} keypoint values for a person in image "
            f"{given[0].image_id!r}, but {num_keypoints} OKS sigmas ask for "
            f"{3 * num_keypoints}; give one sigma per keypoint"
        )


def _usable(
    annotations: list[_Annotation],
    images: dict[ImageId, int],
    categories: dict[ImageId, int],
    num_keypoints: int,
    problems: list[Problem],
) -> Iterator[_Annotation]:
    """The rows that can be scored; each other one becomes a problem."""
    for row in annotations:
        row_id = "without id" if row.id is None else row.id
        triples = row.keypoints or []
        stray = None if row.image_id in images else row.image_id
        if stray is not None:
            kind = "unknown image id"
        elif row.category_id not in categories:
            kind = "unknown category id"
        elif len(triples) not in (0, 3 * num_keypoints):
            kind = "wrong number of keypoints"
        elif None in triples and not _is_finite_where_labelled(triples):
            kind = "keypoint is not finite"
        else:
            yield row
            continue
        problems.append(Problem(kind, row_id, f"annotation {row_id!r}: {kind}", stray))


def _is_finite_where_labelled(triples: list[float | None]) -> bool:
    x, y, visibility = np.array(triples, dtype=np.float64).reshape(-1, 3).T
    return bool((np.isfinite(visibility) & ((visibility <= 0) | np.isfinite(x + y))).all())


def _person(annotation: _Annotation, num_keypoints: int) -> dict[str, Any]:
    """Fill in what pycocotools reads; what the annotation states stays as it is."""
    keypoints = np.array(annotation.keypoints or [0.0] * (3 * num_keypoints), dtype=np.float64)
    keypoints[np.isnan(keypoints)] = 0.0  # of keypoints that are not labelled
    labelled = keypoints.reshape(-1, 3)[keypoints[2::3] > 0, :2]
    bbox, area, count = _box(annotation), annotation.area, _stated_count(annotation)
    if bbox is None:
        corner = labelled.min(axis=0) if len(labelled) else np.zeros(2)
        bbox = [*corner, *(labelled - corner).max(axis=0, initial=0.0)]
    return {
        "keypoints": keypoints,
        "num_keypoints": len(labelled) if count is None or not annotation.keypoints else count,
        "bbox": bbox,
        "area": bbox[2] * bbox[3] if area is None else area,
        "iscrowd": int(annotation.iscrowd or 0),
    }


def _box(annotation: _Annotation) -> list[float] | None:
    box = [value for value in annotation.bbox or () if value is not None]
    return box if len(box) == 4 == len(annotation.bbox or ()) else None


def _stated_count(annotation: _Annotation) -> float | None:
    count = annotation.num_keypoints
    return count if isinstance(count, int | float) else None


def _describe_gaps(
    annotations: list[_Annotation],
    persons: list[dict[str, Any]],
    path: str,
    *,
    area_is_read: bool,
) -> list[str]:
    gaps = {
        "keypoints": sum(not annotation.keypoints for annotation in annotations),
        "num_keypoints": sum(_stated_count(annotation) is None for annotation in annotations),
        "bbox": sum(_box(annotation) is None for annotation in annotations),
        "area": sum(area_is_read and annotation.area is None for annotation in annotations),
        "iscrowd": sum(annotation.iscrowd is None for annotation in annotations),
        "id": len(annotations) - len({annotation.id for annotation in annotations} - {None, 0}),
    }
    of = f"of {counted(len(annotations), 'annotation')} of {path} with"
    notes = [
        f"{gaps[name]} {of} no usable {name}; {told}"
        for name, told in _FILLED_IN.items()
        if gaps[name]
    ]
    if empty := sum(person["area"] <= 0 < person["num_keypoints"] for person in persons):
        notes.append(f"{empty} {of} keypoints but an area of 0: only an exact result matches")
    passed_over = sum(
        person["num_keypoints"] == 0 and not person["iscrowd"] and person["keypoints"][2::3].any()
        for person in persons
    )
    if passed_over:
        notes.append(
            f"{passed_over} {of} labelled keypoints but a num_keypoints of 0: COCO's rules "
            "ignore them; write the number of labelled keypoints"
        )
    return notes


__all__ = ["Truth", "in_order", "read_truth"]
