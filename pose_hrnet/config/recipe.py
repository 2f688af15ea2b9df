"""One typed configuration per run: the sections of its YAML file (see `config_files`).

Networks, codecs, losses and metrics take plain values; whole sections are taken by the crops
(`AugmentConfig`) and by what predicts and scores a data set (`DataSet`, `EvaluateConfig`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from pose_hrnet.config.base import Positive, PositiveInt, Section
from pose_hrnet.config.data import (
    AnnotatedImages,
    CropShards,
    DataConfig,
    DataSet,
    Kind,
    MetricName,
    TrainingSet,
)
from pose_hrnet.config.training import AugmentConfig, LossConfig, OptimizerConfig, TrainConfig
from pose_hrnet.keypoints.geometry import CodecName

__all__ = [
    "AnnotatedImages",
    "AugmentConfig",
    "CodecConfig",
    "Config",
    "CropShards",
    "DataConfig",
    "DataSet",
    "EvaluateConfig",
    "Kind",
    "LossConfig",
    "MetricName",
    "ModelConfig",
    "NmsName",
    "OptimizerConfig",
    "RecipeNotes",
    "TrainConfig",
    "TrainingSet",
]

NmsName: TypeAlias = Literal["oks", "soft_oks", "soft_oks_decayed", "none"]  # see metrics.oks


class ModelConfig(Section):
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


class CodecConfig(Section):
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


class EvaluateConfig(Section):
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


class RecipeNotes(Section):
    """What a recipe should reach, and who says so; decides nothing."""

    published: Annotated[float, Field(ge=0, le=100)] | None = None
    """The published number in percent; null: none is published for these settings."""
    metric: str | None = None
    """What the number measures, and on what."""
    source: str | None = None
    """Who published it."""
    note: str | None = None
    """What to know before comparing."""


class Config(Section):
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
