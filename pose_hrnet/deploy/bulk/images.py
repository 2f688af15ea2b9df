"""An image on its way: read from a file, an address or an object store, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.data.images import ImageError, decode_rgb, read_bytes
from pose_hrnet.data.web_images import LARGEST, read_web_image
from pose_hrnet.inference.pictures import checked_boxes
from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.system.remote import remote
from pose_hrnet.system.text import gigabytes, one_line
from pose_hrnet.system.transfer import address_in, shown_url


def called(path: str) -> str:
    """An input in sentences: of an address without what may be secret, such as a signature."""
    address = address_in(path)
    return path if address is None else shown_url(address)


def without_secrets(sentence: str, path: str) -> str:
    """A sentence, perhaps of a library, in which an address stands as `called` has it."""
    return sentence.replace(path, called(path))


@dataclass(frozen=True, eq=False)
class BulkImage:
    """An image on its way to its rows.

    Attributes:
        path: What its rows call it.
        image: ``(H, W, 3)`` uint8 RGB; None: it could not be read.
        error: Why not, one sentence.
        frame_index: Of a frame of a video.
        time_s: Likewise, seconds.
        boxes: ``(N, 5)`` left, top, right, bottom and score of its persons; None: the detector's,
            or without one the whole image.
    """

    path: str
    image: Image | None
    error: str | None = None
    frame_index: int | None = None
    time_s: float | None = None
    boxes: Float64 | None = None


def read_image(
    path: str,
    content: bytes | None = None,
    boxes: ArrayLike | None = None,
    *,
    name: str | None = None,
) -> BulkImage:
    """An image as far as it can be read; what is wrong with it is its `error`.

    Args:
        path: What its rows call it, and where it is read if no bytes are given.
        content: The bytes of its file.
        boxes: As of `scored_boxes`.
        name: What sentences call it; None: as `called` has it.
    """
    name = called(path) if name is None else name
    try:
        persons = None if boxes is None else scored_boxes(boxes)
        data = read_content(path) if content is None else bytes(content)
        return BulkImage(path, decode_rgb(name, data), boxes=persons)
    except (ImageError, OSError) as error:
        return BulkImage(path, None, without_secrets(str(error), path))
    except Exception as error:  # whatever is wrong with a file belongs to its row
        said = f"image {name} cannot be read ({one_line(error)})"
        return BulkImage(path, None, without_secrets(said, path))


def read_content(path: str) -> bytes:
    """The bytes of an image: a file, an http or https address, or what fsspec opens.

    Raises:
        ImageError: If it is empty, or too large for an image of elsewhere.
        OSError: If it cannot be read.
        ValueError: If a package that the URL needs is missing.
    """
    address = address_in(path)
    if address is None:
        return read_bytes(Path(path))
    if address.startswith(("http:", "https:")):
        return read_web_image(address)
    with remote(address) as fsspec, fsspec.open(address, "rb") as file:
        data = bytes(file.read(LARGEST + 1))
    if not data:
        raise ImageError(f"image {shown_url(address)} is empty (zero bytes)", "empty")
    if len(data) > LARGEST:
        raise ImageError(
            f"image {shown_url(address)} has more than {gigabytes(LARGEST)}, which is not read"
        )
    return data


def scored_boxes(boxes: ArrayLike) -> Float64:
    """``(N, 5)`` left, top, right, bottom and score; of ``(N, 4)`` boxes the score is 1.

    Raises:
        ValueError: If they are something else.
    """
    rows = np.asarray(boxes, np.float64)
    rows = rows.reshape(-1, 5) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise ValueError(f"boxes have shape {rows.shape}; expected (N, 4), or (N, 5) with scores")
    checked_boxes(rows[:, :4])
    return rows if rows.shape[1] == 5 else np.column_stack([rows, np.ones(len(rows))])


__all__ = ["BulkImage", "called", "read_content", "read_image", "scored_boxes", "without_secrets"]
