"""Network and decoder: bf16 is for the network alone."""

from __future__ import annotations

import torch

from pose_hrnet.inference.model import Decoder
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17

CODEC = HeatmapCodec("dark", (96, 128))


class Fixed(torch.nn.Module):
    """Answers every batch with the same heatmaps, and remembers whether autocast was on."""

    def __init__(self):
        super().__init__()
        points = torch.rand(1, 17, 2, generator=torch.Generator().manual_seed(0)) * 60 + 15
        self.heatmaps = CODEC.encode(points, torch.ones(1, 17))[0]
        self.autocast = None

    def forward(self, images):
        self.autocast = torch.is_autocast_enabled("cpu")
        return self.heatmaps.expand(len(images), -1, -1, -1)


def test_decoding_is_float32_whatever_the_network_runs_in():
    model, images = Fixed(), torch.zeros(2, 3, 128, 96, dtype=torch.uint8)
    single = Decoder(CODEC, COCO17.flip_index, flip_test=False)
    half = Decoder(CODEC, COCO17.flip_index, flip_test=False, precision="bf16")
    expected, _ = single(model, images)
    assert model.autocast is False
    found, _ = half(model, images)
    assert model.autocast is True
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_flip_test_averages_both_views():
    model, images = Fixed(), torch.zeros(1, 3, 128, 96, dtype=torch.uint8)
    mean = Decoder(CODEC, COCO17.flip_index).heatmaps(model, images)
    flipped = CODEC.flip_back(model.heatmaps, COCO17.flip_index)
    torch.testing.assert_close(mean, (model.heatmaps + flipped) / 2)
