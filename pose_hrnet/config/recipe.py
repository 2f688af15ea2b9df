"""One typed configuration per run: the sections of its YAML file (see `pose_hrnet.config.files`).

Networks, codecs and losses take plain values. Whole sections are taken by the crops
(`AugmentConfig`), by what predicts and scores a data set (`DataSet`, `EvaluateConfig`) and by the
optimiser and its schedule (`OptimizerConfig`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pose_hrnet.config.base import Positive, PositiveInt, Section, Shift
from pose_hrnet.config.codec import CodecConfig
from pose_hrnet.config.data import DataConfig
from pose_hrnet.config.networks import HRNetConfig, ModelConfig
from pose_hrnet.config.training import AugmentConfig, LossConfig, OptimizerConfig, TrainConfig
from pose_hrnet.system.choices import NmsName


class EvaluateConfig(Section):
    """The section `test`: from crops to scored poses."""

    batch_size: Annotated[int, Field(gt=0, le=65_536)] = 64
    """Crops per forward pass."""
    flip_test: bool = True
    """Average with the heatmaps of the mirrored crop."""
    flip_shift: Shift | None = None
    """Cells to shift the mirrored heatmaps by; null: what the codec says, 1 for gaussian
    (official) and dark, none for udp."""
    keypoint_threshold: Annotated[float, Field(ge=0, le=1000)] = 0.2
    """Keypoints above this score count in a pose's score."""
    nms: NmsName = "oks"
    """Removal of duplicate poses in an image. soft_oks is the official code's soft NMS, which
    reports the scores from before the decay; soft_oks_decayed is soft NMS as published."""
    nms_threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """OKS above which (oks) a pose is a duplicate, or the softness (soft_oks, _decayed)."""
    min_box_score: float = 0.0
    """Detections below this score are left out."""


class RecipeNotes(Section):
    """What a recipe should reach, who says so, and what it costs; decides nothing."""

    published: Annotated[float, Field(ge=0, le=100)] | None = None
    """The published number in percent; null: none is published for these settings."""
    metric: str | None = None
    """What the number measures, and on what."""
    source: str | None = None
    """Who published it."""
    note: str | None = None
    """What to know before comparing."""
    parameters: Positive | None = None
    """Numbers that the network learns, in millions."""
    gflops: Positive | None = None
    """What it costs on one crop, counted as the official code of HRNet does; see
    `pose_hrnet.models.complexity`."""
    crops_per_step: PositiveInt | None = None
    """Crops of an optimiser step of all processes that the number was published with; a run with
    others says so."""


class Config(Section):
    """Everything that decides a run."""

    recipe: RecipeNotes = RecipeNotes()
    data: DataConfig
    model: ModelConfig = HRNetConfig()
    codec: CodecConfig = CodecConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    test: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _the_network_takes_the_crops(self) -> Config:
        self.model.check_input(self.codec.input_wh)
        return self
