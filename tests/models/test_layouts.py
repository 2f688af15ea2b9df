"""Networks are told from the names and shapes of their entries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.layouts import identify, size_of


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_depth_is_told_from_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        model = SimpleBaseline(depth)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = identify(shapes).architecture
    assert found == model.architecture
    assert size_of(found) == f"width 64, depth {depth}"


@pytest.mark.parametrize(("width", "head"), [(18, "v1"), (48, "v1"), (32, "v2")])
def test_every_width_is_told_from_names_and_shapes(width: int, head: Any) -> None:
    with torch.device("meta"):
        model = HRNet(width, 21, head=head)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert identify(shapes).architecture == model.architecture


def test_what_is_unknown_is_told_every_network_that_is_known() -> None:
    said = (
        "give a checkpoint of an HRNet, Lite-HRNet or ResNet .* ViTPose of the .* VGG16 with batch"
    )
    with pytest.raises(ValueError, match=said):
        identify({"encoder.weight": (4, 3, 3, 3)})
