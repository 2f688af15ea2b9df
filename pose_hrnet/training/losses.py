"""Heatmap losses: functions of predictions, targets and keypoint weights.

All take ``heatmaps`` ``(B, K, H, W)`` of any floating type, ``targets`` ``(B, K, H, W)`` and
``weights`` ``(B, K)`` - 0 for unlabelled keypoints, else the keypoint's weight - and compute in
float32. Unlabelled keypoints count as a loss of 0: a person with few labels counts less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import LossName

HeatmapLoss: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(heatmaps, targets, weights) -> scalar``, as the functions of this module."""


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


def ohkm_mse(heatmaps: Tensor, targets: Tensor, weights: Tensor, *, top_k: int = 8) -> Tensor:
    """Online hard keypoint mining: of each sample, the `top_k` keypoints with the highest loss.

    With ``l_bk = 1/2 mean_{h,w} (w_bk (p_bkhw - t_bkhw))^2``, the sum of the `top_k` largest
    ``l_b`` over `top_k`, averaged over the batch (CPN, Chen et al., CVPR 2018; HRNet's official
    ``JointsOHKMMSELoss``, which this equals). An unlabelled keypoint has loss 0 and never takes
    the place of a labelled one; as in the official code the sum is over `top_k` also where fewer
    are labelled. With `top_k` = K it is `weighted_mse`.

    Args:
        heatmaps: ``(B, K, H, W)`` predictions, any floating type; computed in float32.
        targets: ``(B, K, H, W)``.
        weights: ``(B, K)``: 0 for unlabelled keypoints, else the keypoint's weight.
        top_k: Keypoints of each sample that count, 1 to K (official: 8).

    Returns:
        A scalar.

    Raises:
        ValueError: If `top_k` is not from 1 to K.
    """
    _check_top_k(top_k, heatmaps.shape[1])
    difference = (heatmaps.float() - targets) * weights[..., None, None]
    per_keypoint = 0.5 * difference.square().mean(dim=(2, 3))
    return per_keypoint.topk(top_k, dim=1, sorted=False).values.mean()


def adaptive_wing(
    heatmaps: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    alpha: float = 2.1,
    omega: float = 14.0,
    epsilon: float = 1.0,
    theta: float = 0.5,
) -> Tensor:
    """Adaptive wing loss: like MSE far from a keypoint, steep in small errors on its peak.

    With ``d = |p - t|`` and the exponent ``e = alpha - t`` (Wang et al., ICCV 2019)::

        d < theta:  omega log(1 + (d / epsilon)^e)
        else:       A d - C, the tangent at theta:
                    A = omega e (theta / epsilon)^(e - 1) / (epsilon (1 + (theta / epsilon)^e))
                    C = theta A - omega log(1 + (theta / epsilon)^e)

    averaged over all cells, those of a keypoint times its weight. For weights of 0 and 1 this is
    MMPose's ``AdaptiveWingLoss``; that one multiplies predictions and targets by the weight,
    which for other weights would move the peak that the exponent looks for. Values are some
    hundred times those of `weighted_mse`: Adam does not mind, a gradient clip or SGD does.

    Args:
        heatmaps: ``(B, K, H, W)`` predictions, any floating type; computed in float32.
        targets: ``(B, K, H, W)`` in 0 to 1.
        weights: ``(B, K)``: 0 for unlabelled keypoints, else the keypoint's weight.
        alpha: Exponent on the background; more than 2, so that e > 1 on the peak, too.
        omega: Height.
        epsilon: Width of the steep part.
        theta: Error at which the curve becomes a line.

    Returns:
        A scalar.
    """
    error = (heatmaps.float() - targets).abs()
    exponent = alpha - targets.float()
    at_theta = (theta / epsilon) ** exponent
    slope = omega * exponent * at_theta / (theta * (1 + at_theta))
    value_at_theta = omega * torch.log1p(at_theta)
    # Clamped where the line is taken: there the curve may not blow up, nor its gradient count.
    curve = omega * torch.log1p((error.clamp(max=theta) / epsilon) ** exponent)
    line = value_at_theta + slope * (error - theta)
    losses = torch.where(error < theta, curve, line)
    return (losses * weights[..., None, None]).mean()


def on_every_output(loss: HeatmapLoss, supervision: Sequence[float]) -> HeatmapLoss:
    """A loss of all outputs of a network: the sum of each one's, times what it counts.

    Args:
        loss: Of one output.
        supervision: What each counts: `pose_hrnet.models.network.HeatmapNetwork.supervision`.

    Returns:
        A loss of heatmaps ``(S, B, K, H, W)``, S as many as `supervision` has numbers; of one
        output, `loss` itself.
    """
    if len(supervision) == 1:
        return loss

    def total(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        losses = [loss(output, targets, weights) for output in heatmaps]
        shares = torch.tensor(supervision, device=heatmaps.device)
        return (torch.stack(losses) * shares).sum()

    return total


def build_loss(
    name: LossName,
    skeleton: Skeleton,
    *,
    top_k: int = 8,
    keypoint_weights: Literal["official"] | Sequence[float] | None = None,
    device: torch.device | str = "cpu",
) -> HeatmapLoss:
    """The loss of this name, with the weight of each keypoint multiplied into ``weights``.

    Args:
        name: ``mse``, ``ohkm`` or ``awing``.
        skeleton: Says how many keypoints there are, and their official weights.
        top_k: Of `ohkm_mse`; the others do not look at it.
        keypoint_weights: One per keypoint; ``official``: the skeleton's; None: all the same.
        device: Where the loss is computed.

    Raises:
        ValueError: If the name is unknown, `top_k` does not fit the skeleton, or there is not one
            weight for each of its keypoints.
    """
    count = skeleton.num_keypoints
    if name == "mse":
        compute: HeatmapLoss = weighted_mse
    elif name == "ohkm":
        _check_top_k(top_k, count)
        compute = partial(ohkm_mse, top_k=top_k)
    elif name == "awing":
        compute = adaptive_wing
    else:
        raise ValueError(f"loss {name!r} is unknown; use mse, ohkm or awing")

    if keypoint_weights is None:
        keypoint_weights = [1.0] * count
    elif keypoint_weights == "official":
        keypoint_weights = skeleton.joint_weights
    if len(keypoint_weights) != count:
        raise ValueError(
            f"loss.keypoint_weights has {len(keypoint_weights)} numbers for the {count} keypoints "
            f"of skeleton {skeleton.name!r}; give one for each"
        )
    factors = torch.tensor(keypoint_weights, dtype=torch.float32, device=device)

    def loss(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return compute(heatmaps, targets, weights * factors)

    return loss


def _check_top_k(top_k: int, keypoints: int) -> None:
    if not 1 <= top_k <= keypoints:
        raise ValueError(
            f"loss.top_k is {top_k}; expected 1 to {keypoints}, the number of keypoints"
        )
