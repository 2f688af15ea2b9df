"""Labelled images on their way from one format to another; numbers stay as they are written."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from pose_hrnet.data.image_facts import read_facts
from pose_hrnet.data.images import ImageError, image_path
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.text import counted, few, shown

log = logging.getLogger(__name__)

PIXEL_DECIMALS = 9
"""Of a pixel, to which coordinates are rounded that were computed from parts of an image."""
MARGIN = 0.1
"""Of the longer side: what a box that is made of keypoints reaches beyond them, all around."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Person:
    """One labelled person.

    Attributes:
        keypoints: ``(K, 3)`` float64 x, y in image pixels and COCO's visibility.
        box_xywh: In image pixels; None: made of the keypoints (see `box_around`).
        kind: Which of the set's `kinds`.
        area: Square pixels; None: of the box.
    """

    keypoints: Float64
    box_xywh: Box | None = None
    kind: int = 0
    area: float | None = None


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with its persons.

    Attributes:
        file_name: Relative to the folder of the images, with / between folders.
        persons: In it.
        size_wh: Width and height in pixels; None: not known.
    """

    file_name: str
    persons: tuple[Person, ...]
    size_wh: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Labelled images of one keypoint set.

    Attributes:
        name: ``train``, ``val``, ``test``, or ``annotations`` where it is not a part.
        keypoint_names: K names.
        images: The images.
        kinds: Names of the categories.
        links: Index pairs that a limb joins.
        flip_pairs: Index pairs that exchange in the mirror; None: not known.
        left_out: How many more images there were, which could not be read.
    """

    name: str
    keypoint_names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    kinds: tuple[str, ...] = ("person",)
    links: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    left_out: int = 0

    @property
    def persons(self) -> int:
        """How many there are in all images."""
        return sum(len(image.persons) for image in self.images)


def box_around(keypoints: Float64, size_wh: tuple[int, int] | None) -> Box | None:
    """The box of a person whom nobody drew one around; None without a labelled keypoint.

    Args:
        keypoints: ``(K, 3)`` as of `Person`.
        size_wh: Of the image, which the box stays in; None: not known.
    """
    points = keypoints[keypoints[:, 2] > 0, :2]
    if not len(points):
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(1.0, MARGIN * float((high - low).max()))
    low, high = low - margin, high + margin
    if size_wh is not None:
        low, high = np.clip(low, 0, size_wh), np.clip(high, 0, size_wh)
    left, top, width, height = (round(float(v), PIXEL_DECIMALS) for v in (*low, *(high - low)))
    return (left, top, width, height) if width > 0 and height > 0 else None


def with_sizes(labelled: LabelledSet, folder: Path, *, all_read: bool) -> LabelledSet:
    """The set with the sizes of its images that are not known, read from the files.

    Args:
        labelled: The set.
        folder: Of its images; those that are asked and cannot be read are left out, and told.
        all_read: Whether those of known size are read, too.

    Raises:
        ValueError: If none can be read.
    """
    images = []
    for image in labelled.images:
        size_wh = None if all_read else image.size_wh
        if size_wh is None and (size_wh := size_of(folder, image.file_name)) is None:
            continue
        images.append(replace(image, size_wh=image.size_wh or size_wh))
    left_out = len(labelled.images) - len(images)
    if left_out and not images:
        raise ValueError(
            f"none of the {counted(left_out, 'image')} could be read from {folder}, such as "
            f"{few([image.file_name for image in labelled.images])}; check the folder"
        )
    return replace(labelled, images=tuple(images), left_out=labelled.left_out + left_out)


def size_of(folder: Path, file_name: str) -> tuple[int, int] | None:
    """Width and height of an image as viewers show it, turned as EXIF says.

    None, and a warning, if it is missing, is no image, or its name leads out of the folder.
    """
    try:
        return read_facts(image_path(folder, file_name)).upright_wh
    except (ImageError, OSError) as error:
        log.warning("%s; it is left out", error)
        return None


def safe_name(name: str, owner: Path) -> str:
    """A file name of a foreign file, with / between folders, that stays in the images' folder.

    Raises:
        ValueError: If it is empty, absolute, or leads out of the folder.
    """
    parts = PureWindowsPath(name).parts if "\\" in name else PurePosixPath(name).parts
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    drive = bool(PureWindowsPath(name).drive)
    if not parts or absolute or drive or ".." in parts or "\0" in name:
        raise ValueError(
            f"{owner} names an image {shown(name)}; expected a path below the folder of the images"
        )
    return "/".join(parts)


def check_names(images: Sequence[LabelledImage], owner: Path) -> None:
    """Refuse two images of one name.

    Raises:
        ValueError: If there are.
    """
    uses = Counter(image.file_name for image in images)
    twice = [name for name, count in uses.items() if count > 1]
    if twice:
        raise ValueError(
            f"{owner} has {counted(len(twice), 'image')} twice, such as {few(twice)}; give each "
            "image its own name"
        )


def check_printable(names: Sequence[str], owner: Path) -> None:
    """Refuse names of keypoints and categories that no program shows as they are.

    Raises:
        ValueError: If one is empty, or has control characters.
    """
    for name in names:
        if not name or any(unicodedata.category(sign) == "Cc" for sign in name):
            raise ValueError(
                f"{owner} names a keypoint or category {shown(name)}; expected words without "
                "control characters"
            )


def told(left_out: Counter[str], owner: Path) -> None:
    """Say in one line what was left out."""
    if left_out:
        what = "; ".join(f"{reason}: {count:,}" for reason, count in left_out.items())
        log.warning("%s: left out: %s", owner, what)
