"""The steps of the codecs, on peaks whose place between the cells is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_hrnet.keypoints.refine import (
    border_true_steps,
    dark_steps,
    quarter_steps,
    udp_steps,
)
from tests.helpers.decoders import dark_reference, udp_reference

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
@pytest.mark.parametrize("kernel", [3, 7, 11])
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


KERNELS = [
    1, 3, 5, 7, 11, 17,
    # OpenCV 4 has a Gaussian there.
    pytest.param(9, marks=pytest.mark.skipif(cv2.__version__ < "5", reason="OpenCV 5's kernel")),
]  # fmt: skip
REFERENCES = [(dark_steps, dark_reference), (udp_steps, udp_reference)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_blur_is_opencvs(kernel):
    """A heatmap of one cell, blurred, is the kernel: a step reads it around another peak."""
    generator = np.random.default_rng(kernel)
    heatmaps = generator.random((1, 40, 32, 24), np.float32)
    heatmaps[0, :, 15, 11] = 2.0
    cells = torch.tensor([[[11, 15]] * 40])
    for steps, reference in REFERENCES:
        found = cells + steps(torch.from_numpy(heatmaps), cells, kernel)
        wanted = np.array([reference(heatmap, kernel) for heatmap in heatmaps[0]])
        error = np.abs(found[0].numpy() - wanted) / (1 + np.abs(wanted))
        assert np.percentile(error, 90) < 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
def test_steps_equal_the_references_on_real_heatmaps(kernel, shared: Path):
    maps = np.load(shared / "reference" / "decode.npz")["heatmaps"].astype(np.float32)
    maps = maps.reshape(-1, 64, 48)[1:]  # the first is all negative
    places = [np.unravel_index(heatmap.argmax(), heatmap.shape)[::-1] for heatmap in maps]
    cells = torch.tensor(np.array(places))[None]
    for steps, reference in REFERENCES:
        found = (cells + steps(torch.from_numpy(maps)[None], cells, kernel))[0].numpy()
        error = np.abs(found - [reference(heatmap, kernel) for heatmap in maps]) * 4
        assert np.median(error) < 1e-4
        assert np.percentile(error, 95) < 2e-3  # input pixels; noise of float32 at flat peaks


def test_udp_does_not_step_where_all_that_the_blur_leaves_is_negative():
    heatmaps = torch.full((1, 1, 64, 48), -1.0)
    heatmaps[0, 0, 20, 10] = 0.5
    assert not udp_steps(heatmaps, CELLS[None, :1], 11).any()


@pytest.mark.parametrize("steps", [dark_steps, udp_steps])
@pytest.mark.parametrize("kernel", [3, 7, 11, 17])
def test_border_true_steps_find_places_up_to_the_border_and_beyond(steps, kernel):
    """In input pixels of a stride of 4; the references' own steps are up to 3 and more off."""
    edges = torch.tensor([-1.5, -0.4, 0.0, 0.5, 1.2, 2.0, 2.6, 3.3, 4.7, 6.2, 9.4])
    x, y = torch.cat([edges, 47 - edges]), torch.cat([63 - edges, edges])
    along = torch.linspace(20.2, 30.7, len(x))
    places = torch.stack([torch.cat([x, along, x]), torch.cat([along, y, y])], dim=-1)
    limit = torch.tensor([47, 63])
    cells = places.round().long().clamp(min=torch.zeros(2, dtype=torch.long), max=limit)[None]
    heatmaps = gaussians(places)
    own = steps(heatmaps, cells, kernel)
    found = cells + border_true_steps(own, heatmaps, cells, kernel)
    assert (found - places)[0].abs().max() * 4 < 0.05
    assert (cells + own - places)[0].abs().max() * 4 > 3
    inner = torch.tensor([[23.3, 30.4]])
    cells, heatmaps = inner.round().long()[None], gaussians(inner)
    own = steps(heatmaps, cells, kernel)
    torch.testing.assert_close(border_true_steps(own, heatmaps, cells, kernel), own)


def test_border_true_steps_leave_what_is_no_peak_alone():
    """A saddle, a valley and flat maps on the border."""
    cells = torch.tensor([[[0, 20], [47, 20], [10, 0], [0, 0]]])
    generator = torch.Generator().manual_seed(0)
    for heatmaps in (torch.zeros(1, 4, 64, 48), torch.full((1, 4, 64, 48), -1.0)):
        assert not border_true_steps(torch.zeros(1, 4, 2), heatmaps, cells, 11).any()
    noise = torch.rand(1, 4, 64, 48, generator=generator)
    assert border_true_steps(torch.zeros(1, 4, 2), noise, cells, 11).isfinite().all()


def test_border_true_steps_stay_within_reach_of_the_blur():
    """A parabola that is nearly flat has its maximum anywhere: outside, it is noise."""
    x, y = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="xy")
    far = torch.exp(-((x + 40) ** 2 + (y - 20) ** 2) / 2000)[None, None]
    cells = torch.tensor([[[0, 20]]])
    assert not border_true_steps(torch.zeros(1, 1, 2), far, cells, 3).any()
    near = torch.exp(-((x + 1) ** 2 + (y - 20) ** 2) / 8)[None, None]
    torch.testing.assert_close(
        border_true_steps(torch.zeros(1, 1, 2), near, cells, 3),
        torch.tensor([[[-1.0, 0.0]]]), atol=0.02, rtol=0,
    )  # fmt: skip
