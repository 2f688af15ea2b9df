"""Everything of a drawn scene but the people: backgrounds, objects, and the camera's faults."""

from __future__ import annotations

import cv2
import numpy as np

from pose_hrnet.data.synthetic.canvas import Canvas, ellipse, hull, random_colour, rectangle
from pose_hrnet.keypoints.records import Float32, Image


def _noise(rng: np.random.Generator, width: int, height: int, cells: int) -> Float32:
    """Smooth noise of zero mean, about `cells` blobs across."""
    rows = max(2, round(cells * height / width))
    coarse = rng.standard_normal((rows, max(2, cells)), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def draw_background(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A cluttered street, meadow or room: bands, texture, shapes, then a random blur.

    Args:
        rng: Source of the random numbers.
        width: Image width in pixels.
        height: Image height in pixels.

    Returns:
        A canvas with nobody on it.
    """
    canvas = Canvas.blank(width, height)
    horizon = int(height * rng.uniform(0.35, 0.8))
    ramp = np.linspace(0, 1, height)[:, None]
    top, middle, low, ground = (random_colour(rng, 0.7) * 0.7 + 60 for _ in range(4))
    sky = top + (middle - top) * ramp * height / horizon
    rows = np.where(ramp < horizon / height, sky, low + (ground - low) * ramp)
    canvas.image[:] = np.clip(rows, 0, 255).astype(np.uint8)[:, None]
    for _ in range(rng.integers(0, 4)):
        _building(rng, canvas, horizon)
    for _ in range(rng.integers(3, 16)):
        _shape(rng, canvas)
    for _ in range(rng.integers(0, 5)):
        _tree(rng, canvas, horizon)
    sigma = rng.uniform(0, 3.5)
    if sigma > 0.4:
        cv2.GaussianBlur(canvas.image, (0, 0), sigma, dst=canvas.image)
    texture = _noise(rng, width, height, int(rng.integers(4, 90)))
    texture *= np.float32(rng.uniform(2, 12))
    cv2.add(canvas.image, cv2.merge([texture] * 3), dst=canvas.image, dtype=cv2.CV_8U)
    return canvas


def _building(rng: np.random.Generator, canvas: Canvas, horizon: int) -> None:
    height, width = canvas.image.shape[:2]
    left, wide = rng.uniform(-0.1, 0.9) * width, rng.uniform(0.12, 0.45) * width
    top = horizon - rng.uniform(0.15, 0.9) * horizon
    wall, pane = random_colour(rng, 0.5), random_colour(rng, 0.6)
    canvas.fill(rectangle(left, top, left + wide, horizon), wall)
    step = rng.uniform(0.05, 0.12) * height
    for y in np.arange(top + step / 3, horizon - step, step * 1.3):
        for x in np.arange(left + step / 3, left + wide - step, step * 1.2):
            canvas.fill(rectangle(x, y, x + 0.6 * step, y + 0.8 * step), pane)


def _tree(rng: np.random.Generator, canvas: Canvas, horizon: int) -> None:
    height, width = canvas.image.shape[:2]
    x, size = rng.uniform(0, width), rng.uniform(0.08, 0.3) * height
    base = horizon + rng.uniform(0, 0.15) * height
    canvas.fill(rectangle(x - size * 0.08, base - size, x + size * 0.08, base), (92, 66, 44))
    leaves = np.array([50, 110, 45]) * rng.uniform(0.6, 1.4)
    for dx, dy in rng.normal(0, 0.3, (4, 2)):
        r = size * rng.uniform(0.25, 0.5)
        shade = leaves * rng.uniform(0.85, 1.15)
        canvas.fill(ellipse(x + dx * size, base - size * 1.2 + dy * size, r, r), shade)


def _shape(rng: np.random.Generator, canvas: Canvas) -> None:
    """A convex polygon, an ellipse or a bar of any colour."""
    height, width = canvas.image.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    size = height * 10 ** rng.uniform(-1.6, -0.75)
    colour = random_colour(rng)
    kind = rng.integers(3)
    if kind == 0:
        points = np.array((x, y)) + rng.normal(0, size, (6, 2))
        canvas.fill(hull(points), colour)
    elif kind == 1:
        canvas.fill(ellipse(x, y, size, size * rng.uniform(0.4, 1.6)), colour)
    else:
        angle = rng.uniform(0, np.pi)
        along = 1.5 * size * np.array((np.cos(angle), np.sin(angle)))
        across = rng.uniform(0.03, 0.15) * np.array((-along[1], along[0]))
        corners = np.array([along + across, along - across, -along - across, across - along])
        canvas.fill(np.array((x, y)) + corners, colour)


def draw_shadow(canvas: Canvas, x: float, y: float, reach: float) -> None:
    """Darken the floor under a person.

    Args:
        canvas: What to paint on.
        x: Middle of the shadow, image pixels.
        y: Middle of the shadow, image pixels.
        reach: Half its width in pixels.
    """
    height, width = canvas.image.shape[:2]
    left, top = max(int(x - reach), 0), max(int(y - 0.25 * reach), 0)
    right, low = min(int(x + reach) + 2, width), min(int(y + 0.25 * reach) + 2, height)
    if left >= right or top >= low:
        return
    across = (np.arange(left, right) - x) / reach
    down = (np.arange(top, low) - y) / (0.25 * reach)
    dark = 0.6 * np.clip(1 - across**2 - down[:, None] ** 2, 0, 1)
    floor = canvas.image[top:low, left:right]
    floor[:] = (floor * (1 - dark[..., None])).astype(np.uint8)


def draw_seat(
    rng: np.random.Generator, canvas: Canvas, x: float, y: float, width: float, floor: float
) -> None:
    """A stool, box or bench under a sitting person, hiding whoever is behind it.

    Args:
        rng: Source of the random numbers.
        canvas: What to paint on.
        x: Middle of the seat, image pixels.
        y: Top of the seat, image pixels.
        width: Width of the seat in pixels.
        floor: Where it stands, image pixels.
    """
    colour, half = random_colour(rng, 0.6), width / 2
    thick = 0.12 * width
    if rng.random() < 0.5:
        canvas.fill(rectangle(x - half, y, x + half, floor), colour * 0.75, 0)
    else:
        for leg in (-0.85, 0.85):
            middle = x + leg * half
            canvas.fill(
                rectangle(middle - thick / 2, y, middle + thick / 2, floor), colour * 0.65, 0
            )
    if rng.random() < 0.4:  # a back rest
        canvas.fill(rectangle(x - half, y - 0.9 * width, x + half, y), colour * 0.85, 0)
    canvas.fill(rectangle(x - half, y, x + half, y + thick), colour, 0)


def draw_object(
    rng: np.random.Generator, canvas: Canvas, x: float, floor: float, size: float
) -> None:
    """A box, pole, plant, ball or table, hiding what is behind it.

    Args:
        rng: Source of the random numbers.
        canvas: What to paint on.
        x: Middle of the object, image pixels.
        floor: Where it stands, image pixels.
        size: Height in pixels; a pole is taller.
    """
    colour, kind = random_colour(rng), rng.integers(5)
    if kind == 0:
        half = size * rng.uniform(0.3, 0.6)
        canvas.fill(rectangle(x - half, floor - size, x + half, floor), colour * 0.6, 0)
        rim = 0.06 * size
        canvas.fill(
            rectangle(x - half + rim, floor - size + rim, x + half - rim, floor - rim), colour, 0
        )
    elif kind == 1:
        half, top = 0.05 * size, floor - size * rng.uniform(2, 5)
        canvas.fill(rectangle(x - half, top, x + half, floor), colour * 0.6, 0)
        canvas.fill(rectangle(x - half, top, x + half * 0.3, floor), colour, 0)
    elif kind == 2:
        leaf = np.array([60, 125, 50]) * rng.uniform(0.6, 1.4)
        root = np.array((x, floor - size * 0.3))
        for angle in rng.uniform(-1.1, 1.1, 9):
            tip = root + size * 0.75 * np.array((np.sin(angle), -np.cos(angle)))
            across = 0.08 * size * np.array((np.cos(angle), np.sin(angle)))
            middle = (root + tip) / 2
            blade = np.array([root, middle + across, tip, middle - across])
            canvas.fill(blade, leaf * rng.uniform(0.8, 1.2), 0)
        canvas.fill(
            rectangle(x - 0.2 * size, floor - 0.35 * size, x + 0.2 * size, floor), colour, 0
        )
    elif kind == 3:
        r = size / 2
        canvas.fill(ellipse(x, floor - r, r, r), colour * 0.7, 0)
        canvas.fill(ellipse(x - 0.1 * r, floor - 1.1 * r, 0.8 * r, 0.8 * r), colour, 0)
    else:
        half = size * rng.uniform(0.6, 1.0)
        for leg in (-0.9, 0.9):
            left = x + leg * half - 0.04 * size
            canvas.fill(rectangle(left, floor - size, left + 0.08 * size, floor), colour * 0.6, 0)
        canvas.fill(rectangle(x - half, floor - size, x + half, floor - 0.85 * size), colour, 0)


def photograph(rng: np.random.Generator, image: Image) -> Image:
    """What a camera does to a scene: uneven light, colour cast, blur and noise.

    Args:
        rng: Source of the random numbers.
        image: ``(H, W, 3)`` uint8 RGB; left as it is.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    height, width = image.shape[:2]
    sigma = rng.uniform(0.3, 1.1) if rng.random() < 0.5 else 0.0
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma)) if sigma else image
    if rng.random() < 0.06:  # camera shake
        length = int(rng.integers(2, 4)) * 2 - 1
        kernel = np.full((1, length), 1 / length, np.float32)
        blurred = np.asarray(cv2.filter2D(blurred, -1, kernel if rng.random() < 0.5 else kernel.T))
    light = 1 + np.float32(rng.uniform(0, 0.13)) * _noise(rng, width, height, 3)
    gains = [light * np.float32(tint) for tint in rng.uniform(0.82, 1.18) * rng.normal(1, 0.04, 3)]
    lit = cv2.multiply(blurred, cv2.merge(gains), dtype=cv2.CV_32F)
    grain = rng.standard_normal((height, width), np.float32) * np.float32(rng.uniform(0, 8))
    grain += np.float32(rng.uniform(-12, 12))
    return np.asarray(cv2.add(lit, cv2.merge([grain] * 3), dtype=cv2.CV_8U), dtype=np.uint8)
