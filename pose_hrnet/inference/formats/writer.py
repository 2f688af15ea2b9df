"""The files of `predict --format`, image by image; nothing of an earlier run is written over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pose_hrnet.data.formats.skeletons import category_row
from pose_hrnet.inference.formats.coco_annotations import coco_annotations
from pose_hrnet.inference.formats.labelstudio import labelstudio_task
from pose_hrnet.inference.formats.mmpose import mmpose_instances
from pose_hrnet.inference.formats.openpose import Order, check_body25, openpose_people
from pose_hrnet.inference.formats.parquet import ParquetTable
from pose_hrnet.inference.formats.yolo import yolo_lines
from pose_hrnet.inference.sources import PERSONS, own_names
from pose_hrnet.keypoints.records import ImageId, Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import PoseFormat
from pose_hrnet.system.defaults import LOWEST_SCORE
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import encode_json, replace_file

PLACES: Mapping[PoseFormat, str] = {
    "coco-annotations": "annotations.json",
    "openpose": "openpose",
    "openpose-body25": "openpose_body25",
    "yolo": "yolo",
    "mmpose": "mmpose",
    "labelstudio": "labelstudio.json",
    "parquet": "keypoints.parquet",
}
"""The file or folder of each format, in the folder of the results."""


@dataclass(frozen=True)
class Outputs:
    """What is written beside the results.

    Attributes:
        draw_above: Keypoints of this score and above are drawn on the images; None: no overlays.
        heatmaps: Whether the heatmaps of the surest person in each image are drawn.
        formats: Files for other programs.
        label_above: Keypoints of this score and above are labels in them, where they have labels.
    """

    draw_above: float | None = LOWEST_SCORE
    heatmaps: bool = False
    formats: tuple[PoseFormat, ...] = ()
    label_above: float = LOWEST_SCORE


USUAL_OUTPUTS = Outputs()
"""Overlays, and nothing for other programs."""


@dataclass(frozen=True)
class PosedImage:
    """What the writers take.

    Attributes:
        path: Of the image.
        name: Of it, without folders where that is clear, in UTF-8.
        file_name: Its name without suffix for files of its own, clear in one folder.
        number: Its id, a whole number.
        size_wh: Width and height.
        poses: Those in it.
    """

    path: Path
    name: str
    file_name: str
    number: int
    size_wh: tuple[int, int]
    poses: Poses


class _Writer(Protocol):
    def add(self, image: PosedImage) -> None: ...

    def finish(self) -> None: ...


class FormatFiles:
    """The files of several formats.

    Args:
        output: Folder, which exists.
        formats: Which.
        skeleton: Whose keypoints are written.
        names: Of each image, a name without suffix that is clear in one folder.
        ids: Of each image, what the results call it.
        min_score: Keypoints of this score and above are labels, where a format has labels.
        categories: Name of each ``category_id`` that the poses may have.

    Raises:
        FileExistsError: If a format's file or folder is there already.
        ValueError: If an extra is missing, or BODY_25 does not suit the skeleton.
    """

    def __init__(
        self,
        output: Path,
        formats: Sequence[PoseFormat],
        skeleton: Skeleton,
        *,
        names: Mapping[Path, str],
        ids: Mapping[Path, ImageId],
        min_score: float,
        categories: Mapping[ImageId, str] = PERSONS,
    ) -> None:
        self._names = names
        self._own_names = own_names(names)
        whole = all(isinstance(each, int) for each in ids.values())
        self._numbers = {
            path: int(ids[path]) if whole else number for number, path in enumerate(names, start=1)
        }
        check_formats(output, formats)
        self._writers = [
            _writer(name, output / PLACES[name], skeleton, min_score, categories)
            for name in formats
        ]

    def add(self, path: Path, poses: Poses, size_wh: tuple[int, int]) -> None:
        """Write the poses of an image of that size.

        Raises:
            NotWritten: If the disk is full or broken.
        """
        name = self._own_names[path]
        image = PosedImage(path, name, self._names[path], self._numbers[path], size_wh, poses)
        for writer in self._writers:
            writer.add(image)

    def finish(self) -> None:
        """Write what is one file for all images."""
        for writer in self._writers:
            writer.finish()


@contextmanager
def finished(files: FormatFiles) -> Iterator[FormatFiles]:
    """The files, finished when the block ends; when it fails, with what was added until then."""
    try:
        yield files
    except BaseException:
        with suppress(Exception):  # what ended the block is what is told
            files.finish()
        raise
    files.finish()


def check_formats(output: Path, formats: Sequence[PoseFormat]) -> None:
    """Refuse to write over what another run made; ask for the packages that formats need.

    Raises:
        FileExistsError: If a format's file is there, or its folder with something in it.
        ValueError: If an extra is missing.
    """
    for name in formats:
        _check_free(output / PLACES[name])
        if name == "parquet":
            import_extra("pyarrow", "parquet")


def _check_free(place: Path) -> None:
    if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
        return
    if place.exists() or place.is_symlink():
        raise FileExistsError(
            f"{place} is there already, and is not written over; move it away, or choose another "
            "--output"
        )


def _writer(
    name: PoseFormat,
    place: Path,
    skeleton: Skeleton,
    min_score: float,
    categories: Mapping[ImageId, str],
) -> _Writer:
    if name == "coco-annotations":
        return _CocoFile(place, skeleton, min_score, categories)
    if name == "labelstudio":
        return _TaskFile(place, skeleton, min_score, categories)
    if name == "parquet":
        return _ParquetFile(place, skeleton)
    if name == "yolo":
        ids = list(categories)
        return _FileEach(place, ".txt", lambda i: yolo_lines(i.poses, i.size_wh, ids).encode())
    if name == "mmpose":
        return _FileEach(place, ".json", lambda i: encode_json(mmpose_instances(i.poses)))
    order: Order = "body25" if name == "openpose-body25" else "own"
    if order == "body25":
        check_body25(skeleton)
    return _FileEach(
        place,
        "_keypoints.json",
        lambda i: encode_json(openpose_people(i.poses, skeleton, order)),
    )


class _FileEach:
    """A file an image."""

    def __init__(self, folder: Path, suffix: str, content: Callable[[PosedImage], bytes]) -> None:
        self.folder, self.suffix, self.content = folder, suffix, content
        folder.mkdir(exist_ok=True)

    def add(self, image: PosedImage) -> None:
        _write(self.folder / f"{image.file_name}{self.suffix}", self.content(image))

    def finish(self) -> None:
        """All files are there."""


class _CocoFile:
    def __init__(
        self, path: Path, skeleton: Skeleton, min_score: float, categories: Mapping[ImageId, str]
    ) -> None:
        self.path, self.skeleton, self.min_score = path, skeleton, min_score
        self.categories = categories
        self.images: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    def add(self, image: PosedImage) -> None:
        width, height = image.size_wh
        self.images.append(
            {"id": image.number, "file_name": image.name, "width": width, "height": height}
        )
        self.rows += coco_annotations(
            image.poses,
            image.size_wh,
            image_id=image.number,
            first_id=len(self.rows) + 1,
            min_score=self.min_score,
        )

    def finish(self) -> None:
        names, links = self.skeleton.keypoint_names, self.skeleton.links
        categories = [
            category_row(each, name, names, links) for each, name in self.categories.items()
        ]
        content = {"images": self.images, "annotations": self.rows, "categories": categories}
        _write(self.path, encode_json(content))


class _TaskFile:
    def __init__(
        self, path: Path, skeleton: Skeleton, min_score: float, categories: Mapping[ImageId, str]
    ) -> None:
        self.path, self.skeleton, self.min_score = path, skeleton, min_score
        self.categories = categories
        self.tasks: list[dict[str, Any]] = []

    def add(self, image: PosedImage) -> None:
        self.tasks.append(
            labelstudio_task(
                image.poses,
                image.name,
                image.size_wh,
                self.skeleton,
                min_score=self.min_score,
                categories=self.categories,
            )
        )

    def finish(self) -> None:
        _write(self.path, encode_json(self.tasks))


class _ParquetFile:
    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self.path, self.table = path, ParquetTable(skeleton)

    def add(self, image: PosedImage) -> None:
        self.table.add(image.poses, image.name)

    def finish(self) -> None:
        with replace_file(self.path) as temporary:
            self.table.write(temporary)


def _write(path: Path, content: bytes) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(content)
