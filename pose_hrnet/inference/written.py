"""What a prediction leaves on the disk, image by image: results, a table, pictures."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain, count
from pathlib import Path

import cv2

from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.keypoints.records import Image, Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import encode_json, replace_file
from pose_hrnet.system.folders import NotWritten, move_aside, naming, remove_temporaries
from pose_hrnet.system.text import in_utf8
from pose_hrnet.visualize.pictures import write_image
from pose_hrnet.visualize.poses import draw_poses

log = logging.getLogger(__name__)

TABLE = "keypoints.csv"
OVERLAYS, HEATMAPS = "overlays", "heatmaps"
DRAWN = (OVERLAYS, HEATMAPS)
"""Folders of pictures."""

_NAME_BYTES = 240
"""Most systems take 255 for a file name; its suffix and a number are to fit, too."""


def holds_drawn(folder: Path) -> bool:
    """Whether a folder holds the pictures of an earlier prediction, or those moved aside."""
    beside = (folder.parent / name for name in (RESULTS_FILE, TABLE))
    named = re.fullmatch(rf"({'|'.join(DRAWN)})(\.[0-9]+)?", folder.name)
    return named is not None and all(path.is_file() for path in beside)


class GrowingFile:
    """A file that is whole after every piece that is added to it.

    It takes the place of an earlier one with its first pieces, in one step.

    Args:
        path: The file.
        head: What it begins with.
        tail: What it ends with, whatever it holds.
    """

    def __init__(self, path: Path, head: bytes, tail: bytes = b"") -> None:
        self.path, self.head, self.tail = path, head, tail
        self._end: int | None = None

    def add(self, piece: bytes) -> None:
        """Put a piece before the tail.

        Raises:
            NotWritten: If it cannot be written; the file is as it was before.
        """
        if self._end is None:
            with replace_file(self.path) as temporary:
                temporary.write_bytes(self.head + piece + self.tail)
            self._end = len(self.head + piece)
            return
        with naming(self.path), self.path.open("rb+", buffering=0) as file:
            try:
                file.seek(self._end)
                written = file.write(piece + self.tail)
                if written < len(piece + self.tail):  # the disk took a part; why, it says now
                    file.write((piece + self.tail)[written:])
            except OSError:
                file.truncate(self._end)
                file.seek(self._end)
                file.write(self.tail)
                raise
            self._end += len(piece)


class PredictionFiles:
    """``results.json``, ``keypoints.csv``, ``overlays/`` and ``heatmaps/`` of a prediction.

    What was added is there whatever happens afterwards. A picture that cannot be drawn or
    written costs itself alone, and is said; on a full disk no more are drawn. When the first
    results take the place of those of an earlier run, its pictures are moved aside.

    Args:
        output: Folder, which exists.
        skeleton: Whose keypoints are written.

    Attributes:
        persons: Poses written so far.
        failures: One sentence for each picture that is missing.
    """

    def __init__(self, output: Path, skeleton: Skeleton) -> None:
        self.output, self.skeleton = output, skeleton
        self.persons = 0
        self.failures: list[str] = []
        self._full = False
        self._results = GrowingFile(output / RESULTS_FILE, b"[", b"]")
        self._table = GrowingFile(output / TABLE, _lines([COLUMNS]))
        for name in DRAWN:
            remove_temporaries(output / name)
        self._begun = False

    def _begin(self) -> None:
        """Make room for this run's pictures, once."""
        if self._begun:
            return
        self._begun = True
        for name in DRAWN:
            folder = self.output / name
            with naming(folder):
                if holds_drawn(folder) and folder.is_dir() and any(folder.iterdir()):
                    aside = move_aside(folder)
                    log.warning("the %s of an earlier run are moved to %s", name, aside)

    def add(self, path: Path, poses: Poses, file_name: str) -> None:
        """Write the poses of an image, which the results call so.

        Raises:
            NotWritten: If the disk is full or broken; what was added before is there.
        """
        self._begin()
        rows = [encode_json(row) for row in poses.to_coco(file_name)]
        between = b"," if self.persons and rows else b""
        self._results.add(between + b",".join(rows))
        self.persons += len(rows)
        self._table.add(_lines(_table_rows(path, poses, self.skeleton)))

    def finish(self) -> None:
        """Write files without any pose, if none was added."""
        self._begin()
        self._results.add(b"")
        self._table.add(b"")

    def draw_poses(self, name: str, image: Image, poses: Poses, min_score: float) -> None:
        """Draw the poses of an image, those keypoints that score so much, as an overlay."""
        points, scores = poses.keypoints_image, poses.keypoint_scores
        self.draw(
            f"{OVERLAYS}/{name}.jpg",
            lambda: draw_poses(image, points, scores, skeleton=self.skeleton, min_score=min_score),
        )

    def draw(self, name: str, picture: Callable[[], Image]) -> None:
        """Write a picture under a name in one of the folders."""
        if self._full:
            return
        path = self.output / name
        try:
            with naming(path):
                path.parent.mkdir(exist_ok=True)
            write_image(path, picture())
        except (OSError, ValueError, cv2.error) as error:
            self._full = isinstance(error, NotWritten) and error.no_room
            rest = "; no more pictures are drawn" if self._full else ""
            self.failures.append(f"{error}{rest}")
            log.error("%s%s; its poses are in %s", error, rest, self.output / RESULTS_FILE)


COLUMNS = ("image", "person", "keypoint", "x", "y", "score", "pose_score")
"""Of the table."""


def _table_rows(path: Path, poses: Poses, skeleton: Skeleton) -> Iterator[Sequence[str]]:
    """One row per keypoint."""
    for person in range(len(poses)):
        for k, name in enumerate(skeleton.keypoint_names):
            numbers = *poses.keypoints_image[person, k], poses.keypoint_scores[person, k]
            values = [f"{v:.4f}" for v in (*numbers, poses.scores[person])]
            yield [in_utf8(str(path)), str(person), name, *values]


def _lines(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def overlay_names(paths: Sequence[Path]) -> Mapping[Path, str]:
    """A name without suffix per image: its stem, numbered where two would be the same."""
    names: dict[str, Path] = {}
    for path in paths:
        stem = _shortened(path.stem)
        numbered = (f"{_shortened(path.stem, 230)}_{number}" for number in count(2))
        names[next(name for name in chain([stem], numbered) if name not in names)] = path
    return {path: name for name, path in names.items()}


def _shortened(name: str, most: int = _NAME_BYTES) -> str:
    """The beginning of a name, of so many bytes at most."""
    whole = name.encode("utf-8", "surrogateescape")
    if len(whole) <= most:
        return name
    return whole[:most].decode("utf-8", "ignore")
