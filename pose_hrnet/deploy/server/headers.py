"""What the bytes of an image say of themselves, before a pixel is decoded: three formats, limits.

Pillow reads the parts of a file one by one in Python. Of a file with millions of them, which no
program writes, that alone would take longer than its pixels: they are counted before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import PIL.Image

from pose_hrnet.data.images import ImageError, has_alpha, open_image, orientation_of
from pose_hrnet.deploy.server.limits import Limits, Refused

FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""What is decoded for clients; MPO is what some cameras and telephones call their JPEGs."""
MOST_SCANS = 100
"""Of a progressive JPEG, which has ten or so: each costs as much as an image."""
MOST_PARTS = 20_000
"""Segments in front of a JPEG's pixels, or chunks of a PNG."""

_JPEG, _PNG, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"
ENDINGS = {_JPEG: ".jpg", _PNG: ".png", _WEBP: ".webp"}
"""Of the names of files, by their first bytes."""
_JPEG_BYTES, _PROGRESSIVE_BYTES, _TURNED_BYTES, _MPO_BYTES = 5, 11, 16, 5
"""Bytes a pixel at the peak of decoding a JPEG: upright, in scans, turned; more of an MPO.
Measured on noise, and a tenth more, as are the others."""
_PILLOW_BYTES = {"JPEG": (24, 24), "MPO": (24, 24), "PNG": (23, 32), "WEBP": (36, 43)}
"""Of what Pillow decodes, without and with alpha, turned: some say that behind their pixels."""
_DRAWN_BYTES = 14
"""Of drawing on a picture."""
_SCAN = b"\xff\xda"
_FILL = re.compile(rb"[^\xff]*\xff*")
"""What may stand in front of the code of a marker."""
_LONE_MARKERS = {0x00, 0x01, *range(0xD0, 0xD9)}
"""Behind which no length stands."""
_LAST_MARKERS = {0xD9, 0xDA}
"""The end, and the first scan."""


def check_header(name: str, data: bytes, limits: Limits, drawn: bool = False) -> int:
    """What an image says of itself.

    Args:
        name: Names it in errors.
        data: The file.
        limits: Of pixels.
        drawn: Whether poses are drawn on it.

    Returns:
        Bytes of memory that decoding, or drawing, takes at most.

    Raises:
        Refused: If it is none, of another format, too large, an animation, or made to be slow.
    """
    if not data:
        raise Refused(400, f"image {name} is empty (zero bytes); send the bytes of an image file")
    _check_parts(name, data)
    try:
        _, image = open_image(name, data, FORMATS)
        frames = int(getattr(image, "n_frames", 1))
    except ImageError as error:
        other = error.fault == "not an image" and not data.startswith(tuple(ENDINGS))
        status = 415 if other else 413 if error.fault == "unreadable" else 422
        raise Refused(status, str(error)) from None
    except Exception:  # Pillow counts frames by reading on
        raise Refused(422, f"image {name} is damaged; fetch or write it again") from None
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise Refused(
            413,
            f"image {name} has {image.width:,} x {image.height:,} pixels, and at most "
            f"{limits.max_pixels:,} are taken here; scale it down",
        )
    if frames > 1 and image.format in ("PNG", "WEBP"):
        raise Refused(
            422, f"image {name} is an animation of {frames:,} frames; send its frames one by one"
        )
    return pixels * max(_bytes_of(image), _DRAWN_BYTES if drawn else 0)


def _bytes_of(image: PIL.Image.Image) -> int:
    """A pixel, at the peak of decoding."""
    kind = image.format or ""
    if kind not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return _PILLOW_BYTES[kind][has_alpha(image)]
    progressive, turned = "progressive" in image.info, orientation_of(image) != 1
    own = max(_JPEG_BYTES, progressive * _PROGRESSIVE_BYTES, turned * _TURNED_BYTES)
    return own + (kind == "MPO") * _MPO_BYTES


def _check_parts(name: str, data: bytes) -> None:
    """Refuse files of more parts than any program writes."""
    if data.startswith(_JPEG) and (scans := data.count(_SCAN)) > MOST_SCANS:
        raise Refused(
            422,
            f"image {name} is a JPEG in {scans:,} scans, and at most {MOST_SCANS} are decoded "
            "here; write it again",
        )
    parts = _segments(data) if data.startswith(_JPEG) else _chunks(data)
    if any(count > MOST_PARTS for count in parts):
        raise Refused(
            422,
            f"image {name} is of more than {MOST_PARTS:,} parts, which only harmful or damaged "
            "files are; write it again",
        )


def _segments(data: bytes) -> Iterator[int]:
    """Segments of a JPEG in front of its first scan, and bytes between them, so far."""
    at, count = 2, 0
    while at + 1 < len(data):
        found = _FILL.match(data, at)
        code = found.end() if found else len(data)
        count += max(1, code - at - 1)
        yield count
        if code >= len(data) or data[code] in _LAST_MARKERS:
            return
        length = (
            0 if data[code] in _LONE_MARKERS else int.from_bytes(data[code + 1 : code + 3], "big")
        )
        at = code + 1 + length


def _chunks(data: bytes) -> Iterator[int]:
    """Chunks of a PNG so far; nothing of another file."""
    at, count = len(_PNG), 0
    while data.startswith(_PNG) and at + 8 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        count += 1
        yield count


__all__ = ["ENDINGS", "FORMATS", "MOST_PARTS", "MOST_SCANS", "check_header"]
