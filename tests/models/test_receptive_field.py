"""Receptive fields are those that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pose_hrnet.models.receptive_field import receptive_field
from tests.helpers.networks import TINY_NETWORKS


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        # VGG16's 212 of pool5 and 6 times 32 of fc6, and one cell of 32 more by interpolation.
        ("fcn_32s", 212 + 6 * 32 + 32),
        # torchvision's ResNet-50, which halves by its 3x3 convolutions, has 427.
        ("fcn_resnet_16s", 427 + 64 + 32),
        ("deeplab_v1", 427),
        ("vitpose", None),
    ],
)
def test_receptive_fields(name: str, seen: int | None) -> None:
    architecture: dict[str, Any] = TINY_NETWORKS[name]
    assert receptive_field(architecture, 1024) == seen
