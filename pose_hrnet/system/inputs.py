"""The one place that opens what users and others give: regular files alone, of sane sizes.

A device never ends, and a FIFO waits for a writer for ever; a zip archive of a few kilobytes can
hold terabytes. Each is refused in one sentence before anything of it is read.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from pose_hrnet.system.text import gigabytes, one_line, shown

LARGEST_FILE = 2**31
"""Bytes that are read into memory at most; COCO's largest annotation file has a quarter of it."""
UNPACKED = 4
"""How many times its own size a file may unpack to: weights are stored as they are."""
UNPACKED_ANYWAY = 2**26
"""Bytes that any file may unpack to: small ones pack well."""
DEEPEST = 200
"""Levels of nesting in JSON that describes something: a card, an index."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableFile(OSError):
    """A file that is there and cannot be read; the message is one sentence that names it.

    Attributes:
        reason: Why, as the middle of a sentence.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{shown_path(path)} cannot be read ({reason}); give a regular file")
        self.reason = reason


def shown_path(path: Path | str) -> str:
    """A path for a sentence; one that could break it is escaped."""
    text = str(path)
    return text if text.isprintable() else shown(text, 300)


def open_input(path: Path | str, buffering: int = -1) -> BinaryIO:
    """Open a regular file to read its bytes.

    Args:
        path: The file.
        buffering: As `open` takes it.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFile: If it is a folder, a device, a FIFO or a socket, may not be read, or its
            name is one that no file can have.
    """
    # Not to wait for a FIFO's writer; it changes nothing for regular files.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise FileNotFoundError(f"{shown_path(path)} does not exist; check the path") from None
    except OSError as error:
        reason = "it is a socket" if error.errno == errno.ENXIO else error.strerror
        raise UnreadableFile(path, reason or type(error).__name__) from None
    except ValueError as error:  # a NUL, or half a surrogate pair
        raise UnreadableFile(path, f"no file can have this name, {one_line(error)}") from None
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise UnreadableFile(path, f"it is {_KINDS.get(kind, 'no regular file')}")
    return os.fdopen(descriptor, "rb", buffering)


def check_input(path: Path | str) -> None:
    """`open_input` for files that a library opens by itself; raises the same."""
    open_input(path).close()


def read_input(path: Path | str, most: int = LARGEST_FILE) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFile: As `open_input`, or if it is larger.
    """
    with open_input(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            reason = f"it has {gigabytes(size)}, and at most {gigabytes(most)} are read"
            raise UnreadableFile(path, reason)
        try:
            return file.read()
        except OSError as error:
            raise UnreadableFile(path, error.strerror or type(error).__name__) from None


def check_unpacked(path: Path | str, file: BinaryIO) -> None:
    """Refuse a zip archive whose members unpack far above its size; others pass.

    Args:
        path: Names it in the error.
        file: The archive, which is left at its beginning.

    Raises:
        ValueError: If it unpacks to more.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except Exception:  # a damaged archive is told by who reads it
        unpacked = 0
    file.seek(0)
    if unpacked > max(UNPACKED * size, UNPACKED_ANYWAY):
        raise ValueError(
            f"{shown_path(path)} has {gigabytes(size)} and would unpack to "
            f"{gigabytes(unpacked)}; such a file is not read, because only a damaged or harmful "
            "one is packed so"
        )


def parse_json(data: bytes | str) -> Any:
    """The values of a small JSON text that describes something, such as a card.

    Raises:
        ValueError: If it is no JSON, or holds what no description does; the middle of a sentence.
    """
    try:
        values = json.loads(data, parse_constant=_no_constant)
        json.dumps(values, ensure_ascii=False).encode()  # half surrogate pairs stop here
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("a text in it has half of a surrogate pair") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {one_line(error)}") from None
    return values


def values_beside(path: Path) -> Any:
    """The values of a JSON file that adds to what is known without it.

    None where there is no such file, or it is none that can be read.
    """
    try:
        return json.loads(read_input(path))
    except (OSError, ValueError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


__all__ = [
    "UnreadableFile",
    "check_input",
    "check_unpacked",
    "open_input",
    "parse_json",
    "read_input",
    "shown_path",
    "values_beside",
]
