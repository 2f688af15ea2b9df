"""Time OKS-NMS, hard and soft, on 100,000 poses in 5,000 images."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from pose_hrnet.metrics.oks import oks_nms, soft_oks_nms
from pose_hrnet.records import Poses, object_array
from pose_hrnet.skeleton import COCO17

POSES, IMAGES, REPEATS = 100_000, 5_000, 3


def draw_poses(rng: np.random.Generator) -> Poses:
    """Draw poses around a third as many persons; detections per image vary as a detector's do."""
    image = np.sort(rng.choice(IMAGES, size=POSES, p=rng.dirichlet(np.full(IMAGES, 2.0))))
    persons = rng.uniform(0, 640, (POSES // 3, COCO17.num_keypoints, 2))
    person = np.arange(POSES) // 3 - (np.arange(POSES) == POSES - 1)
    corners = rng.uniform(0, 400, (POSES, 2))
    return Poses(
        image_ids=object_array(image.tolist()),
        keypoints_image=(persons[person] + rng.normal(0, 8, (POSES, 17, 2))).astype(np.float32),
        keypoint_scores=rng.random((POSES, 17), dtype=np.float32),
        boxes_xyxy=np.hstack([corners, corners + 100]).astype(np.float32),
        scores=rng.random(POSES, dtype=np.float32),
        areas=rng.uniform(5_000, 100_000, POSES).astype(np.float32),
    )


def main() -> None:
    """Print seconds and poses per second, the median of three runs."""
    poses = draw_poses(np.random.default_rng(0))
    for nms in (oks_nms, soft_oks_nms):
        seconds = []
        for _ in range(REPEATS):
            start = perf_counter()
            kept = nms(poses, COCO17.sigmas)
            seconds.append(perf_counter() - start)
        rate = POSES / median(seconds)
        print(
            f"{nms.__name__:13} {median(seconds):5.2f} s  {rate:9,.0f} poses/s  kept {len(kept):,}"
        )


if __name__ == "__main__":
    main()
