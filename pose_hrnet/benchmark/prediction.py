"""From image files and boxes to keypoints: each backend, against one image after the other.

The baseline is the official code's order of things: images one by one, the network's layers as
they are in fp32, mirrored crops in a pass of their own, all in one thread of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from pose_hrnet.benchmark.model import BASELINE, ModelChoice, plain_model
from pose_hrnet.benchmark.timing import Measurement, Pace, Variant, Work, measure
from pose_hrnet.data.crops import cut
from pose_hrnet.data.images import image_path, read_rgb
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.geometry import CropFrames, xywh_to_xyxy
from pose_hrnet.keypoints.records import Float32, Float64
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

PERSONS = 48

Job: TypeAlias = tuple[Path, Float32]
"""An image file, and the ``(N, 4)`` boxes of its persons as x, y, width and height."""

Predict: TypeAlias = Callable[[Sequence[Job]], Float64]
"""Jobs to ``(N, K, 2)`` keypoints in image pixels."""


def first_jobs(annotations: Path, images: Path, persons: int = PERSONS) -> list[Job]:
    """The first images of a COCO data set, until they have so many persons.

    Raises:
        FileNotFoundError: If there are no such annotations.
        ValueError: If they are malformed, or have no usable person.
    """
    people = labelled_people(load_people(annotations))
    jobs: list[Job] = []
    for image in np.unique(people.image_index):
        boxes = people.boxes_xywh[people.image_index == image]
        jobs.append((image_path(images, people.images.file_names[image]), boxes))
        if sum(len(boxes) for _, boxes in jobs) >= persons:
            break
    return jobs


def benchmark_prediction(
    choice: ModelChoice,
    jobs: Sequence[Job],
    pace: Pace,
    *,
    model_name: str,
    progress: Progress = SILENT,
) -> Measurement:
    """Time every backend's `PoseEstimator`, at the largest batch, against the plain order.

    Args:
        choice: What is compared.
        jobs: Images with their persons.
        pace: How long to measure.
        model_name: Said of the model in the results.
        progress: Watches.
    """
    found: dict[str, Float64] = {}
    loaders: dict[str, Callable[[], Predict]] = {}
    path, load = choice.checkpoint, partial(predictor, choice, batch_size=max(choice.batches))
    if path is not None:
        loaders[BASELINE] = partial(_plain, path, choice)
        for backend in choice.backends:
            for precision in choice.precisions:
                loaders[f"{backend} {precision}"] = partial(load, path, backend, precision)
    loaders |= {file.name: partial(load, file, "auto", "auto") for file in choice.exported}
    variants = [
        Variant(name, partial(_prepare, name, loader, jobs, found))
        for name, loader in loaders.items()
    ]
    rows = measure(variants, BASELINE, pace, name="prediction", progress=progress)
    persons = sum(len(boxes) for _, boxes in jobs)
    flip = {None: "", True: ", flip test", False: ", no flip test"}[choice.averages]
    return Measurement(
        "prediction",
        f"{model_name}{flip}: {counted(len(jobs), 'image file')} with boxes of "
        f"{counted(persons, 'person')} to keypoints",
        "crop",
        persons,
        BASELINE,
        rows,
        {"model": model_name, "flip_test": choice.averages, "batch": max(choice.batches)},
        _distances(found),
    )


def predictor(
    choice: ModelChoice, path: Path, backend: Backend, precision: Precision, batch_size: int
) -> Predict:
    """A `PoseEstimator` in this process, which reads image files itself.

    Args:
        choice: Device and flip test.
        path: Of the model.
        backend: As of `load_model`, and so is the precision.
        precision: Arithmetic.
        batch_size: Crops per forward pass.
    """
    model = load_model(
        path,
        backend=backend,
        device=choice.device,
        precision=precision,
        flip_test=choice.averages,
    )
    estimator = PoseEstimator(model, batch_size=batch_size)

    def predict(jobs: Sequence[Job]) -> Float64:
        pictures = ((None, read_rgb(path), xywh_to_xyxy(boxes)) for path, boxes in jobs)
        stream = estimator.predict_stream(pictures)
        return np.concatenate([poses.keypoints_image for _, _, poses in stream])

    return predict


def _plain(path: Path, choice: ModelChoice) -> Predict:
    model, card = plain_model(path, device=choice.device, flip_test=bool(choice.averages))
    codec = card.codec

    def predict(jobs: Sequence[Job]) -> Float64:
        found = []
        for path, boxes in jobs:
            image = read_rgb(path)
            frames = CropFrames.of_boxes(
                boxes, codec.input_wh, codec.alignment, padding=card.box_padding
            )
            crops = np.stack([cut(image, affine, codec.input_wh) for affine in frames.affines])
            points_input, _ = model(torch.from_numpy(crops))
            found.append(frames.to_image(points_input.numpy()))
        return np.concatenate(found)

    return predict


def _prepare(
    name: str, load: Callable[[], Predict], jobs: Sequence[Job], found: dict[str, Float64]
) -> Work:
    """Load a variant; its keypoints are left in `found`."""
    predict = load()

    def work() -> None:
        found[name] = predict(jobs)

    return work


def _distances(found: dict[str, Float64]) -> tuple[str, ...]:
    """How far the keypoints of each variant are from the baseline's, in a sentence."""
    if BASELINE not in found:
        return ()
    medians = [
        f"{name} {np.median(np.linalg.norm(points - found[BASELINE], axis=-1)):.4f}"
        for name, points in found.items()
        if name != BASELINE
    ]
    return (f"median distance in pixels from the baseline's keypoints: {', '.join(medians)}",)
