"""Time and weigh the index of 150,000 persons, loaded from an annotation file of COCO's size.

The file is drawn into a temporary folder and loaded in a fresh process (Linux: it reads
``/proc``). Targets: at most 10 s, and at most 150 MB of memory that stays.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import numpy as np

from pose_hrnet.data.coco import load_people, training_people
from pose_hrnet.skeleton import COCO17

PERSONS, IMAGES, SEED = 150_000, 64_000, 0
MB = 1e6


def draw_annotations(path: Path) -> None:
    """Write persons with 17 keypoints and polygons of 10 to 60 points, half of them unlabelled."""
    rng = np.random.default_rng(SEED)
    images = [
        {"id": 9 * row, "file_name": f"{9 * row:012d}.jpg", "width": 640, "height": 480}
        for row in range(IMAGES)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names)}
    with path.open("w") as file:
        file.write(f'{{"images": {json.dumps(images)}, "categories": [{json.dumps(category)}], ')
        file.write('"annotations": [')
        for row in range(PERSONS):
            file.write(("," if row else "") + json.dumps(draw_annotation(row, rng)))
        file.write("]}")


def draw_annotation(row: int, rng: np.random.Generator) -> dict[str, object]:
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
        "image_id": 9 * int(rng.integers(IMAGES)),
        "bbox": [left, top, width, height],
        "category_id": 1,
        "id": 10_000 + row,
    }


def resident_bytes() -> int:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(path: Path) -> dict[str, float]:
    """Load the file; meant for a fresh process."""
    before = resident_bytes()
    start = perf_counter()
    people = load_people(path)
    seconds = perf_counter() - start
    held = resident_bytes() - before
    return {
        "file, MB": path.stat().st_size / MB,
        "persons": len(people),
        "persons to train on": len(training_people(people)),
        "seconds": seconds,
        "memory added, MB": held / MB,
        "memory added at the peak, MB": (getrusage(RUSAGE_SELF).ru_maxrss * 1024 - before) / MB,
    }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        draw_annotations(path)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            numbers = pool.apply(measure, (path,))
    for name, value in numbers.items():
        print(f"{name:<30}{value:>12,.1f}")


if __name__ == "__main__":
    main()
