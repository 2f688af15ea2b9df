"""Predict poses in image files and folders: results as COCO JSON, CSV and pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.formats.results import POSE_BYTES, RESULTS_LOCK
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.inference.detector import Detector, detect_stream
from pose_hrnet.inference.estimator import BATCH_BYTES, PoseEstimator
from pose_hrnet.inference.formats.writer import USUAL_OUTPUTS, FormatFiles, Outputs, finished
from pose_hrnet.inference.heatmaps import check_gives_heatmaps, heatmap_picture
from pose_hrnet.inference.image_files import find_images
from pose_hrnet.inference.model import postprocess
from pose_hrnet.inference.sources import Sources, identify, own_names
from pose_hrnet.inference.written import DRAWN, HEATMAPS, PredictionFiles, overlay_names
from pose_hrnet.keypoints.oks import times
from pose_hrnet.keypoints.records import PERSON, Float32, Float64, Image, object_array
from pose_hrnet.system.folders import check_room, owned
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.threads import Behind

log = logging.getLogger(__name__)

DOWNLOADS = "downloads"
"""Folder of the images that were given by their addresses."""


@dataclass(frozen=True)
class FilePredictions:
    """What `predict_files` did.

    Attributes:
        images: Number of images predicted.
        persons: Number of poses written.
        empty: Number of images without any.
        failures: One sentence for each image that could not be read.
        pictures_missing: One sentence for each picture that could not be drawn or written.
    """

    images: int
    persons: int
    empty: int
    failures: tuple[str, ...]
    pictures_missing: tuple[str, ...] = ()


def predict_files(
    estimator: PoseEstimator,
    inputs: Sequence[str | Path] | Sources,
    output: Path,
    *,
    boxes: Path | Detector | None = None,
    annotations: Path | None = None,
    outputs: Outputs = USUAL_OUTPUTS,
    test: EvaluateConfig | None = None,
    progress: Progress = SILENT,
) -> FilePredictions:
    """Predict images and folders; write ``results.json``, ``keypoints.csv`` and ``overlays/``.

    An image that cannot be read is reported and counted, and the rest is done; so is a picture
    that cannot be written. The poses of an image are on the disk as soon as they are known, and
    stay there whatever becomes of the others. Where a box file or
    a detector is given, images may have no persons; pose scores are then the box score times the
    mean keypoint score. The image id of a result is that of the annotations, or else the file's
    name; see `identify`.

    Args:
        estimator: The model.
        inputs: As of `find_images`; images of the web are kept in ``downloads/``. Or what
            `identify` made of them, and then neither a box file nor annotations.
        output: Folder to write to.
        boxes: Where the persons are: a detection file (see `identify`), or what finds them, while
            others are posed; None: each image is one person crop.
        annotations: Whose image ids the results and the boxes go by; None: they go by names.
        outputs: What is written besides: pictures, and files for other programs.
        test: Rescores the poses and removes duplicates, as an evaluation does; None: all stay,
            and score as said above.
        progress: Watches.

    Raises:
        FileNotFoundError: If an input or the box file is missing.
        ConnectionError: If an address does not give its image.
        OSError: If the folder cannot be written to, or the disk is full.
        FolderBusy: If another process predicts into the folder.
        FileExistsError: If files for other programs are there of an earlier run.
        ValueError: If there is no image, as `identify`, or if heatmaps are asked for and the
            model gives none.
    """
    if outputs.heatmaps:
        check_gives_heatmaps(estimator.model)
    check_room(output)
    if isinstance(inputs, Sources):
        sources = inputs
    else:
        file = boxes if isinstance(boxes, Path) else None
        sources = identify(images_for(inputs, output), file, annotations)
    paths = list(sources.image_ids)
    count = len(paths) if sources.boxes is None else sum(map(len, sources.boxes.values()))
    check_room(output, 2 * POSE_BYTES * count, "results")  # and as much for the table
    names, own = overlay_names(paths), own_names(paths)
    images = empty = 0
    failures: list[str] = []
    with owned(output, RESULTS_LOCK):
        foreign = FormatFiles(
            output,
            outputs.formats,
            estimator.skeleton,
            names=names,
            ids=sources.image_ids,
            min_score=outputs.label_above,
            categories=sources.categories,
        )
        written = PredictionFiles(output, estimator.skeleton)
        with (
            finished(foreign),
            progress.task("predict", total=len(paths), unit="images") as bar,
            Behind(BATCH_BYTES) as artist,
        ):
            pictures = _pictures(paths, failures, bar)
            persons = _persons(pictures, sources if isinstance(boxes, Path | None) else boxes)
            for (path, box_scores), image, found in estimator.predict_stream(persons):
                categories = sources.category_ids.get(path, [PERSON])
                poses = replace(
                    times(found, box_scores),
                    image_ids=object_array([sources.image_ids[path]] * len(found)),
                    category_ids=object_array((categories * len(found))[: len(found)]),
                )
                if test is not None:
                    poses = postprocess(
                        replace(poses, scores=box_scores), estimator.skeleton, test
                    )
                poses = estimator.model.finish(poses)
                written.add(path, poses, own[path])
                foreign.add(path, poses, (image.shape[1], image.shape[0]))
                if (lowest := outputs.draw_above) is not None:
                    draw = partial(written.draw_poses, names[path], image, poses, lowest)
                    artist.do(draw, image.nbytes)
                if outputs.heatmaps and len(poses):
                    box = poses.boxes_xyxy[poses.scores.argmax()]
                    picture = partial(heatmap_picture, estimator.model, image, box)
                    written.draw(f"{HEATMAPS}/{names[path]}.jpg", picture)
                images, empty = images + 1, empty + (not len(poses))
                bar.advance()
        written.finish()
    return FilePredictions(
        images, written.persons, empty, tuple(failures), tuple(written.failures)
    )


def images_for(inputs: Sequence[str | Path], output: Path) -> list[Path]:
    """`find_images` of a prediction into a folder, whose pictures and downloads have places."""
    return find_images(
        inputs, skip=[output / name for name in DRAWN], downloads=output / DOWNLOADS
    )


def _pictures(
    paths: Sequence[Path], failures: list[str], bar: Bar
) -> Iterator[tuple[Path, Image]]:
    """Those that can be read."""
    for path in paths:
        try:
            yield path, read_rgb(path)
        except (ImageError, OSError) as error:
            log.error("%s", error)
            failures.append(str(error))
            bar.advance()


def _persons(
    pictures: Iterable[tuple[Path, Image]], found_by: Sources | Detector
) -> Iterator[tuple[tuple[Path, Float32], Image, Float32 | Float64]]:
    """Path and ``(N,)`` box scores, image, and boxes; without a box file: all of the image."""
    if not isinstance(found_by, Sources):
        for path, image, found in detect_stream(found_by, pictures):
            yield (path, found.scores), image, found.boxes_xyxy
        return
    for path, image in pictures:
        boxes = np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float64)
        if found_by.boxes is not None:
            boxes = found_by.boxes.get(path, np.empty((0, 5)))
        yield (path, boxes[:, 4].astype(np.float32)), image, boxes[:, :4]
