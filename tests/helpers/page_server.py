"""A server of poses on the loopback whose figures are known beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pose_hrnet.deploy.server.app import PoseServer
from pose_hrnet.inference.detection.boxes import PersonBoxes
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from tests.helpers.pose_models import pose_model
from tests.helpers.serving import listening, serving

STANDING = (
    (12, 5), (13, 4), (11, 4), (14, 5), (10, 5), (16, 9), (8, 9), (18, 13), (6, 13), (19, 17),
    (5, 17), (15, 17), (9, 17), (15, 22), (9, 22), (15, 27), (9, 27),
)  # fmt: skip
"""Cells of COCO's keypoints, of 24 x 32."""
SURE, UNSURE = 0.9, 0.4
UNSURE_KEYPOINT = COCO17.keypoint_names.index("left_wrist")
"""The one keypoint of each figure that scores less."""
BOXES = ((0.1, 0.1, 0.45, 0.9), (0.55, 0.1, 0.9, 0.9))
"""Of the persons that are found in every image, in parts of its sides."""
BOX_SCORES = (0.95, 0.5)


class Standing(torch.nn.Module):
    """The same figure in every crop."""

    def __init__(self) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(32), torch.arange(24), indexing="ij")
        peaks = [torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.5) for x, y in STANDING]
        scores = torch.full((17, 1, 1), SURE)
        scores[UNSURE_KEYPOINT] = UNSURE
        self.register_buffer("heatmaps", torch.stack(peaks) * scores)

    def forward(self, images):
        return self.heatmaps.expand(len(images), -1, -1, -1)


class Pair:
    """Finds the same two persons in every image."""

    threshold, summary = 0.4, "pair (two boxes, whatever there is)"

    def __call__(self, images):
        return [
            PersonBoxes(
                np.array(BOXES, np.float32) * np.tile(image.shape[1::-1], 2).astype(np.float32),
                np.array(BOX_SCORES, np.float32),
            )
            for image in images
        ]


def estimator() -> PoseEstimator:
    """Two standing persons, whatever the image."""
    card = ModelCard(None, COCO17, HeatmapCodec("gaussian", (96, 128), sigma=1.5))
    return PoseEstimator(pose_model(Standing(), card, flip_test=False), detector=Pair())


@contextmanager
def serve(port: int = 0, **settings) -> Iterator[tuple[PoseServer, str]]:
    """A server and its address; when the block ends, it answers no more."""
    with serving(estimator(), **settings) as server, listening(server, port) as found:
        yield server, f"http://127.0.0.1:{found}/"
