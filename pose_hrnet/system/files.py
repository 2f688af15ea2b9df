"""Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from platformdirs import user_cache_path


@contextmanager
def replace_file(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """Write a file under a temporary name beside it; it takes its place when the block ends well.

    Args:
        path: The file to make; its folder must exist.
        keep: Where an earlier file moves to; None: it is replaced.

    Yields:
        The temporary path to write to. An earlier file stays untouched if the block raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _fsync_folder(folder: Path) -> None:
    """Let the names of its files outlive a crash of the machine, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """A folder for drafts, on the disk where a file is to be; it goes when the block ends.

    It lies in the nearest folder that there is: none is made for a file that is refused.

    Args:
        path: The file.

    Yields:
        The folder, whose files `put_in_place` moves.

    Raises:
        OSError: If no file can be written there.
    """
    check_room(path.parent, 0)
    nearest = _nearest(path.parent)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=nearest) as name:
        yield Path(name)


def put_in_place(draft: Path, folder: Path) -> None:
    """Move the files of a folder into another one, which is made, each in one piece."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(draft.iterdir()):
        os.replace(file, folder / file.name)


def remove_temporaries(folder: Path) -> None:
    """Remove what `replace_file` left of processes that were killed; none may be at work there."""
    for path in folder.glob(".*.*.tmp"):
        if path.name.split(".")[-2].isdecimal():
            path.unlink(missing_ok=True)


def check_room(folder: Path, needed: int) -> None:
    """Fail early where a folder, which need not exist, cannot take what will be written to it.

    Args:
        folder: Where to write.
        needed: Bytes to come.

    Raises:
        OSError: If it is no folder, cannot be written to, or lies on too full a disk.
    """
    there = _nearest(folder)
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file, not a folder; choose another --output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{there} cannot be written to (read-only, or another user's); choose another --output"
        )
    disk = shutil.disk_usage(there)
    if disk.total == 0:
        raise OSError(f"{there} lies on no disk, and takes no files; choose another --output")
    free = disk.free
    if free < needed:
        raise OSError(
            f"the disk of {there} has {free / 1e6:,.0f} MB free, but the run needs about "
            f"{needed / 1e6:,.0f} MB for states and weights; make room, or choose another --output"
        )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def cache_folder(name: str) -> Path:
    """The user's folder for what can be fetched or made again; it need not exist.

    It is below the folder that ``POSE_HRNET_CACHE`` names, or else where the system keeps caches:
    ``~/.cache/pose-hrnet`` on Linux, ``~/Library/Caches/pose-hrnet`` on macOS.

    Args:
        name: Of its kind.

    Raises:
        RuntimeError: If the user has no home folder.
    """
    chosen = os.environ.get("POSE_HRNET_CACHE")
    folder = Path(chosen) if chosen else user_cache_path("pose-hrnet", appauthor=False)
    return folder.expanduser() / name


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one piece."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one piece: under a temporary name, then renamed; NaN becomes null.

    NumPy scalars and arrays are written as numbers and lists.

    Raises:
        TypeError: If a value has no JSON form; nothing is written.
    """
    data = msgspec.json.encode(value, enc_hook=_plain)
    with replace_file(Path(path)) as temporary:
        temporary.write_bytes(data)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form; give plain values")
