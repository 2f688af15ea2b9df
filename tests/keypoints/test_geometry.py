"""Properties of the pixel convention, and agreement with the official crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.keypoints import geometry
from pose_hrnet.keypoints.geometry import CropFrames

INPUT_WH = (192, 256)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_frames(rng, n, alignment="official", **changes):
    centers, sizes = rng.uniform(0, 500, (n, 2)), rng.uniform(20, 400, (n, 2))
    angles = rng.uniform(-90, 90, n)
    return CropFrames.of_regions(
        centers, sizes, INPUT_WH, alignment, rotations_deg=angles, **changes
    )


@pytest.mark.parametrize("alignment", ["official", "udp"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_to_image_inverts_to_input(rng, alignment, mirrored):
    frames = random_frames(rng, 7, alignment, mirrored=mirrored)
    points = rng.uniform(-50, 600, (7, 17, 2))
    np.testing.assert_allclose(frames.to_image(frames.to_input(points)), points, atol=1e-9)


def test_official_alignment_maps_box_centre_to_half_the_input():
    frames = CropFrames.of_regions([[100.0, 80.0]], [[48.0, 64.0]], INPUT_WH, "official")
    center, right = frames.to_input([[[100.0, 80.0], [101.0, 80.0]]])[0]
    np.testing.assert_allclose(center, [96, 128])
    np.testing.assert_allclose(right, [96 + 192 / 48, 128])


def test_udp_alignment_maps_box_corners_to_pixel_centres():
    frames = CropFrames.of_regions([[100.0, 80.0]], [[48.0, 64.0]], INPUT_WH, "udp")
    corners = frames.to_input([[[76.0, 48.0], [124.0, 112.0]]])[0]
    np.testing.assert_allclose(corners, [[0, 0], [191, 255]], atol=1e-9)


def test_rotation_keeps_lengths_and_turns_by_the_angle():
    frames = CropFrames.of_regions(
        [[0.0, 0.0]], [INPUT_WH], INPUT_WH, "official", rotations_deg=90.0
    )
    up = frames.to_input([[[0.0, 0.0], [10.0, 0.0]]])[0]
    # Image direction (sin 90, -cos 90) = (1, 0) becomes "up" in the crop.
    np.testing.assert_allclose(up[1] - up[0], [0, -10], atol=1e-9)


@pytest.mark.parametrize("alignment", ["official", "udp"])
def test_a_mirrored_region_shows_what_it_would_in_the_mirrored_image(rng, alignment):
    width, points = 640, rng.uniform(0, 300, (5, 17, 2))
    centers, sizes = rng.uniform(0, 500, (5, 2)), rng.uniform(20, 400, (5, 2))
    angles, flip = rng.uniform(-90, 90, 5), np.array([-1, 1])
    here = CropFrames.of_regions(
        centers, sizes, INPUT_WH, alignment, rotations_deg=angles, mirrored=[True] * 5
    )
    there = CropFrames.of_regions(
        [width - 1, 0] + flip * centers, sizes, INPUT_WH, alignment, rotations_deg=angles
    )
    in_mirrored_image = there.to_input([width - 1, 0] + flip * points)
    np.testing.assert_allclose(here.to_input(points), in_mirrored_image, atol=1e-9)


def test_only_the_regions_that_are_mirrored_are(rng):
    centers, sizes = rng.uniform(0, 500, (3, 2)), rng.uniform(20, 400, (3, 2))
    plain = CropFrames.of_regions(centers, sizes, INPUT_WH, "official")
    mixed = CropFrames.of_regions(
        centers, sizes, INPUT_WH, "official", mirrored=[False, True, False]
    )
    np.testing.assert_array_equal(mixed.affines[[0, 2]], plain.affines[[0, 2]])
    np.testing.assert_array_equal(mixed.affines[1, :, 0], -plain.affines[1, :, 0])


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([0, 0, 75, 100], (75 * 1.25, 100 * 1.25)),  # already 3:4
        ([0, 0, 30, 100], (75 * 1.25, 100 * 1.25)),  # too narrow: width grows
        ([0, 0, 150, 100], (150 * 1.25, 200 * 1.25)),  # too wide: height grows
    ],
)
def test_regions_of_boxes_fix_the_aspect_then_pad(box, size):
    frames = CropFrames.of_boxes([box], INPUT_WH, "official")
    np.testing.assert_allclose(frames.sizes_wh[0], size)
    np.testing.assert_allclose(frames.centers_image[0], [box[2] / 2, box[3] / 2])
    np.testing.assert_allclose(frames.areas, [size[0] * size[1]])


def test_pixels_of_a_halved_picture_lie_between_those_of_the_whole():
    corners = [[[10.0, 20.0], [11.0, 20.0]], [[12.0, 22.0], [13.0, 23.0]]]
    halved = geometry.image_to_input(corners, [geometry.resampled(0.5, [10, 20])] * 2)
    np.testing.assert_allclose(halved.mean(axis=1), [[0, -0.25], [1, 1]])


def test_box_formats_invert_each_other(rng):
    boxes = rng.uniform(1, 50, (6, 4))
    np.testing.assert_allclose(geometry.xyxy_to_xywh(geometry.xywh_to_xyxy(boxes)), boxes)


@pytest.mark.parametrize(("alignment", "key"), [("official", "affine"), ("udp", "udp_affine")])
def test_affines_equal_the_reference(shared: Path, alignment, key):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    frames = CropFrames.of_regions(
        reference["center"], reference["scale"] * 200, INPUT_WH, alignment
    )
    np.testing.assert_allclose(frames.affines, reference[key], atol=1e-3)


def test_official_keypoints_equal_the_reference(shared: Path):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    frames = CropFrames.of_regions(
        reference["center"], reference["scale"] * 200, INPUT_WH, "official"
    )
    keypoints_input = frames.to_input(reference["joints_image"])
    visible = reference["vis"] > 0
    np.testing.assert_allclose(
        keypoints_input[visible], reference["joints_in"][visible], atol=1e-3
    )
