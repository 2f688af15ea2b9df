"""JSON of which some rows cannot be decoded: what is wrong with them takes their place.

Half of a surrogate pair, a number of 5,000 digits, a list nested 2,000 deep, or Python's NaN would
each spoil a whole file, though one row of many thousands is at fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import loads
from typing import NamedTuple

import msgspec

from pose_hrnet.system.text import one_line

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises on a row that is no JSON, or not of the wanted type."""

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_INSIDE = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_BETWEEN = re.compile(_STRING + rb"|[\[\]{},:]", re.DOTALL)
_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}(?![\d.])|"[^"\\]{1,80}")')


class BrokenRow(msgspec.Struct, omit_defaults=True):
    """Stands for a row that could not be decoded.

    Attributes:
        broken_row: Why.
        row_id: Its ``id``, where that can be told.
    """

    broken_row: str
    row_id: int | str | None = None


def mended(data: bytes) -> bytes:
    """The same JSON with a `BrokenRow` for each part of it that cannot be decoded.

    Parts are the rows of a list, or of the lists in an object, and what else the object holds.
    Python's NaN and Infinity become null. What is broken between the parts stays so.
    """
    pieces: list[bytes] = []
    begin = data.lstrip(b" \t\r\n")[:1]
    if begin not in (b"[", b"{"):
        return data
    for before, value, after in _parts(data):
        rows = [_Part(b"", value, b"")]
        if begin == b"{" and value.lstrip().startswith(b"["):
            rows = list(_parts(value))
        pieces += [before, *(b"".join((row[0], _whole(row[1]), row[2])) for row in rows), after]
    return b"".join(pieces)


class _Part(NamedTuple):
    """A piece of a list or an object: what stands before a value, the value, and what closes."""

    before: bytes
    value: bytes
    after: bytes


def _parts(data: bytes) -> Iterator[_Part]:
    """The values of the list or object that begins the data, with all that stands between."""
    depth, place, begin = 0, 0, 0
    before = b""
    while token := (_INSIDE if depth > 1 else _BETWEEN).search(data, place):
        sign, place = token[0], token.end()
        if sign in (b"[", b"{"):
            depth += 1
            if depth == 1:
                before, begin = data[:place], place
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                yield _Part(before, data[begin : place - 1], data[place - 1 :])
                return
        elif depth == 1 and sign == b",":
            yield _Part(before, data[begin : place - 1], b"")
            before, begin = b",", place
        elif depth == 1 and sign == b":":
            before, begin = before + data[begin:place], place
    yield _Part(before, data[begin:], b"")


def _whole(value: bytes) -> bytes:
    """A value as it is, or as JSON, or what is wrong with it."""
    if not value.strip():
        return value
    try:
        msgspec.json.decode(value)
        return value
    except UNDECODABLE as error:
        reason = why(error)
    try:
        return msgspec.json.encode(loads(value, parse_constant=lambda name: None))
    except UnicodeEncodeError:
        reason = "a text in it has half of a surrogate pair"
    except (ValueError, RecursionError):
        pass
    found = _ID.search(value)
    row_id = msgspec.json.decode(found[1], type=int | str) if found else None
    return msgspec.json.encode(BrokenRow(reason, row_id))


def why(error: Exception) -> str:
    """What is wrong with a row, in words."""
    return "it is nested too deep" if isinstance(error, RecursionError) else one_line(error)


def fault_of(raw: msgspec.Raw, error: Exception) -> tuple[int | str | None, str]:
    """The id of a row that raised an error of `UNDECODABLE`, None if unknown, and the reason."""
    try:
        broken = msgspec.json.decode(raw, type=BrokenRow)
        return broken.row_id, broken.broken_row
    except UNDECODABLE:
        pass
    try:
        return msgspec.json.decode(raw, type=_WithId, strict=False).id, why(error)
    except UNDECODABLE:
        return None, why(error)


class _WithId(msgspec.Struct):
    id: int | str


__all__ = ["UNDECODABLE", "fault_of", "mended", "why"]
