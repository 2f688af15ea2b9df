"""One file from one address: read on where it broke off, checked on the way, given up in time."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pose_hrnet.system.extras import __version__
from pose_hrnet.system.progress import Progress
from pose_hrnet.system.text import one_line, shown

log = logging.getLogger(__name__)

TIMEOUT = 20.0
"""Seconds without an answer, or with fewer than `SLOWEST` bytes in each, that end an attempt."""
SLOWEST = 100
"""Bytes per second below which a server counts as one that hangs."""
ATTEMPTS = 8
"""Of one address, each of which must have brought the file on."""

_BLOCK = 1 << 18
_LONGEST_NAME = 120
"""Characters of a file's name."""
# Also as pathlib shortens it, https:/host.
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/{1,2}(?=[^/])", re.IGNORECASE)
_USER = re.compile(r"^([^/?#]*://)[^/?#]*@")
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


class Fault(Exception):
    """Why one address did not give the file; the next may."""


class _Broken(Fault):
    """The connection ended before the file did."""


class _WrongRange(Fault):
    """The file does not reach as far as the part that was asked for."""


def address_in(text: str | Path) -> str | None:
    """The address that a text is, of any scheme, also when a `Path` was made of it; else None."""
    found = _ADDRESS.match(str(text))
    return None if found is None else f"{found['scheme'].lower()}://{str(text)[found.end() :]}"


def file_name_in(url: str, usual: str) -> str:
    """The name of an address's file, of characters that every disk takes; `usual` if it has none.

    Of a long name the end is kept.
    """
    last = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    return re.sub(r"[^\w.+-]", "_", last).lstrip(".")[-_LONGEST_NAME:] or usual


def check_address(url: str, *, encrypted: bool = True) -> None:
    """Refuse addresses whose file anyone on the way could change, and those with a password.

    Args:
        url: The address.
        encrypted: Whether http of other machines is refused.

    Raises:
        ValueError: If it is none of https, nor of http where that is taken.
    """
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{shown(url)} is no address ({error}); give https://...") from None
    if not host or parts.scheme not in ("http", "https"):
        wanted = "https" if encrypted else "http or https"
        raise ValueError(f"{shown(url)} is no {wanted} address; give https://host/file")
    if secret:
        raise ValueError(
            f"the address of {host} holds a user's name or password, which would be kept; "
            "download the file by other means and give its path"
        )
    if encrypted and parts.scheme == "http" and host not in _THIS_MACHINE:
        raise ValueError(
            f"{shown_url(url)} is not encrypted, so that anyone on the way could change the file; "
            "give https://"
        )


def shown_url(url: str) -> str:
    """An address for people: without user, query and fragment, which may hold what is secret."""
    text = re.split(r"[?#]", _USER.sub(r"\1", url), maxsplit=1)[0]
    return text if text.isprintable() and len(text) <= 300 else shown(text, 300)


def transfer(name: str, source: Source, part: Path, progress: Progress) -> None:
    """Read a file into `part`, behind what is there, for as long as each attempt brings something.

    Args:
        name: What it is, for people.
        source: Its address. Without a hash of its own, nothing may be there.
        part: Where to.
        progress: Draws a bar.

    Raises:
        Fault: If this address does not give it.
        OSError: If it cannot be kept; nothing of it is left then.
    """
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
    """Follows where the way stays as safe as it began; arguments as of `check_address`."""

    def __init__(self, *, encrypted: bool) -> None:
        self.encrypted = encrypted

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        try:
            check_address(newurl, encrypted=self.encrypted)
        except ValueError as error:
            raise Fault(f"leads on to a place that is not taken: {error}") from None
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise Fault(f"leads on to {shown_url(newurl)}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(source: Source, offset: int, validator: str) -> HTTPResponse:
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if source.sha256 is None:
            headers["If-Range"] = validator
    try:
        return open_address(source.url, headers)
    except _WrongRange:  # what is there is as long as the file, or longer
        return _open(source, 0, validator)


def open_address(
    url: str, headers: Mapping[str, str] | None = None, *, encrypted: bool = True
) -> HTTPResponse:
    """Ask for a file; redirects are followed.

    Args:
        url: Its address, which `check_address` takes.
        headers: Of the request, beside the usual ones.
        encrypted: As of `check_address`.

    Raises:
        Fault: If it is not given, or a web page comes in its place.
    """
    usual = {"User-Agent": f"pose_hrnet/{__version__}", "Accept-Encoding": "identity"}
    quoted = quote(url.partition("#")[0], safe="%/:=&?~+!$,;'@()*[]")
    request = Request(quoted, headers={**usual, **(headers or {})})
    try:
        response = build_opener(_Redirects(encrypted=encrypted)).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        said = f"({error.code} {one_line(error.reason, 100)})"
        error.close()
        if error.code == 416 and headers:
            raise _WrongRange(f"has no such part {said}") from None
        reason = "has no such file" if error.code in (404, 410) else "refused to give the file"
        raise Fault(f"{reason} {said}") from None
    except (OSError, HTTPException, UnicodeError) as error:
        raise Fault(f"could not be reached ({_reason(error)})") from None
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml"):
        response.close()
        raise Fault("answered with a web page, not with a file")
    assert isinstance(response, HTTPResponse)
    return response


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    said = error.strerror if isinstance(error, OSError) else None
    return one_line(said or error)


def _append(name: str, response: HTTPResponse, part: Path, progress: Progress) -> None:
    """Write an answer behind what is there, or in its place where the answer is the whole."""
    found = re.fullmatch(
        r"bytes (\d{1,18})-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    offset = int(found[1]) if response.status == 206 and found else 0
    if response.status == 206 and offset != _size(part):
        part.unlink(missing_ok=True)
        raise Fault("answered with another part of the file than was asked for")
    coming = announced(response)
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
            for block in blocks(response, coming):
                file.write(block)
                done += len(block)
                bar.advance_to(round(done / 1e6))
            file.flush()
            os.fsync(file.fileno())
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


def announced(response: HTTPResponse) -> int | None:
    """How many bytes an answer says that it has; None: it does not say it."""
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def blocks(response: HTTPResponse, coming: int | None) -> Iterator[bytes]:
    """What arrives, until the announced bytes or the end.

    Raises:
        Fault: If the connection breaks, or next to nothing comes for `TIMEOUT`.
    """
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
                raise Fault(f"gave only {lately} bytes in {TIMEOUT:.0f} s")
            since, lately = monotonic(), 0
