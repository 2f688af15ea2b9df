"""The detector and the pose model that options name: which, loaded, and said."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_hrnet.cli.console import RichProgress, say
from pose_hrnet.cli.options import checkpoint_file
from pose_hrnet.system.defaults import DEFAULT_WEIGHTS, DETECTOR, PICTURES, SCORING

if TYPE_CHECKING:
    from pose_hrnet.inference.detector import Detector
    from pose_hrnet.inference.estimator import PoseEstimator
    from pose_hrnet.inference.options import ModelOptions

log = logging.getLogger(__name__)


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


def checkpoint_meant(checkpoint: str | None) -> str:
    """What --checkpoint names; the weights inside the package where it is not given."""
    return DEFAULT_WEIGHTS if checkpoint is None else checkpoint


def detector_meant(
    boxes: Path | None, detector: str | None, threshold: float | None, *, whole_image: bool
) -> str | None:
    """The detector that finds the persons, where options say it without contradiction.

    Args:
        boxes: --boxes.
        detector: --detector.
        threshold: --detector-threshold.
        whole_image: --whole-image.

    Returns:
        Its name, as of `load_detector`; None: there are boxes, or each image is one person.

    Raises:
        ValueError: If they contradict each other.
    """
    asked = {
        "--boxes": boxes is not None,
        "--whole-image": whole_image,
        "--detector": detector not in (None, "none"),
    }
    if sum(asked.values()) > 1:
        names = " and ".join(name for name, is_asked in asked.items() if is_asked)
        raise ValueError(f"{names} each say where the persons are; give one of them")
    if boxes is None and not whole_image and detector != "none":
        return DETECTOR if detector is None else detector
    if threshold is not None:
        other = "--boxes" if boxes is not None else "--whole-image"
        raise ValueError(f"--detector-threshold does nothing with {other}; leave it out")
    return None


def refuse_without_boxes(min_box_score: float | None, boxes: Path | None) -> None:
    """Refuse --min-box-score where there are no boxes.

    Raises:
        ValueError: If it is given without them.
    """
    if min_box_score is not None and boxes is None:
        raise ValueError(
            "--min-box-score does nothing without --boxes; a detector takes --detector-threshold"
        )


def loaded_detector(options: ModelOptions, *, scoring: bool, ways: str = WAYS) -> Detector:
    """The detector of the options, which is said with its threshold.

    Args:
        options: With a detector.
        scoring: Whether AP is scored, for which unsure boxes count; else pictures are made.
        ways: What to do where none can be had.

    Raises:
        ValueError: If there is none at hand, or it cannot be used.
    """
    usual, other = (SCORING, PICTURES) if scoring else (PICTURES, SCORING)
    asked = options.threshold
    try:
        loaded = replace(options, threshold=usual if asked is None else asked).load_detector(
            progress=RichProgress()
        )
    except ConnectionError as error:
        raise ValueError(f"no detector of persons is at hand: {error}; {ways}") from None
    assert loaded is not None
    purposes = {SCORING: "what AP is scored with", PICTURES: "what suits pictures"}
    why = "as asked for"
    if asked is None:
        why = f"{purposes[usual]}; --detector-threshold {other:g} is {purposes[other]}"
    say(f"{loaded.summary}\nboxes that score at least {loaded.threshold:g}: {why}")
    return loaded


def loaded_estimator(
    options: ModelOptions, *, ways: str = OTHER_WAYS, crops: int | None = None
) -> PoseEstimator:
    """Both models of the options, which are said.

    Args:
        options: What is asked for.
        ways: As of `loaded_detector`.
        crops: As of `load_model`.

    Raises:
        OSError: If a file is missing, or the checkpoint cannot be downloaded.
        ValueError: If a model cannot be used, or no detector is at hand.
    """
    from pose_hrnet.inference.estimator import PoseEstimator
    from pose_hrnet.models.weights.zoo import default_in_words

    file = checkpoint_file(options.checkpoint)  # with a bar, if it is downloaded
    detector = None
    if options.detector is not None:
        detector = loaded_detector(options, scoring=False, ways=ways)
    model = options.load_model(crops=crops)
    words = default_in_words(file)
    if words:
        log.info("%s, for --checkpoint", words)
    log.info("%s", model.choice.summary)
    return PoseEstimator(model, detector=detector, batch_size=options.batch_size)
