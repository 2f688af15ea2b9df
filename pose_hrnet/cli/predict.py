"""``pose-hrnet predict``: poses in images, folders and videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pose_hrnet.cli.console import (
    RichProgress,
    end_incomplete,
    one_sentence_errors,
    say,
)
from pose_hrnet.cli.models import (
    DetectorOption,
    DetectorThreshold,
    checkpoint_meant,
    detector_meant,
    loaded_estimator,
    refuse_without_boxes,
)
from pose_hrnet.cli.options import (
    BackendOption,
    BoxFormatOption,
    Calibrated,
    Card,
    CategoryOption,
    CheckpointToPredict,
    Device,
    FlipTest,
    Offline,
    PrecisionOption,
    ResultsOutput,
    given,
)
from pose_hrnet.cli.video import (
    DetectEvery,
    End,
    Every,
    MaxLatency,
    Overwrite,
    PredictInputs,
    Rate,
    Reconnect,
    Show,
    Smooth,
    Start,
    Track,
    VideoJob,
    VideoOptions,
    check_suits,
    video_outputs,
    videos_in,
)
from pose_hrnet.system.choices import NmsName, PoseFormat
from pose_hrnet.system.defaults import CROPS_PER_PASS, LOWEST_SCORE
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.text import counted, parse_names

if TYPE_CHECKING:
    from pose_hrnet.inference.estimator import PoseEstimator


@one_sentence_errors
def predict(
    inputs: PredictInputs,
    output: ResultsOutput,
    checkpoint: CheckpointToPredict = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Of persons, in place of a detector: COCO JSON, {file: boxes}, CSV, or YOLO's "
            "labels."
        ),
    ] = None,
    detector: DetectorOption = None,
    detector_threshold: DetectorThreshold = None,
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="Take each image for one person.")
    ] = False,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="COCO JSON that lists the images: results and boxes go by its image ids; without "
            "it by file names."
        ),
    ] = None,
    overlays: Annotated[bool, typer.Option(help="Draw the poses on the images.")] = True,
    show_heatmaps: Annotated[
        bool,
        typer.Option(
            "--show-heatmaps",
            help="Draw the heatmaps of the surest person in each image, all keypoints in one "
            "picture.",
        ),
    ] = False,
    min_score: Annotated[
        float, typer.Option(help="Keypoints below it are not drawn, and no labels.")
    ] = LOWEST_SCORE,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"Write for other programs, too: {', '.join(get_args(PoseFormat))}; several with "
            "commas between.",
        ),
    ] = None,
    min_box_score: Annotated[
        float | None,
        typer.Option(help="With --boxes: leave out weaker ones; detectors give many below 0.3."),
    ] = None,
    box_format: BoxFormatOption = "xywh",
    category: CategoryOption = None,
    nms: Annotated[
        NmsName | None,
        typer.Option(help="Rescore and remove duplicates as evaluate does."),
    ] = None,
    flip_test: FlipTest = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Crops per forward pass.")
    ] = CROPS_PER_PASS,
    device: Device = "auto",
    precision: PrecisionOption = None,
    card: Card = None,
    calibrated: Calibrated = False,
    backend: BackendOption = "auto",
    offline: Offline = False,
    start: Start = None,
    end: End = None,
    every: Every = None,
    detect_every: DetectEvery = None,
    track: Track = None,
    smooth: Smooth = None,
    show: Show = False,
    overwrite: Overwrite = False,
    rate: Rate = None,
    max_latency: MaxLatency = None,
    reconnect: Reconnect = None,
) -> None:
    """Predict poses in images, videos and cameras: COCO results JSON, CSV, and overlays.

    The persons are found by a detector, or are those of --boxes. In videos they have ids that
    stay, and are smoothed.

    Exit code 1 if some image or a part of a video could not be read, or some overlay not be
    written; the rest is done all the same.

    Example: `pose-hrnet predict photos/ --output out`, or `pose-hrnet predict clip.mp4 -o out`
    """
    from pose_hrnet.config.recipe import EvaluateConfig
    from pose_hrnet.data.formats.results import RESULTS_FILE
    from pose_hrnet.inference.files import images_for, predict_files
    from pose_hrnet.inference.formats.writer import Outputs, check_formats
    from pose_hrnet.inference.image_files import check_some_open
    from pose_hrnet.inference.options import ModelOptions
    from pose_hrnet.inference.sources import identify

    named = checkpoint_meant(checkpoint)
    found_by = detector_meant(boxes, detector, detector_threshold, whole_image=whole_image)
    whole_image = boxes is None and found_by is None
    if nms is not None and whole_image:
        raise ValueError("--nms does nothing with --whole-image; leave it out")
    wanted: tuple[PoseFormat, ...] = ()
    if formats is not None:
        wanted = parse_names(formats, "--format", get_args(PoseFormat))
    refuse_without_boxes(min_box_score, boxes)
    if category is not None and boxes is None and annotations is None:
        raise ValueError("--category does nothing without --boxes or --annotations; leave it out")
    test = None if nms is None else EvaluateConfig(nms=nms)
    models = ModelOptions(
        named, found_by, detector_threshold, backend, precision or "auto", device,
        flip_test, card, calibrated, batch_size,
    )  # fmt: skip
    options = VideoOptions(
        start, end, every, detect_every, track, smooth, show, overwrite, rate, max_latency,
        reconnect,
    )  # fmt: skip
    videos = videos_in(inputs, output, options)
    crops = None
    if videos:
        images_alone = {"--annotations": annotations is not None, "--show-heatmaps": show_heatmaps}
        check_suits({"--boxes": boxes is not None, **images_alone})
        written = video_outputs(options, wanted, min_score, overlays)
        job = VideoJob(videos, output, options, test, written)
    else:
        outputs = Outputs(
            heatmaps=show_heatmaps, formats=wanted, draw_above=min_score, label_above=min_score
        )
        check_formats(output, wanted)
        check_not_over(output / RESULTS_FILE, boxes, annotations)
        paths = images_for(inputs, output)
        check_some_open(paths)
        sources = identify(
            paths,
            boxes,
            annotations,
            box_format=box_format,
            category=category,
            **given(min_box_score=min_box_score),
        )
        known = (sources.boxes or {}).values()
        crops = len(sources.image_ids) if boxes is None else sum(map(len, known))

    def load() -> PoseEstimator:
        loaded = loaded_estimator(models, crops=crops)
        if whole_image:
            say(f"each {'frame' if videos else 'image'} is taken for one person, as asked for")
        return loaded

    if videos:
        job.run(load)
        return
    estimator = load()
    done = predict_files(
        estimator,
        sources,
        output,
        boxes=estimator.detector,
        test=test,
        outputs=outputs if overlays else replace(outputs, draw_above=None),
        progress=RichProgress(),
    )
    say(
        f"{counted(done.persons, 'person')} in {counted(done.images, 'image')}"
        + (f", none in {done.empty} of them; " if done.empty else "; ")
        + f"{counted(len(done.failures), 'image')} could not be read; written to {output}",
    )
    if done.pictures_missing:
        say("pictures are missing; why is said above")
    end_incomplete(len(done.failures) + len(done.pictures_missing))
