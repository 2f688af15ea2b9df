"""What several tests of models start from."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.simple_baseline import SimpleBaseline
from tests.helpers.networks import tiny


@pytest.fixture(scope="module")
def networks() -> dict[str, HeatmapNetwork]:
    """One of each kind, with random weights."""
    torch.manual_seed(0)
    return {"HRNet": tiny(), "ResNet": SimpleBaseline(18)}
