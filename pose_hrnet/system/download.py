"""Files from the web: addresses tried in order, resumed, checked; whole, or not there at all."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pose_hrnet.system.extras import __version__
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import one_line, shown

log = logging.getLogger(__name__)

TIMEOUT = 20.0
"""Seconds without an answer, or with fewer than `SLOWEST` bytes in each, that end an attempt."""
SLOWEST = 100
"""Bytes per second below which a server counts as one that hangs."""
ATTEMPTS = 8
"""Of one address, each of which must have brought the file on."""

_OFFLINE = "POSE_HRNET_OFFLINE"
_BLOCK = 1 << 18
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Source:
    """Where a file can be had.

    Attributes:
        url: Its address: https, or http of this machine.
        sha256: In hexadecimal, or its first digits; None: not known.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where a file came from.

    Attributes:
        url: Its address, without what only one user may know.
        sha256: Of the whole file, in hexadecimal.
    """

    url: str
    sha256: str


class _Fault(Exception):
    """Why one address did not give the file; the next may."""


class _Broken(_Fault):
    """The connection ended before the file did."""


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


def sha256_of(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_address(url: str) -> None:
    """Refuse addresses whose file anyone on the way could change, and those with a password.

    Raises:
        ValueError: If it is none of https, nor of http on this machine.
    """
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{shown(url)} is no address ({error}); give https://...") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown(url)} is no https address; give https://host/file")
    if secret:
        raise ValueError(
            f"the address of {host} holds a user's name or password, which would be kept; "
            "download the file by other means and give its path"
        )
    if parts.scheme == "http" and host not in _THIS_MACHINE:
        raise ValueError(
            f"{shown_url(url)} is not encrypted, so that anyone on the way could change the file; "
            "give https://"
        )


def shown_url(url: str) -> str:
    """An address for people: without query and fragment, which may hold what is secret."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    text = f"{place}{parts.path}"
    return text if text.isprintable() and len(text) <= 300 else shown(text, 300)


def download(
    name: str, sources: Sequence[Source], path: Path, *, progress: Progress = SILENT
) -> Origin:
    """Fetch a file from the first address that has it.

    What came of an earlier attempt lies beside it as ``*.part``, and is gone on with where a hash
    tells in the end that both belong together. One process at a time; the caller sees to it.

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
    faults: list[str] = []
    for number, source in enumerate(sources):
        part = path.with_name(f"{path.name}.{(source.sha256 or 'unknown')[:8]}.part")
        try:
            digest = _verified(name, source, part, progress)
        except _Fault as fault:
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
    _fetch_whole(name, source, part, progress)
    digest = sha256_of(part)
    if source.sha256 is None or digest.startswith(source.sha256):
        return digest
    part.unlink()
    if begun:  # by an earlier attempt, perhaps from another address
        log.warning("%s: what was there of it does not belong to it; starting again", name)
        return _verified(name, source, part, progress)
    known = source.sha256 if len(source.sha256) == len(digest) else f"{source.sha256}..."
    raise _Fault(f"gave a file with the sha256 {digest}, but {known} is published")


def _fetch_whole(name: str, source: Source, part: Path, progress: Progress) -> None:
    """Read on for as long as each attempt brings something."""
    validator = ""
    for attempt in range(ATTEMPTS):
        before = _size(part)
        try:
            with _open(source, before if attempt == 0 or _resumable(source, validator) else 0,
                       validator) as response:  # fmt: skip
                validator = _validator(response.headers)
                _append(name, response, part, progress)
            return
        except _Broken as broken:
            if _size(part) <= before or attempt + 1 == ATTEMPTS:
                raise
            log.info("%s: the connection broke (%s); going on", name, broken)


def _resumable(source: Source, validator: str) -> bool:
    return source.sha256 is not None or bool(validator)


def _validator(headers: Message) -> str:
    """What tells that a file is still the same one, as ``If-Range`` takes it."""
    tag = headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified") or ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class _Redirects(HTTPRedirectHandler):
    """Follows where the way stays as safe as it began."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        try:
            check_address(newurl)
        except ValueError as error:
            raise _Fault(f"leads on to a place that is not taken: {error}") from None
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise _Fault(f"leads on to {shown_url(newurl)}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(source: Source, offset: int, validator: str) -> HTTPResponse:
    headers = {"User-Agent": f"pose_hrnet/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if source.sha256 is None:
            headers["If-Range"] = validator
    url = quote(source.url.partition("#")[0], safe="%/:=&?~+!$,;'@()*[]")
    try:
        response = build_opener(_Redirects).open(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and offset:  # what is there is as long as the file, or longer
            error.close()
            return _open(source, 0, validator)
        reason = "has no such file" if error.code in (404, 410) else "refused to give the file"
        error.close()
        raise _Fault(f"{reason} ({error.code} {error.reason})") from None
    except (OSError, HTTPException, UnicodeError) as error:
        raise _Fault(f"could not be reached ({_reason(error)})") from None
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml"):
        response.close()
        raise _Fault("answered with a web page, not with a file")
    assert isinstance(response, HTTPResponse)
    return response


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    return one_line(error)


def _append(name: str, response: HTTPResponse, part: Path, progress: Progress) -> None:
    """Write an answer behind what is there, or in its place where the answer is the whole."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    offset = int(found[1]) if response.status == 206 and found else 0
    if response.status == 206 and offset != _size(part):
        part.unlink(missing_ok=True)
        raise _Fault("answered with another part of the file than was asked for")
    length = response.headers.get("Content-Length", "")
    coming = int(length) if length.isdecimal() else None
    total = 0 if coming is None else offset + coming
    free = shutil.disk_usage(part.parent).free
    if coming is not None and coming > free:
        _disk_full(name, part, f"has {free / 1e6:,.0f} MB free of the {coming / 1e6:,.0f} needed")
    log.info(
        "%s: downloading %s from %s", name,
        f"{total / 1e6:,.1f} MB" if total else "a file", urlsplit(response.url).hostname,
    )  # fmt: skip
    done = offset
    try:
        with part.open("ab" if offset else "wb") as file, progress.task(
            name, max(1, round(total / 1e6)), "MB"
        ) as bar:  # fmt: skip
            for block in _blocks(response, coming):
                file.write(block)
                done += len(block)
                bar.advance_to(round(done / 1e6))
    except OSError as error:
        _disk_full(name, part, f"takes no more ({error.strerror or one_line(error)})")
    if total and done != total:
        raise _Broken(f"ended after {done:,} of {total:,} bytes")


def _disk_full(name: str, part: Path, what: str) -> NoReturn:
    part.unlink(missing_ok=True)
    raise OSError(
        f"{name} could not be kept: the disk of {part.parent} {what}; nothing of it was left "
        "there: make room, or set POSE_HRNET_CACHE to a folder on another disk"
    )


def _blocks(response: HTTPResponse, coming: int | None) -> Iterator[bytes]:
    """What arrives, until the announced bytes or the end."""
    since, lately = monotonic(), 0
    while coming is None or coming > 0:
        try:
            block = response.read1(_BLOCK if coming is None else min(_BLOCK, coming))
        except (OSError, HTTPException) as error:
            raise _Broken(f"broke off ({_reason(error)})") from None
        if not block:
            return
        yield block
        coming = None if coming is None else coming - len(block)
        lately += len(block)
        if monotonic() - since > TIMEOUT:
            if lately < SLOWEST * TIMEOUT:
                raise _Fault(f"gave only {lately} bytes in {TIMEOUT:.0f} s")
            since, lately = monotonic(), 0
