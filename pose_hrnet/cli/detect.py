"""``pose-hrnet detect``: persons in images and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_hrnet.cli.console import RichProgress, end_incomplete, one_sentence_errors, say
from pose_hrnet.cli.options import (
    BackendOption,
    Device,
    Inputs,
    Offline,
    file_to_write,
    output_option,
)
from pose_hrnet.system.defaults import DETECTOR, PICTURES, SCORING

if TYPE_CHECKING:
    from pose_hrnet.inference.detector import Detector


def _detector_option(without: str) -> Any:
    return typer.Option(
        "--detector",
        help="A name of weights list, a YAML card of a detector that others exported, or a file "
        f"of YOLOX's or torchvision's weights; without it, {without}.",
    )


DetectorOption = Annotated[str | None, _detector_option(DETECTOR)]
DetectorToScore = Annotated[str | None, _detector_option("the annotated boxes, or --boxes")]
DetectorThreshold = Annotated[
    float | None,
    typer.Option(
        "--detector-threshold",
        min=0,
        max=1,
        help=f"Lowest score of a box: {PICTURES} for pictures, {SCORING} where AP is scored.",
    ),
]

WAYS = "give the card of one that you have as --detector (docs/detection.md)"
OTHER_WAYS = (
    "the three ways on are --boxes FILE, --detector CARD (docs/detection.md), and --whole-image, "
    "which takes each image for one person"
)


def one_way(
    boxes: Path | None, detector: str | None, threshold: float | None, *, whole_image: bool
) -> bool:
    """Refuse options that contradict each other about where the persons are.

    Args:
        boxes: --boxes.
        detector: --detector.
        threshold: --detector-threshold.
        whole_image: --whole-image.

    Returns:
        Whether each image is taken for one person.

    Raises:
        ValueError: If they do.
    """
    asked = {
        "--boxes": boxes is not None,
        "--whole-image": whole_image,
        "--detector": detector not in (None, "none"),
    }
    if sum(asked.values()) > 1:
        names = " and ".join(name for name, is_asked in asked.items() if is_asked)
        raise ValueError(f"{names} each say where the persons are; give one of them")
    whole_image = whole_image or (detector == "none" and boxes is None)
    if threshold is not None and (boxes is not None or whole_image):
        other = "--boxes" if boxes is not None else "--whole-image"
        raise ValueError(f"--detector-threshold does nothing with {other}; leave it out")
    return whole_image


def refuse_without_boxes(min_box_score: float | None, boxes: Path | None) -> None:
    """Refuse --min-box-score where there are no boxes.

    Raises:
        ValueError: If it is given without them.
    """
    if min_box_score is not None and boxes is None:
        raise ValueError(
            "--min-box-score does nothing without --boxes; a detector takes --detector-threshold"
        )


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

    with images_to_detect(inputs, output, annotations) as (images, paths):
        check_some_open(paths)
        loaded = loaded_detector(
            detector, detector_threshold, scoring=True, device=device, backend=backend
        )
        done = detect_images(loaded, images, paths.__getitem__, output, progress=RichProgress())
    unread = len(done.failures)
    say(f"{done.in_words()}; {unread} could not be read; written to {output}")
    end_incomplete(unread)


def loaded_detector(
    name: str | None, threshold: float | None, *, scoring: bool, ways: str = WAYS, **options: Any
) -> Detector:
    """The detector of the options, which is said with its threshold.

    Args:
        name: Of a card, a file or weights; None: the default.
        threshold: As asked for.
        scoring: Whether AP is scored, for which unsure boxes count; else pictures are made.
        ways: What to do where none can be had.
        options: Of `load_detector`.

    Raises:
        ValueError: If there is none at hand, or it cannot be used.
    """
    from pose_hrnet.inference.detector import load_detector

    usual, other = (SCORING, PICTURES) if scoring else (PICTURES, SCORING)
    try:
        loaded = load_detector(
            DETECTOR if name is None else name,
            threshold=usual if threshold is None else threshold,
            progress=RichProgress(),
            **options,
        )
    except ConnectionError as error:
        raise ValueError(f"no detector of persons is at hand: {error}; {ways}") from None
    purposes = {SCORING: "what AP is scored with", PICTURES: "what suits pictures"}
    why = "as asked for"
    if threshold is None:
        why = f"{purposes[usual]}; --detector-threshold {other:g} is {purposes[other]}"
    say(f"{loaded.summary}\nboxes that score at least {loaded.threshold:g}: {why}")
    return loaded
