"""Small networks with their cards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet

TINY_SIZES: dict[str, Any] = {
    "stem_width": 4, "stem_blocks": 2, "stage_modules": (1, 2, 2), "branch_blocks": 1
}  # fmt: skip


FOUR = Skeleton("four", ("a", "b", "c", "d"), ((0, 1),), (), (0.1,) * 4, (0, 1), (1.0,) * 4)


OFFICIAL_NAME = "pose_hrnet_w8_256x192.pth"


def tiny(width: int = 8, num_keypoints: int = 17, seed: int = 1) -> HRNet:
    """A small network with every entry, statistics included, away from its initial value."""
    torch.manual_seed(seed)
    model = HRNet(width, num_keypoints, **TINY_SIZES).eval()
    for value in model.state_dict().values():
        value.copy_(torch.rand(value.shape) + 0.5 if value.ndim == 1 else torch.randn(value.shape))
    return model


def card_of(model: HRNet, **other: Any) -> ModelCard:
    codec = HeatmapCodec("gaussian", (96, 128), sigma=1.5)
    skeleton = COCO17 if model.architecture["num_keypoints"] == 17 else FOUR
    return ModelCard(
        **{**{"architecture": model.architecture, "skeleton": skeleton, "codec": codec}, **other}
    )


def same(a: HRNet, b: HRNet) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return list(left) == list(right) and all(torch.equal(left[n], right[n]) for n in left)


def imagenet_layout(model: HRNet) -> dict[str, Tensor]:
    """The official classification network: same backbone, other heads, all stage-4 outputs."""
    state = {n: v for n, v in model.state_dict().items() if not n.startswith("final_layer.")}
    return state | {
        "stage4.1.fuse_layers.1.0.0.0.weight": torch.randn(16, 8, 3, 3),
        "incre_modules.0.0.conv1.weight": torch.randn(8, 8, 1, 1),
        "final_layer.0.weight": torch.randn(8, 8, 1, 1),
        "classifier.weight": torch.randn(10, 8),
    }


class ColourMix(torch.nn.Module):
    """Heatmaps that are blurred mixtures of the colours: quick to trace."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.nn.Conv2d(3, 17, 5, stride=4, padding=2)
        self.mix.weight.data = torch.rand(17, 3, 1, 1, generator=generator).repeat(1, 1, 5, 5) / 75
        self.mix.bias.data.zero_()

    def forward(self, images):
        return self.mix(images.float() / 255)


_TINY_HRNET: dict[str, Any] = {
    "width": 8, "stem_width": 8, "stem_blocks": 1, "stage_modules": [1, 1, 1], "branch_blocks": 1
}  # fmt: skip
TINY_NETWORKS: dict[str, dict[str, Any]] = {
    "hrnet": {"name": "hrnet", **_TINY_HRNET},
    "hrnet_v2": {"name": "hrnet", "head": "v2", **_TINY_HRNET},
    "resnet": {"name": "resnet", "depth": 18, "width": 4},
    "hrnet_psa_p": {"name": "hrnet_psa", **_TINY_HRNET},
    "hrnet_psa_s": {"name": "hrnet_psa", "attention": "sequential", **_TINY_HRNET},
    "hrnet_ocr": {"name": "hrnet_ocr", "context_width": 16, **_TINY_HRNET},
    "lite_hrnet": {"name": "lite_hrnet", "width": 8},
    "hourglass": {"name": "hourglass", "stacks": 2, "width": 16},
    "fcn_8s": {"name": "fcn", "width": 4},
    "fcn_32s": {"name": "fcn", "variant": "32s", "width": 4},
    "fcn_resnet_16s": {"name": "fcn_resnet", "variant": "16s", "width": 4},
    "fcn_resnet_dilated": {"name": "fcn_resnet", "variant": "dilated", "width": 4},
    "unet": {"name": "unet", "width": 4},
    "unet_valid": {"name": "unet", "padding": "valid", "width": 4},
    "deconvnet": {"name": "deconvnet", "width": 4},
    "segnet": {"name": "segnet", "width": 4},
    "fc_densenet": {"name": "fc_densenet", "depth": 56, "growth": 2},
    "dilated_net": {"name": "dilated_net", "width": 4},
    "deeplab_v1": {"name": "deeplab_v1", "width": 4},
    "deeplab_v2": {"name": "deeplab_v2", "depth": 50, "width": 4},
    "deeplab_v3": {"name": "deeplab_v3", "width": 4},
    "deeplab_v3plus": {"name": "deeplab_v3plus", "width": 4},
    "pspnet": {"name": "pspnet", "width": 4},
    "vitpose": {"name": "vitpose", "width": 24, "depth": 2, "heads": 2},
    "vitpose_simple": {
        "name": "vitpose", "width": 24, "depth": 2, "heads": 2, "decoder": "simple"
    },
}  # fmt: skip
"""Every network, and each way in which one is built, as small as it gets."""
