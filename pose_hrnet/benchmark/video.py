"""A video from its file to its results and its overlay, beside detector and network alone.

The frames are photographs, fitted into 640x480, over which a camera moves; the persons that are
posed are the annotated ones, as of `pose_hrnet.benchmark.pipeline`. Stages are measured by
themselves, too: they say where time goes, and what of it happens beside the network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from pose_hrnet.benchmark.model import ModelChoice
from pose_hrnet.benchmark.pipeline import load_stages
from pose_hrnet.benchmark.prediction import Job
from pose_hrnet.benchmark.timing import Measurement, Pace, Row, Variant, Work, measure
from pose_hrnet.data.images import read_rgb
from pose_hrnet.inference.detection.boxes import PersonBoxes
from pose_hrnet.inference.detector import Detector, detect_stream
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.video.frames import Facts, Frame
from pose_hrnet.inference.video.overlay import Overlay
from pose_hrnet.inference.video.predict import VideoOutputs, predict_video
from pose_hrnet.inference.video.sources import open_source
from pose_hrnet.inference.video.stream import PosedFrame
from pose_hrnet.inference.video.writer import fitted, open_writer, suffix
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.system.defaults import LOWEST_SCORE
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

ALONE, RESULTS, OVERLAY = "detector and network", "video to results", "video to overlay"
DECODING, DRAWING = "decoding alone", "drawing and encoding alone"

SIZE_WH = (640, 480)
RATE = 25
SHOTS = 6
"""Frames of each photograph."""
PAN = 3
"""Pixels from each to the next."""


class _Annotated:
    """A detector that looks at every frame, and finds whom the annotations have there."""

    def __init__(self, detector: Detector, boxes: Sequence[PersonBoxes]) -> None:
        self.threshold, self.summary = detector.threshold, detector.summary
        self._detector, self._boxes, self._next = detector, boxes, 0

    def __call__(self, images: Sequence[Image]) -> list[PersonBoxes]:
        self._detector(images)
        at, self._next = self._next, (self._next + len(images)) % len(self._boxes)
        return list(self._boxes[at : at + len(images)])


@dataclass(frozen=True, eq=False)
class _Clip:
    """What is measured on.

    Attributes:
        path: The video.
        frames: Its frames, decoded.
        boxes: The persons in each.
        work: Folder for what is written.
        stages: Makes an estimator whose detector knows the persons; once.
    """

    path: Path
    frames: list[Image]
    boxes: list[PersonBoxes]
    work: Path
    stages: Callable[[], PoseEstimator]

    def alone(self) -> object:
        """Frames that are there -> poses."""
        estimator = self.stages()
        assert estimator.detector is not None
        found = detect_stream(estimator.detector, enumerate(self.frames))
        persons = ((key, image, boxes.boxes_xyxy) for key, image, boxes in found)
        return list(estimator.predict_stream(persons))

    def video(self, draw_above: float | None) -> None:
        """The file -> files."""
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            outputs = VideoOutputs(draw_above)
            predict_video(self.stages(), open_source(self.path), Path(folder), outputs=outputs)

    def decoded(self) -> object:
        """The file -> frames."""
        return sum(frame.index for frame in _frames(self.path))

    def drawer(self) -> Work:
        """Poses that are there -> a file."""
        estimator = self.stages()
        posed = [
            PosedFrame(number, number / RATE, image, estimator.predict_images([image], [found]))
            for number, (image, found) in enumerate(
                zip(self.frames, (each.boxes_xyxy for each in self.boxes), strict=True)
            )
        ]

        def draw() -> None:
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                writer = open_writer(Path(folder) / f"drawn{suffix()}", Facts(rate=RATE))
                with Overlay(writer, estimator.skeleton, LOWEST_SCORE, 0.0) as overlay:
                    for frame in posed:
                        overlay.add(frame)

        return draw


def benchmark_video(
    choice: ModelChoice,
    jobs: Sequence[Job],
    pace: Pace,
    *,
    detector: str | Path,
    model_name: str,
    work: Path,
    progress: Progress = SILENT,
) -> Measurement:
    """Time a video end to end, and its stages alone.

    Args:
        choice: The pose model, as of `benchmark_pipeline`.
        jobs: Images with their persons, a frame each.
        pace: How long to measure.
        detector: As of `load_detector`.
        model_name: Said of the pose model in the results.
        work: Folder for what is written.
        progress: Watches.
    """
    clip = _made(choice, jobs, detector, work)
    works: dict[str, Callable[[], Work]] = {
        ALONE: lambda: clip.alone,
        RESULTS: lambda: lambda: clip.video(None),
        OVERLAY: lambda: lambda: clip.video(LOWEST_SCORE),
        DECODING: lambda: clip.decoded,
        DRAWING: clip.drawer,
    }
    variants = [Variant(name, prepare) for name, prepare in works.items()]
    rows = measure(variants, ALONE, pace, name="video", progress=progress)
    persons = sum(len(boxes) for boxes in clip.boxes)
    width, height = SIZE_WH
    return Measurement(
        "video",
        f"{Path(detector).name} and {model_name}: a video ({suffix()}) of "
        f"{counted(len(clip.boxes), 'frame')} of {width}x{height} with "
        f"{counted(persons, 'person')}",
        "crop",
        persons,
        ALONE,
        rows,
        {"model": model_name, "detector": Path(detector).name, "flip_test": choice.averages},
        _share(rows),
    )


def _made(choice: ModelChoice, jobs: Sequence[Job], detector: str | Path, work: Path) -> _Clip:
    """Write the clip, and read it back."""
    path = work / f"clip{suffix()}"
    path.unlink(missing_ok=True)
    writer = open_writer(path, Facts(rate=RATE))
    boxes: list[PersonBoxes] = []
    for file, boxes_xywh in jobs[: -(-len(jobs) // SHOTS)]:
        image = read_rgb(file)
        placed = _fitted_boxes(xywh_to_xyxy(boxes_xywh), image)
        wide = fitted(image, SIZE_WH)
        for shot in range(SHOTS):
            frame = np.roll(wide, PAN * shot, axis=1)
            writer.add(frame, len(boxes) / RATE)
            moved = placed + np.tile([PAN * shot, 0], 2)
            boxes.append(PersonBoxes.inside(frame, moved, np.ones(len(moved)), 0))
    writer.finish()
    frames = [frame.image for frame in _frames(path)]
    loaded: list[PoseEstimator] = []

    def stages() -> PoseEstimator:
        if not loaded:
            found, estimator = load_stages(choice, detector)
            annotated = _Annotated(found, boxes)
            batch = estimator.batch_size
            loaded.append(PoseEstimator(estimator.model, batch_size=batch, detector=annotated))
        return loaded[0]

    return _Clip(path, frames, boxes, work, stages)


def _frames(path: Path) -> Iterator[Frame]:
    """Those of a file, which is closed at its end."""
    with closing(open_source(path)) as source:
        yield from source


def _fitted_boxes(boxes_xyxy: Float64, image: Image) -> Float64:
    """``(N, 4)`` boxes of an image where `fitted` puts it."""
    sizes = np.array(image.shape[1::-1])
    factor = (np.array(SIZE_WH) / sizes).min()
    start = (np.array(SIZE_WH) - (sizes * factor).astype(int)) // 2
    placed: Float64 = boxes_xyxy * factor + np.tile(start, 2)
    return placed


def _share(rows: Sequence[Row]) -> tuple[str, ...]:
    """How near a video comes to what its network could do, in a sentence."""
    seconds = {row.variant: row.round_seconds for row in rows}
    if not all(seconds.get(name) for name in (ALONE, RESULTS, OVERLAY)):
        return ()
    shares = [
        median(a / b for a, b in zip(seconds[ALONE], seconds[name], strict=True))
        for name in (RESULTS, OVERLAY)
    ]
    return (
        f"from file to results {100 * shares[0]:.0f} %, with the overlay {100 * shares[1]:.0f} %, "
        "of the crops a second of detector and network alone (median of the rounds)",
    )
