"""Boxes of person detectors: COCO box files -> `People`, or boxes by image.

Rows that cannot be used are left out and told as `Problem`s; a file of the wrong form is a
`ValueError`. Format: https://cocodataset.org/#format-results (Lin et al., ECCV 2014).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from pose_hrnet.data.formats.box_files import SizeOf, names_nobody, read_box_rows
from pose_hrnet.data.formats.identity import ImageIndex
from pose_hrnet.data.formats.rows import (
    LARGEST,
    Problem,
    decode_rows,
    explain_strays,
    summarise,
)
from pose_hrnet.data.formats.suspicions import suspect_people, warn_of
from pose_hrnet.keypoints.records import PERSON, ImageId, Images, People, object_array
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.system.choices import BoxFormat
from pose_hrnet.system.text import counted, few

log = logging.getLogger(__name__)


class Detection(msgspec.Struct, gc=False):
    """A row of a box file.

    Attributes:
        bbox: x, y, width and height in image pixels; None for what is not finite.
        image_id: Of its image; None if it goes by its name alone.
        file_name: Of its image; None if it goes by its id alone.
        category_id: None: not said, so a person.
        score: None if it is not finite.
    """

    bbox: tuple[float | None, float | None, float | None, float | None]
    image_id: ImageId | None = None
    file_name: str | None = None
    category_id: ImageId | None = None
    score: float | None = 1.0

    def __post_init__(self) -> None:
        if self.image_id is None and not self.file_name:
            raise ValueError("it has neither image_id nor file_name")

    @property
    def image(self) -> ImageId:
        """What it calls its image: the name, or else the id."""
        return self.file_name or ("" if self.image_id is None else self.image_id)

    @property
    def numbers(self) -> list[float]:
        """x, y, width, height and score; NaN for what is not finite, or beyond reason."""
        values = (*self.bbox, self.score)
        return [v if v is not None and abs(v) <= LARGEST else math.nan for v in values]


def decode_detections(
    path: Path,
    problems: list[Problem],
    box_format: BoxFormat = "xywh",
    size_of: SizeOf | None = None,
) -> Iterator[Detection]:
    """The rows of a box file; a malformed one becomes a problem.

    Args:
        path: Of any form that `read_box_rows` knows.
        problems: Takes what is malformed.
        box_format: As of `read_box_rows`.
        size_of: As of `read_box_rows`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no form that is known.
    """
    raws = read_box_rows(path, box_format, size_of)
    return decode_rows(raws, Detection, "detection", problems)


def load_detections(
    path: Path,
    images: Images,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = 0.0,
    category_ids: Sequence[ImageId] = (PERSON,),
    box_format: BoxFormat = "xywh",
) -> People:
    """Load the boxes of a person detector, ``[{image_id, category_id, bbox, score}, ...]``.

    In place of the image's id a row may have its ``file_name``, as annotated or, where only one
    image has them, without the folder or the suffix. Without a score it has 1, and without a
    category it is of a person. Detections of other categories are passed over. Rows of an unknown
    image, of the wrong type, or with an empty box are left out and counted in one warning.

    Args:
        path: The box file.
        images: The images of the annotations.
        skeleton: Its number of keypoints gives the (unlabelled) keypoint columns their length.
        min_score: Boxes with this score and above are kept (official ``image_thre``: 0).
        category_ids: The categories of persons.
        box_format: As of `read_box_rows`.

    Returns:
        N detected persons in the file's order; boxes are not clipped, as in the official code.
        None of an empty list: a detector that found nobody.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of detections, or has some, of which none is left.
    """
    people, problems = read_detections(
        path,
        images,
        skeleton=skeleton,
        min_score=min_score,
        category_ids=category_ids,
        box_format=box_format,
    )
    if not len(people) and not problems and names_nobody(path):
        log.warning("%s has no box: nobody was found", path)
        return people
    if not len(people):
        reasons = [summarise(problems), explain_strays(problems, images)]
        reason = "; ".join(filter(None, reasons)) or "no box has this category and score"
        raise ValueError(
            f"{path} has no detection of category {few(map(repr, category_ids))} with a score of "
            f"at least {min_score:g} in {counted(len(images), 'annotated image')}: {reason}"
        )
    if problems:
        log.warning("%s: %s", path, summarise(problems))
    warn_of(path, suspect_people(people))
    return people


def read_detections(
    path: Path,
    images: Images,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = 0.0,
    category_ids: Sequence[ImageId] = (PERSON,),
    box_format: BoxFormat = "xywh",
) -> tuple[People, tuple[Problem, ...]]:
    """As `load_detections`, but hands the problems back, and may find nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of detections.
    """
    problems: list[Problem] = []
    index = ImageIndex(images)
    kept: list[tuple[Detection, int]] = []

    def size_of(name: str) -> tuple[int, int] | None:
        row = index.named(name)
        width, height = (0, 0) if row is None else images.sizes_wh[row].tolist()
        return (width, height) if width and height else None

    for row in decode_detections(path, problems, box_format, size_of):
        if row.category_id not in (None, *category_ids):
            continue
        image = index.row(row.image_id, row.file_name)
        if not np.isfinite(row.numbers).all():
            sentence = f"a detection in image {row.image!r} has a box or a score without numbers"
            problems.append(Problem("malformed detection", row.image, sentence))
        elif row.numbers[-1] < min_score:
            continue
        elif index.contradicts(row.image_id, row.file_name):
            sentence = (
                f"a detection has the image_id {row.image_id!r}, but its file_name "
                f"{row.file_name!r} is another image's; correct one of them"
            )
            problems.append(Problem("id and file name of two images", row.image, sentence))
        elif image is None:
            kind = "unknown file name" if row.file_name else "unknown image id"
            sentence = f"a detection is of image {row.image!r}, which is not annotated"
            problems.append(Problem(kind, row.image, sentence, row.image))
        elif min(row.numbers[2:4]) <= 0:
            sentence = f"a detection in image {row.image!r} has the box {list(row.bbox)}"
            problems.append(Problem("box is empty", row.image, sentence))
        else:
            kept.append((row, image))
    count, k = len(kept), skeleton.num_keypoints
    boxes = np.array([row.bbox for row, _ in kept], np.float32).reshape(count, 4)
    people = People(
        images=images,
        image_index=np.array([image for _, image in kept], np.int32),
        ids=object_array(range(count)),
        boxes_xywh=boxes,
        keypoints_image=np.zeros((count, k, 2), np.float32),
        visibility=np.zeros((count, k), np.uint8),
        areas=boxes[:, 2] * boxes[:, 3],
        scores=np.array([row.score for row, _ in kept], np.float32),
        is_crowd=np.zeros(count, np.bool_),
        category_ids=object_array(
            [category_ids[0] if row.category_id is None else row.category_id for row, _ in kept]
        ),
    )
    return people, tuple(problems)


class PersonBox(NamedTuple):
    """A box of a person, and what its file calls the image.

    Attributes:
        image_id: Its id; None if it goes by its name alone.
        file_name: Its name; None if it goes by its id alone.
        row: Left, top, right and bottom in image pixels, and the score.
        category_id: That of persons, or one of those.
    """

    image_id: ImageId | None
    file_name: str | None
    row: list[float]
    category_id: ImageId


def load_boxes(
    path: Path,
    category_ids: Sequence[ImageId] = (PERSON,),
    *,
    min_score: float = 0.0,
    box_format: BoxFormat = "xywh",
    size_of: SizeOf | None = None,
) -> list[PersonBox]:
    """The person boxes of a detection file, whatever its images; none of an empty file.

    Entries of other categories are passed over, unless all are of a single other one, which is
    then told; boxes that are not finite or have no area, and boxes without a finite score, are
    left out with one warning.

    Args:
        path: JSON list of ``{"image_id" or "file_name", "bbox": [x, y, w, h], "score",
            "category_id"}``; the score may be missing and is then 1, and the category, too. Or
            any other form that `read_box_rows` knows.
        category_ids: Those of persons.
        min_score: Boxes with this score and above are kept.
        box_format: As of `read_box_rows`.
        size_of: As of `read_box_rows`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no form that is known, or boxes, but no usable one of a person.
    """
    problems: list[Problem] = []
    entries = list(decode_detections(path, problems, box_format, size_of))
    if problems:
        raise ValueError(
            f"{path}: {problems[0].sentence}; expected "
            '{"image_id" or "file_name": ..., "bbox": [x, y, w, h], "score": ...}'
        )
    categories = {entry.category_id for entry in entries}
    if len(categories) == 1 and not categories & {None, *category_ids}:
        log.warning("%s: all boxes are of category %r, taken for persons", path, *categories)
        entries = [replace(entry, category_id=None) for entry in entries]
    known: list[PersonBox] = []
    bad: list[str] = []
    persons = 0
    for position, entry in enumerate(entries):
        if entry.category_id not in (None, *category_ids):
            continue
        persons += 1
        x, y, w, h, score = entry.numbers
        row = [x, y, x + w, y + h, score]
        if np.isfinite(row).all() and row[0] < row[2] and row[1] < row[3]:
            category_id = category_ids[0] if entry.category_id is None else entry.category_id
            known.append(PersonBox(entry.image_id, entry.file_name, row, category_id))
        else:
            bad.append(f"entry {position} (image {entry.image}, box [{x:g}, {y:g}, {w:g}, {h:g}])")
    if entries and not known:
        others = f" (there are {few(map(str, categories))})" if not persons else ""
        raise ValueError(
            f"{path} has no usable person box: of {counted(len(entries), 'entry')}, {persons} "
            f"with category_id {few(map(repr, category_ids))} or none{others}, {len(bad)} of "
            "these not finite or without area"
        )
    if bad:
        log.warning(
            "%s: left out %d of %s, without area or not finite: %s%s",
            path, len(bad), counted(persons, "person box"),
            ", ".join(bad[:3]), ", ..." if len(bad) > 3 else "",
        )  # fmt: skip
    return [box for box in known if box.row[-1] >= min_score]
