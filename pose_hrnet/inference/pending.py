"""An image on its way through batches of crops, which go on over the ends of images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from pose_hrnet.data.crops import cut
from pose_hrnet.inference.model import PoseModel, poses_of
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.records import Float32, Float64, Image, Poses
from pose_hrnet.keypoints.skeleton import Skeleton

Key = TypeVar("Key")


@dataclass(frozen=True)
class PendingImage(Generic[Key]):
    """An image on its way: its N persons, how to cut them, and what becomes of them.

    Attributes:
        key: What the caller knows it by.
        image: ``(H, W, 3)`` RGB.
        boxes_xyxy: ``(N, 4)``.
        frames: Of the N crops.
        input_wh: Size of a crop.
        skeleton: What the keypoints are called.
        keypoints_input: ``(N, K, 2)``, filled batch by batch.
        keypoint_scores: ``(N, K)``, likewise.
    """

    key: Key
    image: Image
    boxes_xyxy: Float64
    frames: CropFrames
    input_wh: tuple[int, int]
    skeleton: Skeleton
    keypoints_input: Float32
    keypoint_scores: Float32

    @classmethod
    def of(
        cls,
        key: Key,
        image: Image,
        boxes_xyxy: Float64,
        frames: CropFrames,
        input_wh: tuple[int, int],
        skeleton: Skeleton,
    ) -> PendingImage[Key]:
        """Nothing of the image, ``(H, W, 3)``, is predicted yet; the rest as the attributes."""
        shape = len(frames), skeleton.num_keypoints
        points, scores = np.empty((*shape, 2), np.float32), np.empty(shape, np.float32)
        return cls(key, image, boxes_xyxy, frames, input_wh, skeleton, points, scores)

    def crop(self, row: int) -> Image:
        """One person, ``(H, W, 3)`` of the input size."""
        return cut(self.image, self.frames.affines[row], self.input_wh)

    def put(self, row: int, keypoints_input: Float32, keypoint_scores: Float32) -> None:
        """Fill in what was predicted of one person: ``(K, 2)`` and ``(K,)``."""
        self.keypoints_input[row] = keypoints_input
        self.keypoint_scores[row] = keypoint_scores

    def poses(self) -> Poses:
        """The finished poses; their image id is 0."""
        return poses_of(
            self.frames,
            self.keypoints_input,
            self.keypoint_scores,
            boxes_xyxy=self.boxes_xyxy,
            scores=self.keypoint_scores.mean(axis=1),
            image_ids=[0] * len(self.frames),
            skeleton=self.skeleton,
        )


@dataclass(frozen=True)
class Batch(Generic[Key]):
    """Crops of one forward pass.

    Attributes:
        crops: B of ``(H, W, 3)`` uint8 RGB.
        owners: The image and the row in it of each crop.
        finished: Images that are done when this batch is.
    """

    crops: list[Image]
    owners: list[tuple[PendingImage[Key], int]]
    finished: list[PendingImage[Key]]

    def run(self, model: PoseModel) -> None:
        """Predict the crops, and put their keypoints where they belong."""
        for (pending, row), person in zip(self.owners, predicted(model, self.crops), strict=True):
            pending.put(row, *person)


def predicted(model: PoseModel, crops: list[Image]) -> Iterable[tuple[Float32, Float32]]:
    """Keypoints ``(K, 2)`` in input pixels and scores ``(K,)`` of each of B crops, in one pass."""
    points_input, scores = model(torch.from_numpy(np.stack(crops)))
    return zip(points_input.numpy(), scores.numpy(), strict=True)
