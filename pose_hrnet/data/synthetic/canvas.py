"""The picture that people and objects are painted on, with a map of what each pixel shows.

Every polygon is painted twice: in colour on the picture, and as a code on a map of the same size
(person and body part), from which visibility, masks and boxes are read off later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.keypoints.records import Float64, Image

_SHIFT = 4  # fixed-point bits of the polygons' corners: 1/16 pixel
_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
CIRCLE: Float64 = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), axis=1)
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


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture and its code map; painting changes both.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        codes: ``(H, W)`` uint16: person number x `CODES_PER_PERSON` + `Part`; 0 for no person.
    """

    image: Image
    codes: NDArray[np.uint16]

    @classmethod
    def blank(cls, width: int, height: int) -> Canvas:
        """A black picture without people.

        Args:
            width: Pixels.
            height: Pixels.
        """
        image = np.zeros((height, width, 3), np.uint8)
        return cls(image, np.zeros((height, width), np.uint16))

    def fill(self, polygon: Float64, colour: Iterable[float], code: int | None = None) -> None:
        """Fill a convex polygon.

        Args:
            polygon: ``(P, 2)`` corners in image pixels.
            colour: RGB, 0 to 255.
            code: What the map says there; None leaves the map alone (details within a part).
        """
        corners = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
        shade = [min(max(float(channel), 0.0), 255.0) for channel in colour]
        cv2.fillConvexPoly(self.image, corners, shade, cv2.LINE_AA, _SHIFT)
        if code is not None:
            cv2.fillConvexPoly(self.codes, corners, [float(code)], cv2.LINE_8, _SHIFT)


def hull(points: Float64) -> Float64:
    """``(P, 2)`` corners of the convex hull of ``(..., 2)`` points."""
    corners = cv2.convexHull(points.reshape(-1, 2).astype(np.float32))
    return np.asarray(corners[:, 0], dtype=np.float64)


def rectangle(left: float, top: float, right: float, bottom: float) -> Float64:
    """``(4, 2)`` corners of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Float64:
    """``(P, 2)`` corners of an upright ellipse."""
    return CIRCLE * (radius_x, radius_y) + (x, y)


def random_colour(rng: np.random.Generator, saturation: float = 1.0) -> Float64:
    """``(3,)`` RGB colour of any hue, from pale to dark.

    Args:
        rng: Source of the random numbers.
        saturation: 0 for grey, 1 for the full range.
    """
    hue, s, v = rng.random(), saturation * rng.random() ** 0.7, rng.uniform(0.15, 1.0)
    wheel = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return np.asarray(255 * v * (1 - s + s * wheel), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Brush:
    """Paints one person's parts, given in camera axes and standing heights, on a canvas.

    Attributes:
        canvas: What to paint on.
        scale: Pixels per standing height.
        origin: Image pixel of the pelvis (x, y).
        person: The person's number on the code map, from 1.
        light: Where the light comes from: -1 left, 1 right.
        exposure: Factor on all colours.
    """

    canvas: Canvas
    scale: float
    origin: tuple[float, float]
    person: int
    light: float = -1.0
    exposure: float = 1.0

    def to_image(self, points: Float64) -> Float64:
        """``(..., 2)`` image pixels of ``(..., 3)`` points in camera axes."""
        return self.offset(points[..., :2]) + self.origin

    def offset(self, vectors: Float64) -> Float64:
        """``(..., 2)`` image pixels of ``(..., 2)`` differences in camera axes."""
        return np.asarray(vectors * (self.scale, -self.scale), dtype=np.float64)

    def fill(self, polygon: Float64, colour: Float64, part: int | None) -> None:
        """Fill ``(P, 2)`` convex corners in image pixels; `part` None: not in the code map."""
        code = None if part is None else self.person * CODES_PER_PERSON + part
        self.canvas.fill(polygon, colour * self.exposure, code)

    def capsule(
        self, start: Float64, end: Float64, radii: tuple[float, float], colour: Float64,
        part: int | None,
    ) -> None:  # fmt: skip
        """Fill the hull of two balls around ``(3,)`` points."""
        ends = self.to_image(np.stack((start, end)))
        circles = self.scale * np.array(radii)[:, None, None] * CIRCLE
        self.fill(hull(ends[:, None] + circles), colour, part)

    def limb(
        self, start: Float64, end: Float64, radii: tuple[float, float], colour: Float64, part: int
    ) -> None:
        """A capsule as of `capsule`, with a dark rim and a lit side; the farther, the darker."""
        colour = _dimmed(colour, start, end)
        self.capsule(start, end, radii, colour * 0.62, part)
        inner = self._without_rim(radii)
        if min(inner) > 0.3 * max(radii):
            self.capsule(start, end, inner, colour * 0.88, None)
            self._lit_side(start, end, inner, colour)

    def joint(
        self, start: Float64, end: Float64, radii: tuple[float, float], colour: Float64
    ) -> None:
        """Paint the first piece of a `limb` once more, over the rim of what hides it.

        Points are as of `capsule`.
        """
        colour = _dimmed(colour, start, end)
        near, far = self._without_rim(radii)
        if min(near, far) > 0.3 * max(radii):
            along, taper = end - start, far - near
            ends = (near, near + 0.25 * taper)
            self.capsule(start, start + 0.25 * along, ends, colour * 0.88, None)
            self._lit_side(start, start + 0.38 * along, (near, near + 0.38 * taper), colour)

    def _without_rim(self, radii: tuple[float, float]) -> tuple[float, float]:
        rim = max(0.5 / self.scale, 0.1 * max(radii))
        return radii[0] - rim, radii[1] - rim

    def _lit_side(
        self, start: Float64, end: Float64, radii: tuple[float, float], colour: Float64
    ) -> None:
        shift = np.array(radii)[:, None] * (0.3 * self.light, 0.1, 0.0)
        self.capsule(
            start + shift[0], end + shift[1], (0.7 * radii[0], 0.7 * radii[1]), colour, None
        )


def _dimmed(colour: Float64, start: Float64, end: Float64) -> Float64:
    depth = float(start[2] + end[2]) / 2
    return colour * float(1 + np.clip(0.8 * depth, -0.14, 0.06))
