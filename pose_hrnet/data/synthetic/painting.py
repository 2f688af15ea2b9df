"""Paints one figure, dressed and shaded, part by part from back to front."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.data.synthetic.canvas import CIRCLE, Brush, Part, hull
from pose_hrnet.data.synthetic.clothing import Outfit
from pose_hrnet.data.synthetic.figures import Build, Figure
from pose_hrnet.data.synthetic.heads import paint_head, paint_loose_hair
from pose_hrnet.keypoints.records import Float64

# Radii at both ends of each limb of an average person, in standing heights; skin, then cloth.
_UPPER_ARM, _SLEEVE = (0.036, 0.028), (0.042, 0.035)
_FOREARM, _LOWER_SLEEVE, _HAND = (0.028, 0.019), (0.034, 0.026), (0.020, 0.022)
_THIGH, _TROUSER = (0.052, 0.038), (0.056, 0.043)
_SHANK, _LOWER_TROUSER, _FOOT = (0.037, 0.023), (0.043, 0.034), (0.022, 0.020)


def paint_figure(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    """Paint a person, the farthest parts first.

    Args:
        brush: Where, how large and under what number.
        figure: Who.
        outfit: What the person wears.
    """
    f, paint = figure, (brush, figure, outfit)
    # A thigh lies before the pelvis when it points at the viewer, whichever side it is on.
    thigh = (f.knee - f.hip)[:, 2] / 2 + f.hip[:, 2] / 4 - 0.02
    shank = thigh + (f.ankle - f.hip)[:, 2] / 2
    upper_arm = (f.shoulder + f.elbow)[:, 2] / 2 + 0.03
    forearm = (f.elbow + 2 * f.wrist)[:, 2] / 3 + 0.035
    head = float(f.neck[2] + f.skull[2]) / 2 + 0.025
    parts: list[tuple[float, Callable[[], None]]] = [
        (0.0, partial(_pelvis, *paint)),
        (float(f.waist[2] + f.neck[2]) / 2 + 0.02, partial(_shirt, *paint)),
        (head, partial(paint_head, *paint)),
        (head - 0.1 * float(f.head[2, 2]) - 0.02, partial(paint_loose_hair, *paint)),
    ]
    if outfit.skirt:
        parts.append((float(max(0, *thigh)) + 0.005, partial(_skirt, *paint)))
    for side in (0, 1):
        arm_over, leg_over = forearm[side] > upper_arm[side], shank[side] > thigh[side]
        parts += [
            (float(thigh[side]), partial(_thigh, *paint, side, not leg_over)),
            (float(shank[side]), partial(_shank, *paint, side, bool(leg_over))),
            (float(upper_arm[side]), partial(_upper_arm, *paint, side, not arm_over)),
            (float(forearm[side]), partial(_forearm, *paint, side, bool(arm_over))),
        ]
    for _, paint_part in sorted(parts, key=lambda part: part[0]):
        paint_part()


def _sections(figure: Figure, at: ArrayLike) -> tuple[Float64, Float64, Float64]:
    """Centres, sideways and forward half axes of the trunk's cross-sections.

    Args:
        figure: Whose trunk.
        at: Heights: 0 crotch, 1 hips, 2 belt, 3 waist, 4 ribs, 5 armpits, 6 shoulders, 7 neck.

    Returns:
        Three arrays ``(S, 3)``.
    """
    b, waist, neck = figure.build, figure.waist, figure.neck
    up, chest_up = figure.pelvis[:, 1], figure.chest[:, 1]
    centres = np.stack(
        (-0.045 * up, 0 * up, 0.05 * up, waist, waist + 0.42 * b.chest * chest_up,
         waist + 0.75 * b.chest * chest_up, neck - 0.012 * chest_up, neck + 0.022 * chest_up)
    )  # fmt: skip
    hips, chest = b.hips + 0.028 * b.girth, b.shoulders * 0.5 + 0.045 * b.girth
    width = np.array(
        [0.72 * hips, hips, 0.97 * hips, 0.46 * (hips + chest), chest, 1.04 * chest,
         0.98 * b.shoulders, 0.036]
    )  # fmt: skip
    depth = np.array([0.045, 0.06, 0.058, 0.056, 0.064, 0.066, 0.042, 0.034]) * b.girth
    frames = np.stack([figure.pelvis] * 3 + [figure.chest] * 5)
    heights, knots = np.asarray(at, dtype=np.float64), np.arange(8)

    def mixed(values: Float64) -> Float64:
        return np.stack([np.interp(heights, knots, column) for column in values.T], axis=1)

    sideways, forward = width[:, None] * frames[:, :, 0], depth[:, None] * frames[:, :, 2]
    return mixed(centres), mixed(sideways), mixed(forward)


def _rings(brush: Brush, figure: Figure, at: ArrayLike, grow: float = 0.0) -> Float64:
    """``(S, P, 2)`` image pixels around the trunk's sections, `grow` pixels outwards."""
    centres, sideways, forward = _sections(figure, at)
    ring = sideways[:, None] * CIRCLE[:, :1] + forward[:, None] * CIRCLE[:, 1:]
    outward = brush.offset(ring[..., :2])
    length = np.linalg.norm(outward, axis=-1, keepdims=True)
    outward = outward + grow * outward / np.maximum(length, 1.0)
    return np.asarray(brush.to_image(centres)[:, None] + outward, dtype=np.float64)


def _tube(brush: Brush, figure: Figure, at: ArrayLike, colours: list[Float64], part: int) -> None:
    """The trunk between neighbouring sections, one colour each, with a dark rim."""
    rim = max(0.25, 0.004 * brush.scale)
    for grow, shades in ((rim, [colours[0] * 0.62] * len(colours)), (0.0, colours)):
        rings = _rings(brush, figure, at, grow)
        for lower, upper, shade in zip(rings[:-1], rings[1:], shades, strict=True):
            brush.fill(hull(np.concatenate((lower, upper))), shade, part)


def _patch(
    brush: Brush, figure: Figure, at: tuple[float, float], around: tuple[float, float],
    colour: Float64,
) -> None:  # fmt: skip
    """The seen piece of the trunk's surface between two heights and two angles.

    Angles are in degrees: 0 is the person's left, 90 the front.
    """
    centres, sideways, forward = _sections(figure, at)
    angle = np.radians(np.linspace(*around, 9))[:, None, None]
    ring = np.cos(angle) * sideways + np.sin(angle) * forward
    normal = np.cos(angle) * sideways / np.sum(sideways**2, axis=1, keepdims=True)
    normal = normal + np.sin(angle) * forward / np.sum(forward**2, axis=1, keepdims=True)
    seen = np.flatnonzero(normal[..., 2].min(axis=1) > 0)
    if len(seen) > 1:
        brush.fill(hull(brush.to_image(centres + ring[seen])), colour, None)


def _pelvis(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    _tube(brush, figure, (0.0, 1.0, 2.4), [outfit.trousers] * 2, Part.PELVIS)


def _shirt(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    main, second, bands = outfit.shirt, outfit.print_, 11
    striped = outfit.pattern in ("stripes", "checks")
    colours = [second if striped and i % 2 else main for i in range(bands)]
    _tube(brush, figure, np.linspace(1.35, 7, bands + 1), colours, Part.TRUNK)
    if outfit.pattern == "checks":
        for angle in range(10, 360, 40):
            _patch(brush, figure, (1.4, 6.3), (angle, angle + 14), (main + second) / 2)
    elif outfit.pattern == "jacket":
        _patch(brush, figure, (1.4, 6.6), (68, 112), second)
    elif outfit.pattern == "logo":
        _patch(brush, figure, (4.2, 5.5), (62, 118), second)
    if not striped:  # the side that the light does not reach
        away = -brush.light * figure.chest[0]
        dark = float(np.degrees(np.arctan2(away[2], away[0])))
        _patch(brush, figure, (1.5, 5.9), (dark - 38, dark + 38), main * 0.86)
    _patch(brush, figure, (6.3, 7.0), (40, 140), outfit.skin * 0.9)  # the neckline, in front


def _skirt(brush: Brush, figure: Figure, outfit: Outfit) -> None:
    top = _rings(brush, figure, (1.0, 2.2)).reshape(-1, 2)
    hem = brush.to_image(figure.hip + outfit.skirt * (figure.knee - figure.hip))
    folds = hem[:, None] + 0.085 * brush.scale * CIRCLE * (1, 0.4)
    skirt = hull(np.concatenate((top, folds.reshape(-1, 2))))
    brush.fill(skirt, outfit.trousers * 0.6, Part.PELVIS)
    middle = skirt.mean(axis=0)
    brush.fill(
        middle + (skirt - middle) * (1 - 3 / (30 + 0.1 * brush.scale)), outfit.trousers, None
    )


def _thick(radii: tuple[float, float], build: Build) -> tuple[float, float]:
    return radii[0] * build.girth, radii[1] * build.girth


def _upper_arm(brush: Brush, figure: Figure, outfit: Outfit, side: int, mend: bool) -> None:
    start, end, build = figure.shoulder[side], figure.elbow[side], figure.build
    part = Part.UPPER_ARM + side
    brush.limb(start, end, _thick(_UPPER_ARM, build), outfit.skin, part)
    if outfit.sleeve:
        cuff = start + min(2 * outfit.sleeve, 1.0) * (end - start)
        brush.limb(start, cuff, _thick(_SLEEVE, build), outfit.shirt, part)
    if mend:
        radii, colour = (
            (_LOWER_SLEEVE, outfit.shirt) if outfit.sleeve > 0.5 else (_FOREARM, outfit.skin)
        )
        brush.joint(end, figure.wrist[side], _thick(radii, build), colour)


def _forearm(brush: Brush, figure: Figure, outfit: Outfit, side: int, mend: bool) -> None:
    start, end, build = figure.elbow[side], figure.wrist[side], figure.build
    palm = end + 0.6 * (figure.fingers[side] - end)
    brush.limb(end, palm, _thick(_HAND, build), outfit.skin, Part.HAND + side)
    part, covered = Part.FOREARM + side, outfit.sleeve > 0.5
    brush.limb(start, end, _thick(_FOREARM, build), outfit.skin, part)
    if covered:
        cuff = start + (2 * outfit.sleeve - 1) * (end - start)
        brush.limb(start, cuff, _thick(_LOWER_SLEEVE, build), outfit.shirt, part)
    if mend:
        radii, colour = (_SLEEVE, outfit.shirt) if covered else (_UPPER_ARM, outfit.skin)
        brush.joint(start, figure.shoulder[side], _thick(radii[::-1], build), colour)


def _thigh(brush: Brush, figure: Figure, outfit: Outfit, side: int, mend: bool) -> None:
    start, end, build = figure.hip[side], figure.knee[side], figure.build
    part, covered = Part.THIGH + side, outfit.legwear > 0.5 and not outfit.skirt
    brush.limb(start, end, _thick(_THIGH, build), outfit.skin, part)
    if not outfit.skirt:
        hem = start + min(2 * outfit.legwear, 1.0) * (end - start)
        brush.limb(start, hem, _thick(_TROUSER, build), outfit.trousers, part)
    if mend:
        radii, colour = (_LOWER_TROUSER, outfit.trousers) if covered else (_SHANK, outfit.skin)
        brush.joint(end, figure.ankle[side], _thick(radii, build), colour)


def _shank(brush: Brush, figure: Figure, outfit: Outfit, side: int, mend: bool) -> None:
    start, end, build = figure.knee[side], figure.ankle[side], figure.build
    part, covered = Part.SHANK + side, outfit.legwear > 0.5 and not outfit.skirt
    foot = Part.FOOT + side
    brush.limb(figure.heel[side], figure.toe[side], _thick(_FOOT, build), outfit.shoes, foot)
    brush.limb(start, end, _thick(_SHANK, build), outfit.skin, part)
    if covered:
        hem = start + (2 * outfit.legwear - 1) * (end - start)
        brush.limb(start, hem, _thick(_LOWER_TROUSER, build), outfit.trousers, part)
    if mend:
        radii, colour = (_TROUSER, outfit.trousers) if covered else (_THIGH, outfit.skin)
        brush.joint(start, figure.hip[side], _thick(radii[::-1], build), colour)
