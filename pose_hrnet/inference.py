"""Network and decoder over crops: the one way from pixels to keypoints in image pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pose_hrnet import geometry
from pose_hrnet.codec import HeatmapCodec
from pose_hrnet.data.crops import Crop, CropDataset
from pose_hrnet.device import Precision, autocast
from pose_hrnet.progress import SILENT, Progress
from pose_hrnet.records import Poses, object_array
from pose_hrnet.skeleton import Skeleton


class PoseCard(Protocol):
    """What cropping and decoding need to know of a model, whatever kind of file it came from."""

    @property
    def codec(self) -> HeatmapCodec:
        """Decodes its heatmaps; holds input size and crop alignment."""

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that it predicts."""

    @property
    def box_padding(self) -> float:
        """Factor by which boxes are enlarged before cropping."""


@dataclass(frozen=True)
class Decoder:
    """How heatmaps become keypoints at test time.

    Attributes:
        codec: The codec that the network was trained with.
        flip_index: K indices that exchange left and right keypoints.
        flip_test: Average with the heatmaps of the mirrored crop.
        flip_shift: Cells to shift the mirrored heatmaps by; None: the codec's own.
        precision: Arithmetic of the network; decoding is always float32.
        in_graph: The model is an exported graph that holds the flip test and the decoder: it maps
            crops to keypoints and scores, and the fields above say how.
    """

    codec: HeatmapCodec
    flip_index: Sequence[int]
    flip_test: bool = True
    flip_shift: int | None = None
    precision: Precision = "fp32"
    in_graph: bool = False

    def heatmaps(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the network, with the mirrored crops in the same batch if the flip test is on.

        Args:
            model: Maps ``(B, 3, H, W)`` uint8 RGB to heatmaps.
            images: ``(B, 3, H, W)`` uint8.

        Returns:
            ``(B, K, H/4, W/4)`` float32.
        """
        if not self.flip_test:
            return self._run(model, images)
        both = self._run(model, torch.cat([images, images.flip(-1)]))
        straight, mirrored = both[: images.shape[0]], both[images.shape[0] :]
        restored = self.codec.flip_back(mirrored, self.flip_index, shift=self.flip_shift)
        return (straight + restored) * 0.5

    def _run(self, model: nn.Module, images: Tensor) -> Tensor:
        with autocast(images.device, self.precision):
            heatmaps: Tensor = model(images)
        return heatmaps.float()

    def __call__(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints ``(B, K, 2)`` in input pixels and scores ``(B, K)`` of uint8 crops."""
        if self.in_graph:
            keypoints_input, scores = model(images)
            return keypoints_input, scores
        return self.codec.decode(self.heatmaps(model, images))


@dataclass(frozen=True)
class Inference:
    """Poses of a data set's persons.

    Attributes:
        poses: One row per person whose image could be read, with the box's score.
        unreadable: Rows of the People that were left out because their image could not be read.
    """

    poses: Poses
    unreadable: tuple[int, ...]


@torch.inference_mode()
def predict_people(
    model: nn.Module,
    decoder: Decoder,
    dataset: CropDataset,
    loader: DataLoader[Crop],
    *,
    device: torch.device,
    progress: Progress = SILENT,
) -> Inference:
    """Predict every person of a data set.

    Args:
        model: The network, in evaluation mode and on the device.
        decoder: From crops to keypoints.
        dataset: The crops.
        loader: Their batches, unshuffled.
        device: Where the network runs.
        progress: Watches.

    Returns:
        Poses image by image. Their areas are those of the padded crops, as official OKS-NMS
        uses them.
    """
    points, scores, rows = [], [], []
    unreadable: list[int] = []
    with progress.task("predict", total=len(dataset), unit="persons") as bar:
        for batch in loader:
            images = batch.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
            keypoints_input, keypoint_scores = decoder(model, images)
            keypoints_image = geometry.input_to_image(keypoints_input.cpu(), batch.affine)
            readable = np.asarray(batch.readable)
            index = np.asarray(batch.row)
            points.append(keypoints_image[readable])
            scores.append(keypoint_scores.cpu().numpy()[readable])
            rows.append(index[readable])
            unreadable += index[~readable].tolist()
            bar.advance(len(index))
    keypoint_count = len(decoder.flip_index)
    row = np.concatenate([*rows, np.empty(0, np.int64)]).astype(np.int64)
    people = dataset.people[row]
    poses = Poses(
        image_ids=object_array(people.image_ids),
        keypoints_image=np.concatenate([*points, np.empty((0, keypoint_count, 2))]).astype(
            np.float32
        ),
        keypoint_scores=np.concatenate([*scores, np.empty((0, keypoint_count), np.float32)]),
        boxes_xyxy=geometry.xywh_to_xyxy(people.boxes_xywh).astype(np.float32),
        scores=people.scores,
        areas=dataset.sizes_wh[row].prod(axis=1).astype(np.float32),
    )
    return Inference(poses, tuple(unreadable))
