"""The losses against their published formulas, written out, and their properties."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.training.losses import (
    adaptive_wing,
    build_loss,
    ohkm_mse,
    on_every_output,
    weighted_mse,
)

LOSSES = [weighted_mse, partial(ohkm_mse, top_k=2), adaptive_wing]
GENERATOR = torch.Generator().manual_seed(0)
PREDICTION, TARGET = torch.rand(2, 3, 5, 8, 6, generator=GENERATOR).unbind(0)
WEIGHTS = torch.rand(3, 5, generator=GENERATOR)


def official_per_keypoint(prediction, target, weights):
    """``(B, K)``: what the official code calls the loss of one joint, sample by sample."""
    w = weights[..., None]
    return 0.5 * ((prediction.flatten(2) * w - target.flatten(2) * w) ** 2).mean(-1)


def one_cell(p, t, loss=adaptive_wing):
    """The loss of a heatmap of one cell."""
    return loss(torch.full((1, 1, 1, 1), p), torch.full((1, 1, 1, 1), t), torch.ones(1, 1)).item()


def test_mse_equals_the_mean_over_keypoints_of_half_the_mse():
    expected = official_per_keypoint(PREDICTION, TARGET, WEIGHTS).mean()
    torch.testing.assert_close(weighted_mse(PREDICTION, TARGET, WEIGHTS), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_at_equality_and_only_there(loss):
    ones = torch.ones(3, 5)
    assert loss(TARGET, TARGET, ones).item() == 0
    assert loss(TARGET + 1e-3, TARGET, ones).item() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_unlabelled_keypoints_have_no_gradient_even_where_they_are_hardest(loss):
    prediction = torch.rand(1, 4, 4, 4, generator=GENERATOR, requires_grad=True)
    with torch.no_grad():
        prediction[0, 1] += 100
    weights = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    loss(prediction, torch.zeros(1, 4, 4, 4), weights).backward()
    assert prediction.grad[0, [0, 2]].abs().min() > 0
    assert prediction.grad[0, [1, 3]].abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_predictions_are_computed_in_float32(loss):
    prediction = PREDICTION.bfloat16()
    value = loss(prediction, TARGET, WEIGHTS)
    assert value.dtype == torch.float32
    assert value == loss(prediction.float(), TARGET, WEIGHTS)


def test_ohkm_equals_the_official_loop():
    weights = WEIGHTS * (WEIGHTS > 0.4)
    expected = torch.zeros(())
    for sample in official_per_keypoint(PREDICTION, TARGET, weights):
        expected += sample.sort(descending=True).values[:2].sum() / 2
    actual = ohkm_mse(PREDICTION, TARGET, weights, top_k=2)
    torch.testing.assert_close(actual, expected / 3)


def test_ohkm_of_all_keypoints_is_the_mse():
    torch.testing.assert_close(
        ohkm_mse(PREDICTION, TARGET, WEIGHTS, top_k=5), weighted_mse(PREDICTION, TARGET, WEIGHTS)
    )


def test_ohkm_by_hand_teaches_each_sample_its_own_hardest():
    errors = torch.tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]], requires_grad=True)
    heatmaps = errors[..., None, None].expand(2, 3, 4, 4)
    loss = ohkm_mse(heatmaps, torch.zeros(2, 3, 4, 4), torch.ones(2, 3), top_k=2)
    # Half the mean of 4 and 9, and of 36 and 25; then their mean.
    assert loss.item() == pytest.approx(0.5 * (6.5 + 30.5) / 2)
    loss.backward()
    assert (errors.grad != 0).tolist() == [[False, True, True], [True, True, False]]


@pytest.mark.parametrize("top_k", [0, 6])
def test_ohkm_of_more_keypoints_than_there_are(top_k):
    with pytest.raises(ValueError, match=rf"top_k is {top_k}; expected 1 to 5, the number"):
        ohkm_mse(PREDICTION, TARGET, WEIGHTS, top_k=top_k)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_awing_by_hand(target):
    exponent = 2.1 - target
    assert one_cell(target + 0.2, target) == pytest.approx(
        14 * math.log(1 + 0.2**exponent), rel=1e-5
    )
    slope = 14 * exponent * 0.5 ** (exponent - 1) / (1 + 0.5**exponent)
    offset = 0.5 * slope - 14 * math.log(1 + 0.5**exponent)
    assert one_cell(target - 2, target) == pytest.approx(2 * slope - offset, rel=1e-5)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_awing_branches_meet_with_equal_value_and_slope(target):
    step = 1e-3
    values = [one_cell(target + 0.5 + n * step, target) for n in (-2, -1, 0, 1, 2)]
    below, above = values[1] - values[0], values[4] - values[3]
    assert values[2] - values[1] == pytest.approx(values[3] - values[2], rel=0.02)
    assert below == pytest.approx(above, rel=0.02)


def test_awing_weighs_small_errors_on_the_peak_more_than_on_the_background():
    assert one_cell(0.9, 1.0) > 9 * one_cell(0.1, 0.0)


def test_awing_of_a_diverged_prediction_has_a_finite_gradient():
    prediction = torch.full((1, 1, 1, 1), 1e37, requires_grad=True)
    adaptive_wing(prediction, torch.zeros(1, 1, 1, 1), torch.ones(1, 1)).backward()
    assert prediction.grad.isfinite().all()


def test_built_losses_multiply_in_the_keypoint_weights():
    shape = (2, 17, 4, 4)
    heatmaps, targets = torch.rand(shape, generator=GENERATOR), torch.zeros(shape)
    visible = (torch.rand(2, 17, generator=GENERATOR) > 0.3).float()
    official = torch.tensor(COCO17.joint_weights)
    own = tuple(float(k) for k in range(17))
    cases = [
        (build_loss("mse", COCO17), weighted_mse, 1.0),
        (build_loss("mse", COCO17, keypoint_weights="official"), weighted_mse, official),
        (build_loss("awing", COCO17, keypoint_weights=own), adaptive_wing, torch.tensor(own)),
        (build_loss("ohkm", COCO17, top_k=3), partial(ohkm_mse, top_k=3), 1.0),
    ]
    for built, plain, factors in cases:
        expected = plain(heatmaps, targets, visible * factors)
        assert torch.equal(built(heatmaps, targets, visible), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "ohkm", "top_k": 18}, "loss.top_k is 18; expected 1 to 17"),
        ({"name": "mse", "keypoint_weights": (1.0, 2.0)}, "has 2 numbers for the 17 keypoints"),
        ({"name": "huber"}, "loss 'huber' is unknown; use mse, ohkm or awing"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build_loss(settings.pop("name"), COCO17, **settings)


def test_every_output_is_supervised_by_what_it_counts():
    outputs = torch.rand(2, 3, 5, 8, 6, generator=GENERATOR)
    loss = on_every_output(weighted_mse, (0.4, 1.0))
    expected = [weighted_mse(output, TARGET, WEIGHTS) for output in outputs]
    torch.testing.assert_close(loss(outputs, TARGET, WEIGHTS), 0.4 * expected[0] + expected[1])
    assert on_every_output(weighted_mse, (1.0,)) is weighted_mse
