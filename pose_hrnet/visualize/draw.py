"""Pictures: poses on images, grids of them, and the course of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.system.files import replace_file

LEFT, RIGHT, MIDDLE = (255, 140, 0), (30, 144, 255), (80, 220, 100)
"""RGB of the person's left (orange), right (blue) and of what joins them (green)."""
SUBPIXEL_BITS = 4


def draw_poses(
    image: Image,
    keypoints_image: ArrayLike,
    keypoint_scores: ArrayLike,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = 0.2,
    thickness: int | None = None,
) -> Image:
    """Draw skeletons, limbs coloured by side and faded by score.

    Args:
        image: ``(H, W, 3)`` RGB; left unchanged.
        keypoints_image: ``(N, K, 2)`` image pixels.
        keypoint_scores: ``(N, K)``; a limb is as opaque as the lower score of its ends.
        skeleton: Limbs, and which keypoint is whose side.
        min_score: Keypoints below it are not drawn.
        thickness: Pixels; by the size of each person if None.

    Returns:
        A new ``(H, W, 3)`` image.
    """
    canvas: Image = np.array(image, order="C")
    points = np.asarray(keypoints_image, dtype=np.float64)
    scores = np.asarray(keypoint_scores, dtype=np.float64)
    sides = _sides(skeleton)
    for person, score in zip(points, scores, strict=True):
        seen = score >= min_score
        if not seen.any():
            continue
        width = thickness or _thickness(person[seen])
        for a, b in skeleton.links:
            if seen[a] and seen[b]:
                color = sides[a] if sides[a] == sides[b] else MIDDLE
                _blend(canvas, person[[a, b]], color, min(score[a], score[b]), width)
        for k in np.flatnonzero(seen):
            _blend(canvas, person[[k]], sides[k], score[k], width)
    return canvas


def draw_boxes(image: Image, boxes_xyxy: ArrayLike) -> Image:
    """Outline ``(N, 4)`` boxes in white on a copy of an image."""
    canvas: Image = np.array(image, order="C")
    for left, top, right, bottom in np.asarray(boxes_xyxy, dtype=np.float64).round().astype(int):
        cv2.rectangle(canvas, (left, top), (right, bottom), (255, 255, 255), 1, cv2.LINE_AA)
    return canvas


def draw_heatmaps(
    image: Image,
    heatmaps: ArrayLike,
    cell_pitch_xy: tuple[float, float],
    *,
    skeleton: Skeleton = COCO17,
) -> Image:
    """Lay heatmaps over a darkened image, each keypoint in the colour of its side.

    Args:
        image: ``(H, W, 3)`` RGB; left unchanged.
        heatmaps: ``(K, h, w)``; where they overlap, the highest shows.
        cell_pitch_xy: Image pixels between neighbouring cells; cell (0, 0) stands at pixel (0, 0).
        skeleton: Which keypoint is whose side.

    Returns:
        A new ``(H, W, 3)`` image.
    """
    maps = np.clip(np.asarray(heatmaps, dtype=np.float32), 0, 1)
    strength = maps.max(axis=0)[..., None]
    colors = np.array(_sides(skeleton), np.float32)[maps.argmax(axis=0)]
    affine = np.array([[cell_pitch_xy[0], 0, 0], [0, cell_pitch_xy[1], 0]], np.float64)
    # Colours times strength, so that what is between two cells does not mix in colours of others.
    light = cv2.warpAffine(
        np.concatenate([colors * strength, strength], axis=-1), affine, image.shape[1::-1]
    )
    drawn = 0.6 * image * (1 - light[..., 3:]) + light[..., :3]
    return np.asarray(np.rint(drawn), dtype=np.uint8)


def picture_grid(tiles: Sequence[Image], *, columns: int, tile_wh: tuple[int, int]) -> Image:
    """Arrange images in rows, each fitted into its tile without distortion.

    Args:
        tiles: RGB images of any size.
        columns: Tiles in a row.
        tile_wh: Size of a tile.

    Returns:
        One RGB image; unused area is dark grey.
    """
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


def write_image(path: Path, image: Image) -> None:
    """Write RGB pixels as PNG or JPEG, by the file name's suffix.

    Raises:
        ValueError: If the suffix names no image format.
        OSError: If the folder cannot be written to.
    """
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


def _sides(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    colors = [MIDDLE] * skeleton.num_keypoints
    for left, right in skeleton.flip_pairs:
        colors[left], colors[right] = LEFT, RIGHT
    return colors


def _thickness(points: Float64) -> int:
    extent = float(np.ptp(points, axis=0).max()) if len(points) > 1 else 0.0
    return int(np.clip(round(extent / 70), 1, 6))


def _blend(
    canvas: Image,
    points: Float64,
    color: tuple[int, int, int],
    alpha: float,
    width: int,
) -> None:
    """Draw a limb (two points) or a dot (one) into `canvas` with the opacity `alpha`."""
    margin = 2 * width + 2
    low = np.floor(points.min(axis=0)).astype(int) - margin
    high = np.ceil(points.max(axis=0)).astype(int) + margin
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, (canvas.shape[1], canvas.shape[0]))
    if x0 >= x1 or y0 >= y1:
        return
    patch = canvas[y0:y1, x0:x1]
    drawn = patch.copy()
    # Fixed-point coordinates, so that small people are not drawn on whole pixels.
    ends = [tuple(int(v) for v in np.round((p - (x0, y0)) * (1 << SUBPIXEL_BITS))) for p in points]
    if len(ends) == 2:
        cv2.line(drawn, ends[0], ends[1], color, width, cv2.LINE_AA, SUBPIXEL_BITS)
    else:
        radius = int((width * 0.5 + 1.2) * (1 << SUBPIXEL_BITS))
        cv2.circle(drawn, ends[0], radius, color, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)
    opacity = float(np.clip(0.25 + 0.75 * alpha, 0, 1))
    patch[:] = cv2.addWeighted(drawn, opacity, patch, 1 - opacity, 0)
