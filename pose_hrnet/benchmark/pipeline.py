"""From image files to persons and keypoints: detector and pose model alone, and together.

The persons that are posed are the annotated ones, whatever the detector finds, so that every
variant does the same work on every machine, with random weights, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

import torch

from pose_hrnet.benchmark.model import ModelChoice
from pose_hrnet.benchmark.prediction import Job
from pose_hrnet.benchmark.timing import Measurement, Pace, Row, Variant, Work, measure
from pose_hrnet.data.images import read_rgb
from pose_hrnet.inference.detector import Detector, detect_stream, load_detector
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.records import Image
from pose_hrnet.models.yolox import YOLOX
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

ONE_BY_ONE, DETECTOR, POSE, TOGETHER = "one by one", "detector alone", "pose alone", "together"

Stages: TypeAlias = tuple[Detector, PoseEstimator]


def benchmark_pipeline(
    choice: ModelChoice,
    jobs: Sequence[Job],
    pace: Pace,
    *,
    detector: str | Path,
    model_name: str,
    progress: Progress = SILENT,
) -> Measurement:
    """Time detector, pose model, and both, each beside the reading of the images.

    Args:
        choice: The pose model; of several backends the best one here, for the detector, too.
        jobs: Images with their persons.
        pace: How long to measure.
        detector: As of `load_detector`.
        model_name: Said of the pose model in the results.
        progress: Watches.
    """
    loaded: list[Stages] = []

    def stages() -> Stages:
        if not loaded:
            loaded.append(load_stages(choice, detector))
        return loaded[0]

    works: dict[str, Callable[[Stages, Sequence[Job]], object]] = {
        ONE_BY_ONE: _one_by_one,
        DETECTOR: lambda both, jobs: list(detect_stream(both[0], _read(jobs))),
        POSE: lambda both, jobs: _pose(both[1], _read(jobs)),
        TOGETHER: lambda both, jobs: _pose(
            both[1], ((key, image) for key, image, _ in detect_stream(both[0], _read(jobs)))
        ),
    }

    def prepared(work: Callable[[Stages, Sequence[Job]], object]) -> Callable[[], Work]:
        def prepare() -> Work:
            both = stages()
            return lambda: work(both, jobs)

        return prepare

    variants = [Variant(name, prepared(work)) for name, work in works.items()]
    rows = measure(variants, ONE_BY_ONE, pace, name="pipeline", progress=progress)
    persons = sum(len(boxes) for _, boxes in jobs)
    said = Path(detector).name
    notes = [*(f"{both[0].summary}; {both[1].model.choice.summary}" for both in loaded)]
    return Measurement(
        "pipeline",
        f"{said} and {model_name}: {counted(len(jobs), 'image file')} with "
        f"{counted(persons, 'person')} to persons and keypoints",
        "image",
        len(jobs),
        ONE_BY_ONE,
        rows,
        {"model": model_name, "detector": said, "flip_test": choice.averages},
        (*notes, *_share(rows)),
    )


def load_stages(choice: ModelChoice, detector: str | Path) -> Stages:
    """The detector and the pose model; of several backends the best one here, for both."""
    only = choice.backends[0] if len(choice.backends) == 1 else "auto"
    model = load_model(
        choice.checkpoint or choice.exported[0],
        backend=only if choice.checkpoint else "auto",
        precision="auto",
        device=choice.device,
        flip_test=choice.averages,
    )
    found = load_detector(detector, backend=only, precision="auto", device=choice.device)
    return found, PoseEstimator(model, batch_size=max(choice.batches))


def random_detector(folder: Path) -> Path:
    """Write YOLOX-Nano with random weights, for a machine without any."""
    torch.manual_seed(0)
    path = folder / "yolox_nano_random.pth"
    torch.save({"model": YOLOX(16, 1, True).state_dict()}, path)
    return path


def _read(jobs: Sequence[Job]) -> Iterator[tuple[Job, Image]]:
    return ((job, read_rgb(job[0])) for job in jobs)


def _pose(estimator: PoseEstimator, pictures: Iterator[tuple[Job, Image]]) -> object:
    stream = ((None, image, xywh_to_xyxy(job[1])) for job, image in pictures)
    return list(estimator.predict_stream(stream))


def _one_by_one(both: Stages, jobs: Sequence[Job]) -> None:
    """An image is read, then its persons are found, then posed; nothing meanwhile."""
    detector, estimator = both
    for (_, boxes_xywh), image in _read(jobs):
        detector([image])
        estimator(image, xywh_to_xyxy(boxes_xywh))


def _share(rows: Sequence[Row]) -> tuple[str, ...]:
    """How near the two together come to the slower of them, and to their sum, in sentences.

    Where each alone keeps all cores busy, together they cannot be faster than one after the other.
    """
    seconds = {row.variant: row.round_seconds for row in rows}
    if not all(seconds.get(name) for name in (DETECTOR, POSE, TOGETHER)):
        return ()
    rounds = list(zip(seconds[DETECTOR], seconds[POSE], seconds[TOGETHER], strict=True))
    shares = [max(one, other) / both for one, other, both in rounds]
    sums = [(one + other) / both for one, other, both in rounds]
    return (
        f"together they reach {100 * median(shares):.0f} % of the images a second that the slower "
        "of the two reaches alone (median of the rounds)",
        f"and {100 * median(sums):.0f} % of what both reach one after the other, which is about "
        "the limit where each alone keeps all cores busy",
    )
