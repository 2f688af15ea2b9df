"""Stages a drawn scene: who stands where, how large, behind what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.synthetic.backdrops import draw_object, draw_seat, draw_shadow
from pose_hrnet.data.synthetic.canvas import CODES_PER_PERSON, Brush, Canvas
from pose_hrnet.data.synthetic.clothing import sample_outfit
from pose_hrnet.data.synthetic.figures import Figure, sample_figure
from pose_hrnet.data.synthetic.painting import paint_figure
from pose_hrnet.keypoints.records import Image

_MIN_HEIGHT, _MAX_HEIGHT = 40.0, 400.0  # pixels


@dataclass(frozen=True, eq=False)
class Cast:
    """One person of a scene.

    Attributes:
        figure: Who.
        scale: Pixels per standing height.
        origin: Image pixel of the pelvis (x, y).
        window: Image pixels x0, y0, x1, y1 outside of which there is no paint of the person.
        kind: ``person``, or one without keypoints: ``distant`` or a member of a ``crowd``.
        number: On the code map, from 1; the members of a crowd share one.
    """

    figure: Figure
    scale: float
    origin: tuple[float, float]
    window: tuple[int, int, int, int]
    kind: str
    number: int

    @property
    def floor(self) -> float:
        """Image row on which the person stands."""
        low = self.figure.points[:, 1].min()
        return float(self.origin[1] - self.scale * low) + 0.03 * self.scale


def _place(figure: Figure, height: float, left: float, top: float, kind: str = "person") -> Cast:
    """Put a figure `height` pixels high with its upper left corner at a pixel."""
    low, high = figure.points[:, :2].min(axis=0), figure.points[:, :2].max(axis=0)
    # Whoever sits or lies keeps the size that fits the standing height.
    scale = height / max(float(high[1] - low[1]) + 0.07, 0.6)  # soles and rims included
    origin = (left - scale * float(low[0]), top + scale * float(high[1]))
    width, tall = scale * (high - low)
    pad = 2 + 0.16 * scale
    window = (left - pad, top - pad, left + width + pad, top + tall + pad)
    x0, y0, x1, y1 = (round(v) for v in window)
    return Cast(figure, scale, origin, (x0, y0, x1, y1), kind, number=0)


def _overlap(a: Cast, b: Cast) -> float:
    """Share of the smaller window that the other one covers."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.window, b.window
    both = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    return both / min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))


def _sample_person(
    rng: np.random.Generator, width: int, height: int, others: list[Cast]
) -> Cast | None:
    """Draw a person and a place, mostly within the image and beside the others; None if full."""
    figure = sample_figure(rng)
    spread = float(np.ptp(figure.points[:, 0]) / max(np.ptp(figure.points[:, 1]), 0.6))
    tallest = min(_MAX_HEIGHT, 0.95 * height, 1.1 * width / spread)
    tall = _MIN_HEIGHT * (tallest / _MIN_HEIGHT) ** (rng.random() ** 0.55)
    crowded = rng.random() < 0.18
    cut = rng.random() < 0.22
    for _ in range(20):
        # Small people are far away: nearer to the horizon than to the lower border.
        floor = height * (0.62 + 0.36 * (tall / tallest) ** 0.7 * rng.uniform(0.85, 1.0))
        top = max(2.0, floor - tall) if not cut else floor - tall * rng.uniform(0.6, 1.05)
        wide = spread * tall
        over = 0.4 * wide if cut else -2.0
        left = rng.uniform(-over, max(width - wide + over, -over))
        cast = _place(figure, tall, left, top)
        if crowded or all(_overlap(cast, other) < 0.2 for other in others):
            return cast
    return None


def sample_cast(rng: np.random.Generator, width: int, height: int) -> list[Cast]:
    """Draw everybody in a scene, the farthest first; a crowd's members follow one another.

    Args:
        rng: Source of the random numbers.
        width: Image width in pixels.
        height: Image height in pixels.
    """
    people: list[Cast] = []
    for _ in range(rng.choice((1, 2, 3, 4, 5), p=(0.33, 0.25, 0.18, 0.13, 0.11))):
        person = _sample_person(rng, width, height, people)
        people += [person] if person else []
    people.sort(key=lambda person: person.floor)
    far: list[Cast] = []
    if rng.random() < 0.05:
        for _ in range(rng.integers(1, 3)):
            tall = rng.uniform(14, 34)
            left, top = rng.uniform(0, width - 30), 0.5 * height - tall / 2
            far.append(_place(sample_figure(rng), tall, left, top, "distant"))
    crowd: list[Cast] = []
    if rng.random() < 0.03:
        start, tall = rng.uniform(0, 0.6 * width), rng.uniform(18, 40)
        for k in range(rng.integers(5, 9)):
            left, top = start + k * 0.35 * tall, 0.5 * height - tall / 2 + rng.uniform(-3, 3)
            crowd.append(_place(sample_figure(rng), tall, left, top, "crowd"))
    crowd = [replace(member, number=1) for member in crowd]
    return crowd + [replace(p, number=n) for n, p in enumerate(far + people, start=2)]


def paint_cast(rng: np.random.Generator, canvas: Canvas, cast: list[Cast]) -> list[int]:
    """Paint the scene's people and objects, the farthest first.

    Args:
        rng: Source of the random numbers.
        canvas: What to paint on.
        cast: The people, the farthest first.

    Returns:
        The pixels painted of each person, before anything covered them.
    """
    light, exposure = float(rng.choice((-1, 1))), rng.uniform(0.8, 1.08)
    painted = []
    for person in cast:
        _set_scene(rng, canvas, person)
        outfit = sample_outfit(rng, person.figure.stance)
        brush = Brush(canvas, person.scale, person.origin, person.number, light, exposure)
        paint_figure(brush, person.figure, outfit)
        mask, _ = person_mask(canvas.codes, person.number, person.window)
        painted.append(int(np.count_nonzero(mask)))
        if person.kind == "person" and rng.random() < 0.13:  # something stands in the way
            x = person.origin[0] + rng.uniform(-0.3, 0.3) * person.scale
            floor = person.floor + 0.03 * person.scale
            draw_object(rng, canvas, x, floor, person.scale * rng.uniform(0.12, 0.38))
    return painted


def _set_scene(rng: np.random.Generator, canvas: Canvas, person: Cast) -> None:
    """Paint what lies behind a person: a shadow, the seat, sometimes an object."""
    x, y, scale = *person.origin, person.scale
    if person.kind == "person":
        points = person.figure.points
        low = points[points[:, 1] < points[:, 1].min() + 0.15, 0]  # whatever is near the floor
        middle, reach = float(low.max() + low.min()) / 2, float(np.ptp(low)) / 2 + 0.06
        draw_shadow(canvas, x + scale * middle, person.floor, scale * reach)
    if person.figure.stance == "sit":
        wide = scale * rng.uniform(0.22, 0.34)
        draw_seat(rng, canvas, x, y + 0.055 * scale, wide, person.floor)
    elif rng.random() < 0.12:
        beside, size = x + rng.uniform(-0.5, 0.5) * scale, scale * rng.uniform(0.15, 0.4)
        draw_object(rng, canvas, beside, person.floor, size)


def person_mask(
    codes: NDArray[np.uint16], number: int, window: tuple[int, int, int, int]
) -> tuple[Image, tuple[int, int]]:
    """Pixels of one person within a window.

    Args:
        codes: ``(H, W)`` code map of a `Canvas`.
        number: The person's number on it.
        window: Image pixels x0, y0, x1, y1; may reach beyond the image.

    Returns:
        The ``(h, w)`` mask of 0 and 1 of the window's part within the image, and the image pixel
        (x, y) of its upper left corner.
    """
    x0, y0 = max(window[0], 0), max(window[1], 0)
    view = codes[y0 : max(window[3], y0), x0 : max(window[2], x0)]
    return (view // CODES_PER_PERSON == number).astype(np.uint8), (x0, y0)
