"""Persons found in images, folders and data sets: a box file, as `load_boxes` reads it."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.config.data import DataSet
from pose_hrnet.data.formats.mpii import MpiiFile
from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.data.people import read_annotations
from pose_hrnet.inference.detection.boxes import PersonBoxes
from pose_hrnet.inference.detector import Detector, detect_stream
from pose_hrnet.inference.image_files import find_images
from pose_hrnet.inference.sources import identify, own_names
from pose_hrnet.inference.written import GrowingFile
from pose_hrnet.keypoints.geometry import xyxy_to_xywh
from pose_hrnet.keypoints.records import PERSON, Image, ImageId, Images
from pose_hrnet.system.files import encode_json
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Detected:
    """What was found.

    Attributes:
        images: Number of images that could be read.
        persons: Number of boxes.
        empty: Number of images without any.
        failures: One sentence for each image that could not be read.
    """

    images: int
    persons: int
    empty: int
    failures: tuple[str, ...]

    def in_words(self) -> str:
        """The numbers in a sentence; no person in an image is no fault."""
        said = f"{counted(self.persons, 'person')} in {counted(self.images, 'image')}"
        return f"{said}, none in {self.empty} of them" if self.empty else said


def detect_files(
    detector: Detector,
    inputs: Sequence[str | Path],
    output: Path,
    *,
    annotations: Path | None = None,
    progress: Progress = SILENT,
) -> Detected:
    """Find the persons in images and folders, and write their boxes.

    What was found is in the file at once, which is whole after every image. Each row has the
    image's name, and its id: that of the annotations, or the number that COCO's own names are (of
    twelve digits), or else the name.

    Args:
        detector: Finds them.
        inputs: As of `find_images`; images of the web are not kept.
        output: JSON file: ``[{image_id, file_name, category_id, bbox, score}, ...]``.
        annotations: Whose image ids the boxes go by.
        progress: Watches.

    Raises:
        ValueError: If the detector fails; the others are those of `images_to_detect`.
    """
    with images_to_detect(inputs, output, annotations) as (images, paths):
        return detect_images(detector, images, paths.__getitem__, output, progress=progress)


@contextmanager
def images_to_detect(
    inputs: Sequence[str | Path], output: Path, annotations: Path | None = None
) -> Iterator[tuple[Images, list[Path]]]:
    """The images of `detect_files` with their ids and names, and their files.

    Those of the web are there while the block runs.

    Args:
        inputs: As of `find_images`.
        output: The file that is to be written.
        annotations: Whose image ids the boxes go by.

    Raises:
        ConnectionError: If an address does not give its image.
        FileNotFoundError: If an input is missing.
        ValueError: If there is no image, or the output is one of them.
    """
    with tempfile.TemporaryDirectory(prefix="pose_hrnet_") as downloads:
        paths = find_images(inputs, downloads=Path(downloads))
        check_not_over(output, annotations, *paths)
        ids = identify(paths, None, annotations).image_ids
        names = own_names(paths)
        images = Images(
            tuple(_coco_id(path, ids[path]) for path in paths),
            tuple(names.values()),
            np.zeros((len(paths), 2), np.int32),
        )
        yield images, paths


def detect_data_set(
    detector: Detector, data: DataSet, output: Path, *, progress: Progress = SILENT
) -> Detected:
    """Find the persons in the images of a data set, under the ids of its annotations.

    Args:
        detector: Finds them.
        data: Annotations and image folder.
        output: JSON file, as of `detect_files`.
        progress: Watches.

    Raises:
        FileNotFoundError: If there are no such annotations.
        ValueError: If they are malformed, or MPII's, which are scored in their own boxes.
    """
    file = read_annotations(data.annotations)
    if isinstance(file, MpiiFile):
        raise ValueError(
            f"{file} is MPII's, whose evaluation asks for every annotated person; leave out "
            "--detector"
        )
    images, category_id = file.images, file.category(data.category).ids[0]
    place = partial(_in_folder, data.images, images)
    return detect_images(
        detector, images, place, output, category_id=category_id, progress=progress
    )


def _in_folder(folder: Path, images: Images, row: int) -> Path:
    return image_path(folder, images.file_names[row])


def detect_images(
    detector: Detector,
    images: Images,
    place: Callable[[int], Path],
    output: Path,
    *,
    category_id: ImageId = PERSON,
    progress: Progress = SILENT,
) -> Detected:
    """As `detect_files`, of images that have their ids and names.

    Args:
        detector: Finds the persons.
        images: I images, with the sizes that their annotations state.
        place: The file of each row, or an `ImageError`.
        output: JSON file.
        category_id: Of persons.
        progress: Watches.

    Raises:
        ValueError: If the detector fails.
    """
    failures: list[str] = []
    counts: list[int] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    file, persons = GrowingFile(output, b"[", b"]"), 0
    with progress.task("detect", total=len(images), unit="images") as bar:
        pictures = _pictures(images, place, failures, bar)
        for row, _, found in detect_stream(detector, pictures):
            said = {
                "image_id": images.ids[row],
                "file_name": images.file_names[row],
                "category_id": category_id,
            }
            rows = [encode_json({**said, **each}) for each in _rows(found)]
            file.add((b"," if persons and rows else b"") + b",".join(rows))
            persons += len(rows)
            counts.append(len(rows))
            bar.advance()
    file.add(b"")
    return Detected(len(counts), persons, counts.count(0), tuple(failures))


def _pictures(
    images: Images, place: Callable[[int], Path], failures: list[str], bar: Bar
) -> Iterator[tuple[int, Image]]:
    """Row and pixels of those that can be read."""
    for row, (width, height) in enumerate(images.sizes_wh.tolist()):
        try:
            yield row, read_rgb(place(row), (width, height) if width and height else None)
        except (ImageError, OSError) as error:
            log.error("%s", error)
            failures.append(str(error))
            bar.advance()


def _rows(found: PersonBoxes) -> Iterator[dict[str, Any]]:
    """Boxes as COCO has them, to a thousandth of a pixel."""
    boxes_xywh = xyxy_to_xywh(found.boxes_xyxy.astype(np.float64)).round(3)
    for box, score in zip(boxes_xywh.tolist(), found.scores.tolist(), strict=True):
        if min(box[2:]) > 0:
            yield {"bbox": box, "score": round(score, 5)}


def _coco_id(path: Path, image_id: ImageId) -> ImageId:
    """The number of a name of COCO's, where nothing else says the id."""
    is_coco = image_id == path.name and re.fullmatch(r"[0-9]{12}", path.stem)
    return int(path.stem) if is_coco else image_id
