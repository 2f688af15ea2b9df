"""The section ``data``: which persons are learned from and scored, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from pose_hrnet.config.base import Padding, Section
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.system.choices import BoxFormat, Decode, MetricName, Order
from pose_hrnet.system.defaults import MOST_WORKERS


class AnnotatedImages(Section):
    """Annotations of any kind, and their images."""

    annotations: Path
    """COCO, CrowdPose or MPII keypoint annotation JSON; which, its content tells."""
    images: Path
    """Folder that the JSON's file names are relative to."""
    category: str | int | None = None
    """Category, as in `data.category`; null: that one."""


class TrainingSet(AnnotatedImages):
    """A data set to learn from, alone or one of several; see docs/data_sets.md."""

    skeleton: str | None = None
    """Keypoints of this file, as `data.skeleton`; null: as its categories say."""
    mapping: dict[str, str] | None = None
    """Keypoints to learn that are called otherwise in this file: ``{to learn: in the file}``."""
    repeat: Annotated[int, Field(gt=0, le=10_000)] = 1
    """How many times each person is seen in an epoch."""


class CropShards(Section):
    """Persons to learn from that are cut out of their images already."""

    shards: str
    """Folder or URL that `pose-hrnet data shard` wrote, in place of annotations and images."""
    mapping: dict[str, str] | None = None
    """Keypoints to learn that are called otherwise there: ``{to learn: in the shards}``."""
    repeat: Annotated[int, Field(gt=0, le=10_000)] = 1
    """How many times each person is seen in an epoch."""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        known = cls.model_fields
        others = [key for key in value if key not in known] if isinstance(value, dict) else []
        if others:
            raise ValueError(
                f"shards stand in place of {', '.join(others)}; give data.train={{shards: FOLDER}}"
            )
        return value


def _kind_of_training_set(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "several"
    cut_out = isinstance(value, CropShards) or (isinstance(value, dict) and "shards" in value)
    return "cut out" if cut_out else "one"


OneOfSeveral: TypeAlias = Annotated[
    Annotated[TrainingSet, Tag("one")] | Annotated[CropShards, Tag("cut out")],
    Discriminator(_kind_of_training_set),
]
TrainingSets: TypeAlias = Annotated[
    Annotated[TrainingSet, Tag("one")]
    | Annotated[tuple[OneOfSeveral, ...], Field(min_length=1), Tag("several")]
    | Annotated[CropShards, Tag("cut out")],
    Discriminator(_kind_of_training_set),
]


class DataSet(AnnotatedImages):
    """A data set to predict, from its annotated boxes or a detector's."""

    boxes: Path | None = None
    """Detection JSON ``[{image_id, category_id, bbox, score}]``, which COCO's published numbers
    come from; null: the annotated boxes."""
    box_format: BoxFormat = "xywh"
    """Of these boxes, where neither key nor heading says it: left, top, width, height, or xyxy:
    left, top, right, bottom."""
    metric: MetricName = "auto"
    """What scores the poses; auto: the one that the kind of annotations is known by."""
    head_sizes: Path | None = None
    """MPII's ``gt_valid.mat``, for PCKh; null: from the head boxes in the annotations."""


class DataConfig(Section):
    """What is read, and how crops are cut."""

    train: TrainingSets
    """Persons to learn from, in their annotated boxes: one data set, shards, or a list of both."""
    val: DataSet
    """Persons to score on."""
    skeleton: str | None = None
    """Keypoints to learn: coco17, mpii16, crowdpose14, wholebody133 or a YAML file; null: as
    annotated."""
    category: str | int | None = None
    """Category of the data sets that name none: a name or id, several of equal keypoints with
    commas between, or all; null: the one with keypoints, or else person, or else all."""
    workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)] = 8
    """Loader processes, one per core at most; 0: the main one loads."""
    decode: Decode = "exact"
    """How training JPEGs are decoded; fast: quicker, reduced where large, off by 1 to 2 levels."""
    order: Order = "persons"
    """Training order; images: the persons of an image share a batch, and its decoding."""
    box_padding: Padding = BOX_PADDING
    """Factor on the person box before it is cropped (official: 1.25)."""

    @property
    def training_sources(self) -> tuple[TrainingSet | CropShards, ...]:
        """`train` as a list, of one or several."""
        return self.train if isinstance(self.train, tuple) else (self.train,)

    @property
    def training_sets(self) -> tuple[TrainingSet, ...]:
        """Those of annotated images."""
        return tuple(s for s in self.training_sources if isinstance(s, TrainingSet))

    @property
    def shards(self) -> tuple[CropShards, ...]:
        """Those of shards."""
        return tuple(s for s in self.training_sources if isinstance(s, CropShards))

    @model_validator(mode="after")
    def _name_categories(self) -> DataConfig:
        """Hand `category` to the data sets that name none."""
        if self.category is None:
            return self
        named = {"category": self.category}

        def filled(data: Any) -> Any:
            if isinstance(data, tuple):
                return tuple(filled(each) for each in data)
            if isinstance(data, CropShards) or data.category is not None:
                return data
            return data.model_copy(update=named)

        for name in ("train", "val"):
            object.__setattr__(self, name, filled(getattr(self, name)))
        return self

    @model_validator(mode="after")
    def _shards_bring_their_keypoints(self) -> DataConfig:
        if isinstance(self.train, CropShards) and self.skeleton is not None:
            raise ValueError(
                f"skeleton is {self.skeleton}, but shards bring the keypoints that they were "
                "written with; make it null"
            )
        return self
