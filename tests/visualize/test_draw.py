"""Pictures show what they should, and leave their inputs alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pose_hrnet.visualize.draw import (
    LEFT,
    RIGHT,
    draw_boxes,
    draw_heatmaps,
    draw_poses,
    draw_training_curve,
    picture_grid,
    write_image,
)

LEFT_ELBOW, LEFT_WRIST = 7, 9
RIGHT_ELBOW, RIGHT_WRIST = 8, 10


@pytest.fixture
def image():
    return np.zeros((120, 160, 3), np.uint8)


def arms(score=1.0):
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    points[0, [LEFT_ELBOW, LEFT_WRIST]] = [[20, 30], [20, 90]]
    points[0, [RIGHT_ELBOW, RIGHT_WRIST]] = [[120, 30], [120, 90]]
    scores[0, [LEFT_ELBOW, LEFT_WRIST, RIGHT_ELBOW, RIGHT_WRIST]] = score
    return points, scores


def test_limbs_are_coloured_by_side(image):
    drawn = draw_poses(image, *arms())
    # Smoothed edges take a tenth off a line that is one pixel wide.
    np.testing.assert_allclose(drawn[60, 20], LEFT, atol=30)
    np.testing.assert_allclose(drawn[60, 120], RIGHT, atol=30)
    assert image.max() == 0


def test_limbs_fade_with_their_score_and_vanish_below_the_threshold(image):
    strong, weak = (draw_poses(image, *arms(s))[60, 20].astype(int).sum() for s in (0.9, 0.3))
    assert 0 < weak < 0.7 * strong
    assert draw_poses(image, *arms(0.1)).max() == 0


def test_poses_outside_the_image_do_not_fail(image):
    points, scores = arms()
    draw_poses(image, points + 1000, scores)
    draw_poses(image, points - 60, scores)
    draw_poses(image, np.empty((0, 17, 2)), np.empty((0, 17)))


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


def test_boxes_and_grid(image):
    boxed = draw_boxes(image, [[10, 10, 50, 60]])
    assert boxed[10, 30].min() > 200
    grid = picture_grid([np.full((50, 100, 3), 255, np.uint8)] * 3, columns=2, tile_wh=(60, 40))
    assert grid.shape == (80, 120, 3)
    assert grid[20, 30].min() == 255
    assert grid[60, 90].max() == 40


def test_written_images_are_rgb(tmp_path, image):
    image[..., 0] = 255
    write_image(tmp_path / "red.png", image)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match="cannot be written as an image"):
        write_image(tmp_path / "red.txt", image)
    assert [p.name for p in tmp_path.iterdir()] == ["red.png"]


def test_training_curve_is_a_picture(tmp_path):
    lines = [{"epoch": i, "loss": 1.0 / i} for i in range(1, 5)]
    lines[-1] |= {"AP": 0.5, "AP50": 0.7, "AR": 0.6}
    draw_training_curve(lines, tmp_path / "curve.png")
    picture = cv2.imread(str(tmp_path / "curve.png"))
    assert picture.shape[1] == 840
    assert picture.std() > 5
