"""The sections that decide a training step: ``augment``, ``loss``, ``optimizer``, ``train``."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pose_hrnet.config.base import Count, Positive, PositiveInt, Probability, Range, Section, Share
from pose_hrnet.system.choices import LossName, OptimizerName, Precision, ScheduleName
from pose_hrnet.system.defaults import MOST_CROPS


class AugmentConfig(Section):
    """Random changes of a training crop, in the order of the fields.

    The defaults are the official recipe (Sun et al., CVPR 2019), which leaves colours as they are.
    """

    half_body_probability: Probability = 0.3
    """Chance that a person is cropped to the upper or the lower body (official: 0.3 for COCO,
    0 for MPII and SimpleBaseline)."""
    half_body_min_keypoints: Count = 8
    """Half body applies to persons with more labelled keypoints than this."""
    upper_body_probability: Probability = 0.69
    """Chance of the upper body then (official: randn() < 0.5, which is 0.69)."""
    scale_std: Annotated[float, Field(ge=0, lt=1)] = 0.35
    """Standard deviation of the region's size factor, which is clipped to 1 +- this (official:
    0.35 for COCO, 0.25 for MPII, 0.3 for SimpleBaseline)."""
    rotation_std: Annotated[float, Field(ge=0, le=180)] = 45.0
    """Standard deviation of the rotation in degrees, which is clipped to +- twice this (official:
    45 for COCO, 30 for MPII, 40 for SimpleBaseline)."""
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
    dropout_holes: Annotated[int, Field(gt=0, le=1000)] = 1
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


class LossConfig(Section):
    """What a step lowers; see `pose_hrnet.training.losses`."""

    name: LossName = "mse"
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


class OptimizerConfig(Section):
    """Optimiser and learning-rate schedule."""

    name: OptimizerName = "adam"
    """adam (official), adamw, or sgd with Nesterov momentum 0.9."""
    lr: Annotated[float, Field(gt=0, le=1000)] = 1e-3
    """Learning rate after the warm-up (official: 1e-3 for 128 crops per step)."""
    lr_batch: PositiveInt | None = None
    """Batch that `lr` is meant for: the rate is multiplied by (crops per step) / this (linear
    scaling, Goyal et al. 2017); null: `lr` as it stands."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """adam, sgd: added to the gradient; adamw: decoupled. 0 is official: the official YAML names
    1e-4, which its code ignores for Adam."""
    clip_norm: Positive | None = None
    """Largest gradient norm; null: no clipping (official)."""
    schedule: ScheduleName = "step"
    """step: times `step_factor` at each of `step_epochs`; cosine: down to 0 after the last."""
    step_epochs: tuple[PositiveInt, ...] = (170, 200)
    """Epochs at whose start a step schedule lowers the rate."""
    step_factor: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """Factor of a step schedule."""
    warmup_steps: Count = 0
    """Steps of linear warm-up; the first is made with `lr` / this. A run of fewer steps never
    comes to `lr`, and says so at its end."""


class TrainConfig(Section):
    """The training run."""

    epochs: PositiveInt = 210
    """Passes over the training persons; at most, where `minutes` is set."""
    minutes: Positive | None = None
    """Learn for so long, evaluations and saves apart, or for `epochs` if they are over sooner. A
    cosine falls to 0 over this time, a step schedule falls at the shares of it that `step_epochs`
    are of `epochs`, to `step_factor` and not to 0; the warm-up counts steps all the same. Such a
    run ends, and resumes, where the clock says, not exactly. null: for `epochs`."""
    batch_size: Annotated[int, Field(gt=0, le=MOST_CROPS)] = 128
    """Crops per forward pass and process (official: 128 per step, so 32 on each of 4 GPUs); on
    less memory lower it and, in proportion, `optimizer.lr`, or raise `accumulate`."""
    accumulate: PositiveInt = 1
    """Forward passes per optimiser step; their gradients are averaged."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of initialisation, order and augmentation."""
    precision: Precision = "auto"
    """Forward arithmetic (official: fp32, as in recipes that quote a number); auto: the fastest,
    bf16 where the hardware multiplies it, fp16 on older GPUs, else fp32."""
    channels_last: bool = True
    """Keep images as NHWC in memory, which convolutions are faster on."""
    compile: bool = False
    """Compile the network with torch.compile: minutes at the start, faster steps after."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes, not each one's own (official: its own)."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Score and keep a moving average of the weights, 0.9999 say; null: the weights themselves
    (official)."""
    evaluate_every: PositiveInt = 5
    """Epochs between evaluations; the last epoch is always evaluated."""
    report: bool = True
    """At the end, write report.html on the evaluation of the best weights: what goes wrong, with
    pictures. Not of MPII."""
    save_every: PositiveInt | None = 500
    """Optimiser steps between saves within an epoch; null: only at its end."""
