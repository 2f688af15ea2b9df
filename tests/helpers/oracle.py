"""A network that knows the answers."""

from __future__ import annotations

import torch

from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.loader import EpochSampler
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from tests.helpers.builders import mirrored_points

INPUT_WH = (96, 128)


def make_card(codec_name="dark"):
    return ModelCard(
        architecture={"num_keypoints": 17},
        skeleton=COCO17,
        codec=HeatmapCodec(codec_name, INPUT_WH),
    )


class Oracle(torch.nn.Module):
    """Answers the crops of `people`, in the loader's order, with their own heatmaps."""

    def __init__(self, people, folder, card):
        super().__init__()
        crops = CropDataset(people, folder, card.codec, card.box_padding)
        order = [index for _, index in EpochSampler(people, shuffle=False)]
        self.keypoints = torch.stack([crops[0, i].keypoints_input for i in order])
        self.codec, self.position = card.codec, 0

    def forward(self, images):
        flip_test = len(images) > 1 and torch.equal(images[0], images[len(images) // 2].flip(-1))
        count = len(images) // 2 if flip_test else len(images)
        points = self.keypoints[self.position : self.position + count]
        self.position += count
        heatmaps = self.codec.encode(points, torch.ones(points.shape[:2]))[0]
        if not flip_test:
            return heatmaps
        mirrored = mirrored_points(points, INPUT_WH[0])
        swapped = mirrored[:, list(COCO17.flip_index)]
        return torch.cat([heatmaps, self.codec.encode(swapped, torch.ones(points.shape[:2]))[0]])
