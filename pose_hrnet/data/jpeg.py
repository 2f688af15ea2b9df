"""Fast JPEG decoding, as coarse as the crops allow.

A coarse picture has its own pixel frame, ``_picture``, beside ``_image``: reduced by s, a pixel
covers s x s pixels of the image (see `pose_hrnet.keypoints.geometry.resampled`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pose_hrnet.data.images import (
    MOST_PIXELS,
    ExactDecoder,
    decode_rgb,
    exif_orientation,
    orientation_to_apply,
    tells_damage,
    too_large,
)
from pose_hrnet.data.pictures import Picture, PictureDecoder
from pose_hrnet.keypoints.geometry import compose, resampled
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.choices import Decode

REDUCTIONS = (8, 4, 2)
"""Factors by which JPEG decoding can reduce at a gain, with small inverse DCTs (libjpeg)."""

_APP1, _START_OF_SCAN = 0xE1, 0xDA
# Upright to stored directions, by EXIF orientation (CIPA DC-008, 4.6.4 A): a row gives stored x or
# y in terms of upright (x, y); where its sign is negative it counts from the far side.
_STORED_DIRECTIONS: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, 1), (-1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, -1), (1, 0)),
}


def is_damaged(data: bytes) -> bool:
    """Whether libjpeg warns of the pixels of a whole JPEG file, which decoders fill with grey.

    Superfluous bytes between its parts, which some cameras write, are no damage; files of other
    formats, and JPEGs of four channels, are not looked at.
    """
    try:
        simplejpeg.decode_jpeg(data, strict=True)
    except ValueError as error:
        return tells_damage(error)
    return False


def picture_decoder(decode: Decode) -> PictureDecoder:
    """The decoder of this name."""
    return FastJpeg() if decode == "fast" else ExactDecoder()


class FastJpeg:
    """Decodes image files, JPEGs quickly.

    JPEGs are decoded with the quick inverse DCT and chroma upsampling of libjpeg-turbo (off by 1
    to 2 grey levels on average), reduced where that is allowed, into memory that is used again;
    EXIF turns are left to the affine. All that is not a whole JPEG with one or three channels is
    decoded exactly, and refused alike.
    """

    reduces = True

    def __init__(self) -> None:
        self._memory: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __call__(
        self, path: Path | str, data: bytes, size_wh: tuple[int, int] | None, reduction: float
    ) -> Picture:
        """Decode a file; see `PictureDecoder`."""
        picture = self._fast(path, data, size_wh, reduction)
        return picture or Picture(decode_rgb(path, data, size_wh))

    def _fast(
        self, path: Path | str, data: bytes, size_wh: tuple[int, int] | None, reduction: float
    ) -> Picture | None:
        """None if this is not a plain whole JPEG."""
        if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
            return None
        try:
            height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            return None
        if height * width > MOST_PIXELS:
            raise too_large(path, height * width)
        if colour not in ("YCbCr", "Gray", "RGB"):
            return None
        orientation = exif_orientation(path, data) if _may_be_turned(data) else 1
        orientation = orientation_to_apply(path, (width, height), orientation, size_wh)

        factor = next((factor for factor in REDUCTIONS if factor <= reduction), 1)
        rows, columns = -(-height // factor), -(-width // factor)
        if len(self._memory) < rows * columns * 4:
            self._memory = np.empty(rows * columns * 4, np.uint8)
        pixels = None
        # Damaged data is left to the exact decoder, which knows what is still an image.
        with contextlib.suppress(ValueError):
            pixels = simplejpeg.decode_jpeg(
                data,
                "RGBX",  # OpenCV warps four channels twice as fast as three
                fastdct=True,
                fastupsample=True,
                min_height=rows,
                min_width=columns,
                buffer=self._memory,
            )
        if pixels is None:
            return None
        return Picture(pixels, _image_to_picture((width, height), orientation, factor))


def _may_be_turned(data: bytes) -> bool:
    """Whether a JPEG has an APP1 segment, where EXIF (and XMP, which may stand in for it) lies."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == _START_OF_SCAN:
            return False
        if data[position + 1] == _APP1:
            return True
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True  # an unusual header, to be read with care


def _image_to_picture(stored_wh: tuple[int, int], orientation: int, factor: int) -> Float64 | None:
    """``(2, 3)`` from the upright image to its stored pixels, reduced; None if that is nothing."""
    if orientation == 1 and factor == 1:
        return None
    linear = np.array(_STORED_DIRECTIONS[orientation], np.float64)
    from_far_side = linear.sum(axis=1) < 0
    offset = np.where(from_far_side, np.array(stored_wh, np.float64) - 1, 0.0)
    return compose(resampled(1 / factor), np.column_stack([linear, offset]))
