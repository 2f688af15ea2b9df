"""Poses as predictions of Label Studio's tasks, to be corrected there.

Format: https://labelstud.io/guide/predictions and the tags KeyPointLabels and RectangleLabels:
positions and sizes are percents of the image. A keypoint's ``parentID`` is the rectangle of its
person. The labeling configuration has ``<Image name="image" value="$image"/>``,
``<RectangleLabels name="person" toName="image">`` and ``<KeyPointLabels name="keypoint"
toName="image">``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pose_hrnet.inference.formats.inside import are_labels, clipped_boxes
from pose_hrnet.keypoints.records import ImageId, Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import few_digits

_DOT = 0.5
"""Width of a keypoint as it is shown, in percent of the image's."""


def labelstudio_task(
    poses: Poses,
    name: str,
    size_wh: tuple[int, int],
    skeleton: Skeleton,
    *,
    min_score: float,
    categories: Mapping[ImageId, str],
) -> dict[str, Any]:
    """The task of an image, with one prediction.

    Args:
        poses: Of one image.
        name: Of the image, as ``data.image``; Label Studio wants it to be an address that it can
            open, which a storage or a search and replace makes of it.
        size_wh: Its width and height.
        skeleton: Names the keypoints.
        min_score: Keypoints of this score and above are given, if they are in the image.
        categories: Name of each ``category_id``; the labels of the rectangles.
    """
    percent = 100 / np.array(size_wh, np.float64)
    corners = clipped_boxes(poses, size_wh).reshape(-1, 2, 2) * percent
    points = poses.keypoints_image.astype(np.float64)
    shown = are_labels(poses, size_wh, min_score)
    pose_scores, scores = few_digits(poses.scores), few_digits(poses.keypoint_scores)
    about = {
        "to_name": "image",
        "original_width": size_wh[0],
        "original_height": size_wh[1],
        "image_rotation": 0,
    }
    regions: list[dict[str, Any]] = []
    for person, ((left, top), (right, bottom)) in enumerate(corners.tolist()):
        kind = categories[poses.category_ids[person]]
        box = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
        regions.append(
            {
                "id": f"p{person}",
                "type": "rectanglelabels",
                "from_name": "person",
                **about,
                "value": {**box, "rectanglelabels": [kind]},
                "score": float(pose_scores[person]),
            }
        )
        for k in np.flatnonzero(shown[person]):
            x, y = (points[person, k] * percent).tolist()
            regions.append(
                {
                    "id": f"p{person}k{k}",
                    "type": "keypointlabels",
                    "from_name": "keypoint",
                    "parentID": f"p{person}",
                    **about,
                    "value": {
                        "x": x,
                        "y": y,
                        "width": _DOT,
                        "keypointlabels": [skeleton.keypoint_names[k]],
                    },
                    "score": float(scores[person, k]),
                }
            )
    mean = float(pose_scores.mean()) if len(poses) else 0.0
    prediction = {"model_version": "pose-hrnet", "score": mean, "result": regions}
    return {"data": {"image": name}, "predictions": [prediction]}
