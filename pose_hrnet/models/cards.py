"""What stands beside a model file: our exports' JSON card, and a YAML card for others' models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pose_hrnet.config.base import Positive, PositiveInt, in_sentence
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import SKELETONS, Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.system.choices import Alignment, CodecName, ExportFormat
from pose_hrnet.system.files import write_text

EXPORT_CARD_FORMAT = 1
"""Version of the JSON layout: raised when an older reader could misread a newer card."""

SUFFIXES: Mapping[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""The suffix that each format's files have."""

CARD_SUFFIXES = (".yaml", ".yml")
"""Of the cards of others' models."""


def card_path(model_path: Path) -> Path:
    """Where the JSON card of an export stands: ``w32.onnx.json`` beside ``w32.onnx``."""
    return model_path.with_name(model_path.name + ".json")


@dataclass(frozen=True)
class ExportCard:
    """What an exported file holds: the checkpoint's card, and what was built into the graph.

    The graph maps ``crops`` ``(B, H, W, 3)`` uint8 RGB to ``keypoints`` ``(B, K, 2)`` in input
    pixels, ``scores`` ``(B, K)``, and perhaps ``heatmaps`` ``(B, K, H/4, W/4)``.

    Attributes:
        format: Of the file.
        checkpoint: The card of the checkpoint.
        flip_test: Whether the graph averages with the mirrored crop.
        heatmaps: Whether the heatmaps are an output.
        weights: Type of the weights: ``fp32`` or ``int8``.
        versions: Versions of the packages that wrote the file.
        measured: What was measured on it: differences, average precision.
        quantisation: INT8: calibration data, scores before and after, layers left out; see
            `pose_hrnet.deploy.int8`.
    """

    format: ExportFormat
    checkpoint: ModelCard
    flip_test: bool
    heatmaps: bool
    weights: Literal["fp32", "int8"]
    versions: dict[str, str]
    measured: dict[str, Any]
    quantisation: dict[str, Any] | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs, in order."""
        return ("keypoints", "scores", *(["heatmaps"] if self.heatmaps else []))

    def write(self, model_path: Path) -> None:
        """Write the card beside a model file."""
        codec = self.checkpoint.codec
        values = {
            "pose_hrnet_export": EXPORT_CARD_FORMAT,
            "format": self.format,
            "input": {
                "name": "crops",
                "shape": ["batch", codec.input_wh[1], codec.input_wh[0], 3],
                "type": "uint8",
                "colour": self.checkpoint.colour,
            },
            "outputs": list(self.outputs),
            "heatmaps": self.heatmaps,
            "normalisation_inside": True,
            "decoder_inside": True,
            "flip_test": self.flip_test,
            "flip_shift_cells": codec.flip_shift if self.flip_test else None,
            "weights": self.weights,
            "checkpoint": self.checkpoint.to_dict(),
            "versions": self.versions,
            "measured": self.measured,
            "quantisation": self.quantisation,
        }
        write_text(card_path(model_path), json.dumps(values, indent=2) + "\n")

    @classmethod
    def read(cls, model_path: Path) -> ExportCard:
        """The card beside a model file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged, or of another version.
        """
        path = card_path(model_path)
        try:
            values = json.loads(path.read_bytes())
            version = values["pose_hrnet_export"]
            if version != EXPORT_CARD_FORMAT:
                raise ValueError(
                    f"it has version {version!r} and this pose_hrnet reads {EXPORT_CARD_FORMAT}"
                )
            return cls(
                format=values["format"],
                checkpoint=ModelCard.from_dict(values["checkpoint"]),
                flip_test=bool(values["flip_test"]),
                heatmaps=bool(values["heatmaps"]),
                weights=values["weights"],
                versions=dict(values["versions"]),
                measured=dict(values["measured"]),
                quantisation=values.get("quantisation"),  # files of before have none
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is no card of an exported model ({error!r}); export the model again"
            ) from None


class HeatmapModelCard(BaseModel):
    """The YAML card of a heatmap model that others trained and exported.

    The model maps one image tensor, ``(pixels * scale - mean) / std``, to ``(B, K, h, w)``
    heatmaps, which `pose_hrnet.keypoints.codec` decodes.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )

    model: Path | None = None
    """The .onnx or .xml file, relative to the card; null: the one of the card's name."""
    input_wh: tuple[PositiveInt, PositiveInt]
    """Input width and height in pixels."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    """Order of the input's axes."""
    colour: Literal["RGB", "BGR"] = "RGB"
    """Order of the input's channels."""
    scale: Positive = 1 / 255
    """Factor on the 0 to 255 pixel values, before mean and std."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from the scaled values, in the order of `colour`."""
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    """Divides them then."""
    skeleton_name: str | dict[str, Any] = Field("coco17", alias="skeleton")
    """``coco17``, ``mpii16``, ``crowdpose14``, or the fields of a `Skeleton`."""
    codec_name: CodecName = Field("gaussian", alias="codec")
    """How the heatmaps are decoded."""
    sigma: Positive = 2.0
    """Standard deviation of the training targets in cells."""
    stride: PositiveInt = 4
    """Input pixels per heatmap cell."""
    blur_kernel: PositiveInt = 11
    """Odd width of the blur of dark and udp in cells."""
    alignment: Alignment | None = None
    """How boxes are cropped; the codec's own, and refused if it is another."""
    flip_shift: Annotated[int, Field(ge=0)] | None = None
    """Cells by which the mirrored heatmaps move in the flip test; null: the codec's own."""
    box_padding: Positive = 1.25
    """Factor by which boxes are enlarged before cropping."""
    output: int | str = 0
    """Position or name of the output that holds the heatmaps."""

    @property
    def codec(self) -> HeatmapCodec:
        """The codec that decodes the heatmaps."""
        return HeatmapCodec(
            self.codec_name,
            self.input_wh,
            self.sigma,
            self.stride,
            self.blur_kernel,
            own_flip_shift=self.flip_shift,
        )

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that the heatmaps stand for."""
        named = self.skeleton_name
        if not isinstance(named, str):
            return Skeleton.from_dict(named)
        if named not in SKELETONS:
            raise ValueError(
                f"skeleton {named!r} is unknown; use one of {', '.join(SKELETONS)}, or give its "
                "fields"
            )
        return SKELETONS[named]

    @classmethod
    def read(cls, path: Path) -> HeatmapModelCard:
        """Read a YAML card, strictly.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no YAML, has unknown, missing or wrong values, or contradicts
                itself.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such model card; check the path")
        try:
            card = cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
            codec, _ = card.codec, card.skeleton
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, e['loc'])) or 'the card'}: {in_sentence(e['msg'])}"
                for e in error.errors()
            ]
            raise ValueError(f"{path}: {'; '.join(faults)}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} is not valid YAML: {reason}") from None
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
        if card.alignment not in (None, codec.alignment):
            raise ValueError(
                f"{path}: alignment is {card.alignment!r}, but codec {codec.name!r} crops and "
                f"decodes in the {codec.alignment!r} alignment; give the codec that fits"
            )
        return card
