"""The steps of the codecs, on peaks whose place between the cells is known."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.keypoints.refine import dark_steps, quarter_steps, udp_steps

PLACES = torch.tensor([[10.0, 20.0], [10.4, 20.0], [10.0, 19.7], [10.3, 20.45], [9.6, 19.8]])
CELLS = torch.tensor([[10, 20], [10, 20], [10, 20], [10, 20], [10, 20]])


def gaussians(places=PLACES, sigma=2.0, height=64, width=48):
    """``(1, K, H, W)`` Gaussians that are not cut, around places in cells."""
    x, y = torch.arange(width) - places[:, :1], torch.arange(height) - places[:, 1:]
    squared = y[..., :, None] ** 2 + x[..., None, :] ** 2
    return torch.exp(-squared / (2 * sigma**2))[None]


def test_a_quarter_step_goes_to_the_higher_neighbour():
    steps = quarter_steps(gaussians(), CELLS[None])[0]
    expected = [[0, 0], [0.25, 0], [0, -0.25], [0.25, 0.25], [-0.25, -0.25]]
    assert steps.tolist() == expected


@pytest.mark.parametrize("steps", [dark_steps, udp_steps])
@pytest.mark.parametrize("kernel", [7, 11])
def test_a_newton_step_finds_the_place_of_a_gaussian(steps, kernel):
    """The logarithm of a Gaussian is a parabola, and a blurred one is a Gaussian again."""
    found = CELLS + steps(gaussians(), CELLS[None], kernel)[0]
    assert (found - PLACES).abs().max() < 5e-3


def test_near_the_border_only_udp_steps():
    """The official codes leave peaks within one (quarter) or two cells (DARK) alone."""
    places = torch.tensor([[1.3, 20.0], [46.7, 20.0], [10.0, 1.3], [10.0, 62.7]])
    cells = places.round().long()[None]
    heatmaps = gaussians(places)
    assert not quarter_steps(heatmaps, cells).any()
    assert not dark_steps(heatmaps, cells, 11).any()
    assert udp_steps(heatmaps, cells, 11).any(dim=-1).all()
    two = torch.tensor([[2.3, 20.0], [45.7, 20.0], [10.0, 2.3], [10.0, 61.7]])
    heatmaps, cells = gaussians(two), two.round().long()[None]
    assert (quarter_steps(heatmaps, cells).abs().amax(dim=-1) == 0.25).all()
    inside = dark_steps(heatmaps, cells, 11)[0].any(dim=-1)
    assert inside.tolist() == [True, False, True, False]  # 46 and 62 are the last but one


def test_flat_heatmaps_have_no_step():
    empty = torch.zeros(1, 5, 64, 48)
    for heatmaps in (empty, empty + 0.5):
        assert not quarter_steps(heatmaps, CELLS[None]).any()
        assert udp_steps(heatmaps, CELLS[None], 11).abs().max() < 0.01
    assert not dark_steps(empty, CELLS[None], 11).any()
