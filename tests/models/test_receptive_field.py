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
        # The dilated ResNet's 427 too, 48 cells of 8 by the widest of its convolutions, and one.
        ("deeplab_v2", 427 + 48 * 8 + 8),
        # 188 of conv5, 24 cells of 8 by fc6, twice 1 + 1 + 2 + 4 + 8 + 16 + 1 by the context.
        ("dilated_net", 188 + 24 * 8 + 66 * 8 + 8),
        ("vitpose", None),
    ],
)
def test_receptive_fields(name: str, seen: int | None) -> None:
    architecture: dict[str, Any] = TINY_NETWORKS[name]
    assert receptive_field(architecture, 1024) == seen
