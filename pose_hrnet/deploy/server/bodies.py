"""The body of a request -> images in memory and their boxes; counted and timed as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pose_hrnet.deploy.server.limits import BodyQuota, Limits, Refused
from pose_hrnet.system.text import counted, gigabytes, one_line, shown

Boxes = list[tuple[float, float, float, float]]
"""Persons of an image: left, top, right, bottom in its pixels."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
"""Media types of a body that is an image; what it really is, its first bytes say."""
MULTIPART = "multipart/form-data"
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Upload:
    """An image of a request.

    Attributes:
        name: File name as the client gave it, for answers alone; None: it gave none.
        data: The file.
        boxes_xyxy: Where its persons are; None: not said.
    """

    name: str | None
    data: bytes
    boxes_xyxy: Boxes | None


async def read_uploads(
    request: Request, boxes: str | None, limits: Limits, quota: BodyQuota
) -> list[Upload]:
    """The images of a request.

    Args:
        request: Whose body was not read yet.
        boxes: JSON of the query.
        limits: Of its body.
        quota: Account of its bytes.

    Raises:
        Refused: If it has none, or more than it may have.
        ClientDisconnect: If the client went away.
    """
    kind = request.headers.get("content-type", IMAGE_TYPES[-1]).partition(";")[0].strip().lower()
    if kind not in (*IMAGE_TYPES, MULTIPART):
        raise Refused(
            415,
            f"the body is said to be {shown(kind)}; send an image with the header "
            f"Content-Type: {', '.join(IMAGE_TYPES)}, or {MULTIPART} with parts named image",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "the body is compressed; send it without Content-Encoding")
    chunks = _counted(request, limits, quota)
    try:
        with anyio.fail_after(limits.body_seconds):
            if kind == MULTIPART:
                return await _of_form(request, chunks, boxes, limits)
            data = b"".join([chunk async for chunk in chunks])
    except TimeoutError:
        raise Refused(
            408,
            f"the body did not come within {limits.body_seconds:g} s; send it faster",
        ) from None
    of_image = _parsed(boxes, Boxes | None, "a list of [left, top, right, bottom], or null")
    return [Upload(None, data, of_image)]


async def _counted(
    request: Request, limits: Limits, quota: BodyQuota
) -> AsyncGenerator[bytes, None]:
    """The body in pieces, as long as it is not too large."""
    most, size = limits.max_body_bytes, 0
    too_large = Refused(413, f"the body has more than {gigabytes(most)}, the most that is taken")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        quota.add(len(chunk))
        yield chunk


class _InMemory(MultiPartParser):
    """Starlette's parser, which else puts files of more than 1 MB on the disk."""

    def __init__(
        self, request: Request, chunks: AsyncGenerator[bytes, None], limits: Limits
    ) -> None:
        super().__init__(request.headers, chunks, max_files=limits.max_images, max_fields=4)
        self.spool_max_size = limits.max_body_bytes + 1
        self.ended = False

    def on_end(self) -> None:
        """Note the last boundary: without it parts are missing."""
        self.ended = True


async def _of_form(
    request: Request, chunks: AsyncGenerator[bytes, None], boxes: str | None, limits: Limits
) -> list[Upload]:
    parser = _InMemory(request, chunks, limits)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"the form cannot be read ({one_line(error.message)})") from None
    if not parser.ended:
        raise Refused(400, "the form breaks off before its last boundary; send all of it")
    files: list[tuple[str | None, bytes]] = []
    for field, value in form.multi_items():
        if isinstance(value, UploadFile) and field == "image":
            files.append(((value.filename or "")[:_LONGEST_NAME] or None, await value.read()))
        elif field == "boxes" and isinstance(value, str):
            if boxes is not None:
                raise Refused(400, "boxes are given twice; give them once")
            boxes = value
        else:
            raise Refused(
                400,
                f"the form has a {'file' if isinstance(value, UploadFile) else 'field'} named "
                f"{shown(field)}; expected files named image, and at most one field boxes",
            )
    await form.close()
    if not files:
        raise Refused(400, "the form has no file named image; send at least one")
    each = _parsed(
        boxes,
        list[Boxes | None] | None,
        "a list with one list of [left, top, right, bottom], or null, for each image",
    )
    if each is not None and len(each) != len(files):
        raise Refused(
            400,
            f"boxes has {counted(len(each), 'list')} for {counted(len(files), 'image')}; give one "
            "for each",
        )
    own = each or [None] * len(files)
    return [Upload(name, data, found) for (name, data), found in zip(files, own, strict=True)]


def _parsed(text: str | None, kind: Any, expected: str) -> Any:
    """What JSON of boxes says.

    Raises:
        Refused: If it is something else.
    """
    if text is None or not text.strip():
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(
            400, f"boxes is not {expected} ({one_line(error, 120)}); write it as JSON"
        ) from None


__all__ = ["IMAGE_TYPES", "MULTIPART", "Boxes", "Upload", "read_uploads"]
