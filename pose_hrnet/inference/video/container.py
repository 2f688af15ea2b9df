"""Video files by PyAV, whose times are those that the container states.

PyAV (BSD-3-Clause) is Python's binding of FFmpeg's libraries: https://pyav.basswood.io.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from pose_hrnet.inference.video.frames import (
    FASTEST_RATE,
    USUAL_RATE,
    Decoded,
    Facts,
    VideoError,
    Window,
)
from pose_hrnet.inference.video.sound import Sound
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.text import clock_seconds, counted, one_line

MICROSECONDS = 1e6
"""In a second: the clock of PyAV's containers."""


def has_pyav() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


class ContainerReader:
    """Decodes a video file, or one behind an address.

    Damaged parts are passed over and counted; a file that ends early gives what it has. Turned
    and mirrored video, as telephones record it, comes upright.

    Args:
        address: Path with ``file:`` in front, or an address.
        name: What errors call it.

    Raises:
        VideoError: If it cannot be opened, has no video, or its codec is not known.
    """

    def __init__(self, address: str, name: str) -> None:
        self._av = import_extra("av", "video")
        self._address = address
        try:
            self._container = self._opened()
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{name} cannot be opened as a video ({_reason(error)})") from None
        try:
            self._stream = self._chosen(name)
        except VideoError:
            self._container.close()
            raise
        self.notes: list[str] = []
        self._start_s = self._start()
        self.facts = self._facts()

    def _opened(self) -> Any:
        # A playlist in a file must not send this program to other places.
        local = self._address.startswith("file:")
        options = {"protocol_whitelist": "file"} if local else {}
        return self._av.open(self._address, options=options, metadata_errors="replace")

    def _chosen(self, name: str) -> Any:
        """The stream of pictures that is meant to be watched."""
        streams = [s for s in self._container.streams.video if not _is_cover(s)]
        if not streams:
            others = sorted({str(stream.type) for stream in self._container.streams})
            has = f"only {' and '.join(others)}" if others else "nothing that can be played"
            raise VideoError(f"{name} holds no video, {has}; give a video file")
        best = self._container.streams.best("video")
        stream = best if best in streams else streams[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(
                f"{name}: this FFmpeg has no decoder for its video; convert it to H.264 first"
            )
        try:
            stream.thread_type = "AUTO"
            context.open(strict=False)
        except (self._av.FFmpegError, ValueError) as error:
            raise VideoError(
                f"{name}: its video, {context.name}, cannot be decoded here ({_reason(error)}); "
                "convert it to H.264 first"
            ) from None
        return stream

    def _start(self) -> float:
        """When the container begins, seconds: some clocks have no zero of their own."""
        stream, whole = self._stream, self._container.start_time
        start = 0.0 if whole is None else whole / MICROSECONDS
        if stream.start_time is not None and stream.time_base:
            own = float(stream.start_time * stream.time_base)
            start = own if abs(own - start) < 1e-3 or whole is None else start  # not rounded
        return start

    def _facts(self) -> Facts:
        stream, duration = self._stream, self._container.duration
        rate = stream.average_rate or stream.guessed_rate
        usual = float(rate) if rate and 0 < rate <= FASTEST_RATE else None
        lasts = duration / MICROSECONDS if duration and duration > 0 else None
        frames = stream.frames if stream.frames > 1 else None
        if frames is None and usual and lasts:
            frames = round(lasts * usual)
        aspect = stream.sample_aspect_ratio
        shape = (aspect.numerator, aspect.denominator) if aspect else (1, 1)
        return Facts(frames or None, usual or USUAL_RATE, lasts, shape)

    def __iter__(self) -> Iterator[Decoded]:
        read, last_s, lost, end_s = 0, 0.0, 0, 0.0
        damaged: list[float] = []
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.pts is not None and packet.time_base:
                    length = (packet.duration or 0) * packet.time_base
                    end_s = max(end_s, float(packet.pts * packet.time_base + length))
                frames = packet.decode()
            except self._av.FFmpegError as error:
                if isinstance(error, self._av.EOFError):
                    break
                lost += 1
                if lost == 1:
                    at = f" behind {last_s:.2f} s" if read else ""
                    self.notes.append(f"a part of it cannot be decoded{at} ({_reason(error)})")
                if lost > 10_000:  # nothing of it can be read any more
                    break
                continue
            for frame in frames:
                said = None
                if frame.pts is not None and frame.time_base:
                    said = last_s = float(frame.pts * frame.time_base) - self._start_s
                if frame.is_corrupt:
                    damaged.append(last_s)
                read += 1
                yield said, partial(_upright, frame)
        if lost > 1:
            self.notes[-1] += f", and {counted(lost - 1, 'part')} more"
        if damaged:
            self.notes.append(
                f"{counted(len(damaged), 'frame')} damaged, the first at {damaged[0]:.2f} s"
            )
        self._note_missing(read, last_s, max(last_s, end_s))

    def _note_missing(self, read: int, last_s: float, end_s: float) -> None:
        """Note that the video ends before it should, if it does."""
        stated, whole = self._stream.frames, self._whole_s()
        if whole is None or (stated and read >= stated):
            return
        usual = last_s / (read - 1) if read > 1 else 1 / self.facts.rate
        if whole - end_s > 1.5 * usual:
            of = f" of {stated}" if stated else ""
            self.notes.append(
                f"it is cut off or damaged: {read}{of} frames could be read, up to {last_s:.2f} s "
                f"of {whole:.2f} s"
            )

    def _whole_s(self) -> float | None:
        """How long the video is by its header; None where that does not say it."""
        stream, container = self._stream, self._container
        lengths = [] if container.duration is None else [container.duration / MICROSECONDS]
        if stream.duration is not None and stream.time_base:
            lengths.append(float(stream.duration * stream.time_base))
        elif said := clock_seconds(stream.metadata.get("DURATION", "")):  # Matroska's
            lengths.append(said)
        elif len(container.streams) > 1:
            return None  # another stream may be the longest one
        return min(lengths, default=None)

    def sound(self, window: Window) -> Sound | None:
        """The sound of a part of it; None if it has none."""
        if not self._container.streams.audio:
            return None
        return Sound(self._opened(), window, self._start_s)

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()


def _is_cover(stream: Any) -> bool:
    """Whether it is the picture of a record."""
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(disposition).lower()


def _reason(error: Exception) -> str:
    """What FFmpeg says of an error, without its number and the name of the file."""
    return one_line(getattr(error, "strerror", None) or error, 120)


def _upright(frame: Any) -> Image:
    """``(H, W, 3)`` RGB of a decoded frame, turned as its container says."""
    image: Image = frame.to_ndarray(format="rgb24")
    for data in frame.side_data:
        if "DISPLAYMATRIX" in str(data.type):
            numbers = struct.unpack("=9i", bytes(memoryview(data))[:36])
            return turned(image, (numbers[0], numbers[1], numbers[3], numbers[4]))
    return image


def turned(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """An image as a display matrix shows it, by quarter turns and mirrors.

    Args:
        image: ``(H, W, 3)``.
        matrix: a, b, c, d of QuickTime's, by which x' = a x + c y and y' = b x + d y.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):  # the sides stay
        seen = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    else:
        across = image.transpose(1, 0, 2)
        seen = across[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return np.ascontiguousarray(seen)
