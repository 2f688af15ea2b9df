"""What an image file says of itself, for the checks of a data set: no pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.data.images import has_alpha, open_image, orientation_of, read_bytes

_COLOUR_NAMES = dict.fromkeys(("1", "L", "LA", "La", "I", "F"), "grayscale")
_COLOUR_NAMES |= {"P": "palette", "PA": "palette", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB"}


@dataclass(frozen=True)
class ImageFacts:
    """What an image file says about itself before its pixels are decoded.

    Attributes:
        size_wh: Width and height of the stored pixels.
        orientation: EXIF orientation, 1 (upright) to 8.
        colour: ``"RGB"``, or what is converted to it: ``"grayscale"``, ``"palette"``, ``"CMYK"``,
            or another Pillow mode.
        has_alpha: Whether some pixels may be transparent.
        bits: Bits per channel.
    """

    size_wh: tuple[int, int]
    orientation: int
    colour: str
    has_alpha: bool
    bits: int

    @property
    def upright_wh(self) -> tuple[int, int]:
        """Width and height as viewers show the image, turned as EXIF says."""
        width, height = self.size_wh
        return (height, width) if self.orientation >= 5 else (width, height)


def read_facts(path: Path | str) -> ImageFacts:
    """Read the header of an image, not its pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty or no image.
    """
    path = Path(path)
    _, image = open_image(path, read_bytes(path))
    # A 16-bit RGB file opens as mode RGB; only its raw mode, such as RGB;16B, tells.
    raw_mode = str(image.tile[0][3]) if image.tile else ""
    return ImageFacts(
        size_wh=image.size,
        orientation=orientation_of(image),
        colour=_COLOUR_NAMES.get(image.mode.split(";")[0], image.mode),
        has_alpha=has_alpha(image),
        bits=16 if "16" in image.mode + raw_mode else 8,
    )
