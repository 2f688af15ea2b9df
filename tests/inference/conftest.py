"""A small random network, for the tests of the estimator and of what it is given."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet import HRNet, PoseEstimator, load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import save_model

SMALL = {
    "width": 8,
    "stem_width": 8,
    "stem_blocks": 1,
    "stage_modules": (1, 1, 1),
    "branch_blocks": 1,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = HRNet(**SMALL)
    for parameter in model.final_layer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("gaussian", (64, 96)))
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, model.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def estimator(checkpoint):
    model = load_model(checkpoint, backend="eager", device="cpu")
    return PoseEstimator(model, batch_size=3)
