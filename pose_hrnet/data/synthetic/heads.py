"""Paints heads: hair from behind, a face from the front, and every view between."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.data.synthetic.canvas import CIRCLE, Brush, Part, hull
from pose_hrnet.data.synthetic.clothing import Outfit
from pose_hrnet.data.synthetic.figures import SIDES, Figure, head_axes
from pose_hrnet.keypoints.records import Float64

_EYE_WHITE = np.array([250.0, 250.0, 248.0])
_PUPIL = np.array([35.0, 28.0, 26.0])
_LIPS = np.array([165.0, 70.0, 66.0])


def paint_head(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    """Paint neck, head and face.

    Args:
        brush: The person's brush.
        figure: Who.
        outfit: Skin, hair and cap.
    """
    axes, towards_viewer = head_axes(figure.build), figure.face_normals[:, 2]
    brush.limb(figure.neck, figure.skull, (0.03, 0.03), outfit.skin * 0.9, Part.HEAD)
    ears = [k for k in (3, 4) if towards_viewer[k] > -0.35]
    for k in ears:
        if towards_viewer[k] <= 0:
            _ear(brush, figure, k, outfit.skin)
    _ellipsoid(brush, figure, figure.skull, 1.06 * axes, outfit.skin * 0.62)
    _ellipsoid(brush, figure, figure.skull, axes, outfit.skin)
    if outfit.hair_style != "bald":
        _hair(brush, figure, outfit)
    for k in ears:
        if towards_viewer[k] > 0:
            _ear(brush, figure, k, outfit.skin)
    _face(brush, figure, outfit)
    if outfit.hair_style == "cap":
        _cap(brush, figure, outfit.print_)


def paint_loose_hair(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    """Paint the hair that falls down the back, if the person wears it so.

    Args:
        brush: The person's brush.
        figure: Who.
        outfit: Hair colour and style.
    """
    h, head, colour = figure.build.head, figure.head, outfit.hair * 0.8
    if outfit.hair_style == "long":
        start = figure.skull - 0.25 * h * head[:, 2]
        end = figure.neck - 0.2 * h * figure.chest[:, 1] - 0.75 * h * figure.chest[:, 2]
        brush.capsule(start, end, (0.92 * h, 0.8 * h), colour, Part.HEAD)
    elif outfit.hair_style == "tail":
        start = figure.skull + head @ np.array([0, 0.4, -0.95]) * h
        end = start + head @ np.array([0, -1.4, -0.35]) * h
        brush.capsule(start, end, (0.3 * h, 0.15 * h), colour, Part.HEAD)


def _silhouette(figure: Figure, axes: Float64) -> Float64:
    """``(2, 2)`` matrix that maps the unit circle to the outline of an ellipsoid of the head."""
    spread = figure.head[:2] * axes
    return np.asarray(np.linalg.cholesky(spread @ spread.T), dtype=np.float64)


def _ellipsoid(
    brush: Brush, figure: Figure, centre: Float64, axes: Float64, colour: Float64
) -> None:
    """An ellipsoid that turns with the head; `axes` are its half axes."""
    outline = brush.offset(CIRCLE @ _silhouette(figure, axes).T)
    brush.fill(brush.to_image(centre) + outline, colour, Part.HEAD)


def _around(axis: Float64) -> Float64:
    """``(P, 3)`` unit vectors square to an axis, all the way round it."""
    u = np.cross(axis, (1.0, 0.0, 0.0))
    u /= np.linalg.norm(u)
    v = np.cross(axis / np.linalg.norm(axis), u)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)[:, None]
    return np.asarray(np.cos(angle) * u + np.sin(angle) * v, dtype=np.float64)


def _calotte(
    brush: Brush, figure: Figure, towards: ArrayLike, reach: float, colour: Float64
) -> None:
    """What is seen of the head's surface within `reach` degrees of a direction on the head.

    Points are unit vectors that the half axes stretch to the ellipsoid; where such a vector is
    square to the viewing direction divided by the half axes, it lies on the outline.
    """
    axes = head_axes(figure.build)
    pole, view = np.asarray(towards) / np.linalg.norm(towards), figure.head[2] / axes
    cos, sin = np.cos(np.radians(reach)), np.sin(np.radians(reach))
    edge, outline = cos * pole + sin * _around(pole), _around(view)
    seen = np.concatenate((edge[edge @ view >= 0], outline[outline @ pole >= cos]))
    if len(seen) > 2:
        flat = brush.offset((seen * axes) @ figure.head[:2].T)
        brush.fill(hull(brush.to_image(figure.skull) + flat), colour, None)


def _hair(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    back, reach = np.array([0.0, 0.3, -1.0]), 92.0
    if figure.head[2] @ back > 0:
        _calotte(brush, figure, back, reach, outfit.hair)
    else:  # from the front, whatever is not face is hair
        _ellipsoid(brush, figure, figure.skull, head_axes(figure.build), outfit.hair)
        _calotte(brush, figure, -back, 180 - reach, outfit.skin)
    _calotte(brush, figure, (0, 1, 0), 52, outfit.hair)


def _cap(brush: Brush, figure: Figure, colour: Float64) -> None:
    """A cap with its peak over the eyes."""
    _calotte(brush, figure, (0, 1, 0.1), 62, colour)
    if figure.head[2, 2] > -0.2:
        corners = np.array(
            [(-0.5, 0.5, 0.7), (0.5, 0.5, 0.7), (-0.35, 0.44, 1.3), (0.35, 0.44, 1.3)]
        )
        centres = brush.to_image(figure.skull + figure.build.head * corners @ figure.head.T)
        circles = 0.1 * figure.build.head * brush.scale * CIRCLE
        brush.fill(hull(centres[:, None] + circles), colour * 0.75, Part.HEAD)


def _ear(brush: Brush, figure: Figure, k: int, skin: Float64) -> None:
    axes = 0.2 * figure.build.head * np.array([0.4, 1.2, 0.8])
    _ellipsoid(brush, figure, figure.face[k], 1.25 * axes, skin * 0.6)
    _ellipsoid(brush, figure, figure.face[k], 0.85 * axes, skin * 0.92)


def _face(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    """Eyes, brows, nose and mouth, as far as they turn towards the viewer."""
    h, axes, head = figure.build.head, head_axes(figure.build), figure.head
    turn = figure.face_normals[:, 2]

    def on_head(left: float, up: float, forward: float) -> Float64:
        return np.asarray(figure.skull + head @ (axes * (left, up, forward)), dtype=np.float64)

    for k in (1, 2):
        if turn[k] > 0.05:
            eye = brush.to_image(figure.face[k])
            size = brush.scale * h * CIRCLE * (0.35 + 0.65 * float(turn[k]), 1.0)
            brush.fill(eye + 0.19 * size, _EYE_WHITE, None)
            brush.fill(eye + 0.11 * size, _PUPIL, None)
            brow, along = on_head(SIDES[k - 1] * 0.4, 0.36, 0.88), 0.17 * h * head[:, 0]
            radii = (0.035 * h, 0.035 * h)
            brush.capsule(brow - along, brow + along, radii, outfit.hair * 0.8, None)
    if turn[0] > -0.1:
        nose = figure.face[0]
        bridge, width = on_head(0, 0.06, 0.98), 0.1 * h
        brush.capsule(bridge, nose, (0.9 * width, 0.9 * width), outfit.skin * 0.8, Part.HEAD)
        brush.capsule(nose, nose, (width, width), outfit.skin * 0.72, Part.HEAD)
    if turn[0] > 0.1:
        along = 0.26 * h * head[:, 0] * max(0.3, float(turn[0]))
        mouth, radii = on_head(0, -0.52, 0.86), (0.05 * h, 0.05 * h)
        brush.capsule(mouth - along, mouth + along, radii, _LIPS, None)
