"""What a video is named by -> a source of frames: files, cameras, streams, sequences of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from urllib.request import urlopen

from pose_hrnet.data.web_images import image_suffixes
from pose_hrnet.inference.video.container import ContainerReader, has_pyav
from pose_hrnet.inference.video.frames import (
    EVERYTHING,
    USUAL_RATE,
    Reader,
    Recorded,
    Source,
    VideoError,
    Window,
)
from pose_hrnet.inference.video.images import ImageReader, in_order
from pose_hrnet.inference.video.live import LiveSource
from pose_hrnet.inference.video.opencv import OpenCvReader
from pose_hrnet.system.inputs import check_input, shown_path
from pose_hrnet.system.transfer import address_in, shown_url

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg",
    ".m2v", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".vob", ".h264",
    ".264", ".hevc", ".h265", ".265", ".ivf", ".y4m", ".mjpeg", ".mjpg",
})  # fmt: skip
"""How the names of video files end, in small letters."""

PLAYLISTS = frozenset({".m3u8", ".mpd", ".sdp"})
"""Likewise, of addresses."""
_STREAMS = frozenset({
    "multipart/x-mixed-replace", "application/vnd.apple.mpegurl", "application/x-mpegurl",
    "application/dash+xml",
})  # fmt: skip
"""Content types of streams, beside those of videos."""
_ANSWER_S = 10
_ENDLESS = frozenset({".mjpg", ".mjpeg", ".ts"})
"""Of addresses: streams, however they end."""

Given: TypeAlias = str | int | Path | Sequence[Path]
"""A file, an address, the number of a camera, or images in the order of time."""


def names_video(given: str | Path) -> bool:
    """Whether a word of a command line names a video, a camera or a stream; else an image."""
    text, address = str(given), address_in(given)
    if address is not None:
        suffix = Path(urlsplit(address).path).suffix.lower()
        if not address.startswith(("http:", "https:")) or suffix in VIDEO_SUFFIXES | PLAYLISTS:
            return True
        return suffix not in image_suffixes() and _sends_video(address)
    path = Path(text)
    if path.exists():
        return path.is_char_device() or (
            not path.is_dir() and path.suffix.lower() in VIDEO_SUFFIXES
        )
    is_camera = text.isdecimal() and text.isascii()
    return is_camera or path.suffix.lower() in VIDEO_SUFFIXES or text.startswith("/dev/video")


def _sends_video(address: str) -> bool:
    """Whether what answers says that it sends a video; not, if nothing answers."""
    try:
        with urlopen(address, timeout=_ANSWER_S) as answer:
            kind = str(answer.headers.get_content_type())
    except (OSError, ValueError, HTTPException):
        return False
    return kind.startswith("video/") or kind in _STREAMS


@dataclass(frozen=True)
class Named:
    """What is known of a source before it is opened.

    Attributes:
        place: Number of a camera; path or address; image files in the order of time.
        name: What messages call it, without passwords.
        stem: What files are called that are made of it.
        is_live: Whether it goes on while nobody reads.
    """

    place: int | str | list[Path]
    name: str
    stem: str
    is_live: bool = False


def named(given: Given) -> Named:
    """What a source is called, and whether it can be there; nothing is opened.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFile: If it may not be read, or is no regular file.
        VideoError: If it is empty.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        paths = in_order(given)
        if not paths:
            raise VideoError("a sequence of no images; give at least one")
        folder = paths[0].resolve().parent.name or "images"
        return Named(paths, f"the images in {paths[0].parent}", folder)
    text, path = str(given), Path(str(given))
    if isinstance(given, int) or (text.isdecimal() and not path.exists()):
        number = int(text)
        return Named(number, f"camera {number}", f"camera_{number}", is_live=True)
    if (address := address_in(text)) is not None:
        ends = Path(urlsplit(address).path).suffix.lower() in VIDEO_SUFFIXES - _ENDLESS
        return Named(address, shown_url(address), _stem_of(address), is_live=not ends)
    if path.is_char_device() or (not path.exists() and text.startswith("/dev/")):
        return Named(text, text, path.name, is_live=True)
    check_input(path)
    name = shown_path(path)
    if path.stat().st_size == 0:
        raise VideoError(f"{name} is empty; give a video file")
    return Named(text, name, path.stem)


def open_source(
    given: Given,
    window: Window = EVERYTHING,
    *,
    rate: float | None = None,
    max_latency: float = 1.0,
    patience: float = 30.0,
) -> Source:
    """Open what a video is named by.

    Args:
        given: A video file; an address, which is live unless it ends like a file; the number of a
            camera; or image files.
        window: What of it is taken.
        rate: Frames a second of image files; 25.
        max_latency: Of live sources, seconds: older frames are left out.
        patience: Of live sources, seconds without a frame until they have ended.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFile: If it may not be read, or is no regular file.
        ValueError: If the rate makes no sense.
        VideoError: If it cannot be opened, or holds no video.
    """
    if rate is not None and not 0 < rate <= 1000:
        raise ValueError(f"a rate of {rate:g} frames a second; give one above 0, up to 1000")
    called = named(given)
    name, stem = called.name, called.stem
    if isinstance(called.place, list):
        return Recorded(name, stem, ImageReader(called.place, rate or USUAL_RATE), window)
    if not called.is_live:
        return Recorded(name, stem, _reader(str(called.place), name), window)
    return LiveSource(
        called.place,
        name=name,
        stem=stem,
        window=window,
        max_latency=max_latency,
        patience=patience,
    )


def _reader(place: str, name: str) -> Reader:
    """What decodes a file here, or one behind an address."""
    if not has_pyav():
        return OpenCvReader(place, name)
    return ContainerReader(place if address_in(place) else f"file:{place}", name)


def _stem_of(address: str) -> str:
    """A name for files, of the host and the path."""
    parts = urlsplit(address)
    path = Path(parts.path)
    whole = f"{parts.hostname or 'stream'}{path.with_suffix('')}"
    return re.sub(r"[^\w-]+|_+", "_", whole).strip("_")[:100]
