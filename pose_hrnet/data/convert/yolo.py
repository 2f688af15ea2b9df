"""Ultralytics' YOLO-pose: ``data.yaml``, images, and a text file an image, read.

Format: https://docs.ultralytics.com/datasets/pose. A line a person: class, centre, width and
height of the box, then x, y and, if ``kpt_shape`` is [K, 3], visibility of each keypoint, all over
the image's size. Labels of ``images/a.jpg`` are in ``labels/a.txt``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pose_hrnet.data.convert.labelled import (
    PIXEL_DECIMALS,
    Box,
    LabelledImage,
    LabelledSet,
    Person,
    size_of,
)
from pose_hrnet.data.convert.text import number, whole_number
from pose_hrnet.keypoints.skeleton import COCO17, known_skeleton
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import counted, few, in_utf8, shown

log = logging.getLogger(__name__)

DATA = "data.yaml"
SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (
    ".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp", ".pfm", ".heic",
)  # fmt: skip
"""Ultralytics' list."""
_MOST_KEYPOINTS = 10_000
_SLACK = 0.01
"""That Ultralytics lets a coordinate be out of its image."""


class _Data(msgspec.Struct):
    """Of data.yaml what poses need; other keys are passed over."""

    kpt_shape: tuple[int, int]
    names: dict[int, str] | list[str]
    path: str | None = None
    train: str | list[str] | None = None
    val: str | list[str] | None = None
    test: str | list[str] | None = None
    flip_idx: list[int] | None = None
    kpt_names: dict[int, list[str]] | None = None


@dataclass(frozen=True)
class _Layout:
    """Of the lines of a data set.

    Attributes:
        path: data.yaml.
        names: K keypoints.
        kinds: Names of the classes.
        numbers: A keypoint: 2, or 3 with visibility.
        flip_pairs: As of `LabelledSet`.
    """

    path: Path
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    numbers: int
    flip_pairs: tuple[tuple[int, int], ...] | None


def read_yolo(source: Path) -> list[LabelledSet]:
    """The parts of a data set: train, val, test, as far as there are.

    Args:
        source: data.yaml, or the folder that it is in.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a file is faulty; names the line.
    """
    path = source / DATA if source.is_dir() else source
    data = _read_data(path)
    layout = _layout(path, data)
    root = path.parent / data.path if data.path else path.parent
    if not root.is_dir():
        root = path.parent  # it was written on another machine
    sets = []
    read: list[str | list[str]] = []
    for split in SPLITS:
        given = getattr(data, split)
        if given is not None and given not in read:  # Ultralytics asks for a val, be it train's
            read.append(given)
            places = [given] if isinstance(given, str) else given
            found = [pair for place in places for pair in _images(root, place, path)]
            sets.append(_read_split(split, found, layout))
    if not sets:
        raise ValueError(f"{path} names no images; give train, val or test")
    return sets


def _read_data(path: Path) -> _Data:
    try:
        return msgspec.convert(read_yaml(path), _Data, strict=False)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist; give Ultralytics' data.yaml, or its folder"
        ) from None
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{path} is not a data.yaml of YOLO-pose ({error}); it needs kpt_shape [K, 2 or 3], "
            "names, and train, val or test"
        ) from None


def _layout(path: Path, data: _Data) -> _Layout:
    count, numbers = data.kpt_shape
    if not 1 <= count <= _MOST_KEYPOINTS or numbers not in (2, 3):
        raise ValueError(f"{path}: kpt_shape is {[*data.kpt_shape]}; expected [K, 2] or [K, 3]")
    kinds = data.names if isinstance(data.names, list) else list(data.names.values())
    if isinstance(data.names, dict) and [*data.names] != list(range(len(kinds))):
        raise ValueError(f"{path}: names has classes {few(map(str, data.names))}; count from 0")
    if not kinds:
        raise ValueError(f"{path}: names is empty; give the name of class 0")
    return _Layout(path, _names(path, data, count), tuple(kinds), numbers, _pairs(path, data))


def _names(path: Path, data: _Data, count: int) -> tuple[str, ...]:
    if data.kpt_names:
        named = {tuple(names) for names in data.kpt_names.values()}
        if len(named) > 1 or len(names := named.pop()) != count or len({*names}) != count:
            raise ValueError(
                f"{path}: kpt_names needs {count} different names, the same for all classes"
            )
        return names
    if count == COCO17.num_keypoints:
        return COCO17.keypoint_names
    log.warning("%s names no keypoints (kpt_names); they are called keypoint_1 and so on", path)
    return tuple(f"keypoint_{k}" for k in range(1, count + 1))


def _pairs(path: Path, data: _Data) -> tuple[tuple[int, int], ...] | None:
    """Flip pairs of ``flip_idx``."""
    index = data.flip_idx
    if not index:
        return None
    whole = sorted(index) == list(range(data.kpt_shape[0]))
    if not whole or any(index[other] != k for k, other in enumerate(index)):
        raise ValueError(
            f"{path}: flip_idx is {shown(index)}; expected each of 0 to {data.kpt_shape[0] - 1} "
            "at the place of the keypoint that it exchanges with"
        )
    return tuple((k, other) for k, other in enumerate(index) if k < other)


def _images(root: Path, place: str, owner: Path) -> Iterator[tuple[Path, str]]:
    """Paths of images, and their names in the folder of images."""
    folder = root / place
    if not folder.exists() and place.startswith("../"):
        folder = root / place.removeprefix("../")  # as Roboflow writes it, and Ultralytics reads
    if folder.is_dir():
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file():
                yield file, in_utf8(file.relative_to(folder).as_posix())
    elif folder.suffix == ".txt" and folder.is_file():
        for line in read_input(folder).decode("utf-8", "replace").splitlines():
            if line.strip():
                file = folder.parent / line.strip()
                yield file, in_utf8(_below_images(file))
    else:
        raise FileNotFoundError(
            f"{folder}, which {owner} names, is neither a folder of images nor a list of them; "
            "correct path, train, val or test in it"
        )


def _below_images(file: Path) -> str:
    """The path below the last folder called images, or the name."""
    parts = file.parts
    at = max((k for k, part in enumerate(parts[:-1]) if part == "images"), default=-2)
    return "/".join(parts[at + 1 :]) if at >= 0 else file.name


def label_path(image: Path) -> Path:
    """Where the labels of an image are: the last folder ``images`` becomes ``labels``."""
    parts = list(image.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_split(split: str, found: list[tuple[Path, str]], layout: _Layout) -> LabelledSet:
    if not found:
        raise ValueError(
            f"{layout.path}: {split} has no image; labels are parts of an image's size, so that "
            "the images are needed"
        )
    images = []
    for path, name in found:
        size = size_of(path.parent, path.name)
        if size is None:
            continue
        labels = label_path(path)
        persons = _read_labels(labels, size, layout) if labels.exists() else ()
        images.append(LabelledImage(name, tuple(persons), size))
    if not images:
        raise ValueError(f"{layout.path}: none of the images of {split} could be read")
    known = known_skeleton(layout.names)
    links = known.links if known else ()
    left_out = len(found) - len(images)
    return LabelledSet(
        split, layout.names, tuple(images), layout.kinds, links, layout.flip_pairs, left_out
    )


def _read_labels(path: Path, size_wh: tuple[int, int], layout: _Layout) -> list[Person]:
    try:
        lines = read_input(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text; expected a line a person") from None
    rows = ((at, line.split()) for at, line in enumerate(lines, start=1))
    return [_person(row, size_wh, layout, f"{path}, line {at}") for at, row in rows if row]


def _person(row: list[str], size_wh: tuple[int, int], layout: _Layout, where: str) -> Person:
    count = len(layout.names)
    expected = 5 + count * layout.numbers
    if len(row) != expected:
        raise ValueError(
            f"{where} has {len(row)} numbers; expected {expected}: class, box, and "
            f"{layout.numbers} for each of {counted(count, 'keypoint')}"
        )
    kind = whole_number(row[0], f"{where}: the class")
    if not 0 <= kind < len(layout.kinds):
        raise ValueError(f"{where}: the class is {kind}; {layout.path} has {len(layout.kinds)}")
    values = [number(text, f"{where}: number {at}") for at, text in enumerate(row[1:], start=2)]
    box = _box_in_pixels(values[:4], size_wh)
    keypoints = np.zeros((count, 3))
    for k in range(count):
        x, y, *flag = values[4 + k * layout.numbers : 4 + (k + 1) * layout.numbers]
        seen = flag[0] if flag else 2.0 * (x >= 0 and y >= 0 and (x, y) != (0, 0))
        if seen not in (0, 1, 2):
            raise ValueError(
                f"{where}: visibility of {layout.names[k]} is {seen:g}; expected 0, 1 or 2 "
                "(scores are of predictions)"
            )
        if seen and not all(-_SLACK <= value <= 1 + _SLACK for value in (x, y)):
            raise ValueError(
                f"{where}: {layout.names[k]} is at {x:g} {y:g}; expected parts of the image, "
                "0 to 1"
            )
        if seen or flag:
            keypoints[k] = _pixels(x, size_wh[0]), _pixels(y, size_wh[1]), seen
    return Person(keypoints, box, kind)


def _pixels(part: float, length: int) -> float:
    return round(part * length, PIXEL_DECIMALS)


def box_start(middle: float, size: float, length: int) -> float:
    """Left, or top, of a box in pixels; the middle is a part of the image."""
    return round(middle * length - size / 2, PIXEL_DECIMALS)


def _box_in_pixels(values: list[float], size_wh: tuple[int, int]) -> Box:
    (x, y, w, h), (width, height) = values, size_wh
    wide, high = _pixels(w, width), _pixels(h, height)
    return box_start(x, wide, width), box_start(y, high, height), wide, high
