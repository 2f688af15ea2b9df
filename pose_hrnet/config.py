"""One typed configuration per run, read from one complete YAML file.

Values are unpacked in `train`, `evaluate` and `demo`; below that, functions take plain values.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from pose_hrnet.geometry import CodecName

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
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
    """HRNetV1; the defaults but for the width are the official network."""

    width: PositiveInt = 32
    """Channels of the highest-resolution branch (official: 32 or 48)."""
    stem_width: PositiveInt = 64
    """Channels of the stem."""
    stem_blocks: PositiveInt = 4
    """Bottleneck blocks behind the stem."""
    stage_modules: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 4, 3)
    """Exchange modules in stages 2, 3 and 4."""
    branch_blocks: PositiveInt = 4
    """Residual blocks per branch and module."""
    pretrained: Path | None = None
    """Weights to start from: an official ImageNet checkpoint, or any pose checkpoint."""


class CodecConfig(_Section):
    """Heatmap encoding and decoding; also picks the crop alignment and the flip."""

    name: CodecName = "gaussian"
    """gaussian: rounded targets, quarter-cell decoding; dark and udp: sub-cell both ways."""
    input_wh: tuple[PositiveInt, PositiveInt] = (192, 256)
    """Network input width and height in pixels, multiples of 32."""
    sigma: Positive = 2.0
    """Standard deviation of the target Gaussian in heatmap cells."""

    @model_validator(mode="after")
    def _sides_fit_the_network(self) -> CodecConfig:
        if any(side % 32 for side in self.input_wh):
            raise ValueError(
                f"input_wh is {list(self.input_wh)}; both sides must be multiples of 32, "
                "because the lowest resolution of HRNet is 1/32"
            )
        return self


class AugmentConfig(_Section):
    """Random changes of a training crop, drawn in this order: half body, scale, rotation, flip."""

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
    joint_weights: bool = False
    """Weight limb ends more in the loss (official: off for COCO)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initialisation, order and augmentation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Forward arithmetic; auto: bf16 where the device has matrix units for it."""
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
    nms: Literal["oks", "soft_oks", "none"] = "oks"
    """Removal of duplicate poses in an image."""
    nms_threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """OKS above which (oks) a pose is a duplicate, or the softness (soft_oks)."""
    min_box_score: float = 0.0
    """Detections below this score are left out."""


class Config(_Section):
    """Everything that decides a run."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    codec: CodecConfig = CodecConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    test: EvaluateConfig = EvaluateConfig()


def config_names() -> dict[str, Path]:
    """The recipes that ship with the package, by name."""
    package = Path(__file__).resolve().parent
    # Installed inside the package; at the top of the repository in a source tree.
    installed = package / "configs"
    folder = installed if installed.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(name_or_path: str | Path) -> Path:
    """The YAML file of this path, or of the recipe of this name.

    Raises:
        FileNotFoundError: If there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    recipes = config_names()
    if path.name.removesuffix(".yaml") in recipes and len(path.parts) == 1:
        return recipes[path.name.removesuffix(".yaml")]
    raise FileNotFoundError(
        f"no configuration {str(name_or_path)!r}: it is neither a file nor one of the recipes "
        + ", ".join(recipes)
    )


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, strictly.

    Args:
        name_or_path: A YAML file, or the name of a recipe (see `config_names`).
        overrides: Dotted assignments such as ``model.width=48``; the value is read as YAML.

    Raises:
        FileNotFoundError: If there is no such file or recipe.
        ValueError: If the YAML is malformed, a key is unknown or missing, or a value is out of
            its range; one sentence per fault, with the nearest known key.
    """
    path = find_config(name_or_path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} holds a {type(values).__name__}; expected sections such as data:"
        )
    for override in overrides:
        values = _override(values, override)
    return parse_config(values, source=str(path))


def parse_config(values: dict[str, Any], *, source: str) -> Config:
    """Validate plain values; `source` names them in errors.

    Raises:
        ValueError: As `load_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_explain(fault) for fault in error.errors())
        raise ValueError(f"{source}: {faults}") from None


def _override(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """A copy of nested values with one dotted assignment made."""
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise ValueError(f"override {assignment!r} is not of the form section.key=value")
    head, _, rest = key.partition(".")
    if not rest:
        try:
            return {**values, head: yaml.safe_load(text)}
        except yaml.YAMLError:
            raise ValueError(f"the value {text!r} of an override is not valid YAML") from None
    inner = values.get(head)
    if isinstance(inner, list):
        raise ValueError(
            f"{head} is a list, which {assignment!r} cannot reach into; give it whole"
        )
    return {**values, head: _override(inner if isinstance(inner, dict) else {}, f"{rest}={text}")}


def _explain(fault: Any) -> str:
    """One sentence for one pydantic fault."""
    # Pydantic also names the branch of a union, which is none of the file's keys.
    where = ".".join(str(part) for part in fault["loc"] if part not in ("one", "several"))
    if fault["type"] == "extra_forbidden":
        known = _known_keys()
        near = difflib.get_close_matches(where, known, n=1, cutoff=0) or ["?"]
        return f"unknown key {where!r}; the nearest known key is {near[0]!r}"
    if fault["type"] == "missing":
        return f"key {where!r} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where} = {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of every field, sections included."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        for inner in sections_of(field.annotation):
            keys += _known_keys(inner, f"{prefix}{name}.")
    return keys


def sections_of(annotation: Any) -> set[type[BaseModel]]:
    """The sections that a field of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {inner for part in get_args(annotation) for inner in sections_of(part)}
