"""Frames -> a video file: H.264 in MP4 by PyAV, or WebM by OpenCV where that is not installed.

MP4 is written in fragments, and joined when it is finished: what was written plays, whatever
becomes of the program or the disk.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from pose_hrnet.inference.video.container import has_pyav
from pose_hrnet.inference.video.frames import Facts
from pose_hrnet.inference.video.sound import Sound
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.folders import naming
from pose_hrnet.system.text import one_line

TICKS = 90_000
"""Of the clock of the file, in a second: 0.01 ms."""
KEY_FRAMES_S = 2
"""Seconds between two places that a player can jump to."""
PIECE = "500000"
"""Microseconds that are written together; as much is lost with the program, or on a full disk."""
ENCODERS = {
    "libx264": {
        "preset": "superfast",
        "tune": "fastdecode",
        "crf": "21",
        "bf": "0",
        "rc-lookahead": "0",
    },
    "libopenh264": {},
    "h264_videotoolbox": {},
    "mpeg4": {"q": "4"},
}
"""Encoders and their options, the first that this FFmpeg has; no frame waits for later ones."""


class VideoWriter(Protocol):
    """A video file that is being written.

    Attributes:
        path: The file.
    """

    path: Path

    def add(self, image: Image, time_s: float) -> None:
        """Write the next frame.

        Args:
            image: ``(H, W, 3)`` RGB; of another size than the first, it is fitted into that.
            time_s: Seconds since the beginning of the file, later than that of the last one.

        Raises:
            NotWritten: If the disk is full or broken; what was written before plays.
        """

    def finish(self) -> None:
        """Write what is still to be written."""


def suffix() -> str:
    """How the names of recordings end here."""
    return ".mp4" if has_pyav() else ".webm"


def open_writer(path: Path, facts: Facts, sound: Sound | None = None) -> VideoWriter:
    """A new video file; it is made with its first frame.

    Args:
        path: Of it, ending with `suffix`.
        facts: Of the source: its rate and the shape of its pixels.
        sound: That goes with it; PyAV writes it.
    """
    return _ContainerWriter(path, facts, sound) if has_pyav() else _OpenCvWriter(path, facts)


class _File(io.FileIO):
    """A file that takes all that is written to it, or says why not."""

    def write(self, content: Any) -> int:
        view = memoryview(content)
        done = 0
        while done < len(view):
            done += super().write(view[done:]) or 0
        return done


class _ContainerWriter:
    """By PyAV: each frame at its own time, and the sound of the source."""

    def __init__(self, path: Path, facts: Facts, sound: Sound | None) -> None:
        self.path, self._facts, self._sound = path, facts, sound
        self._av = import_extra("av", "video")
        self._size_wh = (0, 0)
        self._container: Any = None
        self._last = -1
        self._broken = False
        self._open = ExitStack()
        if sound is not None:
            self._open.callback(sound.close)

    @contextmanager
    def _saying(self) -> Iterator[None]:
        """Errors in the block name the file, also those that are FFmpeg's alone."""
        with naming(self.path):
            try:
                yield
            except self._av.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                raise ValueError(
                    f"{self.path}: FFmpeg cannot encode the video ({one_line(error, 120)})"
                ) from None

    def add(self, image: Image, time_s: float) -> None:
        with self._saying():
            try:
                self._add(image, time_s)
            except BaseException:
                self._broken = True
                raise

    def _add(self, image: Image, time_s: float) -> None:
        if self._container is None:
            self._begin(image)
        # OpenCV does it in a tenth of the time that FFmpeg's scaler takes.
        planes = cv2.cvtColor(fitted(image, self._size_wh), cv2.COLOR_RGB2YUV_I420)
        frame = self._av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last = max(round(time_s * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.copy_until(time_s)

    def _begin(self, image: Image) -> None:
        height, width = image.shape[:2]
        self._size_wh = (width + width % 2, height + height % 2)
        file = self._open.enter_context(_File(self.path, "x+"))
        options = {
            "movflags": "hybrid_fragmented",
            "use_editlist": "1",
            "frag_duration": PIECE,
            "flush_packets": "1",
        }
        self._container = self._av.open(file, "w", format="mp4", container_options=options)
        self._open.callback(self._container.close)
        rate = Fraction(self._facts.rate).limit_denominator(1001)
        name = next(name for name in ENCODERS if _has_encoder(self._av, name))
        keys = {"g": str(max(1, round(KEY_FRAMES_S * rate)))}
        self._stream = self._container.add_stream(name, rate=rate, options=ENCODERS[name] | keys)
        self._stream.width, self._stream.height = self._size_wh
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.sample_aspect_ratio = Fraction(*self._facts.pixel_aspect)
        context.colorspace = context.color_primaries = context.color_trc = 6  # BT.601, as OpenCV
        context.color_range = 1  # as televisions have it
        if self._sound is not None:
            self._sound.add_to(self._container)

    def finish(self) -> None:
        with self._saying(), self._open:
            # FFmpeg crashes on a file whose beginning failed.
            if self._container is not None and not self._broken:
                self._container.mux(self._stream.encode(None))
                if self._sound is not None:
                    self._sound.copy_until(None)


def _has_encoder(av: Any, name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:
        return False
    return True


class _OpenCvWriter:
    """By OpenCV: VP9, without sound, at the average rate of the source."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self.path, self._facts = path, facts
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)

    def add(self, image: Image, time_s: float) -> None:
        with naming(self.path):
            if self._writer is None:
                self.path.touch(exist_ok=False)
                height, width = image.shape[:2]
                self._size_wh = (width + width % 2, height + height % 2)
                self._writer = self._opened()
            frame = cv2.cvtColor(fitted(image, self._size_wh), cv2.COLOR_RGB2BGR)
            self._writer.write(frame)

    def _opened(self) -> cv2.VideoWriter:
        for name in ("VP90", "VP80"):
            code = cv2.VideoWriter.fourcc(*name)
            try:
                writer = cv2.VideoWriter(
                    str(self.path), cv2.CAP_FFMPEG, code, self._facts.rate, self._size_wh
                )
            except cv2.error as error:
                raise ValueError(
                    f"{self.path}: OpenCV cannot encode a video ({one_line(error)})"
                ) from None
            if writer.isOpened():
                return writer
        self.path.unlink(missing_ok=True)
        raise ValueError(
            f"{self.path}: this OpenCV encodes no VP8 and no VP9; pip install 'pose-hrnet[video]'"
        )

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.release()


def fitted(image: Image, size_wh: tuple[int, int]) -> Image:
    """An image in a frame of that size; smaller by a pixel, its edge is drawn out.

    Args:
        image: ``(H, W, 3)``.
        size_wh: Width and height.
    """
    width, height = size_wh
    more_x, more_y = width - image.shape[1], height - image.shape[0]
    if more_x == more_y == 0:
        return image
    if more_x in (0, 1) and more_y in (0, 1):
        return np.pad(image, ((0, more_y), (0, more_x), (0, 0)), mode="edge")
    factor = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, int(image.shape[1] * factor)), max(1, int(image.shape[0] * factor)))
    placed: Image = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    placed[top : top + size[1], left : left + size[0]] = cv2.resize(image, size)
    return placed
