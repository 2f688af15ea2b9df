"""What a prediction of a video leaves beside its overlay: JSON, CSV, Parquet, OpenPose's files.

One row at least for every frame: where nobody is, it has no keypoints.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from pose_hrnet.inference.formats.openpose import Order, check_body25, openpose_people
from pose_hrnet.inference.formats.parquet import ParquetStream
from pose_hrnet.inference.video.stream import PosedFrame
from pose_hrnet.inference.written import GrowingFile
from pose_hrnet.keypoints.records import PERSON
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import PoseFormat, VideoFormat
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import encode_json, replace_file
from pose_hrnet.system.folders import naming
from pose_hrnet.system.text import in_utf8

COLUMNS = (
    "frame_index", "time_s", "track_id", "person", "keypoint", "x", "y", "score", "pose_score",
    "raw_x", "raw_y",
)  # fmt: skip
"""Of the table; the last two are those that were predicted, where they were smoothed."""


def video_formats(formats: Sequence[PoseFormat]) -> tuple[VideoFormat, ...]:
    """The formats that a video has.

    Raises:
        ValueError: If one of them is about image files.
    """
    known = get_args(VideoFormat)
    others = [name for name in formats if name not in known]
    if others:
        raise ValueError(
            f"--format {others[0]} describes image files, and a video has none; of a video "
            f"there are {', '.join(known)}"
        )
    return tuple(name for name in known if name in formats)


class VideoFiles:
    """``NAME.poses.json``, ``NAME.poses.csv`` and files for other programs, frame by frame.

    What was added is there, and can be read, whatever happens afterwards; Parquet when it is
    finished.

    Args:
        output: Folder, which exists.
        stem: NAME.
        file_name: Of the video, in the results.
        skeleton: Whose keypoints are written.
        formats: For other programs.

    Attributes:
        persons: Poses written so far.
        tracks: Their ids.
    """

    def __init__(
        self,
        output: Path,
        stem: str,
        file_name: str,
        skeleton: Skeleton,
        formats: Sequence[VideoFormat],
    ) -> None:
        self.persons = 0
        self.tracks: set[int] = set()
        self._stem, self._file_name, self._skeleton = stem, in_utf8(file_name), skeleton
        self._paths = result_paths(output, stem, formats)
        self._results = GrowingFile(self._paths["json"], b"[", b"]")
        self._table = GrowingFile(self._paths["csv"], _lines([COLUMNS]))
        self._begun = False
        self._orders = [name for name in formats if name != "parquet"]
        for name in self._orders:
            if name == "openpose-body25":
                check_body25(skeleton)
        self._parquet: ParquetStream | None = None
        if "parquet" in formats:
            import_extra("pyarrow", "parquet")

    def add(self, frame: PosedFrame) -> None:
        """Write a frame.

        Raises:
            NotWritten: If the disk is full or broken; what was added before is there.
        """
        poses = frame.poses
        rows = poses.to_coco(self._file_name) or [self._nobody(frame)]
        encoded = b",\n".join(encode_json(row) for row in rows)
        self._results.add((b",\n" if self._begun else b"") + encoded)
        self._begun = True
        self._table.add(_lines(_table_rows(frame, self._skeleton)))
        for name in self._orders:
            self._write_openpose(name, frame)
        if "parquet" in self._paths:
            with naming(self._paths["parquet"]):
                if self._parquet is None:
                    self._parquet = ParquetStream(self._paths["parquet"], self._skeleton)
                self._parquet.add(poses, frame.index, frame.time_s)
        self.persons += len(poses)
        if poses.track_ids is not None:
            self.tracks |= set(poses.track_ids[poses.track_ids > 0].tolist())

    def _nobody(self, frame: PosedFrame) -> dict[str, Any]:
        """The row of a frame without persons."""
        return {
            "file_name": self._file_name,
            "image_id": frame.index,
            "category_id": PERSON,
            "keypoints": [],
            "score": 0.0,
            "track_id": None,
            "frame_index": frame.index,
            "time_s": frame.time_s,
        }

    def _write_openpose(self, name: VideoFormat, frame: PosedFrame) -> None:
        folder = self._paths[name]
        with naming(folder):
            folder.mkdir(exist_ok=True)
        order: Order = "body25" if name == "openpose-body25" else "own"
        content = encode_json(openpose_people(frame.poses, self._skeleton, order))
        with replace_file(folder / f"{self._stem}_{frame.index:012d}_keypoints.json") as temporary:
            temporary.write_bytes(content)

    def finish(self) -> None:
        """Write what is one piece."""
        if self._parquet is not None:
            with naming(self._paths["parquet"]):
                self._parquet.close()

    def abandon(self) -> None:
        """As `finish`, after an error, of which there is to be no second one."""
        with suppress(OSError):
            self.finish()


def result_paths(output: Path, stem: str, formats: Sequence[VideoFormat]) -> dict[str, Path]:
    """Where each kind of results goes."""
    paths = {kind: output / f"{stem}.poses.{kind}" for kind in ("json", "csv")}
    if "parquet" in formats:
        paths["parquet"] = output / f"{stem}.poses.parquet"
    for name in formats:
        if name != "parquet":
            paths[name] = output / f"{stem}_{name.replace('-', '_')}"
    return paths


def _table_rows(frame: PosedFrame, skeleton: Skeleton) -> Iterator[Sequence[str]]:
    """A row a keypoint; one without any where nobody is."""
    poses, when = frame.poses, (str(frame.index), f"{frame.time_s:.6f}")
    if not len(poses):
        yield [*when, *[""] * (len(COLUMNS) - 2)]
    points = poses.keypoints_image.tolist()
    raw = None if poses.raw_keypoints_image is None else poses.raw_keypoints_image.tolist()
    scores, wholes = poses.keypoint_scores.tolist(), poses.scores.tolist()
    for person, whole in enumerate(wholes):
        track = "" if poses.track_ids is None else str(poses.track_ids[person])
        of_person = [*when, track, str(person)]
        for k, name in enumerate(skeleton.keypoint_names):
            values = [f"{v:.4f}" for v in (*points[person][k], scores[person][k], whole)]
            before = ["", ""] if raw is None else [f"{v:.4f}" for v in raw[person][k]]
            yield [*of_person, name, *values, *before]


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
