"""`ModelCard`: what belongs to a model, so that loading it needs no configuration.

Checkpoints carry the card in their file; exports have it as JSON beside them. Models that others
exported are described by a card in YAML, written by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pose_hrnet.config.base import explain_faults, read_section
from pose_hrnet.keypoints.calibration import Calibration
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.simcc import Codec
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card_file import (
    CARD_FORMAT,
    EXPORT_FORMAT,
    MOST_NOTE,
    CalibrationFile,
    CheckpointCard,
    ExportCard,
    OutputName,
    YamlCard,
    check_version,
)
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, INPUT_MULTIPLE, HeatmapNetwork
from pose_hrnet.system.choices import (
    AxisOrder,
    ColourOrder,
    ExportFormat,
    WeightType,
)
from pose_hrnet.system.files import write_text
from pose_hrnet.system.inputs import parse_json, read_input
from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import format_size

SUFFIXES: Mapping[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""The suffix that each format's files have."""

RUN_SUFFIXES = (SUFFIXES["onnx"], SUFFIXES["openvino"])
"""Of the exported files that are run here; torch.export programs are for programs of others."""

CARD_SUFFIXES = (".yaml", ".yml")
"""Of the cards of others' models."""


def card_path(model_path: Path) -> Path:
    """Where the JSON card of an export stands: ``w32.onnx.json`` beside ``w32.onnx``."""
    return model_path.with_name(model_path.name + ".json")


@dataclass(frozen=True)
class ExportFacts:
    """What is built into an exported graph, and what was measured on it.

    Attributes:
        format: Of the file.
        flip_test: Whether the graph averages with the mirrored crop.
        heatmaps: Whether the heatmaps are an output.
        weights: Type of the weights: ``fp32`` or ``int8``.
        versions: Versions of the packages that wrote the file.
        measured: Differences from the checkpoint.
        quantisation: INT8: calibration data, scores before and after, layers left out; see
            `pose_hrnet.deploy.int8`.
    """

    format: ExportFormat
    flip_test: bool
    heatmaps: bool
    weights: WeightType
    versions: dict[str, str]
    measured: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs, in order."""
        return ("keypoints", "scores", *(["heatmaps"] if self.heatmaps else []))


@dataclass(frozen=True)
class ModelCard:
    """What cropping, running and decoding need to know of a model.

    Networks of ours take uint8 RGB crops and hold the normalisation. A model of others takes
    ``(pixels * scale - mean) / std`` in the order of `colour` and `layout`. An export of ours maps
    ``crops`` ``(B, H, W, 3)`` uint8 RGB to ``keypoints`` ``(B, K, 2)`` in input pixels, ``scores``
    ``(B, K)``, and perhaps ``heatmaps`` ``(B, K, H/4, W/4)``.

    Attributes:
        architecture: What `build_network` takes, as the network's `architecture` gives it; None:
            a model of others.
        skeleton: The keypoints that the heatmaps stand for.
        codec: How heatmaps are encoded and decoded; holds the input size.
        mean: Per-channel mean, of RGB values between 0 and 1 if the network is ours.
        std: Per-channel standard deviation, likewise.
        colour: Channel order of the input.
        box_padding: Factor by which boxes are enlarged before cropping.
        layout: Order of the input's axes.
        scale: Factor on the 0 to 255 pixel values, before mean and std.
        output: Position or name of the output that holds the heatmaps, in a model of others; of
            SimCC two, the vectors of x and of y.
        export: What is built into an export of ours; None for all else.
        calibration: What its scores mean, if that was measured.
        note: What whoever scores it should know: what it learnt from, what not to report; at most
            `MOST_NOTE` characters.

    Raises:
        ValueError: If skeleton and architecture disagree, or a value is not one that is known.
    """

    architecture: dict[str, Any] | None
    skeleton: Skeleton
    codec: Codec
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    colour: ColourOrder = "RGB"
    box_padding: float = BOX_PADDING
    layout: AxisOrder = "NCHW"
    scale: float = 1 / 255
    output: OutputName | tuple[OutputName, OutputName] = 0
    export: ExportFacts | None = None
    calibration: Calibration | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.note) > MOST_NOTE:
            raise ValueError(
                f"the card's note has {len(self.note):,} characters; give at most {MOST_NOTE}"
            )
        if self.architecture is None:
            return
        found, named = self.architecture.get("num_keypoints"), self.skeleton.num_keypoints
        if found != named:
            raise ValueError(
                f"the network has {found} keypoints, but skeleton {self.skeleton.name!r} has "
                f"{named}; give the skeleton that the network was trained for"
            )
        if any(side % INPUT_MULTIPLE for side in self.codec.input_wh):
            raise ValueError(
                f"input size {format_size(self.codec.input_wh)} (height x width) does not suit "
                f"the network; give multiples of {INPUT_MULTIPLE}"
            )
        if self.colour != "RGB":
            raise ValueError(f"the card names colour order {self.colour!r}; only 'RGB' is known")

    @property
    def heatmap_codec(self) -> HeatmapCodec:
        """The codec of a model that gives heatmaps.

        Raises:
            ValueError: If it gives SimCC's vectors.
        """
        if not isinstance(self.codec, HeatmapCodec):
            raise ValueError(
                "the model gives SimCC's vectors (codec simcc), and this needs heatmaps; predict "
                "and evaluate take it"
            )
        return self.codec

    def build(self) -> HeatmapNetwork:
        """A network of this architecture and normalisation, freshly initialised.

        Raises:
            ValueError: If the card names no architecture, or one with arguments that the network
                does not take.
        """
        if self.architecture is None:
            raise ValueError("the card of a model of others names no architecture to build")
        return build_network(self.architecture, mean=self.mean, std=self.std)

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint holds: values in the types of JSON, with the layout's version."""
        return {
            "format": CARD_FORMAT,
            "architecture": self.architecture,
            "skeleton": self.skeleton.to_dict(),
            "codec": self.codec.to_dict(),
            "mean": list(self.mean),
            "std": list(self.std),
            "colour": self.colour,
            "box_padding": self.box_padding,
            **({} if self.calibration is None else {"calibration": self.calibration.to_dict()}),
            **({"note": self.note} if self.note else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], export: ExportFacts | None = None) -> ModelCard:
        """Inverse of `to_dict`.

        Args:
            values: The card of a checkpoint.
            export: What was built into an export of it.

        Raises:
            ValueError: If the version of the layout is unknown, or the card is damaged.
        """
        check_version(values, "format", CARD_FORMAT, "model card")
        try:
            card = CheckpointCard.model_validate(values)
        except ValidationError as error:
            faults = explain_faults(error)
            raise ValueError(f"the model card is damaged: {faults}; save it again") from None
        return cls._of(card, export)

    @classmethod
    def _of(cls, card: CheckpointCard, export: ExportFacts | None) -> ModelCard:
        return cls(
            architecture=card.architecture,
            skeleton=card.skeleton.skeleton(),
            codec=card.codec.codec(),
            mean=card.mean,
            std=card.std,
            colour=card.colour,
            box_padding=card.box_padding,
            export=export,
            calibration=_calibration(card.calibration),
            note=card.note,
        )

    def write_beside(self, model_path: Path) -> None:
        """Write the JSON card of an export, whose `export` is not None, beside its file."""
        facts, codec = self.export, self.codec
        assert facts is not None
        values = {
            "pose_hrnet_export": EXPORT_FORMAT,
            "format": facts.format,
            "input": {
                "name": "crops",
                "shape": ["batch", codec.input_wh[1], codec.input_wh[0], 3],
                "type": "uint8",
                "colour": self.colour,
            },
            "outputs": list(facts.outputs),
            "heatmaps": facts.heatmaps,
            "normalisation_inside": True,
            "decoder_inside": True,
            "flip_test": facts.flip_test,
            "flip_shift_cells": codec.flip_shift if facts.flip_test else None,
            "weights": facts.weights,
            "checkpoint": self.to_dict(),
            "versions": facts.versions,
            "measured": facts.measured,
            "quantisation": facts.quantisation,
        }
        write_text(card_path(model_path), json.dumps(values, indent=2) + "\n")

    @classmethod
    def read_beside(cls, model_path: Path) -> ModelCard:
        """The JSON card beside an export.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged, or of another version.
        """
        path = card_path(model_path)
        try:
            values = parse_json(read_input(path))
            check_version(values, "pose_hrnet_export", EXPORT_FORMAT, "card of an export")
            said = ExportCard.model_validate(values)
            facts = said.model_dump(exclude={"pose_hrnet_export", "checkpoint"})
            return cls._of(said.checkpoint, ExportFacts(**facts))
        except ValidationError as error:
            reason = explain_faults(error)
        except ValueError as error:
            reason = str(error)
        raise ValueError(f"{path} is no card of an exported model: {reason}; export it again")

    @classmethod
    def read_yaml(cls, path: Path) -> ModelCard:
        """The YAML card of a heatmap model that others trained and exported; strict.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no YAML, has unknown, missing or wrong values, or contradicts
                itself.
        """
        return _read_yaml(path)[1]


def _calibration(said: CalibrationFile | None) -> Calibration | None:
    return None if said is None else said.calibration()


def write_calibrated(path: Path, output: Path, calibration: Calibration) -> None:
    """Write a YAML card once more, with what the model's scores mean.

    Args:
        path: The card as it is.
        output: Where to; the model is named from there.
        calibration: What the scores mean.

    Raises:
        ValueError: As `read_yaml` and `described_model`.
    """
    named = described_model(path).resolve()
    values = read_yaml(path)
    values["model"] = os.path.relpath(named, output.resolve().parent)
    values["calibration"] = calibration.to_dict()
    write_text(output, yaml.safe_dump(values, sort_keys=False, default_flow_style=None))


def described_model(path: Path) -> Path:
    """The model file that a YAML card names, or that has the card's name.

    Raises:
        FileNotFoundError: If there is no such card.
        ValueError: If the card is faulty, or names no file and none or several have its name.
    """
    return model_beside(path, _read_yaml(path)[0])


def model_beside(path: Path, named: Path | None) -> Path:
    """The model file of a card: the one it names, or the one of its own name.

    Raises:
        ValueError: If it names none, and none or several have its name.
    """
    if named is not None:
        return path.parent / named
    found = [file for suffix in RUN_SUFFIXES if (file := path.with_suffix(suffix)).is_file()]
    if len(found) != 1:
        raise ValueError(
            f"{path} does not say which model file it describes; add the line model: FILE"
        )
    return found[0]


def _read_yaml(path: Path) -> tuple[Path | None, ModelCard]:
    """The model file that a YAML card names, and the card."""
    card = read_section(path, YamlCard, "model card")
    try:
        return card.model, ModelCard(
            None,
            card.skeleton.skeleton(),
            card.read_by(),
            card.mean,
            card.std,
            card.colour,
            card.box_padding,
            card.layout,
            card.scale,
            card.outputs,
            calibration=_calibration(card.calibration),
            note=card.note,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
