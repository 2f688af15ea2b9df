"""Poses as a Parquet table, a row a keypoint: for pandas, Polars, DuckDB and Spark.

Columns: ``image``, ``person`` (from 0, in its image), ``keypoint``, ``x``, ``y``, ``score``,
``pose_score``, and the box, ``left``, ``top``, ``right``, ``bottom``, in image pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.keypoints.records import Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.extras import import_extra


def parquet_columns(poses: Poses, name: str, skeleton: Skeleton) -> dict[str, Any]:
    """The columns of an image's rows, N * K long.

    Args:
        poses: N poses of one image.
        name: Of the image.
        skeleton: Names the K keypoints.
    """
    n, k = poses.keypoint_scores.shape
    boxes = np.repeat(poses.boxes_xyxy, k, axis=0)
    return {
        "image": [name] * (n * k),
        "person": np.repeat(np.arange(n, dtype=np.int32), k),
        "keypoint": list(skeleton.keypoint_names) * n,
        "x": poses.keypoints_image[..., 0].ravel(),
        "y": poses.keypoints_image[..., 1].ravel(),
        "score": poses.keypoint_scores.ravel(),
        "pose_score": np.repeat(poses.scores, k),
        **{side: boxes[:, at] for at, side in enumerate(("left", "top", "right", "bottom"))},
    }


class ParquetTable:
    """Columns of many images, written as one file.

    Args:
        skeleton: Names the keypoints.

    Raises:
        ValueError: If the extra is missing.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._arrow = import_extra("pyarrow", "parquet")
        self._parquet = import_extra("pyarrow.parquet", "parquet")
        self.skeleton = skeleton
        self._schema = _schema(self._arrow, {"image": "string"})
        self._tables: list[Any] = []

    def add(self, poses: Poses, name: str) -> None:
        """Take the poses of an image."""
        columns = parquet_columns(poses, name, self.skeleton)
        self._tables.append(self._arrow.table(columns, schema=self._schema))

    def write(self, path: Path) -> None:
        """Write all that was taken."""
        table = self._arrow.concat_tables([self._schema.empty_table(), *self._tables])
        self._parquet.write_table(table, path)


class ParquetStream:
    """The same of the frames of a video, written as they come, so that memory does not grow.

    In place of ``image`` there are ``frame_index``, ``time_s`` and ``track_id``, and at the end
    ``raw_x`` and ``raw_y``. A frame without persons is a row of its own.

    Args:
        path: The file, which is made at once and whole when it is closed.
        skeleton: Names the keypoints.

    Raises:
        ValueError: If the extra is missing.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self._arrow = import_extra("pyarrow", "parquet")
        self.skeleton = skeleton
        first = {"frame_index": "int64", "time_s": "float64", "track_id": "int64"}
        last = {"raw_x": "float32", "raw_y": "float32"}
        self._schema = _schema(self._arrow, first, last)
        parquet = import_extra("pyarrow.parquet", "parquet")
        self._file = parquet.ParquetWriter(path, self._schema)
        self._waiting: list[Any] = []

    def add(self, poses: Poses, frame_index: int, time_s: float) -> None:
        """Take the poses of a frame."""
        columns = parquet_columns(poses, "", self.skeleton)
        columns.pop("image")
        n, k = poses.keypoint_scores.shape
        raw, ids = poses.raw_keypoints_image, poses.track_ids
        columns |= {
            "frame_index": [frame_index] * (n * k),
            "time_s": [time_s] * (n * k),
            "track_id": [None] * (n * k) if ids is None else np.repeat(ids, k),
            "raw_x": [None] * (n * k) if raw is None else raw[..., 0].ravel(),
            "raw_y": [None] * (n * k) if raw is None else raw[..., 1].ravel(),
        }
        if not n:
            columns = {name: [None] for name in columns}
            columns |= {"frame_index": [frame_index], "time_s": [time_s]}
        self._waiting.append(self._arrow.table(columns, schema=self._schema))
        if len(self._waiting) >= _ROW_GROUP:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._file.write_table(self._arrow.concat_tables(self._waiting))
            self._waiting = []

    def close(self) -> None:
        """Write the rest."""
        self._write()
        self._file.close()


_ROW_GROUP = 500
"""Frames that are written together."""


def _schema(arrow: Any, first: dict[str, str], last: dict[str, str] | None = None) -> Any:
    kinds = {**first, "person": "int32", "keypoint": "string"}
    numbers = ("x", "y", "score", "pose_score", "left", "top", "right", "bottom")
    kinds |= {**dict.fromkeys(numbers, "float32"), **(last or {})}
    return arrow.schema([(name, getattr(arrow, kind)()) for name, kind in kinds.items()])
