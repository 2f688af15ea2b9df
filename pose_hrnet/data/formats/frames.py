"""COCO keypoint results of a recording: a file -> its frames in order, with their times.

Rows say their frame by ``frame_index`` and ``time_s``, as `pose_hrnet.inference.video` writes
them. Of other programs they have image ids or file names alone: the last number in them is the
frame's, and the frame rate must be told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.results import EXPECTED, decode_row
from pose_hrnet.data.formats.rows import lenient, read_json
from pose_hrnet.keypoints.records import PERSON, SEEN_SCORE, Float64, ImageId, Poses, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.text import counted, shown

_MOST = 1e9
"""Pixels and seconds: more is no picture and no recording."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Results of a recording, in the order of its frames.

    Attributes:
        path: Where they come from, for messages.
        rows: As the file has them, R of them, with all that they hold.
        frames: F frames in order; each has the numbers of its rows that are persons.
        nobody: F likewise; of the rows that say that nobody is there, by having no keypoints.
        frame_index: ``(F,)`` int64, from 0 or where the recording begins.
        times: ``(F,)`` float64 seconds, ascending.
        poses: Persons of all frames, one after the other; ``raw_keypoints`` where a row has them,
            as they were before they were smoothed.
    """

    path: Path
    rows: list[dict[str, Any]]
    frames: list[list[int]]
    nobody: list[list[int]]
    frame_index: NDArray[np.int64]
    times: Float64
    poses: Poses


class _Row(msgspec.Struct, gc=False):
    image_id: ImageId
    keypoints: list[float]
    score: float
    category_id: ImageId = PERSON
    file_name: str | None = None
    bbox: list[float] | None = None
    box: list[float] | None = None
    frame_index: int | None = None
    time_s: float | None = None
    raw_keypoints: list[float] | None = None


def read_recording(path: Path, skeleton: Skeleton, *, fps: float | None = None) -> Recording:
    """Read the results of a recording.

    Args:
        path: COCO keypoint results.
        skeleton: Whose keypoints they are.
        fps: Frames per second, where rows have no ``time_s``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row is malformed, of another skeleton or without a place in time; if times
            go back; or if there are no frames.
    """
    raws = read_json(path, list[msgspec.Raw], EXPECTED)
    if not raws:
        raise ValueError(f"{path} holds no frames: its list is empty; expected {EXPECTED}")
    decode = lenient(_Row)
    rows = [decode_row(decode, raw, at, path) for at, raw in enumerate(raws)]
    for at, row in enumerate(rows):
        _check(row, at, path, skeleton)
    numbers, times_of = _numbered(rows, path, fps)
    order = sorted(set(numbers))
    place = {number: f for f, number in enumerate(order)}
    times = np.full(len(order), np.nan)
    first_of: dict[int, int] = {}
    frames: list[list[int]] = [[] for _ in order]
    nobody: list[list[int]] = [[] for _ in order]
    for at, (number, time_s) in enumerate(zip(numbers, times_of, strict=True)):
        f = place[number]
        first = first_of.setdefault(f, at)
        if first == at:
            times[f] = time_s
        elif time_s != times[f]:
            raise ValueError(
                f"frame {number} of {path} is at {times[f]:g} s in row {first} and at "
                f"{time_s:g} s in row {at}; a frame has one time"
            )
        (frames if rows[at].keypoints else nobody)[f].append(at)
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        f = int(back[0])
        raise ValueError(
            f"times of {path} go back: frame {order[f]} is at {times[f]:g} s, and frame "
            f"{order[f + 1]} after it at {times[f + 1]:g} s; expected later times"
        )
    at_frame = [at for persons in frames for at in persons]
    poses = _poses([rows[at] for at in at_frame], at_frame, path, skeleton)
    contents = [decode_row(msgspec.json.decode, raw, at, path) for at, raw in enumerate(raws)]
    return Recording(path, contents, frames, nobody, np.array(order, np.int64), times, poses)


def _check(row: _Row, at: int, path: Path, skeleton: Skeleton) -> None:
    """Whether a row can be what it says."""
    for name in ("keypoints", "raw_keypoints"):
        values = getattr(row, name)
        if values and len(values) != 3 * skeleton.num_keypoints:
            raise ValueError(
                f"row {at} of {path} has {len(values)} values in {name}; expected x, y and score "
                f"of the {skeleton.num_keypoints} keypoints of {skeleton.name}, or --skeleton of "
                "others"
            )
    numbers = [*row.keypoints, row.score, *(row.raw_keypoints or ()), row.time_s or 0.0]
    numbers += [*(row.box or ()), *(row.bbox or ())]
    wrong = next((value for value in numbers if not abs(value) <= _MOST), None)
    if wrong is not None:
        raise ValueError(
            f"row {at} of {path} holds {wrong:g}; expected pixels, scores and seconds below "
            f"{_MOST:g}"
        )


def _numbered(
    rows: Sequence[_Row], path: Path, fps: float | None
) -> tuple[list[int], list[float]]:
    """The frame and the time of each row."""
    timed = [row.time_s for row in rows if row.time_s is not None]
    if timed and len(timed) < len(rows):
        at = next(at for at, row in enumerate(rows) if row.time_s is None)
        raise ValueError(
            f"row {at} of {path} has no time_s, and others have; give it to all, or to none and "
            "--fps"
        )
    if timed and fps is not None:
        raise ValueError(f"rows of {path} have their times (time_s); leave --fps out")
    if not timed and fps is None:
        raise ValueError(
            f"rows of {path} have no time_s; tell the frames per second of the recording, as in "
            "--fps 25"
        )
    indexed = [row.frame_index for row in rows if row.frame_index is not None]
    if len(indexed) == len(rows):
        numbers = indexed
    elif timed:
        back = next((at for at in range(1, len(timed)) if timed[at] < timed[at - 1]), None)
        if back is not None:
            raise ValueError(
                f"times of {path} go back: row {back - 1} is at {timed[back - 1]:g} s, and row "
                f"{back} after it at {timed[back]:g} s; expected frames in order"
            )
        steps = np.diff(timed, prepend=timed[0]) > 0
        numbers = np.cumsum(steps).tolist()
    else:
        numbers = [_last_number(row, at, path) for at, row in enumerate(rows)]
    if timed:
        return numbers, timed
    assert fps is not None
    return numbers, [number / fps for number in numbers]


def _last_number(row: _Row, at: int, path: Path) -> int:
    """The frame that an image id, or a name in its place, ends with: ``clip_000123.jpg``."""
    name = row.file_name if row.file_name is not None else row.image_id
    digits = re.findall(r"\d{1,15}", str(name))
    if not digits:
        raise ValueError(
            f"row {at} of {path} is of image {shown(name)}, in which there is no number of a "
            "frame; expected one, or rows with frame_index"
        )
    return int(digits[-1])


def _poses(rows: Sequence[_Row], numbers: Sequence[int], path: Path, skeleton: Skeleton) -> Poses:
    """Persons as columns."""
    values = [row.raw_keypoints or row.keypoints for row in rows]
    triples = np.array(values, np.float32).reshape(len(rows), skeleton.num_keypoints, 3)
    boxes = np.array(
        [_box(row, each, at, path) for row, each, at in zip(rows, triples, numbers, strict=True)],
        np.float32,
    ).reshape(-1, 4)
    return Poses(
        image_ids=object_array([row.image_id for row in rows]),
        keypoints_image=triples[..., :2],
        keypoint_scores=triples[..., 2],
        boxes_xyxy=boxes,
        scores=np.array([row.score for row in rows], np.float32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        category_ids=object_array([row.category_id for row in rows]),
        skeleton=skeleton,
    )


def _box(row: _Row, triples: NDArray[np.float32], at: int, path: Path) -> list[float]:
    """Left, top, right, bottom: the box that was asked for, the row's, or around keypoints."""
    for box in (row.box, row.bbox):
        if box is not None and len(box) == 4 and min(box[2:]) > 0:
            left, top, width, height = box
            return [left, top, left + width, top + height]
    seen = triples[triples[:, 2] >= SEEN_SCORE, :2]
    if len(seen) < 2 or not (np.ptp(seen, axis=0) > 0).all():
        raise ValueError(
            f"row {at} of {path} (image {row.image_id!r}) has neither box nor bbox, nor two "
            f"keypoints of a score of {SEEN_SCORE} to put a box around; leave it out, or give it "
            "one"
        )
    return [*seen.min(axis=0).tolist(), *seen.max(axis=0).tolist()]


def persons_of(recording: Recording) -> list[slice]:
    """F slices of the poses, one for each frame."""
    ends = np.cumsum([0, *(len(persons) for persons in recording.frames)]).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]


def in_words(recording: Recording) -> str:
    """How many poses in how many frames, and over what time."""
    length = recording.times[-1] - recording.times[0]
    return (
        f"{counted(len(recording.poses), 'pose')} in {counted(len(recording.frames), 'frame')}, "
        f"{length:.1f} s"
    )
