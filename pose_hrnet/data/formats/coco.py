"""Reads a COCO keypoint annotation file into columns, and says of every bad row what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.rows import Problem, Source, decode_rows, open_annotations
from pose_hrnet.keypoints.records import Float32, ImageId, Images, People, object_array
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton, spelling_of
from pose_hrnet.system.text import counted


@dataclass(frozen=True)
class Category:
    """The category whose annotations are read.

    Attributes:
        id: Its ``category_id``.
        name: Its name.
        keypoint_names: Names in the file's order; empty if the file has none.
        skeleton: Pairs of keypoints that a limb joins, as the file has them: counted from 1.
    """

    id: ImageId
    name: str
    keypoint_names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """Everything that an annotation file says about one category.

    Attributes:
        people: N usable persons, with their boxes as the file has them.
        problems: The rows that were left out.
        category: The category that was read.
        stated_areas: ``(N,)`` float32 ``area`` of the file, NaN where it has none.
        stated_num_keypoints: ``(N,)`` int32 ``num_keypoints`` of the file, -1 where it has none.
    """

    people: People
    problems: tuple[Problem, ...]
    category: Category
    stated_areas: Float32
    stated_num_keypoints: NDArray[np.int32]


def read_annotations(
    source: Source, *, skeleton: Skeleton = COCO17, category: str | int | None = None
) -> AnnotationFile:
    """Read an annotation file, good rows and bad; `load_people` says which are bad.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or lacks the category or its keypoints.
    """
    file = open_annotations(source)
    chosen = read_category(file, category)
    _check_names(chosen, skeleton, file.path)
    problems: list[Problem] = []
    images = _read_images(file.images, problems)
    row_of_image = {image_id: row for row, image_id in enumerate(images.ids)}
    annotations = decode_rows(file.annotations, _Annotation, "annotation", problems)
    fitting = _fitting(annotations, chosen.id, row_of_image, skeleton, problems)
    columns = _fill(fitting, len(file.annotations), row_of_image, skeleton.num_keypoints)
    good = _judge(columns, images, problems)
    return AnnotationFile(
        people=_people(columns, images, good),
        problems=tuple(problems),
        category=chosen,
        stated_areas=columns.areas[good],
        stated_num_keypoints=columns.num_keypoints[good],
    )


def read_category(source: Source, category: str | int | None = None) -> Category:
    """The category that `read_annotations` would read, without looking at the rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or lacks the category.
    """
    file = open_annotations(source)
    return _choose_category(file.categories_as(_Category), category, file.path)


class _Category(msgspec.Struct):
    id: int | str
    name: str = ""
    keypoints: list[str] | None = None
    skeleton: list[tuple[int, int]] | None = None


class _Image(msgspec.Struct, gc=False):
    id: int | str
    file_name: str
    width: float | None = 0
    height: float | None = 0
    crowdIndex: float | None = None


class _Annotation(msgspec.Struct, gc=False):
    id: int | str
    image_id: int | str
    category_id: int | str
    bbox: list[float | None] | None = None
    keypoints: list[float | None] | None = None
    area: float | None = None
    iscrowd: int | bool | None = 0
    num_keypoints: Any = None


_FAULTS = {
    "box is not finite": "annotation {id!r} has the box {box}; give four finite numbers",
    "box is empty": "annotation {id!r} has the box {box}; give a width and height above 0",
    "box is outside the image": "annotation {id!r} has the box {box} (x, y, width, height), "
    "which lies outside its image of {width} x {height} pixels",
    "visibility is not 0, 1 or 2": "annotation {id!r} has the keypoint visibilities {visibility}; "
    "give 0 (not labelled), 1 (hidden) or 2 (visible)",
    "keypoint is not finite": "annotation {id!r} has a labelled keypoint without finite x and y",
}


@dataclass(frozen=True, eq=False)
class _Columns:
    """The rows of an annotation file that have the right form; their values are not judged."""

    ids: list[ImageId]
    image_index: NDArray[np.int32]
    boxes_xywh: Float32
    keypoints: Float32
    areas: Float32
    num_keypoints: NDArray[np.int32]
    is_crowd: NDArray[np.bool_]


def _choose_category(
    categories: Sequence[_Category], wanted: str | int | None, path: Path
) -> Category:
    if wanted is not None:
        found = [c for c in categories if wanted in (c.id, str(c.id), c.name)]
    else:
        with_keypoints = [c for c in categories if c.keypoints]
        persons = [c for c in with_keypoints or categories if c.name == "person"]
        found = with_keypoints if len(with_keypoints) == 1 else persons
    if len(found) != 1:
        names = ", ".join(f"{c.name!r} (id {c.id!r})" for c in categories) or "none"
        asked = f"one category {wanted!r}"
        if wanted is None:
            asked = "one category with keypoints, or one of them called 'person'"
        raise ValueError(f"{path} has the categories {names}; expected {asked}")
    one = found[0]
    return Category(one.id, one.name, tuple(one.keypoints or ()), tuple(one.skeleton or ()))


def _check_names(category: Category, skeleton: Skeleton, path: Path) -> None:
    found, expected = category.keypoint_names, skeleton.keypoint_names
    if not stand_for(found, skeleton):
        raise ValueError(
            f"{path} has {counted(len(found), 'keypoint')} ({', '.join(found)}) in category "
            f"{category.name!r}, but skeleton {skeleton.name!r} has {len(expected)} "
            f"({', '.join(expected)}); use a skeleton with the file's names in the file's order"
        )


def stand_for(names: Sequence[str], skeleton: Skeleton) -> bool:
    """Whether a file's keypoints can be read as the skeleton's, one by one.

    Names may be missing altogether. Otherwise their number is the same, at least half of them are
    the skeleton's in some spelling, and no name of the skeleton stands at another place.
    """
    if not names:
        return True
    found = [spelling_of(name) for name in names]
    expected = [spelling_of(name) for name in skeleton.keypoint_names]
    if len(found) != len(expected):
        return False
    others = [name for name, own in zip(found, expected, strict=True) if name != own]
    return 2 * len(others) <= len(expected) and not {*others} & {*expected}


def read_as_others(names: Sequence[str], skeleton: Skeleton) -> list[tuple[str, str]]:
    """Of a file's keypoints that `stand_for` the skeleton's, those of another name, and that."""
    return [
        (name, own)
        for name, own in zip(names, skeleton.keypoint_names, strict=bool(names))
        if spelling_of(name) != spelling_of(own)
    ]


def _read_images(raws: list[msgspec.Raw], problems: list[Problem]) -> Images:
    images: dict[ImageId, _Image] = {}
    for image in decode_rows(raws, _Image, "image", problems):
        if image.id in images:
            sentence = (
                f"image {image.id!r} ({image.file_name}) has the id of an earlier image "
                f"({images[image.id].file_name}); give each image its own"
            )
            problems.append(Problem("duplicate image id", image.id, sentence))
        else:
            images[image.id] = image
    # CrowdPose's official files exchange width and height: their sizes count as unknown.
    sizes = [
        (image.width or 0, image.height or 0) if image.crowdIndex is None else (0, 0)
        for image in images.values()
    ]
    return Images(
        ids=tuple(images),
        file_names=tuple(image.file_name for image in images.values()),
        sizes_wh=np.array(sizes, dtype=np.float64)
        .reshape(-1, 2)
        .clip(0, 2**31 - 1)
        .astype(np.int32),
    )


def _fitting(
    rows: Iterable[_Annotation],
    category_id: ImageId,
    row_of_image: Mapping[ImageId, int],
    skeleton: Skeleton,
    problems: list[Problem],
) -> Iterator[_Annotation]:
    """The annotations of a category that can become a row of columns; the others are problems."""
    length = 3 * skeleton.num_keypoints
    seen: set[ImageId] = set()
    for row in rows:
        if row.category_id != category_id:
            continue
        name, stray = f"annotation {row.id!r}", None
        if row.id in seen:
            kind, sentence = "duplicate annotation id", f"{name} has the id of an earlier one"
        elif row.image_id not in row_of_image:
            kind, stray = "unknown image id", row.image_id
            sentence = f"{name} is of image {stray!r}, which the file does not list"
        elif len(row.bbox or ()) != 4:
            kind = "box is not four numbers"
            sentence = f"{name} has the box {row.bbox}; give x, y, width and height"
        elif row.keypoints and len(row.keypoints) != length:
            kind = "wrong number of keypoints"
            sentence = (
                f"{name} has {counted(len(row.keypoints), 'keypoint value')}; skeleton "
                f"{skeleton.name!r} expects {length}, x, y and visibility of "
                f"{counted(skeleton.num_keypoints, 'keypoint')}"
            )
        else:
            seen.add(row.id)
            yield row
            continue
        problems.append(Problem(kind, row.id, sentence, stray))


def _fill(
    rows: Iterable[_Annotation],
    length: int,
    row_of_image: Mapping[ImageId, int],
    num_keypoints: int,
) -> _Columns:
    """Columns of at most `length` rows; values that are not finite numbers become NaN or inf."""
    ids: list[ImageId] = []
    image_index = np.zeros(length, np.int32)
    boxes = np.zeros((length, 4), np.float32)
    keypoints = np.zeros((length, 3 * num_keypoints), np.float32)
    areas = np.full(length, np.nan, np.float32)
    stated = np.full(length, -1, np.int32)
    is_crowd = np.zeros(length, np.bool_)
    with np.errstate(over="ignore"):
        for at, row in enumerate(rows):
            ids.append(row.id)
            image_index[at] = row_of_image[row.image_id]
            boxes[at] = row.bbox
            if row.keypoints:
                keypoints[at] = row.keypoints
            if row.area is not None:
                areas[at] = row.area
            if isinstance(row.num_keypoints, int):
                stated[at] = min(max(row.num_keypoints, 0), 999)
            is_crowd[at] = bool(row.iscrowd)
    end = len(ids)
    return _Columns(
        ids=ids,
        image_index=image_index[:end],
        boxes_xywh=boxes[:end],
        keypoints=keypoints[:end].reshape(end, num_keypoints, 3),
        areas=areas[:end],
        num_keypoints=stated[:end],
        is_crowd=is_crowd[:end],
    )


def _judge(columns: _Columns, images: Images, problems: list[Problem]) -> NDArray[np.bool_]:
    """``(N,)`` whether the values of a row can be used; each other row gets its first problem."""
    boxes, visibility = columns.boxes_xywh, columns.keypoints[..., 2]
    low = boxes[:, :2]
    with np.errstate(invalid="ignore"):
        high = low + boxes[:, 2:]
    sizes = images.sizes_wh[columns.image_index]
    beyond = (high <= 0) | ((sizes > 0) & (low >= sizes))
    not_finite = ~np.isfinite(columns.keypoints[..., :2]).all(axis=2)
    found = np.array(
        [
            ~np.isfinite(boxes).all(axis=1),
            (boxes[:, 2:] <= 0).any(axis=1),
            beyond.any(axis=1),
            ~np.isin(visibility, (0, 1, 2)).all(axis=1),
            (not_finite & (visibility > 0)).any(axis=1),
        ]
    )
    bad = np.asarray(found.any(axis=0))
    for row, fault in zip(np.flatnonzero(bad), found[:, bad].argmax(axis=0), strict=True):
        kind, sentence = list(_FAULTS.items())[fault]
        sentence = sentence.format(
            id=columns.ids[row],
            box="[" + ", ".join(f"{value:g}" for value in boxes[row]) + "]",
            width=sizes[row, 0],
            height=sizes[row, 1],
            visibility=np.unique(visibility[row]).tolist(),
        )
        problems.append(Problem(kind, columns.ids[row], sentence))
    return ~bad


def _people(columns: _Columns, images: Images, rows: NDArray[np.bool_]) -> People:
    keypoints, boxes = columns.keypoints[rows], columns.boxes_xywh[rows]
    visibility = keypoints[..., 2].astype(np.uint8)
    areas = columns.areas[rows]
    return People(
        images=images,
        image_index=columns.image_index[rows],
        ids=object_array(columns.ids)[rows],
        boxes_xywh=boxes,
        keypoints_image=np.where(visibility[..., None] > 0, keypoints[..., :2], np.float32(0)),
        visibility=visibility,
        areas=np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas),
        scores=np.ones(len(boxes), np.float32),
        is_crowd=columns.is_crowd[rows],
    )


__all__ = [
    "AnnotationFile",
    "Category",
    "read_annotations",
    "read_as_others",
    "read_category",
    "stand_for",
]
