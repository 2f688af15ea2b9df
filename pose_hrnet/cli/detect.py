"""``pose-hrnet detect``: persons in images and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli.console import RichProgress, end_incomplete, one_sentence_errors, say
from pose_hrnet.cli.models import DetectorOption, DetectorThreshold, loaded_detector
from pose_hrnet.cli.options import (
    BackendOption,
    Device,
    Inputs,
    Offline,
    file_to_write,
    output_option,
)
from pose_hrnet.system.defaults import DETECTOR


@one_sentence_errors
def detect(
    inputs: Inputs,
    output: Annotated[Path, output_option(file_to_write, "JSON file of boxes to write.")],
    detector: DetectorOption = None,
    detector_threshold: DetectorThreshold = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO JSON whose image ids the boxes go by.")
    ] = None,
    device: Device = "auto",
    backend: BackendOption = "auto",
    offline: Offline = False,
) -> None:
    """Find the persons in images and folders: a box file, as predict and evaluate read it.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet detect photos/ --detector yolox_nano.yaml --output boxes.json`
    """
    from pose_hrnet.inference.detected import detect_images, images_to_detect
    from pose_hrnet.inference.image_files import check_some_open
    from pose_hrnet.inference.options import ModelOptions

    options = ModelOptions(
        detector=DETECTOR if detector is None else detector,
        threshold=detector_threshold,
        backend=backend,
        precision="fp32",
        device=device,
    )
    with images_to_detect(inputs, output, annotations) as (images, paths):
        check_some_open(paths)
        loaded = loaded_detector(options, scoring=True)
        done = detect_images(loaded, images, paths.__getitem__, output, progress=RichProgress())
    unread = len(done.failures)
    say(f"{done.in_words()}; {unread} could not be read; written to {output}")
    end_incomplete(unread)
