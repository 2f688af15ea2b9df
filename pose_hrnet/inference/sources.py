"""What images are called in results, and the boxes in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pose_hrnet.data.formats.detections import PersonBox, load_boxes
from pose_hrnet.data.formats.identity import ImageIndex, rows_by_number
from pose_hrnet.data.formats.mpii import MpiiFile
from pose_hrnet.data.formats.suspicions import suspect_boxes, warn_of
from pose_hrnet.data.image_facts import read_facts
from pose_hrnet.data.images import ImageError
from pose_hrnet.data.people import read_annotations
from pose_hrnet.keypoints.geometry import xyxy_to_xywh
from pose_hrnet.keypoints.records import PERSON, Float64, ImageId, Images
from pose_hrnet.system.choices import BoxFormat
from pose_hrnet.system.text import counted, few, in_utf8

log = logging.getLogger(__name__)

PERSONS: Mapping[ImageId, str] = {PERSON: "person"}
"""The categories where no annotations say others."""


@dataclass(frozen=True)
class Sources:
    """Image files on their way to a model.

    Attributes:
        image_ids: What the results call each file.
        boxes: ``(N, 5)`` left, top, right, bottom and score of the persons in a file, if it has
            any; None: each image is one person.
        category_ids: The ``category_id`` of each box of a file, or of each file without boxes.
        categories: Name of each ``category_id`` that there may be.
    """

    image_ids: dict[Path, ImageId]
    boxes: dict[Path, Float64] | None
    category_ids: dict[Path, list[ImageId]]
    categories: Mapping[ImageId, str] = field(default_factory=lambda: dict(PERSONS))


def identify(
    paths: Sequence[Path],
    boxes: Path | None = None,
    annotations: Path | None = None,
    *,
    category: str | None = None,
    min_box_score: float = 0.0,
    box_format: BoxFormat = "xywh",
) -> Sources:
    """Say what each image is called, and which boxes are its.

    Where annotations list an image, its id is theirs. Else it is the id that the box file gives
    beside the image's name; else the file's name, or its whole path where several have that name.

    Args:
        paths: The image files.
        boxes: A detector's boxes (see `load_boxes`).
        annotations: Whose ids the results, and the boxes, go by.
        category: Whose boxes, and what the results say: as `AnnotationFile.category` takes it,
            or without annotations what the box file says, with commas between; None: persons.
        min_box_score: Boxes below it are left out.
        box_format: What four numbers are where the box file does not say it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed, lists none of the images, or takes two for one.
    """
    listed, categories = _listed(annotations, category)
    known = _annotated(paths, listed, annotations)
    found: list[PersonBox] = []
    if boxes is not None:
        found = load_boxes(
            boxes,
            list(categories),
            min_score=min_box_score,
            box_format=box_format,
            size_of=partial(_size_of, {path.stem: path for path in paths}),
        )
    images = _images(paths, {paths[row]: image_id for image_id, row in known.items()}, found)
    if known:
        place = {image_id: row for row, image_id in enumerate(listed.ids)}
        for image_id, at in known.items():
            images.sizes_wh[at] = listed.sizes_wh[place[image_id]]
    ids = dict(zip(paths, images.ids, strict=True))
    if boxes is None:
        first = next(iter(categories))
        return Sources(ids, None, {path: [first] for path in paths}, categories)
    rows = _rows_of_boxes(found, boxes, images, ImageIndex(listed), known)
    placed: dict[Path, list[PersonBox]] = {}
    for box, row in zip(found, rows, strict=True):
        if row is not None:
            placed.setdefault(paths[row], []).append(box)
    placeless = [box for box, row in zip(found, rows, strict=True) if row is None]
    strays = [str(box.file_name or box.image_id) for box in placeless]
    if found and not placed:
        raise ValueError(
            f"no image has boxes in {boxes}: it names {few(dict.fromkeys(strays))}, "
            f"the images are {few(path.name for path in paths)}"
        )
    if strays:
        log.warning(
            "%s: %s without an image here, such as %s; passed over",
            boxes, counted(len(strays), "box"), few(dict.fromkeys(strays)),
        )  # fmt: skip
    here = [(box.row[:4], row) for box, row in zip(found, rows, strict=True) if row is not None]
    boxes_xywh = xyxy_to_xywh(np.array([box for box, _ in here]).reshape(-1, 4))
    warn_of(
        boxes,
        suspect_boxes(boxes_xywh, images.sizes_wh[np.array([row for _, row in here], np.intp)]),
    )
    arrays = {path: np.array([box.row for box in of]) for path, of in placed.items()}
    return Sources(
        ids,
        arrays,
        {path: [box.category_id for box in of] for path, of in placed.items()},
        categories,
    )


def _size_of(paths: Mapping[str, Path], name: str) -> tuple[int, int] | None:
    """Width and height of the upright image of a name without suffix."""
    if name not in paths:
        return None
    try:
        facts = read_facts(paths[name])
    except (ImageError, OSError):  # told when the image is read
        return None
    width, height = facts.size_wh
    return (height, width) if facts.orientation >= 5 else (width, height)


def _listed(
    annotations: Path | None, category: str | None
) -> tuple[Images, Mapping[ImageId, str]]:
    """The images that annotations list, and the categories that are asked for, or of persons."""
    if annotations is None:
        return Images((), (), np.empty((0, 2), np.int32)), _named(category) or PERSONS
    file = read_annotations(annotations)
    if isinstance(file, MpiiFile):
        return file.people.images, PERSONS
    return file.images, file.names_of(file.category(category))


def _named(category: str | None) -> dict[ImageId, str]:
    """Ids, or names in place of ids, with commas between."""
    parts = [] if category is None else [part.strip() for part in category.split(",")]
    whole = [part.isdecimal() and part.isascii() and len(part) <= 18 for part in parts]
    return {int(p) if is_id else p: p for p, is_id in zip(parts, whole, strict=True) if p}


def _annotated(
    paths: Sequence[Path], listed: Images, annotations: Path | None
) -> dict[ImageId, int]:
    """Row of the path of each listed image that is there."""
    known: dict[ImageId, int] = {}
    if annotations is None:
        return known
    index = ImageIndex(listed)
    strangers = []
    for row, path in enumerate(paths):
        at = index.at(path)
        if at is None:
            strangers.append(path.name)
        elif (first := known.setdefault(listed.ids[at], row)) != row:
            raise ValueError(
                f"{paths[first]} and {path} are both image {listed.ids[at]!r} "
                f"({listed.file_names[at]}) of {annotations}; give one of them"
            )
    if not known:
        raise ValueError(
            f"{annotations} lists none of the images, such as {few(strangers)}, but "
            f"{few(listed.file_names)}; give the annotations of these images"
        )
    if strangers:
        log.warning(
            "%s does not list %s, such as %s; their results go by their names",
            annotations, counted(len(strangers), "image"), few(strangers),
        )  # fmt: skip
    return known


def _images(
    paths: Sequence[Path], annotated: dict[Path, ImageId], boxes: Iterable[PersonBox]
) -> Images:
    """The image files as a data set, under the ids of their results."""
    names = tuple(path.as_posix() for path in paths)
    sizes = np.zeros((len(paths), 2), np.int32)
    index = ImageIndex(Images(names, names, sizes))
    stated: dict[int, set[ImageId]] = {}
    for box in boxes:
        if box.image_id is not None and box.file_name:
            row = index.named(box.file_name)
            stated.setdefault(-1 if row is None else row, set()).add(box.image_id)
    own = own_names(paths)
    ids: list[ImageId] = []
    for row, path in enumerate(paths):
        given = stated.get(row, set())
        ids.append(annotated.get(path, next(iter(given)) if len(given) == 1 else own[path]))
    return Images(tuple(ids), names, sizes)


def own_names(paths: Iterable[Path]) -> dict[Path, str]:
    """What files are called in results: in UTF-8 their names, or paths where two are the same."""
    each = list(paths)
    uses = Counter(path.name for path in each)
    return {p: in_utf8(p.name if uses[p.name] == 1 else p.as_posix()) for p in each}


def _rows_of_boxes(
    found: Sequence[PersonBox],
    source: Path,
    images: Images,
    listed: ImageIndex,
    known: dict[ImageId, int],
) -> list[int | None]:
    """Row of the image of each box: as the annotations say, else by its name, else by number."""
    index = ImageIndex(images)
    numbers = {} if known else rows_by_number(images.file_names)
    guessed: dict[ImageId, int] = {}
    rows: list[int | None] = []
    for box in found:
        if listed.contradicts(box.image_id, box.file_name):
            raise ValueError(
                f"{source} has a box with the image_id {box.image_id!r} and the file_name "
                f"{box.file_name!r}, which are two images of the annotations; correct one of them"
            )
        at = listed.row(box.image_id, box.file_name)
        row = index.named(box.file_name) if box.file_name else index.row(box.image_id)
        if at is not None:
            row = known.get(listed.images.ids[at])
        elif row is None and box.image_id is not None and not box.file_name:
            text = str(box.image_id)
            row = numbers.get(int(text)) if text.isdecimal() and text.isascii() else None
            if row is not None:
                guessed[box.image_id] = row
        rows.append(row)
    if guessed:
        image_id, row = next(iter(guessed.items()))
        log.warning(
            "%s has no file names: its image ids were taken for the numbers in the files' names "
            "(%r for %s, and so %s); if they are ids of annotations, give these (--annotations)",
            source, image_id, images.file_names[row], counted(len(guessed), "image"),
        )  # fmt: skip
    return rows


__all__ = ["Sources", "identify", "own_names"]
