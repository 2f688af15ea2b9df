"""The part of ``pose-hrnet predict`` that is about videos, cameras and streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_hrnet.cli.console import RichProgress, end_incomplete, say
from pose_hrnet.cli.options import given
from pose_hrnet.system.choices import PoseFormat
from pose_hrnet.system.inputs import UnreadableFile
from pose_hrnet.system.text import clock_seconds, counted, few

if TYPE_CHECKING:
    from pose_hrnet.config.recipe import EvaluateConfig
    from pose_hrnet.inference.estimator import PoseEstimator
    from pose_hrnet.inference.video.frames import Source
    from pose_hrnet.inference.video.predict import VideoOutputs, VideoPredictions
    from pose_hrnet.inference.video.sources import Given

log = logging.getLogger(__name__)


PredictInputs = Annotated[
    list[str],
    typer.Argument(
        help="Images, folders of images, patterns in quotes such as 'photos/*.jpg', and http or "
        "https addresses of images; or videos, rtsp or other addresses of streams, and numbers of "
        "cameras, from 0.",
    ),
]


def _seconds(text: str) -> float:
    """Seconds, or a time such as 1:02.5 or 1:00:00."""
    seconds = clock_seconds(text)
    if seconds is None:
        raise typer.BadParameter(f"{text!r} is no time; give seconds, or 1:02.5, or 1:00:00")
    return seconds


def _time(words: str) -> Any:
    return typer.Option(parser=_seconds, metavar="TIME", help=words)


Start = Annotated[float | None, _time("Of a video: where to begin, 12.5 or 1:02.5.")]
End = Annotated[float | None, _time("Of a video, a camera or a stream: where to end.")]
Every = Annotated[int | None, typer.Option(min=1, help="Of a video: each so many-th frame; 1.")]
DetectEvery = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Of a video: find persons in each so many-th frame at least, and take their boxes "
        "from their keypoints in between; 1.",
    ),
]
Track = Annotated[
    bool | None,
    typer.Option("--track/--no-track", help="Of a video: the same id for a person in all; on."),
]
Smooth = Annotated[
    bool | None,
    typer.Option("--smooth/--no-smooth", help="Of a video: without jitter, raw kept beside; on."),
]
Show = Annotated[bool, typer.Option("--show", help="Of a video: a window; q ends.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Of a video: write over files of an earlier run.")
]
Rate = Annotated[
    float | None,
    typer.Option(help="Take the images for the frames of a video, so many a second."),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(min=0.01, help="Of cameras and streams, seconds: leave out older frames; 1."),
]
Reconnect = Annotated[
    float | None,
    typer.Option(min=0, help="Of cameras and streams, seconds without a frame to try again; 30."),
]


@dataclass(frozen=True)
class VideoOptions:
    """What was asked for of videos alone; None and False: it was not.

    Attributes:
        start: Seconds; so is the end.
        end: See there.
        every: Each so many-th frame.
        detect_every: Frames between detections.
        track: Ids.
        smooth: Smoothing.
        show: A window.
        overwrite: Earlier files may go.
        rate: Images are frames.
        max_latency: Seconds; so is the next.
        reconnect: See there.
    """

    start: float | None = None
    end: float | None = None
    every: int | None = None
    detect_every: int | None = None
    track: bool | None = None
    smooth: bool | None = None
    show: bool = False
    overwrite: bool = False
    rate: float | None = None
    max_latency: float | None = None
    reconnect: float | None = None

    @property
    def names(self) -> list[str]:
        """The options that were given, but for what makes a video of images."""
        values = asdict(self)
        asked = [name for name, v in values.items() if v is not None and v is not False]
        off = [name for name in ("track", "smooth") if values[name] is False]
        return [f"--{'no-' * (n in off)}{n.replace('_', '-')}" for n in [*asked, *off]]


def videos_in(inputs: Sequence[str], output: Path, options: VideoOptions) -> list[Given]:
    """The videos that a command line names; none if it names images.

    Raises:
        ValueError: If it names both, or images with options of videos.
    """
    from pose_hrnet.inference.video.sources import names_video

    videos = [text for text in inputs if names_video(text)]
    if options.rate is not None:
        from pose_hrnet.inference.files import images_for

        if videos:
            raise ValueError(f"--rate is of images, and {videos[0]} has a rate of its own")
        return [images_for(inputs, output)]
    others = [text for text in inputs if text not in videos]
    if videos and others:
        raise ValueError(
            f"{few(videos)} {'is a video' if len(videos) == 1 else 'are videos'}, and "
            f"{few(others)} not; predict images and videos one after the other"
        )
    if options.names and not videos:
        raise ValueError(
            f"{options.names[0]} is of videos, and {few(others)} holds images; leave it out, or "
            "give --rate if they are the frames of a video"
        )
    return list(videos)


def check_suits(asked: dict[str, bool]) -> None:
    """Refuse options of images beside a video.

    Args:
        asked: Name of each, and whether it was given.
    """
    wrong = [name for name, was_asked in asked.items() if was_asked]
    if wrong:
        raise ValueError(f"{wrong[0]} is of images, and a video was given; leave it out")


@dataclass
class VideoJob:
    """Videos, and what is to be done with them; each is opened when it is its turn.

    Args:
        videos: What they are named by.
        output: Folder to write to.
        options: What was asked for.
        test: Rescores poses and removes duplicates; None: neither.
        outputs: What is written.

    Raises:
        FileExistsError: If files of an earlier run are there.
        OSError: If the only video is not there, or may not be read.
        ValueError: If options contradict each other, or the only video is empty.
    """

    videos: Sequence[Given]
    output: Path
    options: VideoOptions
    test: EvaluateConfig | None
    outputs: VideoOutputs

    def __post_init__(self) -> None:
        from pose_hrnet.inference.video.frames import VideoError, Window
        from pose_hrnet.inference.video.predict import files_of
        from pose_hrnet.inference.video.sources import named
        from pose_hrnet.inference.video.stream import Following

        asked = self.options
        track = asked.track is not False
        smooth = asked.smooth if asked.smooth is not None else track
        self._how = Following(asked.detect_every or 1, track, smooth, self.test)
        self._window = Window(asked.start or 0.0, asked.end, asked.every or 1)
        self._missing = 0
        self._by_stem: dict[str, Given] = {}
        for video in self.videos:
            try:
                stem = _free_stem(named(video).stem, self._by_stem)
            except (VideoError, FileNotFoundError, UnreadableFile) as error:
                self._fail(error)
                continue
            self._by_stem[stem] = video
            files_of(self.output, stem, self.outputs)

    def _fail(self, error: Exception) -> None:
        """Of several videos the others are done."""
        if len(self.videos) == 1:
            raise error
        log.error("%s", error)
        self._missing += 1

    def run(self, load: Callable[[], PoseEstimator]) -> None:
        """Open and predict one after the other, and say what was found.

        Args:
            load: Gives the models; it is asked once there is a video for them.

        Raises:
            typer.Exit: With code 1, if something is missing.
            ValueError: If the only one cannot be opened, or gives no frame.
        """
        from pose_hrnet.inference.video.frames import VideoError

        load = cache(load)
        for stem, video in self._by_stem.items():
            try:
                source = self._opened(video)
            except (VideoError, FileNotFoundError, UnreadableFile) as error:
                self._fail(error)
                continue
            with closing(source):
                estimator = load()
                try:
                    self._predict(estimator, source, stem)
                except VideoError as error:
                    self._fail(error)
        end_incomplete(self._missing)

    def _opened(self, video: Given) -> Source:
        from pose_hrnet.inference.video.sources import open_source

        asked = self.options
        limits = given(rate=asked.rate, max_latency=asked.max_latency, patience=asked.reconnect)
        return open_source(video, self._window, **limits)

    def _predict(self, estimator: PoseEstimator, source: Source, stem: str) -> None:
        from pose_hrnet.inference.video.predict import predict_video

        done = predict_video(
            estimator,
            source,
            self.output,
            how=self._how,
            outputs=self.outputs,
            stem=stem,
            progress=RichProgress(),
        )
        _tell(stem, done, source.state(), self._how.track)
        self._missing += bool(done.notes)


def video_outputs(
    options: VideoOptions, formats: Sequence[PoseFormat], min_score: float, draws: bool
) -> VideoOutputs:
    """What is written, as asked for."""
    from pose_hrnet.inference.video.predict import VideoOutputs
    from pose_hrnet.inference.video.results import video_formats

    return VideoOutputs(
        formats=video_formats(formats),
        overwrite=options.overwrite,
        show=options.show,
        draw_above=min_score if draws else None,
    )


def _free_stem(stem: str, taken: Container[str]) -> str:
    """A name for the files of a video that none of the others has."""
    numbered = (f"{stem}_{number}" for number in count(2))
    return next(name for name in chain([stem], numbered) if name not in taken)


def _tell(name: str, done: VideoPredictions, state: str, tracked: bool) -> None:
    for note in (*done.notes, *done.remarks):
        log.warning("%s", note)
    persons = f" of {counted(done.tracks, 'person')}" if tracked else ""
    rate = done.frames / max(done.seconds, 1e-9)
    state = f", {state}" if state else ""
    say(
        f"{name}: {counted(done.frames, 'frame')}, {counted(done.persons, 'pose')}{persons}, "
        f"{rate:.1f} frames/s{state}; written: {', '.join(str(path) for path in done.files)}"
    )
