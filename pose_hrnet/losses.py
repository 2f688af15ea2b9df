"""Heatmap losses."""

from __future__ import annotations

from torch import Tensor


def weighted_mse(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The official HRNet loss: half the mean squared error, unlabelled keypoints counting as 0.

    ``L = 1/2 mean_{b,k,h,w} (w_bk (p_bkhw - t_bkhw))^2``, which equals the official mean over
    keypoints of half the MSE of each (Sun et al., CVPR 2019).

    Args:
        heatmaps: ``(B, K, H, W)`` predictions, any floating type; computed in float32.
        targets: ``(B, K, H, W)``.
        weights: ``(B, K)``: 0 for unlabelled keypoints, else the keypoint's weight.

    Returns:
        A scalar.
    """
    difference = (heatmaps.float() - targets) * weights[..., None, None]
    return 0.5 * difference.square().mean()
