"""A person is cut out with both skeletons in it, wherever they are."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.visualize.persons import ERRORS, FOUND, TILE_WH, TRUTH, draw_person

GREY = np.full((400, 500, 3), 100, np.uint8)


def standing(x=200.0, y=100.0):
    grid = np.stack(np.divmod(np.arange(17), 3), axis=1)[:, ::-1] * 30.0 + (x, y)
    return np.column_stack([grid, np.full(17, 2.0)])


def has(picture, color):
    return (np.abs(picture.astype(int) - color).sum(axis=-1) < 60).sum()


def test_both_skeletons_and_the_rings_of_errors_are_drawn():
    truth = standing()
    found = truth[:, :2] + 8
    kinds = [None] * 13 + list(ERRORS)
    picture = draw_person(GREY, COCO17, truth=truth, found=found, kinds=kinds)
    assert picture.shape == (TILE_WH[1], TILE_WH[0], 3)
    for color in (TRUTH, FOUND, *ERRORS.values()):
        assert has(picture, color) > 10, color
    only = draw_person(GREY, COCO17, truth=truth, found=None)
    assert has(only, TRUTH) > 100
    assert not has(only, FOUND)
    nobody = draw_person(GREY, COCO17, truth=None, found=found)
    assert has(nobody, FOUND) > 100
    assert not has(nobody, TRUTH)


def test_what_is_not_labelled_is_not_drawn():
    truth = standing()
    truth[:, 2] = 0
    picture = draw_person(GREY, COCO17, truth=truth, found=None, box_xywh=[200, 100, 60, 150])
    assert not has(picture, TRUTH)


@pytest.mark.parametrize("at", [(-500.0, 0.0), (1e9, -1e9), (480.0, 390.0)])
def test_keypoints_far_away_and_persons_at_the_border_are_no_fault(at):
    truth = standing(430, 250)
    found = truth[:, :2].copy()
    found[3] = at
    picture = draw_person(GREY, COCO17, truth=truth, found=found, kinds=["miss"] * 17)
    assert has(picture, TRUTH) > 50
    draw_person(GREY, COCO17, truth=None, found=found)


def test_one_point_is_a_picture_too():
    truth = standing()
    truth[1:, 2] = 0
    assert has(draw_person(GREY, COCO17, truth=truth, found=None), TRUTH)


def test_what_cannot_be_drawn_is_said_in_a_sentence():
    for given, said in (
        ({}, "there is nobody to draw; give truth, found or box_xywh"),
        ({"found": np.zeros((14, 2))}, r"found has shape \(14, 2\), expected \(17, 2\)"),
        ({"truth": standing(), "kinds": ["jittr"]}, "kinds has 'jittr'; use jitter, inversion"),
    ):
        with pytest.raises(ValueError, match=f"^{said}"):
            draw_person(GREY, COCO17, **({"truth": None, "found": None} | given))
