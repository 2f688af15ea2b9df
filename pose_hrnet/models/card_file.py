"""Model cards as files have them, each validated whole: types, lengths and ranges of all values.

A card comes with weights of anybody, and decides what is allocated, cut and decoded; so nothing is
made of one that holds a size of 32,000,000, a padding of -1 or two means.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from pose_hrnet.config.base import BlurKernel, Cells, Padding, Section, Shift, Side
from pose_hrnet.config.skeleton import SkeletonFile
from pose_hrnet.keypoints.calibration import Calibration
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.simcc import Codec, SimccCodec
from pose_hrnet.keypoints.skeleton import SKELETONS
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.system.choices import (
    Alignment,
    AxisOrder,
    CodecName,
    ColourOrder,
    DetectorLayout,
    ExportFormat,
    WeightType,
)
from pose_hrnet.system.text import shown

CARD_FORMAT = 1
"""Version of the card's layout: raised when an older reader could misread a newer card."""

EXPORT_FORMAT = 1
"""Version of the JSON beside exports, likewise."""

Stride: TypeAlias = Annotated[int, Field(gt=0, le=64)]
Mean: TypeAlias = Annotated[float, Field(ge=-1000, le=1000)]
Deviation: TypeAlias = Annotated[float, Field(ge=1e-6, le=1000)]


class _OwnFile(Section):
    """A part of a file that we wrote; what a later version added there is passed over."""

    model_config = ConfigDict(extra="ignore")


class CodecFile(Section):
    """The fields of a `HeatmapCodec`, which checks that they fit each other."""

    name: CodecName
    input_wh: tuple[Side, Side]
    sigma: Cells
    stride: Stride
    blur_kernel: BlurKernel
    own_flip_shift: Shift | None = None
    border_true: bool = False

    def codec(self) -> HeatmapCodec:
        """What the heatmaps mean."""
        return HeatmapCodec(**self.model_dump())


Score: TypeAlias = Annotated[float, Field(ge=-1e6, le=1e6)]
Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class CalibrationFile(Section):
    """The fields of a `Calibration`, which checks that they rise."""

    scores: Annotated[tuple[Score, ...], Field(min_length=1, max_length=1000)]
    probabilities: Annotated[tuple[Probability, ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _rises(self) -> CalibrationFile:
        self.calibration()
        return self

    def calibration(self) -> Calibration:
        """What the scores mean."""
        return Calibration(self.scores, self.probabilities)


MOST_NOTE = 500
"""Characters of a note."""
Note: TypeAlias = Annotated[
    str, Field(max_length=MOST_NOTE), AfterValidator(lambda text: " ".join(text.split()))
]
"""On one line."""


class CheckpointCard(_OwnFile):
    """The card in a checkpoint of ours."""

    format: Literal[1]
    architecture: dict[str, Any]
    """Checked by `pose_hrnet.models.build`."""
    skeleton: SkeletonFile
    codec: CodecFile
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]
    colour: ColourOrder
    box_padding: Padding
    calibration: CalibrationFile | None = None
    note: Note = ""


class ExportCard(_OwnFile):
    """The JSON beside an export of ours."""

    pose_hrnet_export: Literal[1]
    format: ExportFormat
    flip_test: bool
    heatmaps: bool
    weights: WeightType
    versions: dict[str, str]
    measured: dict[str, Any]
    quantisation: dict[str, Any] | None = None  # files of before have none
    checkpoint: CheckpointCard


def _named_skeleton(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in SKELETONS:
        raise ValueError(
            f"skeleton {shown(value)} is unknown; use one of {', '.join(SKELETONS)}, or give its "
            "fields"
        )
    return SKELETONS[value].to_dict()


def _output(value: Any) -> Any:
    by_name = isinstance(value, str) and 0 < len(value) <= 200
    if by_name or (type(value) is int and 0 <= value < 1000):
        return value
    raise ValueError("expected the position of an output, counted from 0, or its name")


OutputName: TypeAlias = int | str
Output: TypeAlias = Annotated[OutputName, BeforeValidator(_output)]
SIMCC_OUTPUTS = ("simcc_x", "simcc_y")
"""As MMDeploy names them, and all that it exported."""
_OF_HEATMAPS = frozenset({"sigma", "stride", "blur_kernel", "border_true", "flip_shift"})


class YamlCard(Section):
    """The keys of a YAML card, which somebody writes for a model of others."""

    model: Path | None = None
    """The .onnx or .xml file, relative to the card; null: the one of the card's name."""
    input_wh: tuple[Side, Side]
    """Input width and height in pixels."""
    layout: AxisOrder = "NCHW"
    """Order of the input's axes."""
    colour: ColourOrder = "RGB"
    """Order of the input's channels."""
    scale: Annotated[float, Field(gt=0, le=1000)] = 1 / 255
    """Factor on the 0 to 255 pixel values, before mean and std."""
    mean: tuple[Mean, Mean, Mean] = IMAGENET_MEAN
    """Subtracted from the scaled values, in the order of `colour`."""
    std: tuple[Deviation, Deviation, Deviation] = IMAGENET_STD
    """Divides them then."""
    skeleton: Annotated[SkeletonFile, BeforeValidator(_named_skeleton)] = Field(
        default="coco17", validate_default=True
    )
    """``coco17``, ``mpii16``, ``crowdpose14``, ``wholebody133``, or the fields of a `Skeleton`."""
    codec: CodecName | Literal["simcc"] = "gaussian"
    """How the heatmaps are decoded; ``simcc``: the model gives two vectors a keypoint instead."""
    split_ratio: Annotated[float, Field(gt=0, le=16)] = 2.0
    """Bins per input pixel; ``simcc`` alone."""
    sigma: Cells = 2.0
    """Standard deviation of the training targets in cells."""
    stride: Stride = 4
    """Input pixels per heatmap cell."""
    blur_kernel: BlurKernel = 11
    """Odd width of the blur of dark and udp in cells."""
    border_true: bool = False
    """Decode dark and udp without their bias along the border."""
    alignment: Alignment | None = None
    """How boxes are cropped; the codec's own, and refused if it is another."""
    flip_shift: Shift | None = None
    """Cells by which the mirrored heatmaps move in the flip test; null: the codec's own."""
    box_padding: Padding = BOX_PADDING
    """Factor by which boxes are enlarged before cropping."""
    output: Output | tuple[Output, Output] | None = None
    """Position or name of the output that holds the heatmaps, 0; of ``simcc`` two, the vectors of
    x and y, [simcc_x, simcc_y]."""
    calibration: CalibrationFile | None = None
    """What the scores mean, from ``weights calibrate``; null: not known."""
    note: Note = ""
    """What whoever scores the model should know, such as what it learnt from; shown then."""

    @field_validator("layout", mode="before")
    @classmethod
    def _of_heatmaps(cls, layout: Any) -> Any:
        if layout in get_args(DetectorLayout):
            raise ValueError(f"{layout}: it is the card of a detector; give it as --detector")
        return layout

    @property
    def outputs(self) -> OutputName | tuple[OutputName, OutputName]:
        """`output`, or what it is where the card does not say.

        Raises:
            ValueError: If there are two for heatmaps, or one for SimCC.
        """
        if self.output is None:
            return SIMCC_OUTPUTS if self.codec == "simcc" else 0
        if isinstance(self.output, tuple) != (self.codec == "simcc"):
            wanted = "two, of x and of y" if self.codec == "simcc" else "one, of the heatmaps"
            raise ValueError(f"output is {shown(self.output)}; codec {self.codec} has {wanted}")
        return self.output

    def read_by(self) -> Codec:
        """What the outputs mean.

        Raises:
            ValueError: If alignment and codec contradict each other, or a key is of another codec.
        """
        codec: Codec
        foreign = _OF_HEATMAPS if self.codec == "simcc" else {"split_ratio"}
        if foreign := foreign & self.model_fields_set:
            raise ValueError(
                f"codec {self.codec} has no {', '.join(sorted(foreign))}; leave that out"
            )
        if self.codec == "simcc":
            codec = SimccCodec(self.input_wh, self.split_ratio)
        else:
            codec = HeatmapCodec(
                self.codec,
                self.input_wh,
                self.sigma,
                self.stride,
                self.blur_kernel,
                own_flip_shift=self.flip_shift,
                border_true=self.border_true,
            )
        if self.alignment not in (None, codec.alignment):
            raise ValueError(
                f"alignment is {self.alignment!r}, but codec {codec.name!r} crops and "
                f"decodes in the {codec.alignment!r} alignment; give the codec that fits"
            )
        return codec


def check_version(values: Any, key: str, known: int, what: str) -> None:
    """Refuse a card of another version, before what it holds is looked at.

    Args:
        values: Of the card.
        key: Where it has its version.
        known: The version that is read.
        what: Names the card.

    Raises:
        ValueError: If it is another one, or there is none.
    """
    version = values.get(key) if isinstance(values, Mapping) else None
    if version != known or type(version) is not int:
        raise ValueError(
            f"the {what} has format {shown(version)}, but this pose_hrnet reads format "
            f"{known}; use the version of pose_hrnet that wrote it, or a newer one"
        )
