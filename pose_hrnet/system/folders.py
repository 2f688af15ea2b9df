"""Where a command writes: asked for room and rights first, owned by one process, left clean.

Every file is written under a temporary name beside its place, and takes it when it is whole.
Temporary names are random and made exclusively, so that no link is followed. Whoever writes holds
a lock on the temporary file, which the system takes back from a process that is killed: what
nobody holds is removed by whoever writes to that folder next.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

_POSIX = os.name == "posix"
"""Elsewhere, on Windows, nobody can remove a file that another process has open."""
if _POSIX:
    import fcntl

LEAST = 2**16
"""Bytes that every command needs."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_OURS = re.compile(r"\.pose_hrnet-[0-9a-f]{16}\.(tmp|drafts)")
_DRAFTS = ".drafts"


class NotWritten(OSError):
    """A file could not be written; what stood in its place is as it was.

    Attributes:
        reason: The system's.
        no_room: Whether the disk is full, or the user's part of it.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.reason = error.strerror or str(error) or type(error).__name__
        self.no_room = error.errno in _NO_ROOM
        advice = "check the disk"
        if self.no_room:
            advice = "make room, or choose another place"
        elif error.errno in _NO_RIGHT:
            advice = "change its rights, or choose another place"
        super().__init__(f"{path} could not be written ({self.reason}); {advice}")


class FolderBusy(ValueError):
    """Another process works in a folder."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writing in the block tell which file it was.

    Raises:
        NotWritten: In place of what the system says of a full disk, of rights, of a broken disk.
    """
    try:
        yield
    except NotWritten:
        raise
    except OSError as error:
        ours = error.filename is not None and _OURS.search(str(error.filename))
        nameless = error.filename is None and error.errno in _NO_ROOM | _NO_RIGHT | {errno.EIO}
        if ours or nameless or str(error.filename) == str(path):
            raise NotWritten(path, error) from error
        raise


@contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """An empty file of a random name, which is locked while the block runs and goes with it.

    Args:
        folder: Where to make it; must exist.

    Yields:
        Its path; it may be moved away.
    """
    path, descriptor = _make_temporary(folder)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _make_temporary(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f".pose_hrnet-{secrets.token_hex(8)}.tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        if not _POSIX:
            os.close(descriptor)  # or it could not be moved
            return path, os.open(os.devnull, os.O_RDONLY)
        with suppress(OSError):  # disks without locks: there nothing is ever removed
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # it was taken for a dead process's before it was locked


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder, which need not exist."""
    if not _POSIX:
        return
    with suppress(OSError):
        for path in [p for p in folder.glob(".pose_hrnet-*.tmp") if _OURS.fullmatch(p.name)]:
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.with_suffix(_DRAFTS), ignore_errors=True)
            path.unlink()
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
    check_room(path.parent)
    with naming(path), temporary_file(_nearest(path.parent)) as mark:
        drafts = mark.with_suffix(_DRAFTS)
        drafts.mkdir()
        try:
            yield drafts
        finally:
            shutil.rmtree(drafts, ignore_errors=True)


def put_in_place(draft: Path, folder: Path) -> None:
    """Move the files of a folder into another one, which is made, each in one piece."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(draft.iterdir()):
        os.replace(file, folder / file.name)


def move_aside(folder: Path) -> Path:
    """Rename a folder, or a file: a number behind its name that is free; returns the new path."""
    names = (folder.with_name(f"{folder.name}.{number}") for number in count(1))
    aside = next(path for path in names if not os.path.lexists(path))
    folder.rename(aside)
    return aside


@contextmanager
def owned(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Keep other processes that own a folder out of it; it is made, and killed ones let go.

    What killed processes left half-written in it is removed; so is the folder, if it was made here
    and nothing was written to it.

    Args:
        folder: Where this process alone is to write.
        name: Of the file that is locked; one for each kind of content that can lie side by side.

    Raises:
        FolderBusy: If another process works there.
        OSError: If the folder cannot be made, or not be written to.
    """
    lock_file = folder / name
    lock = FileLock(lock_file)
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with naming(lock_file):
            lock.acquire(blocking=False)
    except Timeout:
        raise FolderBusy(
            f"another process works in {folder} at this moment; end it, wait for it, or choose "
            "another folder"
        ) from None
    try:
        remove_temporaries(folder)
        yield
    finally:
        if _POSIX:
            lock_file.unlink(missing_ok=True)
        with suppress(OSError):  # the first that holds something stays, and what is above it
            for path in made:
                path.rmdir()
        lock.release()


def check_room(folder: Path, needed: int = LEAST, what: str = "what is written there") -> None:
    """Fail early where a folder, which need not exist, cannot take what will be written to it.

    A small file is written there, and removed; so is what killed processes left half-written.

    Args:
        folder: Where to write.
        needed: Bytes to come.
        what: They are, for the message.

    Raises:
        OSError: If it is no folder, cannot be written to, or lies on too full a disk.
    """
    there = _nearest(folder)
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file, not a folder; choose another place")
    refused = PermissionError(
        f"{there} cannot be written to (read-only, or another user's); choose another place"
    )
    if not os.access(there, os.W_OK | os.X_OK):
        raise refused
    remove_temporaries(there)
    disk = shutil.disk_usage(there)
    if disk.total == 0:
        raise OSError(f"{there} lies on no disk, and takes no files; choose another place")
    needed = max(needed, LEAST)
    if disk.free < needed:
        raise OSError(
            f"the disk of {there} has {disk.free / 1e6:,.0f} MB free, but the run needs about "
            f"{max(1, needed / 1e6):,.0f} MB for {what}; make room, or choose another place"
        )
    try:
        with naming(there), temporary_file(there) as probe:
            probe.write_bytes(bytes(4096))
    except NotWritten as error:
        raise (error if error.no_room else refused) from error


def check_file(path: Path, needed: int = LEAST) -> None:
    """`check_room` for a file: what stands in its place must be a file that may be replaced.

    Raises:
        OSError: As of `check_room`; or if a folder, a device or a pipe is there.
    """
    if os.path.lexists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise IsADirectoryError(f"{path} is {kind}, and cannot be replaced; choose another name")
    check_room(path.parent, needed)


def check_not_over(output: Path | None, *read: Path | None) -> None:
    """Refuse to write over what is read; nothing is asked where one of them is not there.

    Args:
        output: The file to write.
        read: Files that the same command reads; a link to one is that file.

    Raises:
        ValueError: If the file to write is one of them.
    """
    if output is None or not output.exists():
        return
    for path in read:
        if path is not None and path.exists() and output.samefile(path):
            raise ValueError(
                f"{output} is read here, and would be written over; choose another place"
            )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
