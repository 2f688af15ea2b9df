"""Video files by OpenCV, where PyAV is not installed: the same frames and times, without sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from pose_hrnet.inference.video.frames import FASTEST_RATE, USUAL_RATE, Decoded, Facts, VideoError
from pose_hrnet.keypoints.records import Image

ADVICE = "pip install 'pose-hrnet[video]' reads more of what is damaged, and says why"

COUNTED = (".mp4", ".mov", ".m4v", ".3gp", ".avi")
"""Of files that state how many frames they have; of others OpenCV makes it of their length."""


class OpenCvReader:
    """Decodes a video file.

    Args:
        address: Path or address.
        name: What errors call it.

    Raises:
        VideoError: If it cannot be opened.
    """

    def __init__(self, address: str, name: str) -> None:
        with quiet():
            self._capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise VideoError(
                f"{name} cannot be opened as a video by OpenCV: it is none, it is damaged, or "
                f"its codec is not known ({ADVICE})"
            )
        self.notes: list[str] = []
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        known = 0 < frames < 1e9 and 0 < rate <= FASTEST_RATE
        self._counts = known and Path(address).suffix.lower() in COUNTED
        rate = rate if known else USUAL_RATE
        self.facts = Facts(int(frames) if known else None, rate, frames / rate if known else None)

    def __iter__(self) -> Iterator[Decoded]:
        read, last_s, silent = 0, 0.0, 0
        with quiet():
            while self._capture.grab():
                time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                silent = silent + 1 if read and time_s == 0 else 0
                yield (None if silent else time_s), self._pixels()
                read, last_s = read + 1, time_s
        stated = self.facts.frames or 0
        if self._counts and stated - read > max(1, 0.02 * stated):
            self.notes.append(
                f"it is cut off or damaged: {read} of about {stated} frames could be read, up to "
                f"{last_s:.2f} s ({ADVICE})"
            )

    def _pixels(self) -> Callable[[], Image]:
        """What gives the pixels of the frame, as long as it is the last one."""

        def pixels() -> Image:
            read, image = self._capture.retrieve()
            if not read:
                raise VideoError("OpenCV cannot give its pixels")
            return rgb(image)

        return pixels

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def rgb(image: Any) -> Image:
    """``(H, W, 3)`` RGB of what OpenCV captured, grey or with blue first."""
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    converted: Image = cv2.cvtColor(image, code)
    return converted


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of OpenCV and FFmpeg: what is wrong is said in a sentence."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # looked at with the first video
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
