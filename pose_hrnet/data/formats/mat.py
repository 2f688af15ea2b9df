"""Reads matrices of numbers from Matlab's files of version 5, which ``save`` writes, as v6 and v7.

By itself, since `scipy.io.loadmat` takes type codes of damaged files for addresses, and ends the
process (SciPy 1.17). The format: "MAT-File Format", The MathWorks.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.text import one_line, shown

MOST_NUMBERS = 10_000_000
"""In a matrix; before it is unpacked: a few kilobytes can hold one of any size."""
_HEADER, _HEAD = 128, 4096
"""Bytes before the first element; and of a matrix, in which its shape and name are."""
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}  # fmt: skip
_MATRIX, _PACKED = 14, 15
_HDF5 = (b"\x00\x02", b"\x02\x00")
"""Version 2 of the format, in either order of bytes."""
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse"}
_NUMERIC = range(6, 16)


@dataclass(frozen=True)
class _Head:
    """What a matrix says of itself: its class, shape and name, and where its numbers begin."""

    kind: int
    shape: tuple[int, ...]
    name: str
    start: int


def read_matrices(path: Path, names: Iterable[str], expected: str) -> dict[str, Float64]:
    """Matrices of a ``.mat``: ``(rows, columns)``, or of as many sides as they have there.

    Args:
        path: The file.
        names: Whose.
        expected: What the file should be, as the end of "... is not".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lacks one of them, or holds something else under its name.
    """
    wanted, data = list(names), read_input(path)
    try:
        found = dict(_matrices(data, wanted))
        if missing := [name for name in wanted if name not in found]:
            raise ValueError(f"it has no {missing[0]}")
    except (ValueError, zlib.error, struct.error) as error:
        raise ValueError(f"{path} is not {expected} ({one_line(error)})") from None
    return {name: found[name] for name in wanted}


def _matrices(data: bytes, wanted: list[str]) -> Iterator[tuple[str, Float64]]:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None:
        raise ValueError("it is no file of Matlab's version 5 to 7")
    if data[124:126] in _HDF5:
        raise ValueError("it is of version 7.3, which is HDF5; save it with -v7")
    at = _HEADER
    while at < len(data):
        kind, content, at = _element(data, at, order)
        unpacker = zlib.decompressobj()
        if kind == _PACKED:
            content = unpacker.decompress(content, _HEAD)
            kind, content = _unpacked(content, order)
        if kind != _MATRIX:
            raise ValueError(f"it has an element of type {kind}")
        head = _head(content, order)
        if head.name not in wanted:
            continue
        count = math.prod(head.shape)
        if head.kind not in _NUMERIC or count > MOST_NUMBERS:
            what = "numbers" if head.kind in _NUMERIC else _CLASSES.get(head.kind, "unknown")
            raise ValueError(f"{head.name} is of type {what}, {head.shape}")
        if unpacker.unconsumed_tail:
            content += unpacker.decompress(unpacker.unconsumed_tail, _HEAD + 8 * count)
        kind, numbers, _ = _element(content, head.start, order)
        if kind not in _NUMBERS:
            raise ValueError(f"{head.name} has numbers of type {kind}")
        values = np.frombuffer(numbers, order + _NUMBERS[kind])
        if len(values) != count:
            raise ValueError(f"{head.name} has {len(values)} numbers, and the shape {head.shape}")
        yield head.name, values.reshape(head.shape, order="F").astype(np.float64)


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type and content of an element, and where the next one begins."""
    kind, size = struct.unpack_from(f"{order}II", data, at)
    start = at + 8
    if kind >> 16:  # of four bytes at most, within the words that say so
        kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
    end = start + size
    if end > len(data) or (start == at + 4 and size > 4):
        raise ValueError("it is cut off, or damaged")
    after = at + 8 if start == at + 4 else end + (-size % 8 if kind != _PACKED else 0)
    return kind, data[start:end], after


def _unpacked(content: bytes, order: str) -> tuple[int, bytes]:
    """Type and the content, as far as it is there, of a packed element."""
    kind, _ = struct.unpack_from(f"{order}II", content)
    return kind, content[8:]


def _head(content: bytes, order: str) -> _Head:
    _, flags, at = _element(content, 0, order)
    kind, dimensions, at = _element(content, at, order)
    if kind != 5 or len(flags) != 8 or not 0 < len(dimensions) <= 128 or len(dimensions) % 4:
        raise ValueError("a matrix in it does not say its shape")
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    if min(shape) < 0:
        raise ValueError(f"a matrix in it has the shape {shape}")
    _, name, at = _element(content, at, order)
    (said,) = struct.unpack_from(f"{order}I", flags)
    return _Head(said & 0xFF, shape, shown(name.decode("latin-1"), 80).strip("'"), at)


__all__ = ["MOST_NUMBERS", "read_matrices"]
