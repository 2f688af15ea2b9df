"""The boxes of poses, clipped to their image."""

from __future__ import annotations

import numpy as np

from pose_hrnet.keypoints.records import Float64, Poses


def clipped_boxes(poses: Poses, size_wh: tuple[int, int]) -> Float64:
    """``(N, 4)`` left, top, right, bottom in image pixels, none outside of the image.

    Args:
        poses: N poses.
        size_wh: Width and height of the image.
    """
    limits = np.array([*size_wh, *size_wh], np.float64)
    clipped: Float64 = np.clip(poses.boxes_xyxy.astype(np.float64), 0.0, limits)
    return clipped
