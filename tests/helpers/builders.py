"""Small real inputs that several test files need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pose_hrnet.data.crops import CropBatch
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.records import Images, People, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17


def make_people(n: int, *, seed: int = 0, size_wh: tuple[int, int] = (320, 240)) -> People:
    """N persons, two to an image, with keypoints inside their boxes."""
    rng = np.random.default_rng(seed)
    count = -(-n // 2)
    images = Images(
        ids=tuple(range(1, count + 1)),
        file_names=tuple(f"{i:06d}.png" for i in range(1, count + 1)),
        sizes_wh=np.tile(np.array(size_wh, np.int32), (count, 1)),
    )
    boxes = np.stack(
        [
            rng.uniform(5, 150, n),
            rng.uniform(5, 60, n),
            rng.uniform(40, 120, n),
            rng.uniform(80, 160, n),
        ],
        axis=1,
    )
    inside = rng.uniform(0.05, 0.95, (n, 17, 2))
    return People(
        images=images,
        image_index=(np.arange(n) // 2).astype(np.int32),
        ids=object_array(list(range(1, n + 1))),
        boxes_xywh=boxes.astype(np.float32),
        keypoints_image=(boxes[:, None, :2] + inside * boxes[:, None, 2:]).astype(np.float32),
        visibility=np.full((n, 17), 2, np.uint8),
        areas=boxes[:, 2:].prod(1).astype(np.float32),
        scores=np.ones(n, np.float32),
        is_crowd=np.zeros(n, bool),
    )


def write_images(people: People, folder: Path, *, seed: int = 0) -> Path:
    """Smooth random pictures for every image of `people`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name, (width, height) in zip(
        people.images.file_names, people.images.sizes_wh, strict=True
    ):
        coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (int(width), int(height))))
    return folder


def write_annotations(people: People, path: Path) -> Path:
    """The COCO JSON of `people`."""
    annotations: list[dict[str, Any]] = []
    for row in range(len(people)):
        triples = np.concatenate(
            [people.keypoints_image[row], people.visibility[row][:, None]], axis=1
        )
        annotations.append(
            {
                "id": people.ids[row],
                "image_id": people.image_ids[row],
                "category_id": 1,
                "bbox": people.boxes_xywh[row].tolist(),
                "area": float(people.areas[row]),
                "iscrowd": int(people.is_crowd[row]),
                "keypoints": triples.ravel().tolist(),
                "num_keypoints": int((people.visibility[row] > 0).sum()),
            }
        )
    images = [
        {"id": i, "file_name": name, "width": int(w), "height": int(h)}
        for i, name, (w, h) in zip(
            people.images.ids, people.images.file_names, people.images.sizes_wh, strict=True
        )
    ]
    categories = [
        {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names), "skeleton": []}
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def make_batch(size: int, *, seed: int = 0, input_wh: tuple[int, int] = (32, 64)) -> CropBatch:
    """Random crops with keypoints inside them, of the first persons."""
    generator = torch.Generator().manual_seed(seed)
    width, height = input_wh
    return CropBatch(
        pixels=torch.randint(
            0, 256, (size, height, width, 3), dtype=torch.uint8, generator=generator
        ),
        keypoints_input=torch.rand(size, 17, 2, generator=generator) * torch.tensor(input_wh),
        visible=torch.ones(size, 17),
        affines=torch.zeros(size, 2, 3),
        rows=torch.arange(size),
        readable=torch.ones(size, dtype=torch.bool),
    )


def mirrored_points(points: torch.Tensor, width: int) -> torch.Tensor:
    """Where ``(..., 2)`` points stand in an image of this width that is flipped."""
    return torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)


def make_poses(people: People, shift: object) -> Poses:
    """The annotated poses, each moved by its number of pixels."""
    moved = people.keypoints_image + np.asarray(shift, np.float32)[:, None, None]
    n = len(people)
    return Poses(
        image_ids=object_array(people.image_ids),
        keypoints_image=moved,
        keypoint_scores=np.ones((n, 17), np.float32),
        boxes_xyxy=xywh_to_xyxy(people.boxes_xywh).astype(np.float32),
        scores=np.ones(n, np.float32),
        areas=people.areas,
    )
