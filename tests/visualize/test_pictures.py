"""Pictures show what they should, and leave their inputs alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pose_hrnet.visualize.pictures import draw_training_curve, picture_grid, write_image


@pytest.fixture
def image():
    return np.zeros((120, 160, 3), np.uint8)


def test_a_grid_fits_its_tiles():
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
    with pytest.raises(ValueError, match=r"^the image has shape \(120, 160\) and type uint8"):
        write_image(tmp_path / "grey.png", image[..., 0])
    write_image(str(tmp_path / "red.png"), image)
    assert [p.name for p in tmp_path.iterdir()] == ["red.png"]
    with pytest.raises(ValueError, match=r"^columns is 0; expected a whole number from 1 on$"):
        picture_grid([image], columns=0, tile_wh=(60, 40))


def test_training_curve_is_a_picture(tmp_path):
    lines = [{"epoch": i, "loss": 1.0 / i} for i in range(1, 5)]
    lines[-1] |= {"AP": 0.5, "AP50": 0.7, "AR": 0.6}
    draw_training_curve(lines, tmp_path / "curve.png")
    picture = cv2.imread(str(tmp_path / "curve.png"))
    assert picture.shape[1] == 840
    assert picture.std() > 5
