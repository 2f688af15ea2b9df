"""A task -> its images, read and decoded: files, addresses, members of archives, frames.

What cannot be read is an image with its error. Every image has a number in its input, and the
last one says how many there were, so that whoever collects the rows knows when all are there.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

import numpy as np

from pose_hrnet.data.web_images import LARGEST
from pose_hrnet.deploy.bulk.images import BulkImage, called, read_image, without_secrets
from pose_hrnet.deploy.bulk.inputs import kind_of
from pose_hrnet.deploy.bulk.parts import Task
from pose_hrnet.inference.video.frames import VideoError, Window
from pose_hrnet.inference.video.sources import open_source
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.inputs import open_input
from pose_hrnet.system.remote import remote
from pose_hrnet.system.text import gigabytes, one_line
from pose_hrnet.system.transfer import address_in

FETCHES = 8
"""Addresses that one reader asks for at once: it waits most of the time."""


_Reading: TypeAlias = Generator[BulkImage | None, None, None]
"""The images of an input; None in place of one that nobody wants."""


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image that a task read.

    Attributes:
        item: Place of its input in the part.
        number: Its own in its input, from 0; -1: no image, this only says the total.
        total: Images of the input, said by the last one; 0: not known yet.
        image: The image.
    """

    item: int
    number: int
    total: int
    image: BulkImage


def read_task(task: Task) -> Iterator[ReadImage]:
    """The images of a task, one after the other; of each input one, or its total, at least."""
    if task.kind == "image":
        for (item, _), image in zip(task.items, _images(task), strict=True):
            yield ReadImage(item, 0, 1, image)
        return
    read = _frames if task.kind == "video" else _members
    for item, path in task.items:
        images = _caught(path, partial(read, task, path))
        yield from _numbered(task, item, path, images)


def unread(task: Task, seen: Mapping[int, int], reason: str) -> list[ReadImage]:
    """What is left of a task whose reading ended with an error, with that error.

    Args:
        task: What was to be read.
        seen: Of inputs that were begun, the number of the last image.
        reason: In the sentences.
    """
    left = []
    for item, path in task.items:
        said = f"{called(path)} could not be read further ({reason})"
        image = BulkImage(path, None, without_secrets(said, path))
        if task.kind == "image":
            left += [] if item in seen else [ReadImage(item, 0, 1, image)]
            continue
        number = max(task.start, seen.get(item, -1) + 1)
        if task.stop is None:  # of an input that is only counted, nothing is known
            left += [ReadImage(item, number, number + 1, image)] if number < sys.maxsize else []
        else:
            left += [ReadImage(item, each, 0, image) for each in range(number, task.stop)]
    return left


def _numbered(task: Task, item: int, path: str, images: _Reading) -> Iterator[ReadImage]:
    """Those images of an input that its task asks for; others, which may be None, only count."""
    total, last = 0, None
    with closing(images):
        while task.stop is None or total < task.stop:
            try:
                image = next(images)
            except StopIteration:
                break
            if image is not None and total >= task.start:
                if last is not None:
                    yield last
                last = ReadImage(item, total, 0, image)
            total += 1
    if not total:
        total = 1
        last = ReadImage(item, 0, 1, BulkImage(path, None, f"{called(path)} holds no image"))
    if task.stop is not None:
        total = 0
    if last is not None:
        yield replace(last, total=total)
    elif total:
        yield ReadImage(item, -1, total, BulkImage(path, None))


def _images(task: Task) -> Iterator[BulkImage]:
    """Files one by one, addresses several at a time."""
    paths = [path for _, path in task.items]
    boxes = [_boxes_of(task, path) for path in paths]
    if all(address_in(path) is None for path in paths):
        yield from map(read_image, paths, [None] * len(paths), boxes)
        return
    with ThreadPoolExecutor(FETCHES) as pool:
        for start in range(0, len(paths), FETCHES):
            some = slice(start, start + FETCHES)
            yield from pool.map(read_image, paths[some], [None] * FETCHES, boxes[some])


def _boxes_of(task: Task, path: str) -> Float64 | None:
    """Of an image; where a box file says nothing of it, there is nobody."""
    return None if task.boxes is None else task.boxes.get(path, np.empty((0, 5)))


def _caught(path: str, read: Callable[[], _Reading]) -> _Reading:
    """What is read until something is wrong, and then that."""
    try:
        yield from read()
    except OSError as error:
        yield BulkImage(path, None, without_secrets(str(error), path))
    except Exception as error:  # whatever is wrong with an input belongs to its rows
        said = f"{called(path)} cannot be read further ({one_line(error)})"
        yield BulkImage(path, None, without_secrets(said, path))


def _frames(task: Task, path: str) -> _Reading:
    """The frames of a video, and what was wrong with it."""
    with on_disk(path) as file:
        try:
            source = open_source(file, Window(every=task.every))
            with closing(source):
                for frame in source:
                    yield BulkImage(
                        path, frame.image, frame_index=frame.index, time_s=frame.time_s
                    )
                notes = source.notes
        except VideoError as error:
            notes = [str(error)]
        yield from (BulkImage(path, None, note.replace(file, called(path))) for note in notes)


def _members(task: Task, path: str) -> _Reading:
    """The images in an archive, in their order there; None in place of those before the start."""
    with _opened(path) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for number, member in enumerate(filter(_is_image, archive)):
            if number < task.start:
                yield None
                continue
            name, said = f"{path}/{member.name}", f"{called(path)}/{member.name}"
            if member.size > LARGEST:
                has = f"has {gigabytes(member.size)}, and at most {gigabytes(LARGEST)} are read"
                yield BulkImage(name, None, f"image {said} {has}")
                continue
            content = archive.extractfile(member)
            data = b"" if content is None else content.read()
            yield read_image(name, data, _boxes_of(task, name), name=said)


def archive_members(path: str) -> list[str]:
    """What the images of an archive are called, without reading them where that can be.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no archive.
    """
    try:
        with _opened(path) as file, tarfile.open(fileobj=file, mode="r:*") as archive:
            return [f"{path}/{member.name}" for member in archive if _is_image(member)]
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{called(path)} is no tar file that can be read ({one_line(error)})"
        ) from None


def _is_image(member: tarfile.TarInfo) -> bool:
    return member.isfile() and kind_of(PurePosixPath(member.name).name) == "image"


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """A file, or one of an object store, to read its bytes."""
    address = address_in(path)
    if address is None:
        with open_input(path) as file:
            yield file
        return
    with remote(address) as fsspec, fsspec.open(address, "rb") as file:
        yield file


@contextmanager
def on_disk(path: str) -> Iterator[str]:
    """A file of this machine, which is fetched while the block runs where it is elsewhere."""
    address = address_in(path)
    if address is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pose_hrnet_") as folder:
        file = Path(folder) / f"video{PurePosixPath(path).suffix}"
        with remote(address) as fsspec:
            filesystem, there = fsspec.url_to_fs(address)
            filesystem.get_file(there, str(file))
        yield str(file)


__all__ = ["ReadImage", "archive_members", "on_disk", "read_task", "unread"]
