"""Heatmaps on crops show what they should, where it stands."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.keypoints.skeleton import WHOLEBODY133
from pose_hrnet.visualize.heatmaps import draw_heatmaps, heatmap_sheet
from pose_hrnet.visualize.poses import LEFT, RIGHT

LEFT_ELBOW, RIGHT_WRIST = 7, 10
TILE = 192 + 6, 256 + 22 + 6  # of a crop of 256x192, with its caption and the gap


@pytest.fixture
def image():
    return np.zeros((120, 160, 3), np.uint8)


def test_heatmaps_peak_where_their_cells_stand_in_the_colour_of_their_side(image):
    image[:] = 100
    heatmaps = np.zeros((17, 30, 40))
    heatmaps[LEFT_ELBOW, 5, 10], heatmaps[RIGHT_WRIST, 20, 30] = 1.0, 0.5
    drawn = draw_heatmaps(image, heatmaps, (4.0, 4.0))
    np.testing.assert_allclose(drawn[20, 40], LEFT)
    # Half as bright: half of it is the darkened image.
    np.testing.assert_allclose(drawn[80, 120], (np.array(RIGHT) + 60) / 2, atol=1)
    np.testing.assert_allclose(drawn[20, 120], 60)
    # Between cells the light falls off to the same colour's, equally on both sides.
    np.testing.assert_allclose(drawn[20, 42], drawn[20, 38], atol=1)
    np.testing.assert_allclose(drawn[20, 42], (np.array(LEFT) + 60) / 2, atol=1)
    assert (image == 100).all()


def tile(sheet, number):
    """The crop's part of a tile."""
    columns = (sheet.shape[1] - 6) // TILE[0]
    left, top = 6 + TILE[0] * (number % columns), 6 + TILE[1] * (number // columns)
    return sheet[top : top + 256, left : left + 192].astype(int)


def test_a_sheet_has_a_tile_for_every_keypoint_that_glows_where_it_stands():
    crop = np.full((128, 96, 3), 80, np.uint8)
    heatmaps, points, scores = np.zeros((17, 32, 24)), np.zeros((17, 2)), np.zeros(17)
    heatmaps[LEFT_ELBOW, 8, 6] = scores[LEFT_ELBOW] = 1.0
    points[LEFT_ELBOW] = [24, 32]
    sheet = heatmap_sheet(crop, heatmaps, (4.0, 4.0), points, scores)
    elbow, other = (tile(sheet, 1 + k) for k in (LEFT_ELBOW, RIGHT_WRIST))
    light = elbow.sum(axis=2) - other.sum(axis=2)
    light[np.hypot(*(np.indices(light.shape) - [[[64.5]], [[48.5]]])) > 5] = 0  # not the ring
    y, x = np.nonzero(light > 0.9 * light.max())
    assert (x.mean(), y.mean()) == pytest.approx((48.5, 64.5), abs=0.6)
    assert light.max() > 300
    assert (crop == 80).all()


@pytest.mark.parametrize("shape", [(256, 192), (128, 96), (64, 64)])
def test_a_sheet_is_no_strip_however_many_keypoints_there_are(shape):
    count = WHOLEBODY133.num_keypoints
    sheet = heatmap_sheet(
        np.zeros((*shape, 3), np.uint8), np.zeros((count, shape[0] // 4, shape[1] // 4)),
        (4.0, 4.0), np.zeros((count, 2)), np.zeros(count), skeleton=WHOLEBODY133,
    )  # fmt: skip
    assert 1 <= sheet.shape[1] / sheet.shape[0] <= 2.2


def test_what_cannot_be_drawn_is_said_in_a_sentence(image):
    maps = np.zeros((14, 30, 40))
    said = r"^heatmaps of skeleton coco17 has shape \(14, 30, 40\), expected \(17, any, any\)$"
    with pytest.raises(ValueError, match=said):
        draw_heatmaps(image, maps, (4.0, 4.0))
    with pytest.raises(ValueError, match=said):
        heatmap_sheet(image, maps, (4.0, 4.0), np.zeros((17, 2)), np.zeros(17))
    with pytest.raises(ValueError, match=r"^keypoints_input has shape \(2, 17, 2\)"):
        heatmap_sheet(image, np.zeros((17, 30, 40)), (4.0, 4.0), np.zeros((2, 17, 2)), [0] * 17)
