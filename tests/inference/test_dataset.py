"""Network and decoder: bf16 is for the network alone; any number of batches, any end of them."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch

from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.inference.dataset import predict_people
from pose_hrnet.inference.model import Decoder
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from tests.helpers.builders import make_people, write_images
from tests.helpers.pose_models import pose_model

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


class Dot(torch.nn.Module):
    """The cheapest network that there is; fails on the batch of this number."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.left = fails_at

    def forward(self, images):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise ValueError("as if it had failed")
        heatmaps = torch.zeros(len(images), 17, 4, 4)
        heatmaps[:, :, 2, 1] = 1
        return heatmaps


def dots(count, folder):
    """So many boxes in one image of 16 x 16 pixels, in crops as small."""
    people = make_people(2, size_wh=(16, 16))[np.zeros(count, np.intp)]
    write_images(people, folder)
    return CropDataset(people, folder, HeatmapCodec("gaussian", (16, 16)), 1.25)


def dot_model(dataset, fails_at=None):
    card = ModelCard({"num_keypoints": 17}, COCO17, dataset.codec)
    return pose_model(Dot(fails_at), card, flip_test=False)


@pytest.fixture
def descriptors():
    """As many open files as most systems allow a program unless it asks for more."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_data_set_of_any_size_takes_no_more_file_descriptors(tmp_path, descriptors):
    """What loader processes give lies in memory that they share, which is a descriptor each."""
    dataset = dots(20_000, tmp_path)
    model = dot_model(dataset)
    loader = crop_loader(dataset, batch_size=38, workers=1)
    assert len(loader) * 2 > 1024
    found = predict_people(model, dataset, loader)
    assert len(found.poses) == len(np.unique(found.rows)) == 20_000


def test_nobody_waits_for_loader_processes_after_an_error(tmp_path):
    dataset = dots(400, tmp_path)
    model = dot_model(dataset, fails_at=2)
    with pytest.raises(ValueError, match="as if it had failed") as error:
        predict_people(model, dataset, crop_loader(dataset, batch_size=4, workers=1))
    assert error.tb is not None  # which holds what the loader was iterated by
    assert multiprocessing.active_children() == []
