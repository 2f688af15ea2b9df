"""V2 and V2p: official names, the right shapes, and every stream in the right place."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
import torch

from pose_hrnet.models import hrnet_v2
from pose_hrnet.models.build import build_network
from pose_hrnet.models.complexity import complexity
from pose_hrnet.models.hrnet import HRNet, concatenate_streams
from pose_hrnet.models.hrnet_v2 import HRNetV2, HRNetV2p

SIZES: dict[str, Any] = {
    "stem_width": 4, "stem_blocks": 1, "stage_modules": (1, 1, 2), "branch_blocks": 1
}  # fmt: skip


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(hrnet_v2) == doctest.TestResults(failed=0, attempted=8)


def test_streams_after_stage_4() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    sizes = [(2, 8 * 2**i, 64 // 2 ** (i + 2), 96 // 2 ** (i + 2)) for i in range(4)]
    for model, count in ((HRNet(8, 5, **SIZES), 1), (HRNet(8, 5, head="v2", **SIZES), 4)):
        streams = model.eval().streams(images)
        assert [tuple(s.shape) for s in streams] == sizes[:count]
    assert [tuple(s.shape) for s in HRNetV2(8, **SIZES).eval().streams(images)] == sizes


def test_v2_keeps_the_finest_stream_and_interpolates_the_others() -> None:
    streams = [torch.randn(2, 8 * 2**i, 16 // 2**i, 24 // 2**i) for i in range(4)]
    streams[2][:] = 3.0
    # A ramp stays a ramp away from the border, half a coarse cell off by the pixel-area rule.
    streams[1][:] = torch.arange(12.0)
    joined = concatenate_streams(streams)
    assert joined.shape == (2, 15 * 8, 16, 24)
    assert torch.equal(joined[:, :8], streams[0])
    expected = (torch.arange(24) + 0.5) / 2 - 0.5
    assert torch.allclose(joined[:, 8:24, :, 1:-1], expected[1:-1])
    assert torch.allclose(joined[:, 24:56], torch.tensor(3.0))


def test_v2_has_the_official_entries() -> None:
    with torch.device("meta"):
        model = HRNetV2(48)
    names = list(model.state_dict())
    assert names[0] == "conv1.weight"
    assert "stage4.2.fuse_layers.3.0.2.0.weight" in names
    assert "stage4.2.fuse_layers.3.3.0.weight" not in names


def test_v2_costs_what_the_official_segmentation_network_does() -> None:
    """Published for HRNetV2-W48 on Cityscapes, 19 classes at 1024x2048: 65.8 M, 696.2 G."""
    cost = complexity({"head": "v2", "width": 48, "num_keypoints": 19}, (2048, 1024))
    assert cost.parameters == 65_859_379
    assert f"{cost.published_gflops:.1f}" == "696.2"


def test_v1_has_no_more_than_the_pose_network() -> None:
    names = HRNet(8, 5, **SIZES).state_dict()
    assert not any(n.startswith(("stage4.1.fuse_layers.1", "head.")) for n in names)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    pyramid = HRNetV2p(HRNetV2(8, **SIZES), out_channels=16)
    sum(level.square().sum() for level in pyramid(torch.randn(2, 3, 64, 64))).backward()
    v2 = HRNet(8, 5, head="v2", **SIZES)
    v2(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for model in (pyramid, v2):
        assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_pyramid_averages_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HRNetV2p(HRNetV2(8, **SIZES), out_channels=4, levels=5).eval()
    for conv in (model.reduction_conv, *model.fpn_convs):  # to plain copies
        torch.nn.init.dirac_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    representation = torch.randn(1, 120, 16, 32)
    monkeypatch.setattr(model.backbone, "forward", lambda images: representation)
    with torch.inference_mode():
        levels = model(torch.zeros(1, 3, 64, 128))
    torch.testing.assert_close(levels[0], representation[:, :4])
    assert [tuple(level.shape[2:]) for level in levels] == [
        (16, 32), (8, 16), (4, 8), (2, 4), (1, 2)
    ]  # fmt: skip
    for level in levels[1:]:
        torch.testing.assert_close(level.mean(), levels[0].mean())
    block = levels[0][0, 0, 4:8, 8:12].mean()
    torch.testing.assert_close(levels[2][0, 0, 1, 2], block)


def test_pyramid_refuses_what_it_cannot_pool() -> None:
    backbone = HRNetV2(8, **SIZES)
    with pytest.raises(ValueError, match="coarsest level has stride 64"):
        HRNetV2p(backbone, levels=5)(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="0 levels"):
        HRNetV2p(backbone, levels=0)
    with pytest.raises(ValueError, match="head 'v3'; give at least 1, and one of v1, v2"):
        HRNet(8, head="v3", **SIZES)


def test_v2_pose_head_is_the_facial_landmark_one() -> None:
    with torch.device("meta"):
        model = build_network({"head": "v2", "width": 18, "num_keypoints": 98})
    assert isinstance(model, HRNet)
    head = {n: tuple(v.shape) for n, v in model.state_dict().items() if n.startswith("head.")}
    assert head["head.0.weight"] == (270, 270, 1, 1)
    assert head["head.1.running_mean"] == head["head.0.bias"] == (270,)
    assert head["head.3.weight"] == (98, 270, 1, 1)
    assert model.architecture["head"] == "v2"
