"""Properties of the pixel convention, and agreement with the official crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.keypoints import geometry

INPUT_WH = (192, 256)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_affines(rng, n, alignment="official"):
    return geometry.crop_affines(
        rng.uniform(0, 500, (n, 2)),
        rng.uniform(20, 400, (n, 2)),
        INPUT_WH,
        rotations_deg=rng.uniform(-90, 90, n),
        alignment=alignment,
    )


@pytest.mark.parametrize("alignment", ["official", "udp"])
def test_input_to_image_inverts_image_to_input(rng, alignment):
    affines = random_affines(rng, 7, alignment)
    points = rng.uniform(-50, 600, (7, 17, 2))
    there = geometry.image_to_input(points, affines)
    np.testing.assert_allclose(geometry.input_to_image(there, affines), points, atol=1e-9)


def test_official_alignment_maps_box_centre_to_half_the_input():
    affine = geometry.crop_affines([[100.0, 80.0]], [[48.0, 64.0]], INPUT_WH)
    np.testing.assert_allclose(geometry.image_to_input([[[100.0, 80.0]]], affine)[0, 0], [96, 128])
    right = geometry.image_to_input([[[101.0, 80.0]]], affine)[0, 0]
    np.testing.assert_allclose(right, [96 + 192 / 48, 128])


def test_udp_alignment_maps_box_corners_to_pixel_centres():
    affine = geometry.crop_affines([[100.0, 80.0]], [[48.0, 64.0]], INPUT_WH, alignment="udp")
    corners = geometry.image_to_input([[[76.0, 48.0], [124.0, 112.0]]], affine)[0]
    np.testing.assert_allclose(corners, [[0, 0], [191, 255]], atol=1e-9)


def test_rotation_keeps_lengths_and_turns_by_the_angle():
    affine = geometry.crop_affines([[0.0, 0.0]], [INPUT_WH], INPUT_WH, rotations_deg=90.0)
    up = geometry.image_to_input([[[0.0, 0.0], [10.0, 0.0]]], affine)[0]
    # Image direction (sin 90, -cos 90) = (1, 0) becomes "up" in the crop.
    np.testing.assert_allclose(up[1] - up[0], [0, -10], atol=1e-9)


def test_mirrored_affine_equals_flipping_the_image_first(rng):
    affines, points = random_affines(rng, 5), rng.uniform(0, 300, (5, 17, 2))
    flipped_first = geometry.image_to_input(geometry.flip_points(points, 640), affines)
    mirrored = geometry.image_to_input(points, geometry.mirror_affines(affines, 640))
    np.testing.assert_allclose(mirrored, flipped_first, atol=1e-9)
    twice = geometry.mirror_affines(geometry.mirror_affines(affines, 640), 640)
    np.testing.assert_allclose(twice, affines, atol=1e-9)


def test_flipping_points_twice_is_identity_and_swaps_the_border_pixels():
    np.testing.assert_array_equal(
        geometry.flip_points([[0.0, 3.0], [639.0, 3.0]], 640), [[639, 3], [0, 3]]
    )
    points = np.array([[12.25, 7.0]])
    np.testing.assert_array_equal(
        geometry.flip_points(geometry.flip_points(points, 640), 640), points
    )


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([0, 0, 75, 100], (75 * 1.25, 100 * 1.25)),  # already 3:4
        ([0, 0, 30, 100], (75 * 1.25, 100 * 1.25)),  # too narrow: width grows
        ([0, 0, 150, 100], (150 * 1.25, 200 * 1.25)),  # too wide: height grows
    ],
)
def test_crop_regions_fix_the_aspect_then_pad(box, size):
    centers, sizes = geometry.crop_regions([box], INPUT_WH)
    np.testing.assert_allclose(sizes[0], size)
    np.testing.assert_allclose(centers[0], [box[2] / 2, box[3] / 2])


def test_box_formats_invert_each_other(rng):
    boxes = rng.uniform(1, 50, (6, 4))
    np.testing.assert_allclose(geometry.xyxy_to_xywh(geometry.xywh_to_xyxy(boxes)), boxes)


@pytest.mark.parametrize(("alignment", "key"), [("official", "affine"), ("udp", "udp_affine")])
def test_affines_equal_the_reference(shared: Path, alignment, key):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    affines = geometry.crop_affines(
        reference["center"], reference["scale"] * 200, INPUT_WH, alignment=alignment
    )
    np.testing.assert_allclose(affines, reference[key], atol=1e-3)


def test_official_keypoints_equal_the_reference(shared: Path):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    affines = geometry.crop_affines(reference["center"], reference["scale"] * 200, INPUT_WH)
    keypoints_input = geometry.image_to_input(reference["joints_image"], affines)
    visible = reference["vis"] > 0
    np.testing.assert_allclose(
        keypoints_input[visible], reference["joints_in"][visible], atol=1e-3
    )
