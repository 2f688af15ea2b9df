"""Inputs in parts, each of which becomes one file, and the tasks that read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.choices import InputKind, RowFormat
from pose_hrnet.system.defaults import IMAGES_PER_FILE, IMAGES_PER_TASK

PIXEL_BYTES = 2**20
"""Of an image in a table, on average; with more of them, fewer images go at once."""

Boxes: TypeAlias = Mapping[str, Float64]
"""``(N, 5)`` left, top, right, bottom and score of the persons in an image, by its path."""

_Any = TypeVar("_Any")


@dataclass(frozen=True)
class Part:
    """Some inputs, whose rows are one file.

    Attributes:
        number: From 0.
        kind: Of them all; of videos and archives there is one in a part.
        paths: The inputs.
    """

    number: int
    kind: InputKind
    paths: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Tells these inputs from others, in hexadecimal."""
        text = "\0".join([self.kind, *self.paths])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def file_name(self, fmt: RowFormat) -> str:
        """Of the rows: the number, and what tells the inputs."""
        return f"part-{self.number:06d}-{self.digest[:12]}.{fmt}"

    @property
    def counts_name(self) -> str:
        """Of the file beside it that says how much is in it."""
        return f"_COUNTS-{self.number:06d}-{self.digest[:12]}.json"


@dataclass(frozen=True)
class Task:
    """What one reader reads: images of a part, a video, or an archive.

    Attributes:
        part: Its number.
        kind: Of the inputs.
        items: The place of each input in its part, and its path.
        boxes: Of these inputs; None: a detector finds the persons, or each image is one.
        every: Of a video, each so many-th frame.
        table_bytes: Of the pixels that go to a device at once.
        start: Of a video or an archive, the number of the first image that is read.
        stop: The number behind the last one; None: all, and how many there are is said.
    """

    part: int
    kind: InputKind
    items: tuple[tuple[int, str], ...]
    boxes: Boxes | None = None
    every: int = 1
    table_bytes: int = IMAGES_PER_TASK * PIXEL_BYTES
    start: int = 0
    stop: int | None = None


def parts_of(
    inputs: Mapping[str, InputKind], images_per_part: int = IMAGES_PER_FILE
) -> list[Part]:
    """The inputs in parts: images by so many, in their order, then each video and archive alone.

    Args:
        inputs: What each is, by its path.
        images_per_part: Images of a part.
    """
    images = (path for path, kind in inputs.items() if kind == "image")
    groups: list[tuple[InputKind, tuple[str, ...]]] = [
        ("image", group) for group in _batched(list(images), images_per_part)
    ]
    groups += [(kind, (path,)) for path, kind in inputs.items() if kind != "image"]
    return [Part(number, kind, paths) for number, (kind, paths) in enumerate(groups)]


def digest_of(parts: Sequence[Part]) -> str:
    """Tells these parts from others, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.digest.encode())
    return digest.hexdigest()


def tasks_of(
    part: Part,
    *,
    boxes: Boxes | None = None,
    every: int = 1,
    images_per_task: int = IMAGES_PER_TASK,
    items: Sequence[int] | None = None,
) -> Iterator[Task]:
    """The tasks that read a part.

    Args:
        part: The inputs.
        boxes: As of `Task`, of all inputs.
        every: As of `Task`.
        images_per_task: Images that one task reads, or that go to a device at once.
        items: Places of the inputs that are read; None: all.
    """
    places = range(len(part.paths)) if items is None else items
    for group in _batched(places, images_per_task):
        read = tuple((place, part.paths[place]) for place in group)
        own = _own(boxes, part.kind, read)
        yield Task(part.number, part.kind, read, own, every, images_per_task * PIXEL_BYTES)


def _own(boxes: Boxes | None, kind: InputKind, items: Sequence[tuple[int, str]]) -> Boxes | None:
    """The boxes of some inputs; those of an archive's images are named ``archive/image``."""
    if boxes is None:
        return None
    if kind == "archive":
        inside = tuple(f"{path}/" for _, path in items)
        return {path: boxes[path] for path in boxes if path.startswith(inside)}
    return {path: boxes[path] for _, path in items if path in boxes}


def _batched(values: Sequence[_Any], size: int) -> Iterator[tuple[_Any, ...]]:
    return (tuple(values[start : start + size]) for start in range(0, len(values), size))


__all__ = ["Boxes", "Part", "Task", "digest_of", "parts_of", "tasks_of"]
