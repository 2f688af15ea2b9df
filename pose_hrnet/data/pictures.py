"""What reads the images of a data set gives pictures: their types."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from pose_hrnet.keypoints.records import Float64, Image


class Picture(NamedTuple):
    """Decoded pixels, and where they are.

    Attributes:
        pixels: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGB and an unused byte, uint8. May be
            overwritten by the next picture of the same reader.
        affine: ``(2, 3)`` ``image_to_picture``; None where the two frames are one.
    """

    pixels: Image
    affine: Float64 | None = None


class Pictures(Protocol):
    """Where the pixels of a data set's images come from.

    Attributes:
        reduces: Whether pictures may be coarser than their images.
    """

    reduces: bool

    def read(self, row: int, reduction: float) -> Picture:
        """The picture of one image.

        Args:
            row: Row of the data set's `Images`.
            reduction: How much coarser it may be: image pixels per picture pixel.

        Raises:
            OSError: If it cannot be read.
            ImageError: If it is damaged.
        """


class PictureDecoder(Protocol):
    """Turns the bytes of an image file into a picture.

    Attributes:
        reduces: Whether pictures may be coarser than their images.
    """

    reduces: bool

    def __call__(
        self, path: Path | str, data: bytes, size_wh: tuple[int, int] | None, reduction: float
    ) -> Picture:
        """Decode a file.

        Args:
            path: Names the file in errors.
            data: Its bytes.
            size_wh: As in `read_rgb`.
            reduction: Upper limit of the reduction; 1: full size.

        Raises:
            ImageError: As `read_rgb`.
        """
