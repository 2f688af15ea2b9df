"""`DetectorCard`: what belongs to a detector that others exported, in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from pose_hrnet.config.base import Positive, Probability, Section, Side, read_section
from pose_hrnet.models.card_file import Deviation, Mean
from pose_hrnet.system.choices import Activation, AxisOrder, ColourOrder, DetectorLayout, Fit
from pose_hrnet.system.text import few

_USUAL: Mapping[str, Mapping[str, Any]] = {
    "yolox_raw": {"colour": "BGR", "scale": 1.0, "fit": "corner", "nms": 0.65},
    "yolo": {"nms": 0.7},
    "end2end": {},
    "detr": {"fit": "stretch"},
    "torchvision": {"fit": "stretch"},
}
"""Where a layout has other defaults than the fields below, because its networks are trained so."""

_OF_POSE_CARDS = ("skeleton", "codec", "sigma", "stride", "blur_kernel", "box_padding")


class DetectorCard(Section):
    """The keys of a detector's YAML card."""

    layout: DetectorLayout
    """How the outputs are read; see `pose_hrnet.inference.detection.layouts`."""
    model: Path | None = None
    """The .onnx or .xml file, relative to the card; null: the one of the card's name."""
    input_wh: tuple[Side, Side] | None = None
    """Input width and height in pixels; null: images go in as they are, one by one."""
    axes: AxisOrder = "NCHW"
    """Order of the input's axes."""
    colour: ColourOrder = "RGB"
    """Order of the input's channels; yolox_raw: BGR."""
    scale: Positive = 1 / 255
    """Factor on the 0 to 255 pixel values, before mean and std; yolox_raw: 1."""
    mean: tuple[Mean, Mean, Mean] = (0.0, 0.0, 0.0)
    """Subtracted from the scaled values, in the order of `colour`."""
    std: tuple[Deviation, Deviation, Deviation] = (1.0, 1.0, 1.0)
    """Divides them then."""
    fit: Fit = "centre"
    """How the image is put in: with its aspect kept into the top left (corner) or the middle
    (centre), or stretched; yolox_raw: corner; detr and torchvision: stretch."""
    fill: Annotated[int, Field(ge=0, le=255)] = 114
    """Value of the pixels around it."""
    person: Annotated[int, Field(ge=0)] | None = None
    """The class of persons; null: 1 where classes are COCO's own ids (torchvision, and detr of 90
    classes and more), else 0."""
    activation: Activation = "sigmoid"
    """Of detr's logits."""
    nms: Probability | None = None
    """Overlap (IoU) above which the weaker box goes; null: none. yolox_raw: 0.65, yolo: 0.7."""

    @model_validator(mode="before")
    @classmethod
    def _as_usual(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if "layout" not in values or values["layout"] in ("NCHW", "NHWC"):
            if strays := [key for key in _OF_POSE_CARDS if key in values]:
                raise ValueError(
                    f"it has {few(strays)}, so that it is the card of a pose model; give it as "
                    "--checkpoint, and a detector's card here"
                )
            return values
        layout = values["layout"]
        usual = _USUAL.get(layout, {}) if isinstance(layout, str) else {}
        return {**usual, **values}


def read_detector_card(path: Path) -> DetectorCard:
    """Read a detector's YAML card, strictly; errors as of `ModelCard.read_yaml`."""
    return read_section(path, DetectorCard, "detector card")
