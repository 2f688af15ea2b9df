"""COCO keypoint results: files -> columns (`Poses.to_coco` gives the rows).

Format: https://cocodataset.org/#format-results (Lin et al., ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from pose_hrnet.data.formats.broken_json import UNDECODABLE, fault_of
from pose_hrnet.data.formats.rows import lenient, read_json
from pose_hrnet.keypoints.records import Float64, ImageId

EXPECTED = "a list of COCO keypoint results {image_id, category_id, keypoints, score}"
"""What a results file holds."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, eq=False)
class Results:
    """N keypoint results, as they are stated.

    Attributes:
        name: Where they come from, for messages.
        image_ids: N image ids.
        category_ids: N category ids.
        keypoints: ``(N, 3 * K)`` float64 x, y (image pixels) and score of each keypoint.
        scores: ``(N,)`` float64.
        box_areas: ``(N,)`` float64 square pixels of ``bbox``; NaN where there is none of four
            numbers.
    """

    name: str
    image_ids: list[ImageId]
    category_ids: list[ImageId]
    keypoints: Float64
    scores: Float64
    box_areas: Float64


POSE_BYTES = 1500
"""About what the results of a person take on the disk: 17 keypoints, in JSON."""
RESULTS_FILE = "results.json"
"""What the file of a prediction or an evaluation is called."""
RESULTS_LOCK = ".results.lock"
"""Keeps two that write it out of one folder, not a prediction out of a training's."""


def read_results(source: Path | list[dict[str, Any]], num_keypoints: int) -> Results:
    """Read a results file, or copy a list of results.

    Args:
        source: COCO keypoint results: a JSON file, or the list itself.
        num_keypoints: K.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a result is malformed or has another number of keypoints.
    """
    name = "the list of results" if isinstance(source, list) else str(source)
    length, rows = _rows(source, name)
    keypoints, scores = np.empty((length, 3 * num_keypoints)), np.empty(length)
    box_areas = np.full(length, np.nan)
    image_ids: list[ImageId] = []
    category_ids: list[ImageId] = []
    for at, row in enumerate(rows):
        if len(row.keypoints) != 3 * num_keypoints:
            raise malformed_result(at, row.image_id, len(row.keypoints), num_keypoints, name)
        keypoints[at] = row.keypoints
        scores[at] = row.score
        image_ids.append(row.image_id)
        category_ids.append(row.category_id)
        if row.bbox is not None and len(row.bbox) == 4:
            box_areas[at] = row.bbox[2] * row.bbox[3]
    return Results(name, image_ids, category_ids, keypoints, scores, box_areas)


def malformed_result(
    at: int, image_id: ImageId, length: int, num_keypoints: int, name: str, fault: str = ""
) -> ValueError:
    """The error about one result, to be raised.

    Args:
        at: Which one, from 0.
        image_id: Its image.
        length: How many keypoint values it has.
        num_keypoints: K.
        name: Where it comes from.
        fault: What else is wrong.
    """
    return ValueError(
        f"result {at} of {name} (image {image_id!r}) has {length} keypoint values{fault}; "
        f"expected x, y and score of {num_keypoints} keypoints, one for each OKS sigma, all finite"
    )


class _Result(msgspec.Struct, gc=False):
    image_id: ImageId
    category_id: ImageId
    keypoints: list[float]
    score: float
    bbox: list[float] | None = None


def _rows(source: Path | list[dict[str, Any]], name: str) -> tuple[int, Iterable[_Result]]:
    if isinstance(source, list):
        try:
            return len(source), msgspec.convert(source, list[_Result], strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name} is not {EXPECTED}: {error}") from error
    raws = read_json(source, list[msgspec.Raw], EXPECTED)
    return len(raws), _decode(raws, source)


def _decode(raws: list[msgspec.Raw], path: Path) -> Iterator[_Result]:
    """Row by row: twice as fast as the whole list, whose numbers would fill the memory."""
    decode = lenient(_Result)
    return (decode_row(decode, raw, at, path) for at, raw in enumerate(raws))


def decode_row(
    decode: Callable[[msgspec.Raw], _Row], raw: msgspec.Raw, at: int, path: Path
) -> _Row:
    """A row of a results file.

    Args:
        decode: See `pose_hrnet.data.formats.rows.lenient`.
        raw: The row.
        at: Which one, from 0.
        path: The file, for messages.

    Raises:
        ValueError: If it is malformed.
    """
    try:
        return decode(raw)
    except UNDECODABLE as error:
        reason = fault_of(raw, error)[1].replace("`$", f"`$[{at}]")
        if "got `null`" in reason:
            reason = f"{reason} (JSON has no NaN; it was read as null)"
        where = "" if "`$" in reason else f" - at `$[{at}]`"
        raise ValueError(f"{path} is not {EXPECTED}: {reason}{where}") from None


__all__ = ["Results", "malformed_result", "read_results"]
