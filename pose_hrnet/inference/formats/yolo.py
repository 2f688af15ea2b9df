"""Poses as Ultralytics writes them (``save_txt``): a text file an image, a line a person.

``class x y width height`` of the box's centre and size, then x, y and confidence of each keypoint;
all coordinates over the image's size. The class is the place of the category, from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_hrnet.inference.formats.inside import clipped_boxes
from pose_hrnet.keypoints.records import PERSON, ImageId, Poses


def yolo_lines(
    poses: Poses, size_wh: tuple[int, int], categories: Sequence[ImageId] = (PERSON,)
) -> str:
    """The content of an image's file; empty without persons.

    Args:
        poses: Of one image; points outside of it are moved to its border, as Ultralytics does.
        size_wh: Its width and height.
        categories: Every ``category_id``, in the order of the classes.
    """
    size = np.array(size_wh, np.float64)
    corners = clipped_boxes(poses, size_wh).reshape(-1, 2, 2) / size
    boxes = np.concatenate([corners.mean(axis=1), corners[:, 1] - corners[:, 0]], axis=1)
    points = np.clip(poses.keypoints_image.astype(np.float64) / size, 0.0, 1.0)
    triples = np.concatenate([points, poses.keypoint_scores[..., None]], axis=2)
    rows = np.concatenate([boxes, triples.reshape(len(poses), 3 * points.shape[1])], axis=1)
    classes = [str(categories.index(each)) for each in poses.category_ids]
    lines = ([each, *(f"{v:g}" for v in row)] for each, row in zip(classes, rows, strict=True))
    return "".join(" ".join(line) + "\n" for line in lines)
