"""Predict poses in image files and folders: results as COCO JSON, CSV and pictures."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.formats.detections import ImageBoxes, load_boxes, names_of
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.inference.estimator import BATCH_BYTES, PoseEstimator
from pose_hrnet.inference.model import postprocess
from pose_hrnet.inference.written import OVERLAYS, PredictionFiles, in_utf8, overlay_names
from pose_hrnet.keypoints.records import Float32, Float64, Image, ImageId, object_array
from pose_hrnet.system.folders import check_room, owned
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.threads import Behind

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


LOCK = ".results.lock"
"""Keeps two predictions out of one folder, not a prediction out of a training's."""


@dataclass(frozen=True)
class FilePredictions:
    """What `predict_files` did.

    Attributes:
        images: Number of images predicted.
        persons: Number of poses written.
        failures: One sentence for each image that could not be read.
        overlays_missing: One sentence for each overlay that could not be drawn or written.
    """

    images: int
    persons: int
    failures: tuple[str, ...]
    overlays_missing: tuple[str, ...] = ()


def find_images(inputs: Sequence[Path], *, skip: Path | None = None) -> list[Path]:
    """Image files among paths, each once; folders are searched with their sub-folders, sorted.

    Args:
        inputs: Image files and folders.
        skip: A folder whose files are passed over.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If there is no image at all.
    """
    found: dict[Path, Path] = {}
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; give image files or folders of them")
        files = [path]
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        for file in filter(Path.is_file, files):
            found.setdefault(file.resolve(), file)
    skipped = None if skip is None else skip.resolve()
    paths = [path for resolved, path in found.items() if skipped not in resolved.parents]
    if not paths:
        looked = " ".join(sorted(IMAGE_SUFFIXES)) + (f", not below {skip}" if found else "")
        raise ValueError(
            f"there is no image in {', '.join(map(str, inputs))}; looked for {looked}"
        )
    return paths


def predict_files(
    estimator: PoseEstimator,
    inputs: Sequence[Path],
    output: Path,
    *,
    boxes: Path | None = None,
    overlays: bool = True,
    min_score: float = 0.2,
    test: EvaluateConfig | None = None,
    progress: Progress = SILENT,
) -> FilePredictions:
    """Predict images and folders; write ``results.json``, ``keypoints.csv`` and ``overlays/``.

    An image that cannot be read is reported and counted, and the rest is done; so is an overlay
    that cannot be written. The poses of an image are on the disk as soon as they are known, and
    stay there whatever becomes of the others. Where a box file is
    given, images without boxes in it have no persons; pose scores are then the box score times the
    mean keypoint score. The image id of a result is the box file's, or else the number that the
    file's name is, or else the file's name.

    Args:
        estimator: The model.
        inputs: Image files and folders; overlays of an earlier run are passed over.
        output: Folder to write to.
        boxes: Detection file (see `load_boxes`); None: each image is one person crop.
        overlays: Whether to draw the poses on the images.
        min_score: Keypoints below it are not drawn.
        test: Rescores the poses and removes duplicates, as an evaluation does; None: all stay,
            and score as said above.
        progress: Watches.

    Raises:
        FileNotFoundError: If an input or the box file is missing.
        OSError: If the folder cannot be written to, or the disk is full.
        FolderBusy: If another process predicts into the folder.
        ValueError: If there is no image, the box file is malformed, or none of its boxes belongs
            to an image.
    """
    check_room(output)
    paths = find_images(inputs, skip=output / OVERLAYS)
    known = None if boxes is None else load_boxes(boxes)
    if known is not None and not any(_find_boxes(path, known) for path in paths):
        raise ValueError(
            f"no image has boxes in {boxes}: it names {', '.join(list(known)[:3])}, "
            f"the images are {', '.join(p.name for p in paths[:3])}"
        )
    names = overlay_names(paths)
    image_ids = _image_ids(paths, known or {})
    images = 0
    failures: list[str] = []
    with owned(output, LOCK):
        written = PredictionFiles(
            output, estimator.skeleton, overlays=overlays, min_score=min_score
        )
        with (
            progress.task("predict", total=len(paths), unit="images") as bar,
            Behind(BATCH_BYTES) as artist,
        ):
            pictures = _pictures(paths, known, failures, bar)
            for (path, box_scores), image, found in estimator.predict_stream(pictures):
                ids = object_array([image_ids[path]] * len(found))
                poses = replace(found, image_ids=ids, scores=found.scores * box_scores)
                if test is not None:
                    poses = postprocess(
                        replace(poses, scores=box_scores), estimator.skeleton, test
                    )
                written.add(path, poses)
                if overlays:
                    artist.do(partial(written.draw, names[path], image, poses), image.nbytes)
                images += 1
                bar.advance()
        written.finish()
    return FilePredictions(images, written.persons, tuple(failures), tuple(written.failures))


def _pictures(
    paths: Sequence[Path], known: dict[str, ImageBoxes] | None, failures: list[str], bar: Bar
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
        rows: list[list[float]] = [[0, 0, image.shape[1], image.shape[0], 1]]
        if known is not None:
            rows = found.rows if (found := _find_boxes(path, known)) else []
        boxes = np.array(rows, dtype=np.float64).reshape(-1, 5)
        yield (path, boxes[:, 4].astype(np.float32)), image, boxes[:, :4]


def _find_boxes(path: Path, known: dict[str, ImageBoxes]) -> ImageBoxes | None:
    """A box file's boxes of an image, by any of its names."""
    return next((known[name] for name in names_of(path) if name in known), None)


def _image_ids(paths: Sequence[Path], known: dict[str, ImageBoxes]) -> dict[Path, ImageId]:
    """The box file's id; else the stem's number, else the name, where unique; else the path."""
    found = {path: _find_boxes(path, known) for path in paths}
    given = {p: b.image_id for p, b in found.items() if b is not None and b.image_id is not None}
    # A longer number does not fit the 64 bits of most readers of JSON.
    numeric = [path for path in paths if path.stem.isdecimal() and len(path.stem) <= 18]
    numbers: dict[Path, ImageId] = {path: int(path.stem) for path in numeric}
    texts = {path: in_utf8(path.name) for path in paths}
    candidates = {p: [numbers[p], texts[p]] if p in numbers else [texts[p]] for p in paths}
    uses = Counter(chain(given.values(), *candidates.values()))
    chosen = {p: next((c for c in candidates[p] if uses[c] == 1), in_utf8(str(p))) for p in paths}
    return chosen | given
