"""Poses as COCO annotations, which CVAT and other programs open to correct them by hand.

Format: https://cocodataset.org/#format-data (Lin et al., ECCV 2014). CVAT takes it as "COCO
Keypoints 1.0", where the label's points have the names of the category's keypoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_hrnet.inference.formats.inside import are_labels, clipped_boxes
from pose_hrnet.keypoints.records import Poses
from pose_hrnet.system.files import few_digits

DECIMALS = 3
"""Of a pixel: annotators do not see less."""


def coco_annotations(
    poses: Poses, size_wh: tuple[int, int], *, image_id: int, first_id: int, min_score: float
) -> list[dict[str, Any]]:
    """One annotation per pose; of keypoints below the score, or outside, visibility is 0.

    Args:
        poses: Of one image.
        size_wh: Its width and height.
        image_id: Its id in the file.
        first_id: Of the annotations; the others follow.
        min_score: Keypoints of this score and above are labelled, with visibility 2.
    """
    points = poses.keypoints_image.astype(np.float64)
    labelled = are_labels(poses, size_wh, min_score)
    triples = np.concatenate([points, np.full((*labelled.shape, 1), 2.0)], axis=2)
    triples = np.where(labelled[..., None], triples.round(DECIMALS), 0.0)
    scores = few_digits(poses.scores).tolist()
    rows = []
    for at, (left, top, right, bottom) in enumerate(clipped_boxes(poses, size_wh).tolist()):
        box = [round(v, DECIMALS) for v in (left, top, right - left, bottom - top)]
        values = [int(v) if k % 3 == 2 else v for k, v in enumerate(triples[at].ravel().tolist())]
        rows.append(
            {
                "id": first_id + at,
                "image_id": image_id,
                "category_id": poses.category_ids[at],
                "bbox": box,
                "area": round(box[2] * box[3], DECIMALS),
                "iscrowd": 0,
                "segmentation": [],
                "keypoints": values,
                "num_keypoints": int(labelled[at].sum()),
                "score": scores[at],
            }
        )
    return rows
