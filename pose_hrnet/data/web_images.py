"""Images by address: http and https, of a sane size, and only what `images` opens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain, count
from pathlib import Path
from types import MappingProxyType

import PIL.Image

from pose_hrnet.data.images import FORMATS, ImageError, open_image
from pose_hrnet.system.download import read_address
from pose_hrnet.system.files import replace_file
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.transfer import file_name_in, shown_url

LARGEST = 10**8
"""Bytes of an image that is fetched."""


@cache
def image_suffixes() -> Mapping[str, str]:
    """How the names of the files end that can be opened, in small letters; Pillow's format."""
    known = PIL.Image.registered_extensions().items()
    usual = {suffix: name for suffix, name in known if name in FORMATS}
    return MappingProxyType({".jpg": "JPEG", **usual, ".jfif": "JPEG", ".jpe": "JPEG"})


def read_web_image(address: str) -> bytes:
    """The bytes of an image of the web, whose header was read; nothing is kept.

    Args:
        address: http or https.

    Raises:
        ConnectionError: If it is not given in time, is larger than `LARGEST`, or downloads are
            forbidden.
        ImageError: If it is no image.
        ValueError: If it is no such address.
    """
    return _fetched(address)[0]


def keep_web_image(address: str, folder: Path) -> Path:
    """Put an image of the web into a folder, under the name that its address has.

    What is there stays: the same image is kept once, another one of that name gets a number.

    Args:
        address: http or https.
        folder: Need not exist.

    Returns:
        Its path, with a suffix of its format.

    Raises:
        OSError: If the folder cannot be written to.
        ImageError: As `read_web_image`, and so are the others.
    """
    data, kind = _fetched(address)
    name = Path(file_name_in(address, "image"))
    suffixes = image_suffixes()
    if name.suffix.lower() not in suffixes:
        name = Path(name.name + next(suffix for suffix, each in suffixes.items() if each == kind))
    folder.mkdir(parents=True, exist_ok=True)
    numbered = (f"{name.stem}_{number}{name.suffix}" for number in count(2))
    for each in chain([name.name], numbered):
        path = folder / each
        if not path.exists():
            with replace_file(path) as temporary:
                temporary.write_bytes(data)
            break
        if path.is_file() and read_input(path) == data:
            break
    return path


def _fetched(address: str) -> tuple[bytes, str]:
    """The bytes, and what Pillow calls their format."""
    data = read_address(address, LARGEST)
    if not data:
        raise ImageError(f"image {shown_url(address)} is empty (zero bytes)", "empty")
    return data, str(open_image(shown_url(address), data)[1].format)


__all__ = ["image_suffixes", "keep_web_image", "read_web_image"]
