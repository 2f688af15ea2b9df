"""DARK's and UDP's decoding of whole heatmaps by OpenCV, as their papers' code orders the steps.

Slow and plain, to compare with; written anew from the descriptions.
"""

from __future__ import annotations

import cv2
import numpy as np


def opencv_blurred(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """Blurred between zeros, and scaled back to its maximum from before."""
    reach = kernel // 2
    blurred = cv2.GaussianBlur(np.pad(heatmap.astype(np.float32), reach), (kernel, kernel), 0)
    inside = blurred[reach:-reach, reach:-reach] if reach else blurred
    return inside * heatmap.max() / (inside.max() + 1e-12)


def dark_reference(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """``(2,)`` place in cells of the ``(H, W)`` heatmap's peak."""
    height, width = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    place = np.array([x, y], np.float64)
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return place
    log = np.log(np.maximum(opencv_blurred(heatmap, kernel), 1e-10)).astype(np.float64)
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
    yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
    corners = log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]
    return place - np.linalg.solve([[xx, corners / 4], [corners / 4, yy]], gradient)


def udp_reference(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """As `dark_reference`."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    log = np.log(np.clip(opencv_blurred(heatmap, kernel), 1e-3, 50)).astype(np.float64)
    log, row, column = np.pad(log, 1, mode="edge"), y + 1, x + 1
    here = log[row, column]
    right, left = log[row, column + 1], log[row, column - 1]
    below, above = log[row + 1, column], log[row - 1, column]
    corners = log[row + 1, column + 1] + log[row - 1, column - 1]
    xy = (corners - right - left - below - above + 2 * here) / 2
    ridge = np.finfo(np.float32).eps * np.eye(2)
    hessian = np.array([[right - 2 * here + left, xy], [xy, below - 2 * here + above]]) + ridge
    return np.array([x, y]) - np.linalg.solve(hessian, [(right - left) / 2, (below - above) / 2])
