"""Small videos whose frames say which they are: a bright bar that moves on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

TICKS = 90_000
CODECS = {
    ".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".ts": "libx264", ".m4v": "libx264",
    ".webm": "libvpx-vp9", ".avi": "mjpeg", ".flv": "libx264", ".mpg": "mpeg2video",
    ".3gp": "libx264", ".wmv": "wmv2", ".h264": "libx264",
}  # fmt: skip


def picture(number: int, size_wh: tuple[int, int] = (64, 48)) -> np.ndarray:
    """``(H, W, 3)`` dark, with a bright bar that tells the number, up to 14."""
    width, height = size_wh
    image = np.full((height, width, 3), 30, np.uint8)
    left = 4 * number % width
    image[:, left : left + 4] = (220, 200, 180)
    return image


def number_of(image: np.ndarray) -> int:
    """The number that `picture` wrote into an image."""
    return int(np.argmax(image.astype(int).sum(axis=(0, 2)))) // 4


def write_video(
    path: Path,
    times: Sequence[float],
    size_wh: tuple[int, int] = (64, 48),
    *,
    codec: str | None = None,
    rate: Fraction | None = None,
    audio_s: float = 0.0,
    sound: str = "aac",
    options: dict[str, str] | None = None,
) -> Path:
    """A video by PyAV.

    Args:
        path: By whose suffix container and codec are chosen.
        times: Of the frames, seconds.
        size_wh: Of the frames.
        codec: Another one.
        rate: Ticks of the clock in a second, where the container has its own.
        audio_s: Seconds of sound.
        sound: Its codec.
        options: Of the container.
    """
    import av

    codec = codec or CODECS[path.suffix]
    tick = 1 / (rate or Fraction(TICKS))
    with av.open(str(path), "w", options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate or 30)
        stream.width, stream.height = size_wh
        stream.pix_fmt = {"mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        if size_wh[0] % 2 or size_wh[1] % 2:
            stream.pix_fmt = "yuv444p"
        stream.codec_context.time_base = Fraction(tick)
        tone = file.add_stream(sound, rate=44_100, layout="mono") if audio_s else None
        for number, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size_wh), format="rgb24")
            frame.pts, frame.time_base = round(time_s / tick), Fraction(tick)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone is not None:
            for start in range(0, int(audio_s * 44_100), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 44_100, start
                file.mux(tone.encode(frame))
            file.mux(tone.encode(None))
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix a, b, c, d into the track header of an MP4, as telephones do."""
    content = bytearray(path.read_bytes())
    start = content.find(b"tkhd") + 4
    at = start + (40 if content[start] == 0 else 52)
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def times_of(path: Path) -> list[float]:
    """The time of each frame, as PyAV reads it."""
    import av

    with av.open(str(path)) as file:
        return [float(f.pts * f.time_base) for f in file.decode(video=0)]
