"""Files from the web: addresses tried in order, resumed, checked; whole, or not there at all."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NoReturn

from pose_hrnet.system.inputs import open_input
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import gigabytes
from pose_hrnet.system.transfer import (
    Fault,
    Source,
    announced,
    blocks,
    check_address,
    open_address,
    shown_url,
    transfer,
)

log = logging.getLogger(__name__)

_OFFLINE = "POSE_HRNET_OFFLINE"
_LONGEST = 300.0
"""Seconds that a file may take which is read into memory."""


@dataclass(frozen=True)
class Origin:
    """Where a file came from.

    Attributes:
        url: Its address, without what only one user may know.
        sha256: Of the whole file, in hexadecimal.
    """

    url: str
    sha256: str


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is downloaded inside this block, in this process and those that it starts."""
    before = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = before


def is_offline() -> bool:
    """Whether ``POSE_HRNET_OFFLINE`` forbids downloads; 0, false, no and nothing do not."""
    return os.environ.get(_OFFLINE, "").strip().lower() not in ("", "0", "false", "no", "off")


def read_address(url: str, most: int) -> bytes:
    """A file of the web, in memory; nothing is kept. http is taken, too: no code is in it.

    Args:
        url: Its address.
        most: Bytes that it may have.

    Raises:
        ConnectionError: If it is not given in time, is larger, or downloads are forbidden.
        ValueError: If it is no address that is taken.
    """
    check_address(url, encrypted=False)
    if is_offline():
        raise ConnectionError(
            f"{shown_url(url)} is not opened, because nothing is downloaded (--offline, "
            f"{_OFFLINE}); allow it, or fetch it by other means and give its path"
        )
    began, data = monotonic(), bytearray()
    try:
        with open_address(url, encrypted=False) as response:
            coming = announced(response)
            _check_size(coming or 0, most)
            for block in blocks(response, coming):
                data += block
                _check_size(len(data), most)
                if monotonic() - began > _LONGEST:
                    raise Fault(f"takes longer than {_LONGEST:.0f} s")
        if coming is not None and len(data) < coming:
            raise Fault(f"broke off after {len(data):,} of {coming:,} bytes")
    except Fault as fault:
        raise ConnectionError(
            f"{shown_url(url)} {fault}; check the address, try again later, or fetch it by other "
            "means and give its path"
        ) from None
    return bytes(data)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Fault(f"has {gigabytes(size)} or more, and at most {gigabytes(most)} are read")


def sha256_of(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open_input(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(
    name: str, sources: Sequence[Source], path: Path, *, progress: Progress = SILENT
) -> Origin:
    """Fetch a file from the first address that has it.

    What came of an earlier attempt lies beside it as ``*.part``, or under its name, and is gone on
    with where a hash tells in the end that both belong together. One process at a time; the caller
    sees to it.

    Args:
        name: What it is, for people.
        sources: Tried in this order.
        path: Where to; its folder must exist.
        progress: Draws a bar.

    Returns:
        The address that gave it, and its hash.

    Raises:
        ConnectionError: If no address gives it, or downloads are forbidden.
        OSError: If the disk is full, or the folder cannot be written to.
        ValueError: If a file came that is another one.
    """
    for source in sources:
        check_address(source.url)
    if is_offline():
        raise ConnectionError(
            f"{name} is not on this machine, and nothing is downloaded (--offline, {_OFFLINE}); "
            f"allow it once, or fetch {shown_url(sources[0].url)} elsewhere and give its path"
        )
    parts = [path.with_name(f"{path.name}.{(s.sha256 or 'unknown')[:8]}.part") for s in sources]
    if path.is_file():  # of an earlier attempt that came no further
        os.replace(path, parts[0])
    faults: list[str] = []
    for number, (source, part) in enumerate(zip(sources, parts, strict=True)):
        try:
            digest = _verified(name, source, part, progress)
        except Fault as fault:
            faults.append(f"{shown_url(source.url)} {fault}")
            if number + 1 < len(sources):
                log.warning("%s: %s; trying the next address", name, faults[-1])
            continue
        os.replace(part, path)
        return Origin(shown_url(source.url), digest)
    _give_up(name, faults)


def _give_up(name: str, faults: Sequence[str]) -> NoReturn:
    said = f"{name} could not be downloaded: {'; '.join(faults)}"
    if any("sha256" in fault for fault in faults):
        raise ValueError(
            f"{said}; nothing of it was kept: try again later, or, if you trust that file, give "
            "its address with #sha256= and its whole hash behind it in place of the name"
        )
    raise ConnectionError(
        f"{said}; see to the connection, try again later, or fetch it by other means and give "
        "its path"
    )


def _verified(name: str, source: Source, part: Path, progress: Progress) -> str:
    """Fetch into `part`; its hash. What is of another file is removed."""
    if source.sha256 is None:
        part.unlink(missing_ok=True)  # nothing would tell that what follows belongs to it
    begun = part.is_file()
    if begun and source.sha256 and (digest := sha256_of(part)).startswith(source.sha256):
        return digest
    transfer(name, source, part, progress)
    digest = sha256_of(part)
    if source.sha256 is None or digest.startswith(source.sha256):
        return digest
    part.unlink()
    if begun:  # by an earlier attempt, perhaps from another address
        log.warning("%s: what was there of it does not belong to it; starting again", name)
        return _verified(name, source, part, progress)
    known = source.sha256 if len(source.sha256) == len(digest) else f"{source.sha256}..."
    raise Fault(f"gave a file with the sha256 {digest}, but {known} is published")
