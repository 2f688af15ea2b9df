"""COCO keypoint annotations, decoded once and kept as the file states them.

Whatever is asked of a file is a view of `AnnotationFile`: persons to learn from and to predict
(`pose_hrnet.data.formats.persons`), the ground truth of the metrics, the kind of data set, the
checks of `pose-hrnet data validate`. Format: https://cocodataset.org/#format-data (Lin et al.,
ECCV 2014).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.rows import Problem, decode_rows, read_json
from pose_hrnet.keypoints.records import PERSON, Float64, ImageId, Images, object_array
from pose_hrnet.system.choices import AnnotationKind
from pose_hrnet.system.text import few

_EXPECTED = "a COCO annotation file (images, annotations, categories)"
_MOST_PIXELS = 2**31 - 1
_MOST_KEYPOINTS = 1e9
"""A stated ``num_keypoints`` beyond this is no number of keypoints."""


@dataclass(frozen=True)
class Category:
    """A category of persons, or of others with keypoints; or several of equal keypoints as one.

    Attributes:
        id: Its ``category_id``; of several the first.
        name: Its name.
        keypoint_names: Names in the file's order; empty if the file has none.
        skeleton: What the file has there, undecoded, since only limbs need it: pairs of keypoints
            that a limb joins, counted from 1, unless the file is odd.
        others: The ``category_id`` of the further ones.
    """

    id: ImageId
    name: str
    keypoint_names: tuple[str, ...]
    skeleton: Any = ()
    others: tuple[ImageId, ...] = ()

    @property
    def ids(self) -> tuple[ImageId, ...]:
        """All its ``category_id``."""
        return (self.id, *self.others)


@dataclass(frozen=True, eq=False)
class AnnotationRows:
    """A rows of the annotations list, as columns; NaN stands for what is missing or not finite.

    Attributes:
        ids: ``(A,)`` object; None where there is none.
        category_ids: ``(A,)`` object.
        image_index: ``(A,)`` int32 row of the file's images; -1 where it does not list the image.
        stray_image_ids: ``(A,)`` object: the image ids that the file does not list, else None.
        boxes_xywh: ``(A, 4)`` float64 image pixels.
        box_lengths: ``(A,)`` uint8: how many numbers the file gives for the box.
        keypoint_values: ``(V,)`` float64: x, y, visibility of all rows' keypoints, row after row.
        keypoint_lengths: ``(A,)`` int32: how many of these values each row has.
        areas: ``(A,)`` float64 square pixels.
        num_keypoints: ``(A,)`` float64, as stated.
        crowd: ``(A,)`` int8: 1, 0, or -1 where ``iscrowd`` is missing.
    """

    ids: NDArray[np.object_]
    category_ids: NDArray[np.object_]
    image_index: NDArray[np.int32]
    stray_image_ids: NDArray[np.object_]
    boxes_xywh: Float64
    box_lengths: NDArray[np.uint8]
    keypoint_values: Float64
    keypoint_lengths: NDArray[np.int32]
    areas: Float64
    num_keypoints: Float64
    crowd: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: NDArray[np.bool_]) -> AnnotationRows:
        """The rows where ``(A,)`` `rows` is true."""
        if rows.all():
            return self
        values = np.repeat(rows, self.keypoint_lengths)
        return AnnotationRows(
            **{
                column.name: getattr(self, column.name)[
                    values if column.name == "keypoint_values" else rows
                ]
                for column in fields(self)
            }
        )

    def keypoints_image(self, num_keypoints: int) -> Float64:
        """``(A, K, 3)`` float64 x, y, visibility; zeros where a row has not 3 * K values."""
        fit = self.keypoint_lengths == 3 * num_keypoints
        shape = -1, num_keypoints, 3
        if fit.all():
            return self.keypoint_values.reshape(shape)
        keypoints = np.zeros((len(self), num_keypoints, 3))
        values = self.keypoint_values[np.repeat(fit, self.keypoint_lengths)]
        keypoints[fit] = values.reshape(shape)
        return keypoints


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """What an annotation file states, of all its categories; nothing is judged or mended.

    Attributes:
        path: The file.
        images: Its images; of several with one id the first. An image without a file name has
            the name "". CrowdPose's official files exchange width and height: their sizes count
            as unknown.
        crowd_indices: ``(I,)`` float64 ``crowdIndex`` of the images; NaN where there is none.
        categories: Its categories.
        rows: Its annotations.
        problems: The images and annotations that cannot be decoded, and repeated image ids.
    """

    path: Path
    images: Images
    crowd_indices: Float64
    categories: tuple[Category, ...]
    rows: AnnotationRows
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return str(self.path)

    @property
    def kind(self) -> AnnotationKind:
        """CrowdPose if an image has a crowd index, else COCO."""
        return "coco" if np.isnan(self.crowd_indices).all() else "crowdpose"

    def category(self, wanted: str | int | None = None) -> Category:
        """The category that is asked for, or several of equal keypoints as one.

        Args:
            wanted: A name or id, several with commas between, or ``all`` that have keypoints.
                None: the one that has keypoints, or else is called ``person``, or else all if
                their keypoints are equal, or else the only one. A file without categories has
                those of its annotations.

        Raises:
            ValueError: If there is none, or their keypoints differ.
        """
        categories = self.categories
        if not categories:
            first, *others = dict.fromkeys(self.rows.category_ids) or [PERSON]
            categories = (Category(first, "person", (), (), tuple(others)),)
        return _choose_category(categories, wanted, self.path)

    def names_of(self, category: Category) -> dict[ImageId, str]:
        """What the ids of a category, or of several, are called; where it is not said, the id."""
        names = {each.id: each.name for each in self.categories}
        return {each: names.get(each) or str(each) for each in category.ids}


def read_coco(path: Path) -> AnnotationFile:
    """Decode an annotation file, row by row: one malformed row does not spoil it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file.
    """
    lists = read_json(path, _Lists, _EXPECTED)
    problems: list[Problem] = []
    images, crowd_indices = _read_images(lists.images, problems)
    return AnnotationFile(
        path=Path(path),
        images=images,
        crowd_indices=crowd_indices,
        categories=_decode_categories(lists.categories, path),
        rows=_read_rows(lists.annotations, images, problems),
        problems=tuple(problems),
    )


def read_category(path: Path, wanted: str | int | None = None) -> Category:
    """As `AnnotationFile.category`, without looking at the rows, so that there must be categories.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or lacks the category.
    """
    lists = read_json(path, _Lists, _EXPECTED)
    return _choose_category(_decode_categories(lists.categories, path), wanted, path)


class _Lists(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw] = []


class _Category(msgspec.Struct):
    id: ImageId
    name: str | int | None = ""
    keypoints: list[str] | None = None
    skeleton: Any = None


class _Image(msgspec.Struct, gc=False):
    id: ImageId
    file_name: str | None = None
    width: float | None = 0
    height: float | None = 0
    crowdIndex: float | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: ImageId
    category_id: ImageId
    id: ImageId | None = None
    bbox: list[float | None] | None = None
    keypoints: list[float | None] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None
    num_keypoints: Any = None


def _decode_categories(raws: Sequence[msgspec.Raw], path: Path) -> tuple[Category, ...]:
    problems: list[Problem] = []
    rows = list(decode_rows(raws, _Category, "category", problems))
    if problems:
        raise ValueError(f"{path} is not {_EXPECTED}: {problems[0].sentence}")
    return tuple(
        Category(row.id, str(row.name or ""), tuple(row.keypoints or ()), row.skeleton)
        for row in rows
    )


def _choose_category(
    categories: Sequence[Category], wanted: str | int | None, path: Path
) -> Category:
    found: Sequence[Category] = [c for c in categories if wanted in (c.id, str(c.id), c.name)]
    asked = f"one category {wanted!r}"
    with_keypoints = [c for c in categories if c.keypoint_names]
    if wanted is None:
        found = [c for c in with_keypoints or categories if c.name == "person"]
        if len(found) != 1:
            found = with_keypoints or (categories if len(categories) == 1 else [])
        asked = "one category with keypoints, one called 'person', or several of equal keypoints"
    elif wanted == "all" and not found:
        found, asked = with_keypoints, "categories with keypoints"
    elif isinstance(wanted, str) and len(found) != 1 and "," in wanted:
        parts = [part.strip() for part in wanted.split(",") if part.strip()]
        return _as_one([_choose_category(categories, part, path) for part in parts], path)
    several = wanted in (None, "all")
    equal = len({category.keypoint_names for category in found}) == 1
    if not found or (len(found) > 1 and not (several and equal)):
        names = few(f"{c.name!r} (id {c.id!r})" for c in categories) or "none"
        raise ValueError(
            f"{path} has the categories {names}; expected {asked}: name it (--category, or "
            "data.category in a recipe), or give the keypoints (--skeleton, data.skeleton)"
        )
    return _as_one(found, path)


def _as_one(categories: Sequence[Category], path: Path) -> Category:
    """Categories as one.

    Raises:
        ValueError: If their keypoints differ.
    """
    first = categories[0]
    for other in categories[1:]:
        if other.keypoint_names != first.keypoint_names:
            raise ValueError(
                f"{path} has other keypoints in category {other.name!r} than in {first.name!r}; "
                "only categories of equal keypoints are learned together: name one (--category, "
                "or data.category in a recipe)"
            )
    ids = dict.fromkeys(each for category in categories for each in category.ids)
    return replace(first, others=tuple(each for each in ids if each != first.id))


def _read_images(raws: list[msgspec.Raw], problems: list[Problem]) -> tuple[Images, Float64]:
    images: dict[ImageId, _Image] = {}
    for image in decode_rows(raws, _Image, "image", problems):
        if image.id in images:
            sentence = (
                f"image {image.id!r} ({image.file_name or ''}) has the id of an earlier image "
                f"({images[image.id].file_name or ''}); give each image its own"
            )
            problems.append(Problem("duplicate image id", image.id, sentence))
        else:
            images[image.id] = image
    sizes = [
        (image.width or 0, image.height or 0) if image.crowdIndex is None else (0, 0)
        for image in images.values()
    ]
    columns = Images(
        ids=tuple(images),
        file_names=tuple(image.file_name or "" for image in images.values()),
        sizes_wh=np.array(sizes, np.float64).reshape(-1, 2).clip(0, _MOST_PIXELS).astype(np.int32),
    )
    return columns, np.array([image.crowdIndex for image in images.values()], np.float64)


def _read_rows(raws: list[msgspec.Raw], images: Images, problems: list[Problem]) -> AnnotationRows:
    """Fill the columns row by row, without a list of 150,000 objects in between."""
    row_of_image = {image_id: row for row, image_id in enumerate(images.ids)}
    length = len(raws)
    ids: list[ImageId | None] = []
    category_ids: list[ImageId] = []
    same: dict[ImageId, ImageId] = {}
    image_index = np.full(length, -1, np.int32)
    strays = np.full(length, None, np.object_)
    boxes = np.full((length, 4), np.nan)
    box_lengths = np.zeros(length, np.uint8)
    values = array("d")
    keypoint_lengths = np.zeros(length, np.int32)
    areas, num_keypoints = np.full((2, length), np.nan)
    crowd = np.full(length, -1, np.int8)
    for at, row in enumerate(decode_rows(raws, _Annotation, "annotation", problems)):
        ids.append(row.id)
        category_ids.append(same.setdefault(row.category_id, row.category_id))
        image = row_of_image.get(row.image_id)
        if image is None:
            strays[at] = row.image_id
        else:
            image_index[at] = image
        if row.bbox:
            box_lengths[at] = min(len(row.bbox), 255)
            if len(row.bbox) == 4:
                boxes[at] = row.bbox
        if row.keypoints:
            keypoint_lengths[at] = len(row.keypoints)
            _append(values, row.keypoints)
        if row.area is not None:
            areas[at] = row.area
        if isinstance(row.num_keypoints, int | float):
            num_keypoints[at] = min(max(row.num_keypoints, -1), _MOST_KEYPOINTS)
        if row.iscrowd is not None:
            crowd[at] = bool(row.iscrowd)
    end = len(ids)
    return AnnotationRows(
        ids=object_array(ids),
        category_ids=object_array(category_ids),
        image_index=image_index[:end],
        stray_image_ids=strays[:end],
        boxes_xywh=boxes[:end],
        box_lengths=box_lengths[:end],
        keypoint_values=np.frombuffer(values) if values else np.zeros(0),
        keypoint_lengths=keypoint_lengths[:end],
        areas=areas[:end],
        num_keypoints=num_keypoints[:end],
        crowd=crowd[:end],
    )


def _append(values: array[float], row: list[float | None]) -> None:
    try:
        values.fromlist(row)  # type: ignore[arg-type]  # which has no null, but for rare rows
    except TypeError:
        values.fromlist([np.nan if value is None else value for value in row])


__all__ = [
    "AnnotationFile",
    "AnnotationRows",
    "Category",
    "read_category",
    "read_coco",
]
