"""The loss against the official formula, written out."""

from __future__ import annotations

import torch

from pose_hrnet.losses import weighted_mse


def test_equals_the_mean_over_keypoints_of_half_the_mse():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, 3, 5, 8, 6, generator=generator).unbind(0)
    weights = torch.rand(3, 5, generator=generator)
    official = torch.zeros(())
    for k in range(5):
        w = weights[:, k, None]
        p, t = prediction[:, k].flatten(1) * w, target[:, k].flatten(1) * w
        official += 0.5 * ((p - t) ** 2).mean()
    torch.testing.assert_close(weighted_mse(prediction, target, weights), official / 5)


def test_unlabelled_keypoints_have_no_gradient():
    prediction = torch.rand(1, 2, 4, 4, requires_grad=True)
    weighted_mse(prediction, torch.zeros(1, 2, 4, 4), torch.tensor([[1.0, 0.0]])).backward()
    assert prediction.grad[0, 0].abs().min() > 0
    assert prediction.grad[0, 1].abs().max() == 0
