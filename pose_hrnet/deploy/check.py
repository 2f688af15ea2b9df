"""Whether an exported model does what its checkpoint does, measured on real or drawn crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_hrnet.config.data import DataSet
from pose_hrnet.data.crops import CropDataset, cut
from pose_hrnet.data.people import people_to_predict, read_annotations
from pose_hrnet.data.synthetic.dataset import draw_scene
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.defaults import MAX_DIFFERENCE
from pose_hrnet.system.text import counted

_MAX_MEDIAN = 0.01
_MAX_SCORE_DIFFERENCE = 1e-3
# Where two cells are equally high up to rounding, either may be chosen, and a quarter step may go
# either way: so many keypoints may differ by more than the bound.
_MAX_TIES = 0.005
_CHECK_BATCH = 7  # not the size that is traced, and with a remainder


@dataclass(frozen=True)
class Difference:
    """How an export differs from its checkpoint on the same crops.

    Attributes:
        crops: How many.
        bound: Input pixels that a keypoint may differ by.
        keypoints_largest: Largest distance in input pixels.
        keypoints_median: Median distance in input pixels.
        keypoints_apart: Share of the keypoints farther apart than the bound.
        scores_largest: Largest difference of a score, over the largest score if that exceeds 1.
    """

    crops: int
    bound: float
    keypoints_largest: float
    keypoints_median: float
    keypoints_apart: float
    scores_largest: float

    @property
    def ok(self) -> bool:
        """Whether only rounding differs."""
        return (
            self.keypoints_median <= min(_MAX_MEDIAN, self.bound)
            and self.keypoints_apart <= _MAX_TIES
            and self.scores_largest <= _MAX_SCORE_DIFFERENCE
        )

    def summary(self) -> str:
        """The numbers in a sentence."""
        return (
            f"{counted(self.crops, 'crop')}: keypoints differ from the checkpoint's by at most "
            f"{self.keypoints_largest:.4g} and in the median by {self.keypoints_median:.2g} input "
            f"pixels, {self.keypoints_apart:.2%} of them by more than {self.bound:g}; "
            f"scores by at most {self.scores_largest:.2g}"
        )


def difference(
    reference: PoseModel, other: PoseModel, crops: Tensor, bound: float = MAX_DIFFERENCE
) -> Difference:
    """Run two models on the same crops, ``(N, H, W, 3)`` uint8 RGB."""
    points, scores = _run(reference, crops)
    other_points, other_scores = _run(other, crops)
    largest_score = scores.abs().max().clamp(min=1)
    distances = (points - other_points).norm(dim=-1)
    return Difference(
        crops=len(crops),
        bound=bound,
        keypoints_largest=float(distances.max()),
        keypoints_median=float(distances.median()),
        keypoints_apart=float((~(distances <= bound)).float().mean()),  # NaN is apart
        scores_largest=float((scores - other_scores).abs().max() / largest_score),
    )


def _run(model: PoseModel, crops: Tensor) -> tuple[Tensor, Tensor]:
    points, scores = zip(*(model(part) for part in torch.split(crops, _CHECK_BATCH)), strict=True)
    return torch.cat(points), torch.cat(scores)


def drawn_crops(card: ModelCard, count: int = 32) -> Tensor:
    """Crops of drawn persons, ``(N, H, W, 3)`` uint8 RGB, for checks without images."""
    crops: list[Tensor] = []
    codec = card.codec
    for index in range(2 * count):
        image, annotations = draw_scene(0, index)
        boxes = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
        frames = CropFrames.of_boxes(
            boxes, codec.input_wh, codec.alignment, padding=card.box_padding
        )
        crops += [torch.from_numpy(cut(image, a, codec.input_wh)) for a in frames.affines]
        if len(crops) >= count:
            break
    return torch.stack(crops[:count])


def annotated_crops(card: ModelCard, data: DataSet, count: int | None = 64) -> Tensor:
    """Crops of a data set's persons, ``(N, H, W, 3)`` uint8 RGB, spread over all of it.

    Raises:
        ValueError: If the data is malformed, its boxes are of nobody, or no image could be read.
        FileNotFoundError: If the annotations are missing.
    """
    people = people_to_predict(
        read_annotations(data.annotations),
        data.boxes,
        card.skeleton,
        category=data.category,
        box_format=data.box_format,
    )
    if not len(people):
        raise ValueError(
            f"{data.boxes} has no box, and an export is compared on persons; give other boxes, or "
            "none for the annotated ones"
        )
    dataset = CropDataset(people, data.images, card.codec, card.box_padding)
    rows = np.linspace(0, len(people) - 1, min(count or len(people), len(people))).astype(int)
    crops = [dataset[0, int(row)] for row in rows]
    readable = [crop.pixels for crop in crops if crop.readable]
    if not readable:
        raise ValueError(
            f"none of the images of {data.annotations} could be read from {data.images}; "
            "is this the folder that its file names are relative to?"
        )
    return torch.stack(readable)
