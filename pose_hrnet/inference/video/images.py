"""A sequence of images as a video: one frame a file, at a rate that is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pose_hrnet.data.images import read_rgb
from pose_hrnet.inference.video.frames import Decoded, Facts


class ImageReader:
    """Reads image files as frames.

    Args:
        paths: In the order of time, as `in_order` sorts them.
        rate: Frames a second.
    """

    def __init__(self, paths: Sequence[Path], rate: float) -> None:
        self.paths, self.rate = list(paths), rate
        self.facts = Facts(len(self.paths), rate, len(self.paths) / rate)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Decoded]:
        for index, path in enumerate(self.paths):
            yield index / self.rate, partial(read_rgb, path)

    def close(self) -> None:
        """Nothing is open."""


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Files by the numbers in their names: ``frame_2.png`` before ``frame_10.png``."""
    return sorted(paths, key=lambda path: [_part(p) for p in re.split(r"(\d+)", path.name)])


def _part(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)
