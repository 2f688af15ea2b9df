"""Small annotation files that the tests write, with faults where they want them."""

from __future__ import annotations

import json
from pathlib import Path

from pose_hrnet.keypoints.skeleton import COCO17

NAN = float("nan")
CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names)}
IMAGES = [
    {"id": 7, "file_name": "a/street.jpg", "width": 640, "height": 480},
    {"id": "cam-2", "file_name": "b/street.jpg", "width": 320, "height": 240},
]


def keypoints(*labelled: tuple[float, float, int]) -> list[float]:
    """Flat triples: the first keypoints labelled, the others not."""
    triples = [*labelled, *[(0, 0, 0)] * (17 - len(labelled))]
    return [value for triple in triples for value in triple]


def person(row_id: object = 1, **changes: object) -> dict[str, object]:
    """A good annotation; a change to None takes the field away."""
    row = {
        "id": row_id,
        "image_id": 7,
        "category_id": 1,
        "bbox": [10, 20, 100, 200],
        "area": 12000.5,
        "iscrowd": 0,
        "num_keypoints": 2,
        "keypoints": keypoints((30, 40, 2), (35.5, 41, 1)),
        "segmentation": [[10, 20, 110, 20, 110, 220]],
    }
    return {key: value for key, value in (row | changes).items() if value is not None}


def write(
    folder: Path,
    *annotations: object,
    images: object = IMAGES,
    categories: object = (CATEGORY,),
) -> Path:
    path = folder / "people.json"
    parts = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps({key: value for key, value in parts.items() if value is not None}))
    return path
