"""The whole pipeline on drawn people: no data, no download.

A folder is left with the data set, the training run, the scores and pictures. What a second run
finds there already, made with the same settings, it reuses.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pose_hrnet.config.files import load_config
from pose_hrnet.config.recipe import Config
from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.data.synthetic.dataset import data_set_info, synthesize
from pose_hrnet.evaluation.evaluate import METRICS_FILE, evaluate
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.system.files import write_json
from pose_hrnet.system.folders import check_room, move_aside, owned
from pose_hrnet.system.inputs import values_beside
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.training.run_folder import RunMismatch
from pose_hrnet.training.train import train
from pose_hrnet.visualize.pictures import add_title, picture_grid, write_image
from pose_hrnet.visualize.poses import draw_poses

log = logging.getLogger(__name__)

HELD_OUT_IMAGES = 150
TRAIN_SEED, HELD_OUT_SEED = 0, 1_000_000


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured: the ten numbers on held-out images, and seconds per phase."""

    scores: Scores
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(
    output: Path, *, images: int, epochs: int | None = None, progress: Progress = SILENT
) -> DemoResult:
    """Draw, train, evaluate, predict.

    Args:
        output: Folder to work in.
        images: Drawn training images.
        epochs: Epochs of training; the recipe's if None.
        progress: Watches.

    Returns:
        Scores on images that the training has not seen. A training of other settings or data that
        the folder holds is moved aside.

    Raises:
        FolderBusy: If another process works in the folder, or trains in it.
        OSError: If the folder cannot be written to, or the disk is full.
    """
    check_room(output)
    with owned(output):
        return _run_demo(output, images, epochs, progress)


def _run_demo(output: Path, images: int, epochs: int | None, progress: Progress) -> DemoResult:
    """`run_demo`, in a folder that is this process's own."""
    seconds: dict[str, float] = {}
    config = _demo_config(output, epochs)
    with _timed(seconds, "draw"):
        _drawn(output / "data/train", images, TRAIN_SEED, progress)
        _drawn(output / "data/val", HELD_OUT_IMAGES, HELD_OUT_SEED, progress)
    with _timed(seconds, "train"):
        best = _trained(config, output / "training", progress)
    with _timed(seconds, "evaluate"):
        model = load_model(best, backend="eager", flip_test=config.test.flip_test)
        evaluation = evaluate(
            model,
            config.data.val,
            config.test,
            workers=config.data.workers,
            progress=progress,
        ).with_provenance({"checkpoint": str(best)})
        evaluation.write(output)
    with _timed(seconds, "predict and draw"):
        _draw_predictions(output / "predictions.png", model, config)
    write_json(output / METRICS_FILE, {**evaluation.metrics(), "seconds": seconds})
    return DemoResult(evaluation.scores, seconds)


def _demo_config(output: Path, epochs: int | None) -> Config:
    """The demo's recipe, with its paths below `output`."""
    data = output / "data"
    overrides = [
        f"data.{part}.{key}={json.dumps(str(data / part / name))}"
        for part in ("train", "val")
        for key, name in (("annotations", "annotations.json"), ("images", "images"))
    ]
    if epochs is not None:
        overrides.append(f"train.epochs={epochs}")
    return load_config("demo", overrides)


def _drawn(folder: Path, images: int, seed: int, progress: Progress) -> None:
    """Draw a data set, unless the folder holds the same one (its JSON says which it is)."""
    annotations = folder / "annotations.json"
    wanted = data_set_info(images, seed)
    held = values_beside(annotations)
    if isinstance(held, dict) and held.get("info") == wanted:
        log.info("reusing %s", annotations)
        return
    with progress.task("draw", total=images, unit="images") as bar:
        synthesize(folder, images=images, seed=seed, progress=bar.advance_to)


def _trained(config: Config, folder: Path, progress: Progress) -> Path:
    """Train, or finish a run of these settings and data that the folder holds."""
    try:
        return train(config, folder, resume="auto", progress=progress)
    except RunMismatch as mismatch:
        with owned(folder):
            aside = move_aside(folder)
        log.info("%s; it is %s now, and the demo starts a training afresh", mismatch, aside)
        return train(config, folder, progress=progress)


def _draw_predictions(path: Path, model: PoseModel, config: Config, *, count: int = 8) -> None:
    """Ground truth above, prediction below, for a few held-out images."""
    estimator = PoseEstimator(model)
    data = config.data.val
    people = labelled_people(load_people(data.annotations))
    tiles: list[tuple[Any, Any]] = []
    for row in sorted(set(people.image_index.tolist()))[:count]:
        here = people[people.image_index == row]
        image = read_rgb(data.images / people.images.file_names[row])
        left_top, size = here.boxes_xywh[:, :2], here.boxes_xywh[:, 2:]
        boxes_xyxy = [[*p, *(p + s)] for p, s in zip(left_top, size, strict=True)]
        poses = estimator(image, boxes_xyxy)
        truth = draw_poses(image, here.keypoints_image, here.visibility > 0)
        found = draw_poses(image, poses.keypoints_image, poses.keypoint_scores)
        tiles.append((add_title(truth, "ground truth"), add_title(found, "prediction")))
    rows = [tiles[i : i + 4] for i in range(0, len(tiles), 4)]
    ordered = [tile for row in rows for side in (0, 1) for tile in (pair[side] for pair in row)]
    write_image(path, picture_grid(ordered, columns=4, tile_wh=(360, 300)))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - began, 2)
