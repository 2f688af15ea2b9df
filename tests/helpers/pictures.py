"""How far apart two pictures are."""

from __future__ import annotations

import cv2
import numpy as np


def shift_and_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Length of the shift in pixels, by least squares on the gradient, and the mean difference."""
    first, second = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float64) for crop in (a, b))
    slopes = np.stack([part[2:-2, 2:-2].ravel() for part in np.gradient((first + second) / 2)])
    change = (second - first)[2:-2, 2:-2].ravel()
    shift = np.linalg.lstsq(slopes.T, change, rcond=None)[0]
    return float(np.hypot(*shift)), float(np.abs(a.astype(float) - b).mean())
