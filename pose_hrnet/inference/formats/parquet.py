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
        kinds = {"image": "string", "person": "int32", "keypoint": "string"}
        numbers = ("x", "y", "score", "pose_score", "left", "top", "right", "bottom")
        kinds |= dict.fromkeys(numbers, "float32")
        self._schema = self._arrow.schema(
            [(name, getattr(self._arrow, kind)()) for name, kind in kinds.items()]
        )
        self._tables: list[Any] = []

    def add(self, poses: Poses, name: str) -> None:
        """Take the poses of an image."""
        columns = parquet_columns(poses, name, self.skeleton)
        self._tables.append(self._arrow.table(columns, schema=self._schema))

    def write(self, path: Path) -> None:
        """Write all that was taken."""
        table = self._arrow.concat_tables([self._schema.empty_table(), *self._tables])
        self._parquet.write_table(table, path)
