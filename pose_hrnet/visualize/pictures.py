"""Pictures of pictures: grids, titles, files; and the course of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.arguments import check_count, check_image
from pose_hrnet.system.files import replace_file

_LONGEST_JPEG = 65_500


def picture_grid(tiles: Sequence[Image], *, columns: int, tile_wh: tuple[int, int]) -> Image:
    """Arrange images in rows, each fitted into its tile without distortion.

    Args:
        tiles: RGB images of any size.
        columns: Tiles in a row.
        tile_wh: Size of a tile.

    Returns:
        One RGB image; unused area is dark grey.

    Raises:
        ValueError: If a tile is no image, or there is no room for one.
    """
    check_count("columns", columns)
    for side in tile_wh:
        check_count("a side of tile_wh", side, 5)
    for tile in tiles:
        check_image(tile)
    width, height = tile_wh
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * height, columns * width, 3), 40, np.uint8)
    for number, tile in enumerate(tiles):
        factor = min((width - 4) / tile.shape[1], (height - 4) / tile.shape[0])
        size = (max(1, int(tile.shape[1] * factor)), max(1, int(tile.shape[0] * factor)))
        fitted = cv2.resize(
            tile, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        )
        left = (number % columns) * width + (width - size[0]) // 2
        top = (number // columns) * height + (height - size[1]) // 2
        grid[top : top + size[1], left : left + size[0]] = fitted
    return grid


def add_title(image: Image, title: str) -> Image:
    """A copy of an image with a line of text above it."""
    bar = np.full((28, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, title, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, image])


def png_bytes(image: Image) -> bytes:
    """An RGB image ``(H, W, 3)`` as the bytes of a PNG file."""
    check_image(image)
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return data.tobytes()


def jpeg_bytes(image: Image) -> bytes:
    """An RGB image ``(H, W, 3)`` as the bytes of a JPEG file.

    Raises:
        ValueError: If a side is longer than a JPEG can say.
    """
    check_image(image)
    height, width = image.shape[:2]
    if max(height, width) > _LONGEST_JPEG:
        raise ValueError(
            f"a JPEG has sides of {_LONGEST_JPEG:,} pixels at most, and this image {width:,} x "
            f"{height:,}; use a smaller one"
        )
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return data.tobytes()


def write_image(path: str | Path, image: Image) -> None:
    """Write RGB pixels as PNG or JPEG, by the file name's suffix.

    Raises:
        ValueError: If the suffix names no image format.
        OSError: If the folder cannot be written to.
    """
    path = Path(path)
    check_image(image)
    try:
        encoded, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        raise ValueError(f"{path} cannot be written as an image; use .png or .jpg") from None
    if not encoded:
        height, width = image.shape[:2]
        raise ValueError(
            f"{path} cannot be written as an image of {width:,} x {height:,} pixels; JPEG takes "
            "65,500 at most, so use .png or a smaller image"
        )
    with replace_file(path) as temporary:
        temporary.write_bytes(data.tobytes())


def enlarged(image: Image, height: int) -> Image:
    """An image enlarged by the whole factor, if there is one, that brings it near a height."""
    factor = max(1, round(height / len(image)))
    return np.asarray(
        cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def draw_training_curve(
    lines: Sequence[dict[str, Any]], path: Path, scores: Sequence[str] = ()
) -> None:
    """Plot loss and scores over epochs, the learning rate below them.

    Args:
        lines: Of ``metrics.jsonl``: ``epoch`` and ``loss``, ``lr`` if known, and scores where
            evaluated.
        path: PNG to write.
        scores: Names of the scores to draw, those that there are, the main one first.
    """
    # The object interface: no display and no global pyplot state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained")
    loss, rate = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    epochs = [x["epoch"] for x in lines]
    loss.plot(epochs, [x["loss"] for x in lines], color="tab:gray", label="loss", **_dots(epochs))
    loss.set(ylabel="training loss", yscale="log")
    loss.grid(alpha=0.3)
    rates = [x.get("lr", float("nan")) for x in lines]
    rate.plot(epochs, rates, color="tab:green", drawstyle="steps-mid", **_dots(epochs))
    rate.set(xlabel="epoch", ylabel="rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    rate.grid(alpha=0.3)
    rate.xaxis.get_major_locator().set_params(integer=True)
    scored = [x for x in lines if any(name in x for name in scores)]
    handles = loss.get_lines()
    if scored:
        ap = loss.twinx()
        names = [name for name in scores if name in scored[0]]
        at = [x["epoch"] for x in scored]
        for name, color in zip(names, ("tab:blue", "tab:cyan", "tab:orange"), strict=False):
            ap.plot(at, [x[name] for x in scored], color=color, marker=".", label=name)
        ap.set(ylabel=f"validation {', '.join(names)}", ylim=(0, 1))
        best = max(scored, key=lambda x: float(x[names[0]]))
        figure.suptitle(f"best {names[0]} {best[names[0]]:.3f} in epoch {best['epoch']}")
        handles = [*handles, *ap.get_lines()]
    # Below the curves, which may be anywhere.
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _dots(epochs: Sequence[int]) -> dict[str, Any]:
    """A single epoch is a dot: a line through it would not be seen."""
    return {"marker": "."} if len(epochs) == 1 else {}
