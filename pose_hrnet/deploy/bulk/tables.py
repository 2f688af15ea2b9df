"""Images and rows as Arrow tables, in which they go from process to process and into files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.deploy.bulk.columns import (
    KINDS,
    BulkEstimator,
    Columns,
    Sick,
    image_numbers,
    joined,
    nobody,
)
from pose_hrnet.deploy.bulk.images import BulkImage, called
from pose_hrnet.deploy.bulk.parts import Task
from pose_hrnet.deploy.bulk.read import ReadImage, read_task, unread
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.text import in_utf8, one_line

PLACES = ("part", "item", "number", "total")
"""Columns that say which image a row is of; see `ReadImage`."""


def row_schema() -> Any:
    """The Arrow schema of the rows in files.

    Raises:
        ValueError: If the extra is missing.
    """
    arrow = import_extra("pyarrow", "ray")
    numbers = arrow.list_(arrow.float32())
    types = {
        "string": arrow.string(),
        "bigint": arrow.int64(),
        "int": arrow.int32(),
        "double": arrow.float64(),
        "float": arrow.float32(),
        "array<float>": numbers,
        "array<array<float>>": arrow.list_(numbers),
    }
    return arrow.schema([(name, types[kind]) for name, kind in KINDS.items()])


def file_table(columns: Columns) -> Any:
    """Rows as a table of `row_schema`."""
    return import_extra("pyarrow", "ray").table(columns, schema=row_schema())


def image_tables(task: Task) -> Iterator[Any]:
    """The images of a task as tables, an image a row; one that is too large is alone in its own.

    Args:
        task: What to read.
    """
    given: dict[int, int] = {}
    try:
        for some in _gathered(read_task(task), task.table_bytes):
            yield _image_table(task.part, some)
            given |= {each.item: each.number for each in some}
    except Exception as error:  # of whatever reads: not of a process that died
        if left := unread(task, given, one_line(error)):
            yield _image_table(task.part, left)


def _gathered(reading: Iterator[ReadImage], most: int) -> Iterator[list[ReadImage]]:
    """Images together, as far as their bytes go."""
    held: list[ReadImage] = []
    size, failed = 0, None
    try:
        for read in reading:
            coming = 0 if read.image.image is None else read.image.image.nbytes
            if held and size + coming > most:
                yield held
                held, size = [], 0
            held.append(read)
            size += coming
    except Exception as error:
        failed = error
    if held:
        yield held
    if failed is not None:
        raise failed


def _image_table(part: int, images: Sequence[ReadImage]) -> Any:
    arrow = import_extra("pyarrow", "ray")
    shapes, boxes = [], []
    for each in (read.image for read in images):
        shapes.append((None, None) if each.image is None else each.image.shape[:2])
        boxes.append(None if each.boxes is None else each.boxes.ravel())
    return arrow.table({
        "part": arrow.array([part] * len(images), arrow.int64()),
        "item": arrow.array([read.item for read in images], arrow.int64()),
        "number": arrow.array([read.number for read in images], arrow.int64()),
        "total": arrow.array([read.total for read in images], arrow.int64()),
        "path": arrow.array([_text(read.image.path) for read in images], arrow.binary()),
        "error": arrow.array([_sentence(read.image.error) for read in images], arrow.string()),
        "frame_index": arrow.array([read.image.frame_index for read in images], arrow.int64()),
        "time_s": arrow.array([read.image.time_s for read in images], arrow.float64()),
        "height": arrow.array([height for height, _ in shapes], arrow.int32()),
        "width": arrow.array([width for _, width in shapes], arrow.int32()),
        "boxes": arrow.array(boxes, arrow.list_(arrow.float64())),
        "pixels": _pixels([read.image.image for read in images]),
    })  # fmt: skip


def _pixels(images: Sequence[Image | None]) -> Any:
    """The bytes of images, one after the other, as Arrow's column; null where there is none.

    Arrow itself would take longer for it than the decoder of JPEG for the image.
    """
    arrow = import_extra("pyarrow", "ray")
    sizes = [0 if image is None else image.nbytes for image in images]
    ends = np.cumsum([0, *sizes])
    whole = np.empty(ends[-1], np.uint8)
    for image, start, end in zip(images, ends[:-1], ends[1:], strict=True):
        if image is not None:
            whole[start:end] = image.reshape(-1)
    there = np.packbits([image is not None for image in images], bitorder="little")
    buffers = [arrow.py_buffer(each) for each in (there, ends.astype(np.int64), whole)]
    return arrow.LargeBinaryArray.from_buffers(arrow.large_binary(), len(images), buffers)


def _text(path: str) -> bytes:
    """A path, whose name need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def _sentence(error: str | None) -> str | None:
    return None if error is None else in_utf8(error)


def images_of(table: Any) -> list[ReadImage]:
    """The images of a table of `image_tables`, whose pixels are not copied."""
    columns = {name: table.column(name) for name in table.column_names if name != "pixels"}
    values = {name: column.to_pylist() for name, column in columns.items()}
    pixels = [each.as_buffer() for each in table.column("pixels")]
    images = []
    for row, buffer in enumerate(pixels):
        image = None
        if buffer is not None:
            shape = (values["height"][row], values["width"][row], 3)
            image = np.frombuffer(buffer, np.uint8).reshape(shape)
        boxes = values["boxes"][row]
        images.append(
            ReadImage(
                values["item"][row],
                values["number"][row],
                values["total"][row],
                BulkImage(
                    values["path"][row].decode("utf-8", "surrogateescape"),
                    image,
                    values["error"][row],
                    values["frame_index"][row],
                    values["time_s"][row],
                    None if boxes is None else np.array(boxes, np.float64).reshape(-1, 5),
                ),
            )
        )
    return images


def row_table(table: Any, bulk: BulkEstimator) -> Any:
    """The rows of the images of a table, with the columns that say which image each is of.

    Args:
        table: Of `image_tables`.
        bulk: What poses them.

    Raises:
        Sick: If nothing can be posed any more.
    """
    images = images_of(table)
    try:
        rows = bulk.rows_of([read.image for read in images])
    except Sick:
        raise
    except Exception as error:  # not of a process that died
        said = one_line(error)
        sentences = [
            each.image.error or f"{called(each.image.path)} could not be posed ({said})"
            for each in images
        ]
        rows = joined(
            [read.image for read in images],
            [nobody(sentence) for sentence in sentences],
            model=bulk.model,
            sha256=bulk.sha256,
        )
    return _placed_rows(table.column("part").to_numpy(), images, rows)


def lost_table(part: int, lost: ReadImage, *, model: str, sha256: str) -> Any:
    """The row of an image that nobody could read or pose.

    Args:
        part: Its part.
        lost: What is said of it.
        model: The name of the model that did not pose it.
        sha256: Of its file.
    """
    rows = joined([lost.image], [nobody(lost.image.error)], model=model, sha256=sha256)
    return _placed_rows(np.array([part]), [lost], rows)


def _placed_rows(parts: NDArray[np.int64], images: Sequence[ReadImage], rows: Columns) -> Any:
    """Rows with the columns that say which image each is of."""
    arrow = import_extra("pyarrow", "ray")
    whose = image_numbers(rows)
    places: dict[str, Any] = {
        "part": parts[whose],
        "item": np.array([read.item for read in images], np.int64)[whose],
        "number": np.array([read.number for read in images], np.int64)[whose],
        "total": np.array([read.total for read in images], np.int64)[whose],
    }
    kinds = [*((name, arrow.int64()) for name in PLACES), *row_schema()]
    return arrow.table({**places, **rows}, schema=arrow.schema(kinds))


__all__ = [
    "PLACES",
    "file_table",
    "image_tables",
    "images_of",
    "lost_table",
    "row_schema",
    "row_table",
]
