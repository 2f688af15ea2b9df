"""Paints one figure: clothes, hair, face and shading, as anti-aliased polygons back to front.

Every polygon is painted twice: in colour on the picture, and as a code on a map of the same size
(person and body part), from which visibility, masks and boxes are read off later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.data.figures import SIDES, Figure, Floats, head_axes

_SHIFT = 4  # fixed-point bits of the polygons' corners: 1/16 pixel
_CIRCLE = np.stack(
    (np.cos(np.linspace(0, 2 * np.pi, 20, False)), np.sin(np.linspace(0, 2 * np.pi, 20, False))),
    axis=1,
)
CODES_PER_PERSON = 16


class Part(IntEnum):
    """Body parts on the code map; the right side's part is the left side's plus one."""

    HEAD = 1
    TRUNK = 2
    PELVIS = 3
    UPPER_ARM = 4
    FOREARM = 6
    HAND = 8
    THIGH = 10
    SHANK = 12
    FOOT = 14


@dataclass(eq=False)
class Canvas:
    """A picture and its code map; painting changes both.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        codes: ``(H, W)`` uint16: person number x `CODES_PER_PERSON` + `Part`; 0 for no person.
    """

    image: NDArray[np.uint8]
    codes: NDArray[np.uint16]

    def fill(self, polygon: Floats, colour: ArrayLike, code: int | None = None) -> None:
        """Fill a convex polygon.

        Args:
            polygon: ``(P, 2)`` corners in image pixels.
            colour: RGB, 0 to 255.
            code: What the map says there; None leaves the map alone (details within a part).
        """
        corners = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
        shade = [float(c) for c in np.clip(np.asarray(colour), 0, 255)]
        cv2.fillConvexPoly(self.image, corners, shade, cv2.LINE_AA, _SHIFT)
        if code is not None:
            cv2.fillConvexPoly(self.codes, corners, float(code), cv2.LINE_8, _SHIFT)


@dataclass(frozen=True, eq=False)
class Outfit:
    """Colours (RGB 0 to 255) and cut of one person's clothes and hair.

    Attributes:
        skin, hair, shirt, print_, trousers, shoes: Colours; `print_` is the shirt's second one.
        pattern: ``plain``, ``stripes``, ``checks``, ``logo`` or ``jacket``.
        sleeve: Covered share of the arm: 0 none, 0.3 short, 0.97 long.
        legwear: Covered share of the leg: 0.3 shorts, 0.95 trousers.
        skirt: Length of the skirt as a share of the thigh, 0 for none.
        hair_style: ``short``, ``long``, ``tail``, ``bald`` or ``cap``.
    """

    skin: Floats
    hair: Floats
    shirt: Floats
    print_: Floats
    trousers: Floats
    shoes: Floats
    pattern: str
    sleeve: float
    legwear: float
    skirt: float
    hair_style: str


_SKINS = np.array(
    [
        (250, 222, 200),
        (240, 200, 170),
        (224, 172, 138),
        (198, 140, 100),
        (150, 98, 66),
        (98, 62, 44),
    ]
)
_HAIRS = np.array(
    [(30, 24, 22), (62, 40, 26), (104, 66, 34), (176, 128, 66), (222, 186, 110), (150, 60, 30),
     (150, 148, 146)]
)  # fmt: skip


def random_colour(rng: np.random.Generator, saturation: float = 1.0) -> Floats:
    """``(3,)`` RGB colour of any hue, from pale to dark.

    Args:
        rng: Source of the random numbers.
        saturation: 0 for grey, 1 for the full range.
    """
    hue, s, v = rng.random(), saturation * rng.random() ** 0.7, rng.uniform(0.15, 1.0)
    wheel = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return np.asarray(255 * v * (1 - s + s * wheel), dtype=np.float64)


def sample_outfit(rng: np.random.Generator, stance: str) -> Outfit:
    """Draw clothes that can be worn in a stance.

    Args:
        rng: Source of the random numbers.
        stance: As in `Figure`; skirts are for upright people.
    """
    upright = stance in ("stand", "rest", "wide", "walk")
    shirt = random_colour(rng)
    return Outfit(
        skin=_SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.92, 1.04),
        hair=_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.15),
        shirt=shirt,
        print_=random_colour(rng),
        trousers=random_colour(rng, 0.7) * 0.85,
        shoes=random_colour(rng, 0.8),
        pattern=str(rng.choice(("plain", "stripes", "checks", "logo", "jacket"))),
        sleeve=float(rng.choice((0.0, 0.3, 0.97), p=(0.15, 0.45, 0.4))),
        legwear=float(rng.choice((0.3, 0.95), p=(0.3, 0.7))),
        skirt=float(rng.uniform(0.45, 1.0)) if upright and rng.random() < 0.2 else 0.0,
        hair_style=str(
            rng.choice(("short", "long", "tail", "bald", "cap"), p=(0.42, 0.26, 0.12, 0.06, 0.14))
        ),
    )


class Painter:
    """Paints one figure on a canvas.

    Args:
        canvas: What to paint on.
        figure: Who.
        outfit: What the person wears.
        scale: Pixels per standing height.
        origin: ``(2,)`` image pixel of the pelvis.
        person: The person's number on the code map, from 1.
        light: Where the light comes from: -1 left, 1 right.
        exposure: Factor on all colours.
    """

    def __init__(
        self, canvas: Canvas, figure: Figure, outfit: Outfit, scale: float, origin: ArrayLike,
        person: int, light: float = -1.0, exposure: float = 1.0,
    ) -> None:  # fmt: skip
        self.canvas, self.figure, self.outfit = canvas, figure, outfit
        self.scale, self.origin = scale, np.asarray(origin, dtype=np.float64)
        self.person, self.light, self.exposure = person, light, exposure

    def paint(self) -> None:
        """Paint all parts, the farthest first."""
        f = self.figure
        pelvis_z = 0.0
        # A thigh lies before the pelvis when it points at the viewer, whichever side it is on.
        thigh_z = (f.knee - f.hip)[:, 2] / 2 + f.hip[:, 2] / 4 - 0.02
        shank_z = thigh_z + (f.ankle - f.hip)[:, 2] / 2
        hair_z = float(f.skull[2] - 0.1 * f.head[2, 2])
        parts: list[tuple[float, Callable[[], None]]] = [
            (pelvis_z, self._pelvis),
            (float(f.waist[2] + f.neck[2]) / 2 + 0.02, self._shirt),
            (float(f.neck[2] + f.skull[2]) / 2 + 0.025, self._head),
            (hair_z, self._back_hair),
        ]
        if self.outfit.skirt:
            parts.append((float(max(pelvis_z, *thigh_z)) + 0.005, self._skirt))
        for side in (0, 1):
            upper = float(f.shoulder[side, 2] + f.elbow[side, 2]) / 2 + 0.03
            fore = float(f.elbow[side, 2] + 2 * f.wrist[side, 2]) / 3 + 0.035
            parts += [
                (float(thigh_z[side]), partial(self._thigh, side)),
                (float(shank_z[side]), partial(self._shank, side)),
                (upper, partial(self._upper_arm, side)),
                (fore, partial(self._forearm, side)),
            ]
        for _, draw in sorted(parts, key=lambda part: part[0]):
            draw()

    # -- geometry and strokes ------------------------------------------------------------------

    def xy(self, points: Floats) -> Floats:
        """``(..., 2)`` image pixels of ``(..., 3)`` points in camera axes."""
        flipped: Floats = points[..., :2] * np.array([1.0, -1.0])
        return self.origin + self.scale * flipped

    def _fill(self, polygon: Floats, colour: Floats, part: int | None) -> None:
        code = None if part is None else self.person * CODES_PER_PERSON + part
        self.canvas.fill(polygon, colour * self.exposure, code)

    def _hull(self, points: Floats, colour: Floats, part: int | None) -> None:
        hull = cv2.convexHull(points.reshape(-1, 2).astype(np.float32))[:, 0]
        self._fill(hull.astype(np.float64), colour, part)

    def _limb(
        self, start: Floats, end: Floats, radii: tuple[float, float], colour: Floats, part: int
    ) -> None:
        """A tapered capsule with a dark rim and a lit side; radii in standing heights."""
        ends = self.xy(np.stack((start, end)))
        radius = np.array(radii)[:, None, None] * self.scale * self.figure.build.girth
        rim = max(0.5, 0.1 * float(radius.max()))
        # The side turned away from the viewer is the far one: a little darker.
        depth = float(start[2] + end[2]) / 2
        colour = colour * (1 + np.clip(0.8 * depth, -0.14, 0.06))
        self._hull(ends[:, None] + radius * _CIRCLE, colour * 0.62, part)
        if float(radius.min()) < 1.5 * rim:
            return
        inner = radius - rim
        self._hull(ends[:, None] + inner * _CIRCLE, colour * 0.88, None)
        shift = np.array([self.light * 0.3, -0.1])
        self._hull(ends[:, None] + inner * (0.7 * _CIRCLE + shift), colour, None)

    # -- trunk ---------------------------------------------------------------------------------

    def _sections(self, at: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Centres, sideways and forward half axes of the trunk's cross-sections.

        Args:
            at: Heights: 0 crotch, 1 hips, 2 belt, 3 waist, 4 ribs, 5 armpits, 6 shoulders, 7 neck.

        Returns:
            Three arrays ``(S, 3)``.
        """
        f, b = self.figure, self.figure.build
        p_up, c_up = f.pelvis[:, 1], f.chest[:, 1]
        centres = np.stack(
            (
                -0.045 * p_up, 0 * p_up, 0.05 * p_up, f.waist,
                f.waist + 0.42 * b.chest * c_up, f.waist + 0.75 * b.chest * c_up,
                f.neck - 0.012 * c_up, f.neck + 0.022 * c_up,
            )
        )  # fmt: skip
        hips, chest = b.hips + 0.028 * b.girth, b.shoulders * 0.5 + 0.045 * b.girth
        width = np.array(
            [hips * 0.72, hips, hips * 0.97, 0.5 * (hips + chest) * 0.92, chest,
             chest * 1.04, b.shoulders * 0.98, 0.036]
        )  # fmt: skip
        depth = np.array([0.045, 0.06, 0.058, 0.056, 0.064, 0.066, 0.042, 0.034]) * b.girth
        frames = np.stack([f.pelvis] * 3 + [f.chest] * 5)
        at, knots = np.asarray(at, dtype=np.float64), np.arange(8)

        def mixed(values: Floats) -> Floats:
            return np.stack([np.interp(at, knots, column) for column in values.T], axis=1)

        sideways = mixed(width[:, None] * frames[:, :, 0])
        return mixed(centres), sideways, mixed(depth[:, None] * frames[:, :, 2])

    def _tube(self, at: Floats, colours: list[Floats], part: int, grow: float = 0.0) -> None:
        """The trunk between neighbouring sections, one colour each, `grow` pixels fatter."""
        centres, sideways, forward = self._sections(at)
        ring = sideways[:, None] * _CIRCLE[:, :1] + forward[:, None] * _CIRCLE[:, 1:]
        rings = self.xy(centres[:, None] + ring)
        if grow:
            offset = rings - self.xy(centres)[:, None]
            length = np.linalg.norm(offset, axis=-1, keepdims=True)
            rings = rings + grow * offset / np.maximum(length, 1e-6)
        for lower, upper, colour in zip(rings[:-1], rings[1:], colours, strict=True):
            self._hull(np.concatenate((lower, upper)), colour, part)

    def _patch(self, at: tuple[float, float], around: tuple[float, float], colour: Floats) -> None:
        """A piece of the trunk's surface; angles in degrees from its left, 90 is the front."""
        centres, sideways, forward = self._sections(np.array(at))
        angle = np.radians(np.linspace(*around, 9))[:, None, None]
        ring = np.cos(angle) * sideways + np.sin(angle) * forward  # (9, 2, 3)
        squared = np.sum(sideways**2, axis=1), np.sum(forward**2, axis=1)
        normal_z = (
            np.cos(angle[..., 0]) * sideways[:, 2] / squared[0]
            + np.sin(angle[..., 0]) * forward[:, 2] / squared[1]
        )
        seen = np.flatnonzero(normal_z.min(axis=1) > 0)
        if len(seen) > 1:
            self._hull(self.xy(centres + ring[seen]), colour, None)

    def _shade(self, at: tuple[float, float], colour: Floats) -> None:
        """Darken the side of the trunk that faces away from the light."""
        _, sideways, forward = self._sections(np.array(at))
        away = -self.light
        side = float(np.degrees(np.arctan2(away * forward[0, 0], away * sideways[0, 0])))
        self._patch(at, (side - 38, side + 38), colour * 0.86)

    def _pelvis(self) -> None:
        rim = max(0.5, 0.008 * self.scale)
        colour = self.outfit.trousers
        at = np.array([0.0, 1.0, 2.4])
        self._tube(at, [colour * 0.62] * 2, Part.PELVIS, rim / 2)
        self._tube(at, [colour] * 2, Part.PELVIS)

    def _shirt(self) -> None:
        o, rim = self.outfit, max(0.5, 0.008 * self.scale)
        at = np.linspace(1.35, 7, 12)
        main, second = o.shirt, o.print_
        striped = o.pattern in ("stripes", "checks")
        colours = [second if striped and i % 2 else main for i in range(11)]
        self._tube(at, [main * 0.6] * 11, Part.TRUNK, rim / 2)
        self._tube(at, colours, Part.TRUNK)
        if o.pattern == "checks":
            for angle in range(10, 360, 40):
                self._patch((1.4, 6.3), (angle, angle + 14), (main + second) / 2)
        elif o.pattern == "jacket":
            self._patch((1.4, 6.6), (68, 112), second)
        elif o.pattern == "logo":
            self._patch((4.2, 5.5), (62, 118), second)
        if not striped:
            self._shade((1.5, 5.9), main)
        self._patch((6.3, 7.0), (40, 140), o.skin * 0.9)  # the neckline, in front only

    def _skirt(self) -> None:
        f, o = self.figure, self.outfit
        belt, sideways, forward = self._sections(np.array([1.0, 2.2]))
        ring = sideways[:, None] * _CIRCLE[:, :1] + forward[:, None] * _CIRCLE[:, 1:]
        top = self.xy(belt[:, None] + ring).reshape(-1, 2)
        hem = self.xy(f.hip + o.skirt * (f.knee - f.hip))
        hem = (hem[:, None] + 0.085 * self.scale * _CIRCLE * np.array([1, 0.4])).reshape(-1, 2)
        self._hull(np.concatenate((top, hem)), o.trousers * 0.95, Part.PELVIS)

    # -- limbs ---------------------------------------------------------------------------------

    def _upper_arm(self, side: int) -> None:
        f, o = self.figure, self.outfit
        start, end = f.shoulder[side], f.elbow[side]
        self._limb(start, end, (0.036, 0.028), o.skin, Part.UPPER_ARM + side)
        if o.sleeve:
            cuff = start + min(2 * o.sleeve, 1.0) * (end - start)
            self._limb(start, cuff, (0.042, 0.035), o.shirt, Part.UPPER_ARM + side)

    def _forearm(self, side: int) -> None:
        f, o = self.figure, self.outfit
        start, end, tips = f.elbow[side], f.wrist[side], f.fingers[side]
        self._limb(end, tips * 0.6 + end * 0.4, (0.02, 0.022), o.skin, Part.HAND + side)
        self._limb(start, end, (0.028, 0.019), o.skin, Part.FOREARM + side)
        if o.sleeve > 0.5:
            cuff = start + (2 * o.sleeve - 1) * (end - start)
            self._limb(start, cuff, (0.034, 0.026), o.shirt, Part.FOREARM + side)

    def _thigh(self, side: int) -> None:
        f, o = self.figure, self.outfit
        start, end = f.hip[side], f.knee[side]
        self._limb(start, end, (0.052, 0.038), o.skin, Part.THIGH + side)
        hem = start + min(2 * o.legwear, 1.0) * (end - start)
        if not o.skirt:
            self._limb(start, hem, (0.056, 0.043), o.trousers, Part.THIGH + side)

    def _shank(self, side: int) -> None:
        f, o = self.figure, self.outfit
        start, end = f.knee[side], f.ankle[side]
        self._limb(f.heel[side], f.toe[side], (0.022, 0.02), o.shoes, Part.FOOT + side)
        self._limb(start, end, (0.037, 0.023), o.skin, Part.SHANK + side)
        if o.legwear > 0.5 and not o.skirt:
            hem = start + (2 * o.legwear - 1) * (end - start)
            self._limb(start, hem, (0.043, 0.034), o.trousers, Part.SHANK + side)

    # -- head ----------------------------------------------------------------------------------

    def _ball(self, centre: Floats, axes: Floats, colour: Floats, grow: float = 1.0) -> None:
        """The outline of an ellipsoid that turns with the head; `axes` are its half axes."""
        spread = self.figure.head[:2] * axes
        shape = np.linalg.cholesky(spread @ spread.T)
        outline = self.xy(centre) + grow * self.scale * (_CIRCLE @ shape.T) * np.array([1, -1])
        self._fill(outline, colour, Part.HEAD)

    def _cap(self, towards: ArrayLike, reach: float, colour: Floats) -> None:
        """The seen piece of the head's surface within `reach` degrees of a direction on it."""
        f, axes = self.figure, head_axes(self.figure.build)
        pole = np.asarray(towards) / np.linalg.norm(towards)
        u = np.cross(pole, (1.0, 0.0, 0.0))
        u /= np.linalg.norm(u)
        v = np.cross(pole, u)
        angle = np.radians(reach)
        edge = np.cos(angle) * pole + np.sin(angle) * (_CIRCLE[:, :1] * u + _CIRCLE[:, 1:] * v)
        normal = (edge / axes) @ f.head.T
        pole_seen = (pole / axes) @ f.head.T
        if normal[:, 2].max() <= 0:
            return
        # Edge points beyond the horizon move onto it: the direction in the picture is kept.
        surface = (edge * axes) @ f.head.T
        hidden = normal[:, 2] < 0
        if hidden.any():
            spread = f.head[:2] * axes
            shape = np.linalg.cholesky(spread @ spread.T)
            flat = np.linalg.solve(shape, surface[:, :2].T).T
            ahead = np.linalg.solve(shape, pole_seen[:2])
            ahead /= np.linalg.norm(ahead) + 1e-9
            flat = flat + np.maximum(0.05 - flat @ ahead, 0)[:, None] * ahead
            rim = (flat / np.linalg.norm(flat, axis=1, keepdims=True)) @ shape.T
            surface = np.where(hidden[:, None], np.pad(rim, ((0, 0), (0, 1))), surface)
        self._hull(self.xy(f.skull + surface), colour, None)

    def _back_hair(self) -> None:
        f, o = self.figure, self.outfit
        h = f.build.head
        if o.hair_style == "long":
            start = f.skull - 0.25 * h * f.head[:, 2]
            end = f.neck - 0.2 * h * f.chest[:, 1] - 0.75 * h * f.chest[:, 2]
            self._lock(start, end, (0.92 * h, 0.8 * h))
        elif o.hair_style == "tail":
            start = f.skull + f.head @ np.array([0, 0.4 * h, -0.95 * h])
            self._lock(
                start, start + f.head @ np.array([0, -1.4 * h, -0.35 * h]), (0.3 * h, 0.15 * h)
            )

    def _lock(self, start: Floats, end: Floats, radii: tuple[float, float]) -> None:
        ends = self.xy(np.stack((start, end)))
        circles = ends[:, None] + self.scale * np.array(radii)[:, None, None] * _CIRCLE
        self._hull(circles, self.outfit.hair * 0.8, Part.HEAD)

    def _head(self) -> None:
        f, o, axes = self.figure, self.outfit, head_axes(self.figure.build)
        girth = 0.03 / f.build.girth
        self._limb(f.neck, f.skull, (girth, girth), o.skin * 0.9, Part.HEAD)
        hairy = o.hair_style != "bald"
        ears = [k for k in (3, 4) if f.face_normals[k, 2] > -0.35]
        for k in sorted(ears, key=lambda k: float(f.face_normals[k, 2])):
            if f.face_normals[k, 2] <= 0:
                self._ear(k)
        self._ball(f.skull, axes, o.skin * 0.62, 1.06)
        self._ball(f.skull, axes, o.skin)
        if hairy:
            back, reach = np.array([0, 0.3, -1.0]), 92.0
            if f.head[2] @ back > 0:
                self._cap(back, reach, o.hair)
            else:  # seen from the front, what is not face is hair
                self._ball(f.skull, axes, o.hair)
                self._cap(-back, 180 - reach, o.skin)
            self._cap((0, 1, 0.0), 52 if o.hair_style != "cap" else 40, o.hair)
        for k in ears:
            if f.face_normals[k, 2] > 0:
                self._ear(k)
        self._face()
        if o.hair_style == "cap":
            self._cap((0, 1, 0.1), 62, o.print_)
            brim = f.skull + f.head @ np.array([0, 0.5, 0.75]) * f.build.head
            tip = brim + f.head @ np.array([0, -0.05, 0.6]) * f.build.head
            if f.head[2, 2] > -0.2:
                self._stroke(brim, tip, 0.25 * f.build.head, o.print_ * 0.75)

    def _ear(self, k: int) -> None:
        f, r = self.figure, 0.2 * self.figure.build.head
        spread = f.head[:2] * np.array([0.4, 1.2, 0.8]) * r
        shape = np.linalg.cholesky(spread @ spread.T)
        centre = self.xy(f.face[k])
        for grow, shade in ((1.25, 0.6), (0.85, 0.92)):
            outline = centre + grow * self.scale * (_CIRCLE @ shape.T) * np.array([1, -1])
            self._fill(outline, self.outfit.skin * shade, Part.HEAD)

    def _stroke(self, start: Floats, end: Floats, radius: float, colour: Floats) -> None:
        ends = self.xy(np.stack((start, end)))
        self._hull(ends[:, None] + self.scale * radius * _CIRCLE, colour, Part.HEAD)

    def _face(self) -> None:
        f, o, h = self.figure, self.outfit, self.figure.build.head
        turn = f.face_normals[:, 2]
        for k in (1, 2):
            if turn[k] > 0.05:
                width = 0.6 + 0.4 * turn[k]
                eye = self.xy(f.face[k])
                size = self.scale * h * _CIRCLE * np.array([width, 1.0])
                self._fill(eye + 0.19 * size, np.array([250.0, 250, 248]), None)
                self._fill(eye + 0.11 * size, np.array([35.0, 28, 26]), None)
                brow = f.skull + f.head @ (head_axes(f.build) * (SIDES[k - 1] * 0.4, 0.36, 0.88))
                along = 0.17 * h * f.head[:, 0]
                self._stroke(brow - along, brow + along, 0.035 * h, o.hair * 0.8)
        if turn[0] > -0.1:
            bridge = f.skull + f.head @ (head_axes(f.build) * (0, 0.06, 0.98))
            self._stroke(bridge, f.face[0], 0.09 * h, o.skin * 0.8)
            self._stroke(f.face[0], f.face[0], 0.1 * h, o.skin * 0.72)
        if turn[0] > 0.1:
            mouth = f.skull + f.head @ (head_axes(f.build) * (0, -0.52, 0.86))
            along = 0.26 * h * f.head[:, 0] * max(0.3, float(turn[0]))
            self._stroke(mouth - along, mouth + along, 0.05 * h, np.array([165.0, 70, 66]))
