"""Poses as Ultralytics writes them (``save_txt``): a text file an image, a line a person.

``class x y width height`` of the box's centre and size, then x, y and confidence of each keypoint;
all coordinates over the image's size. The class counts from 0.
"""

from __future__ import annotations

import numpy as np

from pose_hrnet.inference.formats.boxes import clipped_boxes
from pose_hrnet.keypoints.records import Poses


def yolo_lines(poses: Poses, size_wh: tuple[int, int]) -> str:
    """The content of an image's file; empty without persons.

    Args:
        poses: Of one image; points outside of it are moved to its border, as Ultralytics does.
        size_wh: Its width and height.
    """
    size = np.array(size_wh, np.float64)
    corners = clipped_boxes(poses, size_wh).reshape(-1, 2, 2) / size
    boxes = np.concatenate([corners.mean(axis=1), corners[:, 1] - corners[:, 0]], axis=1)
    points = np.clip(poses.keypoints_image.astype(np.float64) / size, 0.0, 1.0)
    triples = np.concatenate([points, poses.keypoint_scores[..., None]], axis=2)
    rows = np.concatenate([boxes, triples.reshape(len(poses), 3 * points.shape[1])], axis=1)
    return "".join(" ".join(["0", *(f"{value:g}" for value in row)]) + "\n" for row in rows)
