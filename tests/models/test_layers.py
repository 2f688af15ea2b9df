"""Layers that networks share: features of any stride become heatmaps at their places."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.models.layers import at_heatmap_size, raised


def middles(side: int, stride: int) -> torch.Tensor:
    """Pixels that the middles of cells of a side are at, the number of cells rounded up."""
    return torch.arange(-(-side // stride)) * float(stride) + (stride - 1) / 2


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize(("height", "width"), [(128, 96), (100, 108), (124, 68)])
def test_each_cell_of_heatmaps_is_made_at_its_place(stride: int, height: int, width: int) -> None:
    """Features that say where they are: also where their last cells reach beyond the image."""
    rows, columns = middles(height, stride), middles(width, stride)
    features = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    found = at_heatmap_size(features, torch.zeros(1, 3, height, width), stride)
    rows, columns = (middles(side, 4) for side in (height, width))
    # Before the first middle, and behind the last, there is nothing to interpolate with.
    expected = torch.stack(
        torch.meshgrid(
            rows.clamp(float(features[0, 0, 0, 0]), float(features[0, 0, -1, 0])),
            columns.clamp(float(features[0, 1, 0, 0]), float(features[0, 1, 0, -1])),
            indexing="ij",
        )
    )[None]
    torch.testing.assert_close(found, expected)


def test_features_are_raised_by_a_whole_number_and_cut() -> None:
    features = torch.tensor([[[[0.0, 4.0, 8.0]]]])
    assert raised(features, 2, (1, 5)).tolist() == [[[[0.0, 1.0, 3.0, 5.0, 7.0]]]]
    assert raised(features, 1, (1, 2)).tolist() == [[[[0.0, 4.0]]]]
