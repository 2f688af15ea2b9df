"""Images and boxes in the forms in which they are given."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import ArrayLike
from torch import Tensor

from pose_hrnet.data.images import decode_rgb, pillow_rgb, read_rgb
from pose_hrnet.data.web_images import read_web_image
from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.system.arguments import check_image
from pose_hrnet.system.text import one_line
from pose_hrnet.system.transfer import address_in, shown_url

Picture: TypeAlias = Image | Tensor | str | Path | bytes | PIL.Image.Image
"""An image as it is given: an array or tensor, a file or its bytes, or opened by Pillow."""


FARTHEST = 1e9
"""Pixels: no box reaches farther, where the arithmetic of crops would end."""


def rgb_of(image: Picture, *, bgr: bool = False) -> Image:
    """``(H, W, 3)`` uint8 RGB of an image in memory or in a file, upright.

    Args:
        image: As of `PoseEstimator.__call__`.
        bgr: Whether arrays and tensors have blue first.

    Raises:
        ConnectionError: If an address does not give its image.
        FileNotFoundError: If there is no such file.
        ImageError: If the file holds no image.
        ValueError: If it is neither a path, an image of Pillow, nor such an array.
    """
    if isinstance(image, str | Path):
        address = address_in(image)
        if address is not None:
            return decode_rgb(shown_url(address), read_web_image(address))
        return read_rgb(image)
    if isinstance(image, bytes):
        return decode_rgb("the image", image)
    if isinstance(image, PIL.Image.Image):
        return pillow_rgb(PIL.ImageOps.exif_transpose(image))
    if isinstance(image, Tensor):
        rows_first = image.permute(1, 2, 0) if image.ndim == 3 and image.shape[2] != 3 else image
        image = rows_first.detach().cpu().numpy()
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"the image is a {type(image).__name__}; expected (H, W, 3) uint8 RGB, a path, an "
            "address, bytes of a file, or an image of Pillow"
        )
    check_image(image)
    return np.ascontiguousarray(image[..., ::-1]) if bgr else image


def checked_boxes(boxes_xyxy: ArrayLike) -> Float64:
    """``(N, 4)`` finite boxes in image pixels, none empty.

    Raises:
        ValueError: If they are something else.
    """
    try:
        boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"boxes_xyxy are no rows of four numbers ({one_line(error, 80)}); expected (N, 4)"
        ) from None
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy has shape {boxes.shape}; expected (N, 4)")
    near = (np.abs(boxes) <= FARTHEST).all(1)  # no NaN is
    wrong = ~(near & (boxes[:, 2:] > boxes[:, :2]).all(1))
    if wrong.any():
        raise ValueError(
            f"box {int(np.flatnonzero(wrong)[0])} is {boxes[wrong][0].tolist()}; expected finite "
            "left, top, right, bottom with right > left and bottom > top, none beyond "
            f"{FARTHEST:g} pixels"
        )
    return boxes
