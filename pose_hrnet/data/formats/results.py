"""COCO annotation, detection and result files <-> `People` and `Poses`.

Rows that cannot be used are left out and told as `Problem`s; a file of the wrong form is a
`ValueError`. Format: https://cocodataset.org/#format-data (Lin et al., ECCV 2014).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from pose_hrnet.data.formats.coco import read_annotations
from pose_hrnet.data.formats.rows import (
    Problem,
    Source,
    decode_rows,
    explain_strays,
    read_json,
    summarise,
)
from pose_hrnet.keypoints.records import ImageId, Images, People, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.system.files import replace_file
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)


def load_people(
    annotations: Source,
    *,
    skeleton: Skeleton = COCO17,
    category: str | int | None = None,
    on_bad: Literal["report", "raise"] = "report",
) -> People:
    """Load every person of an annotation file, crowds and persons without keypoints included.

    Ids may be integers or strings. A missing ``area`` is the box's, a missing ``iscrowd`` is 0,
    missing keypoints are unlabelled, and ``num_keypoints`` is not read. Left out and reported are
    annotations with a box that is not finite, has no area or lies outside its image, with a wrong
    number of keypoints, with labelled keypoints that are not finite, with a visibility other than
    0, 1 or 2, with an id that came before, or of an image that the file does not list.

    Args:
        annotations: COCO keypoint JSON.
        skeleton: The keypoints of the category.
        category: Name or id; None: the one that has keypoints, or else is called ``person``.
        on_bad: Whether a bad row is logged (one warning for the file) or ends the loading.

    Returns:
        N persons in the file's order; `boxes_xywh` are as the file has them, not clipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no annotation file of this skeleton, has no usable person, or
            has a bad row and `on_bad` is ``"raise"``.
    """
    file = read_annotations(annotations, skeleton=skeleton, category=category)
    if file.problems and on_bad == "raise":
        raise ValueError(
            f"{annotations}: {file.problems[0].sentence}"
            + (f" (and {len(file.problems) - 1} more bad rows)" if len(file.problems) > 1 else "")
        )
    if not len(file.people):
        reasons = [summarise(file.problems) or "no annotation has this category_id"]
        reasons += filter(None, [explain_strays(file.problems, file.people.images)])
        raise ValueError(
            f"{annotations} has no usable person of category {file.category.id!r} "
            f"({file.category.name}): {'; '.join(reasons)}"
        )
    if file.problems:
        log.warning("%s: %s", annotations, summarise(file.problems))
    return file.people


def training_people(people: People) -> People:
    """The persons that the official code trains on, and evaluates with ground-truth boxes.

    Left out are crowds and persons without a labelled keypoint, an area or a box inside the
    image. Boxes are clipped to ``[x1, y1, x2 - x1, y2 - y1]`` with ``x1 = max(0, x)`` and
    ``x2 = min(W - 1, x1 + max(0, w - 1))``, the same in y; where the image size is unknown, only
    against 0. A box that clips to a single point has no crop and is left out, too.

    Returns:
        The remaining persons, in order; may be none.
    """
    boxes = people.boxes_xywh
    sizes = people.images.sizes_wh[people.image_index]
    last_pixel = np.where(sizes > 0, sizes - 1, np.inf)
    low = np.maximum(0, boxes[:, :2])
    high = np.minimum(last_pixel, low + np.maximum(0, boxes[:, 2:] - 1))
    keep = ~people.is_crowd & (people.visibility > 0).any(axis=1) & (people.areas > 0)
    keep &= (high >= low).all(axis=1) & (high > low).any(axis=1)
    clipped = np.concatenate([low, high - low], axis=1).astype(np.float32)
    return replace(people, boxes_xywh=clipped)[keep]


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
        """x, y, width, height and score; NaN for what is not finite."""
        return [math.nan if value is None else value for value in (*self.bbox, self.score)]


def decode_detections(path: Path, problems: list[Problem]) -> Iterator[Detection]:
    """The rows of a box file; a malformed one becomes a problem.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list.
    """
    raws = read_json(path, list[msgspec.Raw], "a list of detections")
    return decode_rows(raws, Detection, "detection", problems)


def names_of(path: Path) -> list[str]:
    """What a box file may call an image, the surest first: path, name, stem, the stem's number."""
    number = [str(int(path.stem))] if path.stem.isdecimal() else []
    return list(dict.fromkeys([str(path), path.name, path.stem, *number]))


def load_detections(
    path: Path,
    images: Images,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = 0.0,
    category_id: int | str = 1,
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
        category_id: The person category.

    Returns:
        N detected persons in the file's order; boxes are not clipped, as in the official code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of detections, or none is left.
    """
    people, problems = read_detections(
        path, images, skeleton=skeleton, min_score=min_score, category_id=category_id
    )
    if not len(people):
        reasons = [summarise(problems), explain_strays(problems, images)]
        reason = "; ".join(filter(None, reasons)) or "no box has this category and score"
        raise ValueError(
            f"{path} has no detection of category {category_id!r} with a score of at least "
            f"{min_score:g} in {counted(len(images), 'annotated image')}: {reason}"
        )
    if problems:
        log.warning("%s: %s", path, summarise(problems))
    return people


def read_detections(
    path: Path,
    images: Images,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = 0.0,
    category_id: int | str = 1,
) -> tuple[People, tuple[Problem, ...]]:
    """As `load_detections`, but hands the problems back, and may find nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of detections.
    """
    problems: list[Problem] = []
    row_of_id: dict[ImageId | None, int] = {each: row for row, each in enumerate(images.ids)}
    row_of_name: dict[str, int] = {}
    kept: list[tuple[Detection, int]] = []
    for row in decode_detections(path, problems):
        if row.category_id not in (None, category_id):
            continue
        if row.file_name and not row_of_name:
            row_of_name = _rows_by_name(images)
        image = row_of_id.get(row.image_id, row_of_name.get(row.file_name or ""))
        if not np.isfinite(row.numbers).all():
            sentence = f"a detection in image {row.image!r} has a box or a score without numbers"
            problems.append(Problem("malformed detection", row.image, sentence))
        elif row.numbers[-1] < min_score:
            continue
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
    )
    return people, tuple(problems)


def _rows_by_name(images: Images) -> dict[str, int]:
    """Row of each image by what a box file may call it, unless that means several images."""
    found: dict[str, int] = {name: row for row, name in enumerate(images.file_names)}
    shorter = [(n, row) for name, row in found.items() for n in names_of(Path(name))[1:]]
    uses = Counter(name for name, _ in shorter)
    return {name: row for name, row in shorter if uses[name] == 1} | found


def poses_to_results(poses: Poses, category_id: int | str = 1) -> list[dict[str, Any]]:
    """COCO keypoint results: ``{image_id, category_id, keypoints, score}`` per pose.

    ``keypoints`` is ``[x, y, keypoint score] * K`` in image pixels, not rounded.

    Raises:
        ValueError: If a number is not finite: no evaluation could read it.
    """
    triples = np.concatenate([poses.keypoints_image, poses.keypoint_scores[..., None]], axis=2)
    keypoints = triples.astype(np.float64).reshape(len(poses), 3 * triples.shape[1])
    scores = poses.scores.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(keypoints).all(axis=1) & np.isfinite(scores)))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {counted(len(poses), 'pose')} with keypoints or scores that are not "
            f"finite, the first in image {poses.image_ids[wrong[0]]!r}; check the model's weights"
        )
    columns = zip(poses.image_ids.tolist(), keypoints.tolist(), scores.tolist(), strict=True)
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": row, "score": score}
        for image_id, row, score in columns
    ]


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one piece: under a temporary name, then renamed; NaN becomes null.

    NumPy scalars and arrays are written as numbers and lists.

    Raises:
        TypeError: If a value has no JSON form; nothing is written.
    """
    data = msgspec.json.encode(value, enc_hook=_plain)
    with replace_file(Path(path)) as temporary:
        temporary.write_bytes(data)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form; give plain values")


__all__ = [
    "Detection",
    "decode_detections",
    "load_detections",
    "load_people",
    "names_of",
    "poses_to_results",
    "read_detections",
    "training_people",
    "write_json",
]
