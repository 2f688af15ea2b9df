"""One typed configuration per run: the sections of its YAML file (see `config_files`).

Values are unpacked in `train`, `evaluate` and `demo`; below that, functions take plain values -
but for `AugmentConfig`, the one description of the random changes, which the crops take whole.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from pose_hrnet.geometry import CodecName


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of a range, the lower one first."""
    low, high = ends
    if not 0 < low <= high:
        raise ValueError("expected two numbers above 0, the smaller first")
    return ends


Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
NmsName: TypeAlias = Literal["oks", "soft_oks", "soft_oks_decayed", "none"]  # see metrics.oks
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[Share, Share], AfterValidator(_in_order)]
MetricName: TypeAlias = Literal["auto", "coco", "mpii", "crowdpose"]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )


class AnnotatedImages(_Section):
    """A COCO-format data set on disk."""

    annotations: Path
    """COCO, CrowdPose or MPII keypoint annotation JSON; which, its content tells."""
    images: Path
    """Folder that the JSON's file names are relative to."""


class TrainingSet(AnnotatedImages):
    """A data set to learn from, alone or one of several; see docs/data_sets.md."""

    skeleton: str | None = None
    """Keypoints of this file, as `data.skeleton`; null: as its categories say."""
    mapping: dict[str, str] | None = None
    """Keypoints to learn that are called otherwise in this file: ``{to learn: in the file}``."""
    repeat: PositiveInt = 1
    """How many times each person is seen in an epoch."""


def _one_or_several(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else "one"


TrainingSets: TypeAlias = Annotated[
    Annotated[TrainingSet, Tag("one")]
    | Annotated[tuple[TrainingSet, ...], Field(min_length=1), Tag("several")],
    Discriminator(_one_or_several),
]


class DataSet(AnnotatedImages):
    """A data set to predict, from its annotated boxes or a detector's."""

    boxes: Path | None = None
    """Detection JSON ``[{image_id, category_id, bbox, score}]``; null: the annotated boxes."""
    metric: MetricName = "auto"
    """What scores the poses; auto: the one that the kind of annotations is known by."""
    head_sizes: Path | None = None
    """MPII's ``gt_valid.mat``, for PCKh; null: from the head boxes in the annotations."""


class DataConfig(_Section):
    """What is read, and how crops are cut."""

    train: TrainingSets
    """Persons to learn from, in their annotated boxes: one data set, or a list of them."""
    val: DataSet
    """Persons to score on."""
    skeleton: str | None = None
    """Keypoints to learn: coco17, mpii16, crowdpose14 or a YAML file; null: as annotated."""
    workers: Annotated[int, Field(ge=0)] = 4
    """Loader processes; 0 loads in the main process."""
    box_padding: Positive = 1.25
    """Factor on the person box before it is cropped (official: 1.25)."""

    @property
    def training_sets(self) -> tuple[TrainingSet, ...]:
        """`train` as a list, of one or several."""
        return self.train if isinstance(self.train, tuple) else (self.train,)


class ModelConfig(_Section):
    """The network; fields of the one that is not named stand at their defaults."""

    name: Literal["hrnet", "resnet"] = "hrnet"
    """hrnet (Sun et al., CVPR 2019), or resnet: SimpleBaseline (Xiao et al., ECCV 2018)."""
    depth: Literal[18, 34, 50, 101, 152] = 50
    """resnet: its layers (official: 50, 101 or 152)."""
    head: Literal["v1", "v2"] = "v1"
    """hrnet: heatmaps from the finest branch (v1, official), or from all branches (v2)."""
    width: PositiveInt = 32
    """hrnet: channels of the highest-resolution branch (official: 32 or 48)."""
    stem_width: PositiveInt = 64
    """hrnet: channels of the stem."""
    stem_blocks: PositiveInt = 4
    """hrnet: bottleneck blocks behind the stem."""
    stage_modules: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 4, 3)
    """hrnet: exchange modules in stages 2, 3 and 4."""
    branch_blocks: PositiveInt = 4
    """hrnet: residual blocks per branch and module."""
    pretrained: Path | None = None
    """Weights to start from: an ImageNet checkpoint (official HRNet, torchvision ResNet), or any
    pose checkpoint."""

    @model_validator(mode="after")
    def _fields_fit_the_network(self) -> ModelConfig:
        common = {"name", "pretrained"}
        own = {"depth"} if self.name == "resnet" else set(type(self).model_fields) - {"depth"}
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            if key not in common | own and value != field.default:
                raise ValueError(
                    f"{key} is {value}, but name is {self.name}, which has no {key}; "
                    f"leave it at {field.default}"
                )
        return self


class CodecConfig(_Section):
    """Heatmap encoding and decoding; also picks the crop alignment and the flip."""

    name: CodecName = "gaussian"
    """gaussian: rounded targets, quarter-cell decoding; dark and udp: sub-cell both ways."""
    input_wh: tuple[PositiveInt, PositiveInt] = (192, 256)
    """Network input width and height in pixels, multiples of 4; of 32 is best."""
    sigma: Positive = 2.0
    """Standard deviation of the target Gaussian in heatmap cells."""
    blur_kernel: PositiveInt = 11
    """dark, udp: odd width in cells of the blur before decoding (17 at 384x288)."""

    @model_validator(mode="after")
    def _sides_fit_the_network(self) -> CodecConfig:
        if any(side % 4 for side in self.input_wh):
            raise ValueError(
                f"input_wh is {list(self.input_wh)}; both sides must be multiples of 4, "
                "because a heatmap cell stands for 4 x 4 pixels"
            )
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel is {self.blur_kernel}; expected an odd number of cells")
        return self


class AugmentConfig(_Section):
    """Random changes of a training crop, in the order of the fields.

    The defaults are the official recipe (Sun et al., CVPR 2019), which leaves colours as they are.
    """

    half_body_probability: Probability = 0.3
    """Chance that a person is cropped to the upper or the lower body."""
    half_body_min_keypoints: Annotated[int, Field(ge=0)] = 8
    """Half body applies to persons with more labelled keypoints than this."""
    upper_body_probability: Probability = 0.69
    """Chance of the upper body then (official: randn() < 0.5, which is 0.69)."""
    scale_std: Annotated[float, Field(ge=0, lt=1)] = 0.35
    """Standard deviation of the region's size factor, which is clipped to 1 +- this."""
    rotation_std: Annotated[float, Field(ge=0)] = 45.0
    """Standard deviation of the rotation in degrees, which is clipped to +- twice this."""
    rotation_probability: Probability = 0.6
    """Chance that a crop is rotated."""
    flip_probability: Probability = 0.5
    """Chance of a horizontal flip."""
    photometric_probability: Probability = 0.0
    """Chance that brightness, contrast, saturation and hue change, in random order."""
    brightness: Share = 0.3
    """Largest change of the factor on the brightness, which is 1 +- this."""
    contrast: Share = 0.5
    """Largest change of the factor on the contrast."""
    saturation: Share = 0.5
    """Largest change of the factor on the saturation."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Largest turn of the hue either way, as a share of the colour circle."""
    grayscale_probability: Probability = 0.0
    """Chance that the colours are taken away."""
    blur_probability: Probability = 0.0
    """Chance of a Gaussian blur."""
    blur_sigma: Annotated[float, Field(gt=0, le=10)] = 2.0
    """Largest standard deviation of the blur in input pixels; the smallest is a quarter of it."""
    jpeg_probability: Probability = 0.0
    """Chance that the crop is compressed as JPEG."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] = 30
    """Lowest quality then; the highest is 95."""
    dropout_probability: Probability = 0.0
    """Chance that random rectangles are blackened (coarse dropout)."""
    dropout_holes: PositiveInt = 1
    """Largest number of rectangles."""
    dropout_size: Range = (0.2, 0.4)
    """Smallest and largest side of a rectangle, as a share of the crop's."""
    grid_mask_probability: Probability = 0.0
    """Chance that a grid of squares is blackened (GridMask)."""
    grid_mask_period: Range = (0.3, 0.6)
    """Smallest and largest distance of the squares, as a share of the crop's shorter side."""
    grid_mask_square: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Side of a square, as a share of that distance (GridMask's 1 - r; official: 0.4)."""

    @property
    def changes_appearance(self) -> bool:
        """Whether a crop may change in anything but its region; see `data.appearance`."""
        return any(
            (
                self.photometric_probability,
                self.grayscale_probability,
                self.blur_probability,
                self.jpeg_probability,
                self.dropout_probability,
                self.grid_mask_probability,
            )
        )


class LossConfig(_Section):
    """What a step lowers; see `pose_hrnet.losses`."""

    name: Literal["mse", "ohkm", "awing"] = "mse"
    """mse (official); ohkm: mse of each person's hardest keypoints; awing: adaptive wing."""
    top_k: PositiveInt = 8
    """Hardest keypoints of each person that count in ohkm."""
    keypoint_weights: Literal["official"] | tuple[float, ...] | None = None
    """One weight per keypoint; official: limb ends weigh more; null: all the same (for COCO)."""

    @field_validator("keypoint_weights", mode="before")
    @classmethod
    def _one_sentence_for_any_mistake(cls, value: Any) -> Any:
        if value is None or value == "official":
            return value
        # Checked here, because a union would explain each of its members.
        if isinstance(value, list | tuple) and all(
            type(weight) in (int, float) and 0 <= weight < math.inf for weight in value
        ):
            return value
        raise ValueError("expected null, official, or a list of one number >= 0 per keypoint")


class OptimizerConfig(_Section):
    """Optimiser and learning-rate schedule."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """adam (official), adamw, or sgd with Nesterov momentum 0.9."""
    lr: Positive = 1e-3
    """Learning rate after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """adam, sgd: added to the gradient; adamw: decoupled (official: 0)."""
    clip_norm: Positive | None = None
    """Largest gradient norm; null: no clipping (official)."""
    schedule: Literal["step", "cosine"] = "step"
    """step: times `step_factor` at each of `step_epochs`; cosine: down to 0 at the last step."""
    step_epochs: tuple[PositiveInt, ...] = (170, 200)
    """Epochs at whose start a step schedule lowers the rate."""
    step_factor: Positive = 0.1
    """Factor of a step schedule."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of linear warm-up from 0."""


class TrainConfig(_Section):
    """The training run."""

    epochs: PositiveInt = 210
    """Passes over the training persons."""
    batch_size: PositiveInt = 32
    """Crops per step."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initialisation, order and augmentation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Forward arithmetic; auto: bf16 where the hardware multiplies it."""
    channels_last: bool = True
    """Keep images as NHWC in memory, which convolutions are faster on."""
    evaluate_every: PositiveInt = 5
    """Epochs between evaluations; the last epoch is always evaluated."""


class EvaluateConfig(_Section):
    """From crops to scored poses."""

    batch_size: PositiveInt = 64
    """Crops per forward pass."""
    flip_test: bool = True
    """Average with the heatmaps of the mirrored crop."""
    flip_shift: Annotated[int, Field(ge=0)] | None = None
    """Cells to shift the mirrored heatmaps by; null: what the codec says (official: 1)."""
    keypoint_threshold: Annotated[float, Field(ge=0)] = 0.2
    """Keypoints above this score count in a pose's score."""
    nms: NmsName = "oks"
    """Removal of duplicate poses in an image. soft_oks is the official code's soft NMS, which
    reports the scores from before the decay; soft_oks_decayed is soft NMS as published."""
    nms_threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """OKS above which (oks) a pose is a duplicate, or the softness (soft_oks, _decayed)."""
    min_box_score: float = 0.0
    """Detections below this score are left out."""


class RecipeNotes(_Section):
    """What a recipe should reach, and who says so; decides nothing."""

    published: Annotated[float, Field(ge=0, le=100)] | None = None
    """The published number in percent; null: none is published for these settings."""
    metric: str | None = None
    """What the number measures, and on what."""
    source: str | None = None
    """Who published it."""
    note: str | None = None
    """What to know before comparing."""


class Config(_Section):
    """Everything that decides a run."""

    recipe: RecipeNotes = RecipeNotes()
    data: DataConfig
    model: ModelConfig = ModelConfig()
    codec: CodecConfig = CodecConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    test: EvaluateConfig = EvaluateConfig()
