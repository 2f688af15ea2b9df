"""The one place that opens images: 8-bit RGB pixels, or one sentence that says what is wrong."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
import warnings
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageFile
import simplejpeg

from pose_hrnet.data.pictures import Picture, PictureDecoder
from pose_hrnet.keypoints.records import Image, Images
from pose_hrnet.system.inputs import UnreadableFile, read_input, shown_path
from pose_hrnet.system.text import format_size, one_line, shown

try:
    import cv2
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be imported ({error}): install the system package libgl1, "
        "or: pip install opencv-python-headless"
    ) from error

log = logging.getLogger(__name__)

Fault: TypeAlias = Literal[
    "empty",
    "not an image",
    "truncated",
    "wrong size",
    "sides exchanged",
    "unreadable",
    "elsewhere",
]

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
"""What is read, by the names that Pillow gives; its other formats start programs (EPS), or belong
to games and fax machines, and their decoders are hardly ever looked at."""

MOST_PIXELS = 178_956_970
"""Of an image: 13,377 x 13,377, or 0.5 GB of RGB; the limit that Pillow has itself."""
# It is told in a sentence of ours, not in Pillow's warning from half of it on.
warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)
# And what its parsers say of damaged headers names no file.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_EXIF_ORIENTATION = 0x0112
# What the last part of a whole file holds; it cannot occur within compressed pixels.
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
# How the stored rows and columns are put upright, by EXIF orientation (CIPA DC-008, 4.6.4 A).
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image file that cannot be used; the message is one sentence that names the file.

    Attributes:
        fault: What is wrong, for counting.
    """

    def __init__(self, sentence: str, fault: Fault = "unreadable") -> None:
        super().__init__(sentence)
        self.fault = fault


def read_rgb(path: Path | str, size_wh: tuple[int, int] | None = None) -> Image:
    """Read an image as 8-bit RGB.

    Three-channel and grayscale JPEGs are decoded by libjpeg-turbo and equal OpenCV's bytes;
    everything else is decoded by Pillow. A JPEG that is damaged inside, whose rest libjpeg fills
    with grey, is named in a warning, once a process. 16-bit channels keep their high byte,
    transparent pixels are laid over white, and CMYK and palettes become the colours that viewers
    show.

    Args:
        path: The image file.
        size_wh: Width and height that the annotations state: they settle whether the EXIF
            orientation is applied. Stored pixels that have this size are left as they are (as the
            official code does always), otherwise they are turned if that gives this size. None,
            or a size with a zero: unknown, and the orientation is applied as viewers do.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty, truncated, no image, or of another size.
    """
    return decode_rgb(Path(path), read_bytes(Path(path)), size_wh)


def decode_rgb(path: Path | str, data: bytes, size_wh: tuple[int, int] | None = None) -> Image:
    """As `read_rgb`, from the bytes of a file; `path` names them in errors."""
    stream, image = open_image(path, data)
    pixels = _decode(path, data, stream, image)
    turn = _UPRIGHT.get(orientation_to_apply(path, image.size, orientation_of(image), size_wh))
    return pixels if turn is None else np.array(PIL.Image.fromarray(pixels).transpose(turn))


def exif_orientation(path: Path | str, data: bytes) -> int:
    """EXIF orientation of a file's bytes, 1 (upright) to 8; 1 if absent or senseless.

    Raises:
        ImageError: If the bytes are no image.
    """
    return orientation_of(open_image(path, data)[1])


def image_path(folder: Path, name: str) -> Path:
    """The file of an image that annotations name; the one place where the two are joined.

    Where no file is called so, one is taken whose name differs in the spelling alone: Windows'
    backslashes, and umlauts of one character or two, as macOS writes them.

    Args:
        folder: Of the images.
        name: The ``file_name``, relative to it, or the whole path of a file in it.

    Raises:
        ImageError: If it leads out of the folder: a file from somewhere else is not to decide
            what is read on this machine.
    """
    path = Path(folder) / name
    top = Path(os.path.abspath(folder))
    inside = top == Path(top.anchor) or Path(os.path.abspath(path)).is_relative_to(top)
    if not inside:
        raise ImageError(
            f"image {shown(name, 200)} is not read, because its file_name leads out of the image "
            f"folder {folder}; give a folder that holds all images, and names relative to it "
            "(whole paths are read where the folder holds them, as / does)",
            "elsewhere",
        )
    if not os.path.exists(path):
        for other in _spellings(name):
            if os.path.exists(Path(folder) / other):
                return image_path(folder, other)
    return path


def _spellings(name: str) -> list[str]:
    """Other ways to write a file's name."""
    slashes = name.replace("\\", "/")
    others = [slashes, *(unicodedata.normalize(form, slashes) for form in ("NFC", "NFD"))]
    return [other for other in dict.fromkeys(others) if other != name]


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If it is empty or cannot be read.
    """
    try:
        data = read_input(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"image {shown_path(path)} does not exist; check the image folder and the file name"
        ) from None
    except UnreadableFile as error:
        raise ImageError(f"image {shown_path(path)} cannot be read ({error.reason})") from None
    if not data:
        raise ImageError(f"image {path} is empty (zero bytes); fetch or write it again", "empty")
    return data


def open_image(
    path: Path | str, data: bytes, formats: tuple[str, ...] = FORMATS
) -> tuple[BytesIO, PIL.ImageFile.ImageFile]:
    """Parse the header; for a JPEG the stream then stands at its first scan.

    Args:
        path: Names the image in errors.
        data: The file.
        formats: Some of `FORMATS`; others are no images here.

    Raises:
        ImageError: If it is no image of these formats, or too large.
    """
    stream = BytesIO(data)
    try:
        image = PIL.Image.open(stream, formats=_known(formats))
    except PIL.Image.DecompressionBombError as error:
        found = re.search(r"\((\d+) pixels\)", str(error))
        raise too_large(path, int(found[1]) if found else None) from None
    # Damaged headers make Pillow's parsers raise nearly any exception.
    except Exception as error:
        raise ImageError(
            f"image {path} is not an image that can be opened ({_reason(error, formats)})",
            "not an image",
        ) from error
    if image.width * image.height > MOST_PIXELS:  # where somebody has raised Pillow's limit
        raise too_large(path, image.width * image.height)
    return stream, image


@cache
def _known(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Those that this Pillow has."""
    PIL.Image.init()
    return tuple(name for name in formats if name in PIL.Image.OPEN)


def too_large(path: Path | str, pixels: int | None) -> ImageError:
    """The error about an image of so many pixels, to be raised."""
    has = "too many pixels" if pixels is None else f"{pixels:,} pixels"
    return ImageError(
        f"image {path} is too large: it has {has}, and at most {MOST_PIXELS:,} are read; scale "
        "it down, or cut it into parts"
    )


def _reason(error: Exception, formats: tuple[str, ...] = FORMATS) -> str:
    """An exception as part of a sentence, without the address of the stream that it names."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return f"its format is none of {', '.join(formats)}"
    return one_line(error)


def orientation_of(image: PIL.Image.Image) -> int:
    """EXIF orientation still to be applied; 1 if absent or senseless."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse whole pixels
        return 1
    return value if value in _UPRIGHT else 1


def has_alpha(image: PIL.Image.Image) -> bool:
    return image.mode.endswith(("A", "a")) or "transparency" in image.info


def _decode(
    path: Path | str, data: bytes, stream: BytesIO, image: PIL.ImageFile.ImageFile
) -> Image:
    """``(H, W, 3)`` uint8 pixels as they are stored, whatever the EXIF orientation."""
    if image.mode == "F":
        raise ImageError(f"image {path} has floating-point pixels; convert it to 8 bits")
    if image.mode == "I" and image.format == "TIFF":  # whose range nobody knows
        raise ImageError(f"image {path} has 32-bit pixels; convert it to 8 bits")
    try:
        # Decoders fill what a truncated file lacks, OpenCV with grey and without a word. The
        # search begins behind the header, whose thumbnail has an end marker of its own.
        end_marker = _END_MARKERS.get(image.format or "")
        if end_marker and data.rfind(end_marker, stream.tell()) < 0:
            raise EOFError("the end marker is missing")
        if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
            return pillow_rgb(image)
        if image.format == "MPO":
            image.load()  # of its several images, the first may lack its end
        pixels = _jpeg_rgb(path, data, image.size)
        if pixels is not None:
            return pixels
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if bgr is None:
            return pillow_rgb(image)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    except Exception as error:  # decoders raise nearly any exception on damaged pixels
        raise ImageError(
            f"image {path} is truncated or damaged ({_reason(error)}); fetch or write it again",
            "truncated",
        ) from error


def _jpeg_rgb(path: Path | str, data: bytes, size_wh: tuple[int, int]) -> Image | None:
    """libjpeg-turbo's pixels; None if it cannot decode them, or sees another size than Pillow.

    Its complaints come as exceptions, at no cost for whole files; OpenCV prints them without
    saying of which file.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != size_wh:
            return None
        try:
            return np.asarray(simplejpeg.decode_jpeg(data, "RGB"), dtype=np.uint8)
        except ValueError as error:
            if tells_damage(error):
                _name_damaged(str(path))
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=False), dtype=np.uint8)
    except ValueError:
        return None


def tells_damage(error: ValueError) -> bool:
    """Whether what libjpeg complains of is damage: not superfluous bytes between parts of a file,
    which some cameras write."""
    return "orrupt JPEG data" in str(error) and "extraneous bytes" not in str(error)


@lru_cache(maxsize=1000)  # names may come from anywhere, for ever
def _name_damaged(path: str) -> None:
    log.warning(
        "image %s is a JPEG that is damaged inside: part of it is grey or out of place; fetch or "
        "write it again",
        shown_path(path),
    )


def pillow_rgb(image: PIL.Image.Image) -> Image:
    """8-bit RGB of any picture that Pillow opens."""
    if image.mode.startswith("I"):
        # 16-bit grayscale: I;16, I;16B or, from older versions of Pillow, I.
        gray = (np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if has_alpha(image):
        picture = image.convert("RGBA")
        white = PIL.Image.new("RGBA", picture.size, (255, 255, 255, 255))
        image = PIL.Image.alpha_composite(white, picture)
    return np.array(image.convert("RGB"))


def orientation_to_apply(
    path: Path | str,
    stored_wh: tuple[int, int],
    orientation: int,
    size_wh: tuple[int, int] | None,
) -> int:
    """The EXIF orientation where the wanted size, or in its absence EXIF, asks for it; else 1.

    Args:
        path: Names the file in errors.
        stored_wh: Size of the pixels as they are stored.
        orientation: The file's EXIF orientation.
        size_wh: As in `read_rgb`.

    Raises:
        ImageError: If the image has the wanted size neither as stored nor turned.
    """
    width, height = stored_wh
    wanted_wh = None if size_wh is None or min(size_wh) <= 0 else (size_wh[0], size_wh[1])
    applied = 1 if wanted_wh == (width, height) else orientation
    upright_wh = (height, width) if applied >= 5 else (width, height)
    if wanted_wh is not None and wanted_wh != upright_wh:
        exchanged = wanted_wh == (height, width)
        advice = "their width and height are exchanged" if exchanged else "correct one of them"
        turned = f" (turned as EXIF says: {format_size(upright_wh)})"
        raise ImageError(
            f"image {path} is {format_size(stored_wh)} (height x width) pixels"
            f"{turned if applied != 1 else ''}, but its "
            f"annotations say {format_size(wanted_wh)}; {advice}",
            "sides exchanged" if exchanged else "wrong size",
        )
    return applied


class ExactDecoder:
    """Gives the pixels of `read_rgb`, in full size."""

    reduces = False

    def __call__(
        self, path: Path | str, data: bytes, size_wh: tuple[int, int] | None, reduction: float
    ) -> Picture:
        """Decode a file; see `PictureDecoder`."""
        return Picture(decode_rgb(path, data, size_wh))


class ImageFiles:
    """Pictures of the image files of a folder.

    Args:
        images: Their names and sizes.
        folder: What the names are relative to.
        decoder: Of the files; None: exact.
    """

    def __init__(
        self, images: Images, folder: Path, decoder: PictureDecoder | None = None
    ) -> None:
        self.images = images
        self.folder = Path(folder)
        self.decoder: PictureDecoder = ExactDecoder() if decoder is None else decoder
        self.reduces = self.decoder.reduces

    def read(self, row: int, reduction: float) -> Picture:
        """As `Pictures.read`."""
        path = image_path(self.folder, self.images.file_names[row])
        width, height = (int(side) for side in self.images.sizes_wh[row])
        size_wh = (width, height) if width and height else None
        return self.decoder(path, read_bytes(path), size_wh, reduction)
