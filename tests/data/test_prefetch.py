"""Batches arrive on the device as they were sent."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.data.prefetch import on_device
from tests.helpers.builders import make_batch


def test_elsewhere_batches_pass_through():
    batches = [make_batch(2, seed=n) for n in range(3)]
    assert all(
        a is b for a, b in zip(on_device(batches, torch.device("cpu")), batches, strict=True)
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_batches_arrive_whole_and_in_order():
    batches = [make_batch(8, seed=n) for n in range(20)]
    pinned = [type(b)(*(column.pin_memory() for column in b)) for b in batches]
    device = torch.device("cuda")
    seen = 0
    for arrived, batch in zip(on_device(pinned, device), batches, strict=True):
        assert arrived.pixels.is_cuda
        assert arrived.keypoints_input.is_cuda
        busy = torch.randn(2000, 2000, device=device)
        assert (busy @ busy).shape == busy.shape
        assert torch.equal(arrived.pixels.cpu(), batch.pixels)
        assert torch.equal(arrived.visible.cpu(), batch.visible)
        assert torch.equal(torch.as_tensor(arrived.row), torch.as_tensor(batch.row))
        seen += 1
    assert seen == 20
