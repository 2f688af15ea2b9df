"""What a user asks for -> a job: inputs in parts, with the boxes of their persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.deploy.bulk.inputs import find_inputs
from pose_hrnet.deploy.bulk.job import Job
from pose_hrnet.deploy.bulk.models import Models
from pose_hrnet.deploy.bulk.parts import Boxes, parts_of
from pose_hrnet.deploy.bulk.read import archive_members
from pose_hrnet.deploy.bulk.store import local_folder
from pose_hrnet.inference.sources import identify
from pose_hrnet.system.choices import BoxFormat, InputKind, RowFormat
from pose_hrnet.system.defaults import IMAGES_PER_FILE
from pose_hrnet.system.download import sha256_of


@dataclass(frozen=True)
class BoxFile:
    """A detector's boxes.

    Attributes:
        path: As of `identify`, and so are the others.
        box_format: Of four numbers.
        min_score: Weaker ones are left out.
    """

    path: Path
    box_format: BoxFormat = "xywh"
    min_score: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """What is read, and how its rows are written.

    Attributes:
        inputs: As of `find_inputs`.
        output: Folder or URL.
        fmt: Of the files.
        images_per_file: Images whose rows are in one file.
        every: Of videos, each so many-th frame.
        boxes: Of the persons; None: a detector finds them, or each image is one.
    """

    inputs: Sequence[str]
    output: str
    fmt: RowFormat = "parquet"
    images_per_file: int = IMAGES_PER_FILE
    every: int = 1
    boxes: BoxFile | None = None


def plan_job(wanted: Wanted, models: Models) -> Job:
    """The job of a command line.

    Args:
        wanted: What is asked for.
        models: What poses.

    Raises:
        OSError: If an input or the box file is missing.
        ValueError: If there is no input, or the box file is malformed or names none of them.
    """
    inputs = find_inputs(wanted.inputs, skip=local_folder(wanted.output))
    options = models.options
    settings: dict[str, Any] = {
        "images_per_file": wanted.images_per_file,
        "flip_test": options.flip_test,
        "backend": options.backend,
        "precision": options.precision,
        "model_files_sha256": models.files,
    }
    boxes = None
    if wanted.boxes is not None:
        boxes = _boxes(inputs, wanted.boxes)
        settings |= {
            "boxes_sha256": sha256_of(wanted.boxes.path) if wanted.boxes.path.is_file() else None,
            "box_format": wanted.boxes.box_format,
            "min_box_score": wanted.boxes.min_score,
        }
    elif options.detector is not None:
        settings |= {
            "detector": str(options.detector),
            "detector_threshold": options.box_threshold,
        }
    parts = parts_of(inputs, wanted.images_per_file)
    job = Job(
        parts, wanted.fmt, models.name, models.sha256, settings, boxes=boxes, every=wanted.every
    )
    return job if models.detector_files is None else with_detector(job, models)


def with_detector(job: Job, models: Models) -> Job:
    """A job whose rows depend on the files of its detector, which were looked at later."""
    settings = {**job.settings, "detector_files_sha256": models.detector_files}
    return replace(job, settings=settings)


def _boxes(inputs: Mapping[str, InputKind], file: BoxFile) -> Boxes:
    """The boxes of each image that a file has some of.

    Raises:
        ValueError: If a video is among the inputs.
    """
    names: list[str] = []
    for path, kind in inputs.items():
        if kind == "video":
            raise ValueError(f"--boxes is of images, and {path} is a video; leave one of them out")
        names += archive_members(path) if kind == "archive" else [path]
    paths = {Path(name): name for name in names}
    sources = identify(
        list(paths), file.path, box_format=file.box_format, min_box_score=file.min_score
    )
    found = sources.boxes or {}
    return {paths[path]: np.asarray(rows, np.float64) for path, rows in found.items()}


__all__ = ["BoxFile", "Wanted", "plan_job", "with_detector"]
