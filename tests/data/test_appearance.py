"""What each change of appearance does to a crop, and that it depends on the sample's key alone."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
import torch

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.appearance import change_appearance
from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.keypoints.codec import HeatmapCodec
from tests.helpers.builders import make_people, write_images

RNG = np.random.default_rng(0)
COARSE = RNG.integers(20, 200, (16, 12, 3), dtype=np.uint8)
# Colourful, grainy, and nowhere black.
CROP = cv2.resize(COARSE, (96, 128)) + RNG.integers(0, 40, (128, 96, 3), dtype=np.uint8)
CHANGES = ("photometric", "grayscale", "blur", "jpeg", "dropout", "grid_mask")
ALL = {f"{name}_probability": 1.0 for name in CHANGES}


def changed(index=0, **settings):
    return change_appearance(CROP, AugmentConfig(**settings), np.random.default_rng((0, index)))


def black(crop):
    return (crop == 0).all(axis=-1)


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "images")


def dataset(folder, **settings):
    return CropDataset(make_people(6), folder, HeatmapCodec(input_wh=(96, 128)), 1.25, **settings)


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_changes_the_crop_as_often_as_it_says(name):
    before = CROP.copy()
    assert not AugmentConfig().changes_appearance
    assert AugmentConfig(**{f"{name}_probability": 0.01}).changes_appearance
    for chance, expected, tolerance in ((0.0, 0, 0), (1.0, 60, 0), (0.3, 18, 12)):
        settings = {f"{name}_probability": chance}
        different = sum((changed(i, **settings) != CROP).any() for i in range(60))
        assert different == pytest.approx(expected, abs=tolerance)
    np.testing.assert_array_equal(CROP, before)
    assert changed(**{f"{name}_probability": 1.0}).shape == CROP.shape


@pytest.mark.parametrize(
    ("amount", "colour_space", "channel", "low", "high"),
    [
        ("brightness", cv2.COLOR_RGB2GRAY, None, 0.5, 1.5),
        ("saturation", cv2.COLOR_RGB2HSV, 1, 0.5, 1.5),
    ],
)
def test_colours_change_by_the_amounts_that_are_set(amount, colour_space, channel, low, high):
    off = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    gray_world = {"photometric_probability": 1.0, **off}
    np.testing.assert_allclose(changed(**gray_world), CROP, atol=1)

    def level(crop):
        values = cv2.cvtColor(crop, colour_space)
        return (values if channel is None else values[..., channel]).mean()

    dull = (CROP // 2 + 40).astype(np.uint8)  # room for both directions
    ratios = []
    for index in range(80):
        settings = AugmentConfig(**{**gray_world, amount: 0.5})
        crop = change_appearance(dull, settings, np.random.default_rng(index))
        ratios.append(level(crop) / level(dull))
    assert low - 0.05 < min(ratios) < low + 0.1
    assert high - 0.2 < max(ratios) < high + 0.05


def test_hue_turns_both_ways_and_keeps_grey():
    turned = {"photometric_probability": 1.0, "brightness": 0, "contrast": 0, "saturation": 0}
    red = np.zeros((32, 32, 3), np.uint8) + np.array([200, 50, 50], np.uint8)
    settings = AugmentConfig(**turned, hue=0.1)
    crops = [change_appearance(red, settings, np.random.default_rng(i)) for i in range(40)]
    tilt = np.array([int(c[0, 0, 1]) - int(c[0, 0, 2]) for c in crops])
    assert tilt.min() < -50  # towards blue
    assert tilt.max() > 50  # towards green
    grey = np.full((32, 32, 3), 90, np.uint8)
    np.testing.assert_allclose(change_appearance(grey, settings, np.random.default_rng(1)), 90)


def test_grayscale_is_grey():
    crop = changed(grayscale_probability=1.0)
    assert np.ptp(crop, axis=-1).max() == 0
    assert crop.std() > 10


def test_blur_smooths_up_to_its_sigma_and_keeps_the_mean():
    noise = np.random.default_rng(0).integers(0, 255, (128, 96, 3), dtype=np.uint8)
    settings = AugmentConfig(blur_probability=1.0, blur_sigma=2.0)
    crops = [change_appearance(noise, settings, np.random.default_rng(i)) for i in range(60)]
    left = np.array([crop.std() / noise.std() for crop in crops])
    # White noise keeps 1 / (2 sqrt(pi) sigma) of its deviation: 0.14 at sigma 2.
    assert left.min() == pytest.approx(0.141, abs=0.02)
    assert left.max() == pytest.approx(0.64, abs=0.05)  # at a quarter of it
    assert all(abs(crop.mean() - noise.mean()) < 1 for crop in crops)


def test_jpeg_is_worse_at_lower_quality():
    errors = [
        np.mean([np.abs(changed(i, jpeg_probability=1, jpeg_quality=q) - CROP.astype(int)).mean()
                 for i in range(10)])
        for q in (95, 50, 5)
    ]  # fmt: skip
    assert 0 < errors[0] < errors[1] < errors[2] < 30


def test_holes_lie_inside_and_have_sizes_and_numbers_in_range():
    counts, widths, heights, touched = set(), [], [], np.zeros((128, 96), bool)
    for index in range(300):
        hole = black(changed(index, dropout_probability=1.0, dropout_size=(0.25, 0.5)))
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)  # one full rectangle
        widths.append(len(columns))
        heights.append(len(rows))
        touched |= hole
        many = black(
            changed(index, dropout_probability=1, dropout_holes=3, dropout_size=(0.05,) * 2)
        )
        counts.add(cv2.connectedComponents(many.astype(np.uint8))[0] - 1)
    assert (min(widths), max(widths)) == (24, 48)
    assert (min(heights), max(heights)) == (32, 64)
    assert touched.mean() > 0.95
    assert touched[[0, -1]].any(axis=1).all()  # every edge is reached
    assert touched[:, [0, -1]].any(axis=0).all()
    assert counts == {1, 2, 3}


def test_a_hole_can_be_the_whole_crop():
    assert black(changed(dropout_probability=1.0, dropout_size=(1.0, 1.0))).all()


def test_grid_has_its_period_and_its_share_of_black():
    shares = []
    for index in range(100):
        settings = {"grid_mask_period": (0.25, 0.25), "grid_mask_square": 0.5}
        hidden = black(changed(index, grid_mask_probability=1.0, **settings))
        np.testing.assert_array_equal(hidden[24:], hidden[:-24])
        np.testing.assert_array_equal(hidden[:, 24:], hidden[:, :-24])
        assert hidden[:24, :24].sum() == 12 * 12
        shares.append(hidden.mean(axis=0))
    # Its start is random: no column is favoured.
    assert np.ptp(np.mean(shares, axis=0)) < 0.2


def test_one_setting_does_not_change_the_numbers_of_another():
    for index in range(20):
        alone = black(changed(index, dropout_probability=1.0, grid_mask_probability=1.0))
        among = black(changed(index, **{**ALL, "jpeg_probability": 0.0}))
        assert alone.mean() > 0.1
        np.testing.assert_array_equal(among & alone, alone)


def test_regions_and_keypoints_are_those_of_the_plain_recipe(folder):
    plain = dataset(folder, augmentation=AugmentConfig())
    varied = dataset(folder, augmentation=AugmentConfig(**ALL))
    for key in ((0, 0), (3, 4), (9, 5)):
        assert torch.equal(plain[key].affine, varied[key].affine)
        assert torch.equal(plain[key].keypoints_input, varied[key].keypoints_input)
        assert not torch.equal(plain[key].pixels, varied[key].pixels)


@pytest.mark.parametrize("workers", [0, 2])
def test_crops_depend_neither_on_workers_nor_on_what_came_before(folder, workers):
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, os.cpu_count() or 1))  # workers have one
    try:
        crops = dataset(folder, augmentation=AugmentConfig(**ALL), seed=3)
        loader = crop_loader(crops, batch_size=4, workers=workers, shuffle=True)
        loader.sampler.epoch = 5
        fresh = dataset(folder, augmentation=AugmentConfig(**ALL), seed=3)
        for batch in loader:
            for pixels, row in zip(batch.pixels, batch.rows.tolist(), strict=True):
                assert torch.equal(pixels, fresh[5, row].pixels)
    finally:
        torch.set_num_threads(threads)


def test_global_random_numbers_are_left_alone():
    # The global state, which nobody should use, is what is looked at.
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    changed(**ALL)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def test_epochs_and_seeds_differ(folder):
    settings = AugmentConfig(half_body_probability=0, scale_std=0, rotation_probability=0,
                             flip_probability=0, dropout_probability=1.0)  # fmt: skip
    crops = dataset(folder, augmentation=settings)
    other = dataset(folder, augmentation=settings, seed=1)
    assert not torch.equal(crops[0, 2].pixels, crops[1, 2].pixels)
    assert not torch.equal(crops[0, 2].pixels, other[0, 2].pixels)
