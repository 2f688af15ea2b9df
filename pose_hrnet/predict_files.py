"""Predict poses in image files and folders: results as COCO JSON, CSV and pictures."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.coco import poses_to_results, write_json
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.draw import draw_poses, write_image
from pose_hrnet.files import replace_file
from pose_hrnet.predict import PoseEstimator
from pose_hrnet.progress import SILENT, Bar, Progress
from pose_hrnet.records import ImageId, Poses, object_array
from pose_hrnet.skeleton import Skeleton

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

Image = NDArray[np.uint8]
Boxes = NDArray[np.float64]
"""``(N, 5)`` rows of x1, y1, x2, y2 in image pixels, and the score."""


@dataclass(frozen=True)
class FilePredictions:
    """What `predict_files` did.

    Attributes:
        images: Number of images predicted.
        persons: Number of poses written.
        failures: One sentence for each image that could not be read.
    """

    images: int
    persons: int
    failures: tuple[str, ...]


def find_images(inputs: Iterable[Path]) -> list[Path]:
    """Image files among paths; folders are searched with their sub-folders, in sorted order.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If there is no image at all.
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path} does not exist; give image files or folders of them")
    if not found:
        raise ValueError(
            "there is no image in " + ", ".join(map(str, inputs)) + "; looked for "
            + " ".join(sorted(IMAGE_SUFFIXES))
        )  # fmt: skip
    return found


def load_boxes(path: Path) -> dict[str, Boxes]:
    """Person boxes per image from a detection file.

    Args:
        path: JSON list of ``{"image_id" or "file_name", "bbox": [x, y, w, h], "score"}``.

    Returns:
        ``(N, 5)`` rows of x1, y1, x2, y2, score for each image id or file name, as text.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a list.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no box file {path}")
    rows: dict[str, list[list[float]]] = {}
    try:
        for entry in json.loads(path.read_bytes()):
            name = str(entry["file_name"] if "file_name" in entry else entry["image_id"])
            x, y, w, h = (float(v) for v in entry["bbox"])
            rows.setdefault(name, []).append([x, y, x + w, y + h, float(entry.get("score", 1))])
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        count = sum(map(len, rows.values()))
        raise ValueError(
            f"entry {count} of {path} is not a detection ({error!r}); expected "
            '{"image_id" or "file_name": ..., "bbox": [x, y, w, h], "score": ...}'
        ) from None
    return {name: np.array(boxes) for name, boxes in rows.items()}


def predict_files(
    estimator: PoseEstimator,
    inputs: Sequence[Path],
    output: Path,
    *,
    boxes: Path | None = None,
    overlays: bool = True,
    min_score: float = 0.2,
    progress: Progress = SILENT,
) -> FilePredictions:
    """Predict images and folders; write ``results.json``, ``keypoints.csv`` and ``overlays/``.

    An image that cannot be read is reported and counted, and the rest is done. Where a box file is
    given, images without boxes in it have no persons; pose scores are then the box score times the
    mean keypoint score.

    Args:
        estimator: The model.
        inputs: Image files and folders.
        output: Folder to write to.
        boxes: Detection file (see `load_boxes`); None: each image is one person crop.
        overlays: Whether to draw the poses on the images.
        min_score: Keypoints below it are not drawn.
        progress: Watches.

    Raises:
        FileNotFoundError: If an input or the box file is missing.
        ValueError: If there is no image, the box file is malformed, or none of its boxes belongs
            to an image.
    """
    paths = find_images(inputs)
    known = None if boxes is None else load_boxes(boxes)
    if known is not None and not any(_box_key(path, known) for path in paths):
        raise ValueError(
            f"no image has boxes in {boxes}: it names {', '.join(list(known)[:3])}, "
            f"the images are {', '.join(p.name for p in paths[:3])}"
        )
    output.mkdir(parents=True, exist_ok=True)
    names = _unique_names(paths)
    all_poses: list[tuple[Path, Poses]] = []
    failures: list[str] = []
    with progress.task("predict", total=len(paths), unit="images") as bar:
        for batch in _batches(paths, known, estimator.batch_size, failures, bar):
            all_poses += (predicted := _predict_batch(estimator, batch))
            for (path, image, _), (_, poses) in zip(batch, predicted, strict=True):
                if overlays:
                    target = output / "overlays" / f"{names[path]}.jpg"
                    target.parent.mkdir(exist_ok=True)
                    write_image(target, _overlay(image, poses, estimator.skeleton, min_score))
    results = [row for _, poses in all_poses for row in poses_to_results(poses)]
    write_json(output / "results.json", results)
    _write_csv(output / "keypoints.csv", all_poses, estimator.skeleton)
    return FilePredictions(len(all_poses), len(results), tuple(failures))


def _batches(
    paths: Sequence[Path],
    known: dict[str, Boxes] | None,
    batch_size: int,
    failures: list[str],
    bar: Bar,
) -> Iterator[list[tuple[Path, Image, Boxes]]]:
    """Images with their boxes, as many at a time as fill a batch of crops."""
    batch: list[tuple[Path, Image, Boxes]] = []
    for path in paths:
        bar.advance()
        try:
            image = read_rgb(path)
        except (ImageError, OSError) as error:
            log.error("%s", error)
            failures.append(str(error))
            continue
        batch.append((path, image, _boxes_of(path, image, known)))
        if sum(len(boxes) for _, _, boxes in batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _boxes_of(path: Path, image: Image, known: dict[str, Boxes] | None) -> Boxes:
    """The image's boxes in the box file; without one, the whole image."""
    if known is None:
        return np.array([[0, 0, image.shape[1], image.shape[0], 1]], dtype=np.float64)
    key = _box_key(path, known)
    return np.empty((0, 5)) if key is None else known[key]


def _predict_batch(
    estimator: PoseEstimator, batch: Sequence[tuple[Path, Image, Boxes]]
) -> list[tuple[Path, Poses]]:
    """Poses per file, with the file's image id; score = box score x mean keypoint score."""
    poses = estimator.predict_images(
        [image for _, image, _ in batch], [boxes[:, :4] for _, _, boxes in batch]
    )
    predicted = []
    for position, (path, _, boxes) in enumerate(batch):
        own = poses[poses.image_ids == position]
        image_id: ImageId = int(path.stem) if path.stem.isdecimal() else path.name
        ids = object_array([image_id] * len(own))
        scores = (own.scores * boxes[:, 4]).astype(np.float32)
        predicted.append((path, replace(own, image_ids=ids, scores=scores)))
    return predicted


def _overlay(image: Image, poses: Poses, skeleton: Skeleton, min_score: float) -> Image:
    return draw_poses(
        image,
        poses.keypoints_image,
        poses.keypoint_scores,
        skeleton=skeleton,
        min_score=min_score,
    )


def _box_key(path: Path, known: dict[str, Boxes]) -> str | None:
    """The name under which a box file knows an image: path, name, stem, or the stem's number."""
    candidates = [str(path), path.name, path.stem]
    if path.stem.isdecimal():
        candidates.append(str(int(path.stem)))
    return next((name for name in candidates if name in known), None)


def _unique_names(paths: Sequence[Path]) -> dict[Path, str]:
    """An overlay name per image: its stem, numbered where two folders hold the same one."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 1
        while name in taken:
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(name)
        names[path] = name
    return names


def _write_csv(path: Path, all_poses: list[tuple[Path, Poses]], skeleton: Skeleton) -> None:
    """One row per keypoint: image, person, keypoint name, x, y, keypoint score, pose score."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["image", "person", "keypoint", "x", "y", "score", "pose_score"])
        for image, poses in all_poses:
            for person in range(len(poses)):
                for k, name in enumerate(skeleton.keypoint_names):
                    x, y = poses.keypoints_image[person, k]
                    score = poses.keypoint_scores[person, k]
                    row = [f"{v:.4f}" for v in (x, y, score, poses.scores[person])]
                    writer.writerow([str(image), person, name, *row])
