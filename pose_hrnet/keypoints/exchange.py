"""Poses as others read them: COCO results, plain JSON, pandas, supervision.

`pose_hrnet.keypoints.records.Poses` has each of these as a method.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import few_digits
from pose_hrnet.system.text import counted


class Columns(Protocol):
    """What is read of N poses of K keypoints; each as `Poses` says."""

    @property
    def image_ids(self) -> NDArray[np.object_]:
        """``(N,)`` of the images."""

    @property
    def category_ids(self) -> NDArray[np.object_]:
        """``(N,)`` of the kinds of object."""

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """K names."""

    @property
    def keypoints_image(self) -> NDArray[np.float32]:
        """``(N, K, 2)`` x and y."""

    @property
    def keypoint_scores(self) -> NDArray[np.float32]:
        """``(N, K)``."""

    @property
    def flat_keypoints(self) -> NDArray[np.float64]:
        """``(N, 3 * K)`` x, y and score of each."""

    @property
    def flat_raw_keypoints(self) -> NDArray[np.float64] | None:
        """``(N, 3 * K)`` the same, as they were before smoothing."""

    @property
    def smoothing(self) -> str | None:
        """By which filter they were smoothed."""

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """``(N, 4)`` left, top, right, bottom."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """``(N,)`` of the poses."""

    @property
    def track_ids(self) -> NDArray[np.int64] | None:
        """``(N,)`` of the persons of a video."""

    @property
    def frame_index(self) -> NDArray[np.int64] | None:
        """``(N,)`` of the frames of a video."""

    @property
    def time_s(self) -> NDArray[np.float64] | None:
        """``(N,)`` seconds from the start of a video."""


def coco_results(poses: Columns, file_name: str | None) -> list[dict[str, Any]]:
    """As of `Poses.to_coco`.

    Raises:
        ValueError: If a number is not finite.
    """
    keypoints, raw = poses.flat_keypoints, poses.flat_raw_keypoints
    wrong = np.flatnonzero(~(np.isfinite(keypoints).all(axis=1) & np.isfinite(poses.scores)))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {counted(len(keypoints), 'pose')} with keypoints or scores that are "
            f"not finite, the first in image {poses.image_ids[wrong[0]]!r}; check the model's "
            "weights"
        )
    points = keypoints.reshape(*poses.keypoint_scores.shape, 3)[..., :2]
    corners = poses.boxes_xyxy.reshape(-1, 2, 2)
    columns: dict[str, list[Any]] = {
        "image_id": poses.image_ids.tolist(),
        "category_id": poses.category_ids.tolist(),
        "keypoints": keypoints.tolist(),
        "score": few_digits(poses.scores).tolist(),
        "bbox": _boxes_around(points).tolist(),
        "box": few_digits(_boxes_around(corners)).tolist(),
        **_of_video(poses),
    }
    if raw is not None:
        columns |= {"raw_keypoints": raw.tolist(), "smoothing": [poses.smoothing] * len(raw)}
    named = {} if file_name is None else {"file_name": file_name}
    rows = zip(*columns.values(), strict=True)
    return [named | dict(zip(columns, row, strict=True)) for row in rows]


def json_text(poses: Columns) -> str:
    """As of `Poses.to_json`."""
    return json.dumps(persons(poses))


def persons(poses: Columns) -> list[dict[str, Any]]:
    """The list of `Poses.to_json`, before it is a text."""
    of_video = _of_video(poses)
    found = []
    for row in range(len(poses.image_ids)):
        points = poses.keypoints_image[row].astype(float).round(2).tolist()
        scores = poses.keypoint_scores[row].astype(float).round(4).tolist()
        named = zip(poses.keypoint_names, points, scores, strict=True)
        found.append({
            "image_id": poses.image_ids[row],
            **{name: values[row] for name, values in of_video.items()},
            "score": round(float(poses.scores[row]), 4),
            "box_xyxy": poses.boxes_xyxy[row].astype(float).round(2).tolist(),
            "keypoints": {name: [*point, score] for name, point, score in named},
        })  # fmt: skip
    return found


def dataframe(poses: Columns) -> Any:
    """As of `Poses.to_dataframe`.

    Raises:
        ValueError: If pandas is not installed.
    """
    persons, keypoints = poses.keypoint_scores.shape
    return import_extra("pandas", "pandas").DataFrame({
        "image_id": np.repeat(poses.image_ids, keypoints),
        **{name: np.repeat(values, keypoints) for name, values in _of_video(poses).items()},
        "person": np.repeat(np.arange(persons), keypoints),
        "keypoint": list(poses.keypoint_names) * persons,
        "x": poses.keypoints_image[..., 0].ravel(),
        "y": poses.keypoints_image[..., 1].ravel(),
        "score": poses.keypoint_scores.ravel(),
        "pose_score": np.repeat(poses.scores, keypoints),
    })  # fmt: skip


def supervision_keypoints(poses: Columns) -> Any:
    """As of `Poses.to_supervision`.

    Raises:
        ValueError: If supervision is not installed.
    """
    return import_extra("supervision", "supervision").KeyPoints(
        xy=poses.keypoints_image,
        keypoint_confidence=poses.keypoint_scores,
        detection_confidence=poses.scores,
        class_id=np.zeros(len(poses.scores), int),
    )


def _of_video(poses: Columns) -> dict[str, list[Any]]:
    """The columns that poses of frames have, and others not."""
    columns = {
        "track_id": poses.track_ids,
        "frame_index": poses.frame_index,
        "time_s": poses.time_s,
    }
    return {name: values.tolist() for name, values in columns.items() if values is not None}


def _boxes_around(points: NDArray[Any]) -> NDArray[Any]:
    """``(N, 4)`` x, y, width and height of the extents of ``(N, P, 2)`` points."""
    low = points.min(axis=1)
    return np.hstack([low, points.max(axis=1) - low])
