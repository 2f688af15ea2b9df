"""Predict poses in image files and folders: results as COCO JSON, CSV and pictures."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import numpy as np

from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.formats.results import poses_to_results
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.inference.estimator import BATCH_BYTES, PoseEstimator
from pose_hrnet.inference.model import postprocess
from pose_hrnet.inference.sources import find_images, identify
from pose_hrnet.keypoints.records import Float32, Float64, Image, Poses, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import replace_file, write_json
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.threads import Behind
from pose_hrnet.visualize.draw import draw_poses, write_image

log = logging.getLogger(__name__)


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


def predict_files(
    estimator: PoseEstimator,
    inputs: Sequence[Path],
    output: Path,
    *,
    boxes: Path | None = None,
    annotations: Path | None = None,
    draw_above: float | None = 0.2,
    test: EvaluateConfig | None = None,
    progress: Progress = SILENT,
) -> FilePredictions:
    """Predict images and folders; write ``results.json``, ``keypoints.csv`` and ``overlays/``.

    An image that cannot be read is reported and counted, and the rest is done. Where a box file is
    given, images without boxes in it have no persons; pose scores are then the box score times the
    mean keypoint score. The image id of a result is that of the annotations, or else the file's
    name; see `identify`.

    Args:
        estimator: The model.
        inputs: Image files and folders; overlays of an earlier run are passed over.
        output: Folder to write to.
        boxes: Detection file (see `identify`); None: each image is one person crop.
        annotations: Whose image ids the results and the boxes go by; None: they go by names.
        draw_above: Keypoints of this score and above are drawn on the images; None: no overlays.
        test: Rescores the poses and removes duplicates, as an evaluation does; None: all stay,
            and score as said above.
        progress: Watches.

    Raises:
        FileNotFoundError: If an input or the box file is missing.
        ValueError: If there is no image, or as `identify`.
    """
    paths = find_images(inputs, skip=output / "overlays")
    sources = identify(paths, boxes, annotations)
    skeleton, lowest = estimator.skeleton, draw_above or 0.0
    overlays = draw_above is not None
    (output / "overlays" if overlays else output).mkdir(parents=True, exist_ok=True)
    names = _unique_names(paths)
    all_poses: list[tuple[Path, Poses]] = []
    failures: list[str] = []

    def draw(target: Path, image: Image, poses: Poses) -> None:
        points, scores = poses.keypoints_image, poses.keypoint_scores
        drawn = draw_poses(image, points, scores, skeleton=skeleton, min_score=lowest)
        write_image(target, drawn)

    with (
        progress.task("predict", total=len(paths), unit="images") as bar,
        Behind(BATCH_BYTES) as artist,
    ):
        pictures = _pictures(paths, sources.boxes, failures, bar)
        for (path, box_scores), image, found in estimator.predict_stream(pictures):
            ids = object_array([sources.image_ids[path]] * len(found))
            category_ids = object_array(sources.category_ids.get(path, []))
            poses = replace(
                found,
                image_ids=ids,
                scores=found.scores * box_scores,
                category_ids=category_ids,
            )
            if test is not None:
                poses = postprocess(replace(poses, scores=box_scores), skeleton, test)
            all_poses.append((path, poses))
            if overlays:
                target = output / "overlays" / f"{names[path]}.jpg"
                artist.do(partial(draw, target, image, poses), image.nbytes)
            bar.advance()
    results = [row for _, poses in all_poses for row in poses_to_results(poses)]
    write_json(output / "results.json", results)
    _write_csv(output / "keypoints.csv", all_poses, skeleton)
    return FilePredictions(len(all_poses), len(results), tuple(failures))


def _pictures(
    paths: Sequence[Path], known: dict[Path, Float64] | None, failures: list[str], bar: Bar
) -> Iterator[tuple[tuple[Path, Float32], Image, Float64]]:
    """Path and ``(N,)`` box scores, image, and boxes; without a box file: all of the image."""
    for path in paths:
        try:
            image = read_rgb(path)
        except (ImageError, OSError) as error:
            log.error("%s", error)
            failures.append(str(error))
            bar.advance()
            continue
        boxes = np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float64)
        if known is not None:
            boxes = known.get(path, np.empty((0, 5)))
        yield (path, boxes[:, 4].astype(np.float32)), image, boxes[:, :4]


def _unique_names(paths: Sequence[Path]) -> dict[Path, str]:
    """An overlay name per image: its stem, numbered where two folders hold the same one."""
    names: dict[str, Path] = {}
    for path in paths:
        numbered = (f"{path.stem}_{number}" for number in count(2))
        names[next(name for name in chain([path.stem], numbered) if name not in names)] = path
    return {path: name for name, path in names.items()}


def _write_csv(path: Path, all_poses: list[tuple[Path, Poses]], skeleton: Skeleton) -> None:
    """One row per keypoint: image, person, keypoint name, x, y, keypoint score, pose score."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["image", "person", "keypoint", "x", "y", "score", "pose_score"])
        for image, poses in all_poses:
            for person in range(len(poses)):
                for k, name in enumerate(skeleton.keypoint_names):
                    numbers = *poses.keypoints_image[person, k], poses.keypoint_scores[person, k]
                    row = [f"{v:.4f}" for v in (*numbers, poses.scores[person])]
                    writer.writerow([str(image), person, name, *row])
