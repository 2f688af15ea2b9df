"""The official recipe's distributions, and that a sample depends on its key alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.augment import Region, draw_region
from pose_hrnet.keypoints.skeleton import COCO17

REGION = Region(np.array([100.0, 80.0]), np.array([96.0, 128.0]))
KEYPOINTS = np.stack([np.linspace(60, 140, 17), np.linspace(20, 150, 17)], axis=1)
ALL = np.full(17, 2)


def draw(n=4000, visibility=ALL, **settings):
    chances = AugmentConfig(**settings)
    return [
        draw_region(REGION, KEYPOINTS, visibility, COCO17, chances, np.random.default_rng((0, i)))
        for i in range(n)
    ]


def test_official_distributions():
    regions = draw(half_body_probability=0.0)
    factors = np.array([r.size_wh[0] / 96 for r in regions])
    angles = np.array([r.rotation_deg for r in regions])
    assert factors.min() == pytest.approx(0.65)
    assert factors.max() == pytest.approx(1.35)
    # A normal of deviation 0.35 clipped to one deviation: 32 % lie on the two limits.
    assert np.mean(np.isclose(factors, 0.65) | np.isclose(factors, 1.35)) == pytest.approx(
        0.317, abs=0.025
    )
    assert np.mean(angles == 0) == pytest.approx(0.4, abs=0.025)
    assert np.abs(angles).max() == pytest.approx(90)
    assert angles[np.abs(angles) > 0].std() == pytest.approx(45 * 0.96, abs=2)
    assert np.mean([r.flip for r in regions]) == pytest.approx(0.5, abs=0.025)
    np.testing.assert_allclose([r.size_wh[0] / r.size_wh[1] for r in regions], 0.75)


def test_half_body_is_the_box_around_the_chosen_half():
    still = {"scale_std": 0.0, "rotation_probability": 0.0, "flip_probability": 0.0}
    upper = draw(1, half_body_probability=1.0, upper_body_probability=1.0, **still)[0]
    points = KEYPOINTS[:11]
    np.testing.assert_allclose(upper.center_image, points.mean(0))
    extent = np.ptp(points, axis=0)
    assert upper.size_wh[1] == pytest.approx(1.5 * max(extent[1], extent[0] / 0.75))
    lower = draw(1, half_body_probability=1.0, upper_body_probability=0.0, **still)[0]
    np.testing.assert_allclose(lower.center_image, KEYPOINTS[11:].mean(0))


def test_half_body_needs_more_keypoints_than_the_minimum():
    visibility = np.zeros(17, int)
    visibility[:8] = 2
    regions = draw(50, visibility, half_body_probability=1.0, scale_std=0.0)
    assert all((r.size_wh == REGION.size_wh).all() for r in regions)


def test_lower_half_falls_back_to_the_upper_where_it_has_two_keypoints():
    visibility = np.full(17, 2)
    visibility[13:] = 0
    region = draw(1, visibility, half_body_probability=1.0, upper_body_probability=0.0)[0]
    np.testing.assert_allclose(region.center_image, KEYPOINTS[:11].mean(0))


def test_one_setting_does_not_change_the_numbers_of_another():
    with_flip, without = draw(50), draw(50, flip_probability=0.0)
    assert [r.rotation_deg for r in with_flip] == [r.rotation_deg for r in without]
    assert not any(r.flip for r in without)


def test_the_same_key_gives_the_same_region_in_every_version():
    """Numbers of the first version: runs of the official recipe stay comparable, bit for bit."""
    regions = [
        draw_region(
            REGION, KEYPOINTS, ALL, COCO17, AugmentConfig(), np.random.default_rng((7, 3, i))
        )
        for i in range(4)
    ]
    sizes = [82.17193, 99.630431, 71.675088, 62.4]
    np.testing.assert_allclose([r.size_wh[0] for r in regions], sizes, atol=1e-6)
    angles = [18.194489, 0.0, 22.752349, 44.673039]
    np.testing.assert_allclose([r.rotation_deg for r in regions], angles, atol=1e-6)
    assert [r.flip for r in regions] == [False, False, False, True]


@pytest.mark.parametrize("upper", [(), tuple(range(17))])
def test_there_are_no_half_bodies_without_two_halves(upper):
    keypoints = np.random.default_rng(0).uniform(40, 90, (17, 2))
    region = Region(np.array([60.0, 60.0]), np.array([75.0, 100.0]))
    settings = AugmentConfig(
        half_body_probability=1, scale_std=0, rotation_probability=0, flip_probability=0
    )
    drawn = [
        draw_region(
            region, keypoints, np.full(17, 2), skeleton, settings, np.random.default_rng(1)
        )
        for skeleton in (COCO17, replace(COCO17, upper_body=upper))
    ]
    assert not np.array_equal(drawn[0].size_wh, region.size_wh)
    np.testing.assert_array_equal(drawn[1].size_wh, region.size_wh)
