"""Annotations and predictions of COCO's size and kind, made up from random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.records import People, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.files import replace_file, write_json

_FALSE_POSITIVES, _DUPLICATES = 0.3, 0.05


def write_annotations(path: Path, *, images: int, persons: int, seed: int = 0) -> None:
    """Write persons with 17 keypoints and polygons of 10 to 60 points, half of them unlabelled."""
    rng = np.random.default_rng(seed)
    rows = [
        {"id": 9 * row, "file_name": f"{9 * row:012d}.jpg", "width": 640, "height": 480}
        for row in range(images)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names)}
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"images": {json.dumps(rows)}, "categories": [{json.dumps(category)}], ')
        file.write('"annotations": [')
        for row in range(persons):
            annotation = _annotation(row, 9 * int(rng.integers(images)), rng)
            file.write(("," if row else "") + json.dumps(annotation))
        file.write("]}")


def _annotation(row: int, image_id: int, rng: np.random.Generator) -> dict[str, object]:
    """One person; numbers have as many digits as COCO's."""
    left, top, width, height = (rng.random(4) * (300, 200, 300, 250) + (0, 0, 5, 5)).round(2)
    visibility = rng.integers(0, 3, 17) * (row % 2)
    points = (rng.random((17, 2)) * (width, height) + (left, top)).astype(int)
    keypoints = np.column_stack([points * (visibility > 0)[:, None], visibility])
    outline = rng.random((rng.integers(10, 61), 2)) * (width, height) + (left, top)
    return {
        "segmentation": [outline.round(2).ravel().tolist()],
        "num_keypoints": int((visibility > 0).sum()),
        "area": round(width * height * 0.6, 4),
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
        "image_id": image_id,
        "bbox": [left, top, width, height],
        "category_id": 1,
        "id": 10_000 + row,
    }


def sample_poses(people: People, count: int, *, seed: int = 0) -> Poses:
    """Sample jittered copies of the labelled persons, strays in other images, exact duplicates.

    Each person is found several times, near and far; scores are higher for near ones and have
    three decimals, so that many are equal.
    """
    rng = np.random.default_rng(seed)
    labelled = people[(people.visibility > 0).any(axis=1) & ~people.is_crowd]
    found = labelled[np.sort(rng.integers(len(labelled), size=count))]
    visible = (found.visibility > 0)[..., None]
    centres = (found.keypoints_image * visible).sum(axis=1) / visible.sum(axis=1)
    keypoints = np.where(visible, found.keypoints_image, centres[:, None])
    error = 0.2 + rng.exponential(1.0, count)  # in units of the keypoint's own tolerance
    steps = 2 * np.outer(np.sqrt(found.areas), COCO17.sigmas)[..., None]
    keypoints = keypoints + rng.normal(size=keypoints.shape) * steps * error[:, None, None]
    stray = rng.random(count) < _FALSE_POSITIVES
    image = np.where(stray, rng.integers(len(people.images), size=count), found.image_index)
    quality = np.exp(-error / 2) * np.where(stray, 0.5, 1.0)
    spread = rng.uniform(0.5, 1.0, (2, count, 17))
    poses = Poses(
        image_ids=object_array(people.images.ids)[image],
        keypoints_image=keypoints.astype(np.float32),
        keypoint_scores=(quality[:, None] * spread[0]).astype(np.float32),
        boxes_xyxy=np.hstack(
            [found.boxes_xywh[:, :2], found.boxes_xywh[:, :2] + found.boxes_xywh[:, 2:]]
        ),
        scores=(quality * spread[1, :, 0]).round(3).astype(np.float32),
        areas=(found.boxes_xywh[:, 2] * found.boxes_xywh[:, 3] * BOX_PADDING**2).astype(
            np.float32
        ),
    )
    rows = np.arange(count)
    copies = np.flatnonzero(rng.random(count) < _DUPLICATES)
    rows[copies] = np.maximum(copies - 1, 0)
    return poses[rows]


def write_boxes(poses: Poses, path: Path) -> None:
    """Write the poses' boxes as a person detector would."""
    low, high = poses.boxes_xyxy[:, :2], poses.boxes_xyxy[:, 2:]
    boxes = np.hstack([low, high - low]).astype(np.float64).round(3)
    columns = zip(poses.image_ids, boxes.tolist(), poses.scores.tolist(), strict=True)
    write_json(
        path,
        [
            {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
            for image_id, box, score in columns
        ],
    )
