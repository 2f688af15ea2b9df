"""Reads keypoint results into columns, with the numbers that the ground truth gives its ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.rows import find_twin, read_json
from pose_hrnet.evaluation.metrics.coco_truth import Truth, in_order
from pose_hrnet.keypoints.records import Float64, ImageId, Poses
from pose_hrnet.system.text import counted

_EXPECTED = "a list of COCO keypoint results {image_id, category_id, keypoints, score}"


@dataclass(frozen=True, eq=False)
class Results:
    """N keypoint results, with the numbers that a `Truth` gives its images and categories.

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

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Results:
        return Results(*(getattr(self, field.name)[rows] for field in fields(self)))


class _Result(msgspec.Struct, gc=False):
    image_id: ImageId
    category_id: ImageId
    keypoints: list[float]
    score: float
    bbox: list[float] | None = None


def read_results(
    source: Path | list[dict[str, Any]], truth: Truth, num_keypoints: int, notes: list[str]
) -> Results:
    """Read a results file, or copy a list of results.

    Args:
        source: COCO keypoint results: a JSON file, or the list itself.
        truth: What they are scored against.
        num_keypoints: K.
        notes: What does not count is appended, one sentence each.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a result is malformed, not finite, has another number of keypoints or an
            image that `truth` lacks, or if none has a category of `truth`.
    """
    name = "the list of results" if isinstance(source, list) else str(source)
    length, rows = _rows(source, name)
    keypoints = np.empty((length, 3 * num_keypoints))
    image_ids: list[ImageId] = []
    category_ids: list[ImageId] = []
    scores: list[float] = []
    boxes: list[list[float] | None] = []
    for at, row in enumerate(rows):
        if len(row.keypoints) != 3 * num_keypoints:
            raise _malformed(at, row.image_id, len(row.keypoints), num_keypoints, name)
        keypoints[at] = row.keypoints
        image_ids.append(row.image_id)
        category_ids.append(row.category_id)
        scores.append(row.score)
        boxes.append(row.bbox)
    areas = _areas(boxes, keypoints, name, notes)
    return _numbered(
        image_ids, category_ids, keypoints, np.array(scores, np.float64), areas, truth, name, notes
    )


def results_of_poses(
    poses: Poses, category_id: ImageId, truth: Truth, num_keypoints: int, notes: list[str]
) -> Results:
    """The results that `poses_to_results` writes of these poses, without writing them.

    Raises:
        ValueError: As `read_results` does.
    """
    triples = np.concatenate([poses.keypoints_image, poses.keypoint_scores[..., None]], axis=2)
    keypoints = triples.reshape(len(poses), 3 * triples.shape[1]).astype(np.float64)
    if len(poses) and triples.shape[1] != num_keypoints:
        first = poses.image_ids[0]
        raise _malformed(0, first, keypoints.shape[1], num_keypoints, "the poses")
    return _numbered(
        poses.image_ids.tolist(),
        [category_id] * len(poses),
        keypoints,
        poses.scores.astype(np.float64),
        _extents(keypoints),
        truth,
        "the poses",
        notes,
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


def _rows(source: Path | list[dict[str, Any]], name: str) -> tuple[int, Iterable[_Result]]:
    if isinstance(source, list):
        try:
            return len(source), msgspec.convert(source, list[_Result])
        except msgspec.ValidationError as error:
            raise ValueError(f"{name} is not {_EXPECTED}: {error}") from error
    raws = read_json(source, list[msgspec.Raw], _EXPECTED)
    return len(raws), _decode(raws, source)


def _decode(raws: list[msgspec.Raw], path: Path) -> Iterator[_Result]:
    """Row by row: twice as fast as the whole list, whose numbers would fill the memory."""
    decode = msgspec.json.Decoder(_Result).decode
    try:
        for raw in raws:
            yield decode(raw)
    except msgspec.ValidationError:
        read_json(path, list[_Result], _EXPECTED)  # says which row it is
        raise


def _numbered(
    image_ids: list[ImageId],
    category_ids: list[ImageId],
    keypoints: Float64,
    scores: Float64,
    areas: Float64,
    truth: Truth,
    name: str,
    notes: list[str],
) -> Results:
    """Check values and ids, and replace ids by the numbers of the ground truth."""
    finite = np.isfinite(keypoints).all(axis=1) & np.isfinite(scores)
    if not finite.all():
        at, length = int(finite.argmin()), keypoints.shape[1]
        raise _malformed(
            at, image_ids[at], length, length // 3, name, " or a score that are not all finite"
        )
    check_images(image_ids, truth, name)
    _check_categories(category_ids, truth, name, notes)
    return Results(
        image_numbers=np.array([truth.image_numbers[i] for i in image_ids], np.intp),
        # pycocotools passes category 0 over, and so do the numbers.
        category_numbers=np.array(
            [truth.category_numbers.get(i, 0) for i in category_ids], np.intp
        ),
        keypoints=keypoints,
        scores=scores,
        areas=areas,
    )


def _malformed(
    at: int, image_id: ImageId, length: int, num_keypoints: int, name: str, fault: str = ""
) -> ValueError:
    return ValueError(
        f"result {at} of {name} (image {image_id!r}) has {length} keypoint values{fault}; "
        f"expected x, y and score of {num_keypoints} keypoints, one for each OKS sigma, all finite"
    )


def _check_categories(
    category_ids: list[ImageId], truth: Truth, name: str, notes: list[str]
) -> None:
    strays = [category for category in category_ids if category not in truth.category_numbers]
    if not strays:
        return
    found = f"{len(strays)} of {counted(len(category_ids), 'entry')} of {name} with category"
    found = f"{found} {in_order(strays)}, but {truth.name} lists {list(truth.category_numbers)}"
    if len(strays) == len(category_ids):
        raise ValueError(f"{found}; write one of the latter as category_id")
    notes.append(f"{found}; they do not count")


def _areas(
    boxes: list[list[float] | None], keypoints: Float64, name: str, notes: list[str]
) -> Float64:
    """Area of the box if the first result has one, else of the keypoints' extent (`loadRes`)."""
    usable = [box for box in boxes if box is not None and len(box) == 4]
    if boxes and boxes[0] and len(usable) == len(boxes):
        return np.array([box[2] * box[3] for box in usable], np.float64)
    if usable:
        notes.append(
            f"only {len(usable)} of {counted(len(boxes), 'entry')} of {name} with a bbox; "
            "the area of all was taken from their keypoints"
        )
    return _extents(keypoints)


def _extents(keypoints: Float64) -> Float64:
    areas: Float64 = np.ptp(keypoints[:, 0::3], axis=1) * np.ptp(keypoints[:, 1::3], axis=1)
    return areas


__all__ = ["Results", "check_images", "read_results", "results_of_poses"]
