"""Crops against the official ones, and their properties on made-up people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.crops import CropDataset, cut
from pose_hrnet.data.loader import EpochSampler, crop_loader
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.keypoints import geometry
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import make_people, write_images

INPUT_WH = (96, 128)
FLIP_ONLY = AugmentConfig(
    half_body_probability=0, scale_std=0, rotation_probability=0, flip_probability=1
)


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "images")


def dataset(folder, n=6, **settings):
    return CropDataset(make_people(n), folder, HeatmapCodec(input_wh=INPUT_WH), 1.25, **settings)


def same(a, b):
    return all(
        torch.equal(torch.as_tensor(x), torch.as_tensor(y)) for x, y in zip(a, b, strict=True)
    )


def test_crops_equal_the_official_ones(shared: Path):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    sample = shared / "coco_sample"
    people = labelled_people(load_people(sample / "person_keypoints.json"))
    crops = CropDataset(people, sample, HeatmapCodec(), 1.25)
    by_image = [(image, i) for i, image in enumerate(people.image_ids)]
    rows = [
        i
        for image in dict.fromkeys(reference["image_id"].tolist())
        for k, i in by_image
        if k == image
    ]
    assert len(rows) == len(reference["crop"]) == 12
    np.testing.assert_allclose(crops.frames.centers_image[rows], reference["center"], atol=1e-3)
    np.testing.assert_allclose(crops.frames.sizes_wh[rows], reference["scale"] * 200, rtol=1e-5)
    for number, row in enumerate(rows):
        crop = crops[0, row]
        np.testing.assert_allclose(crop.affine, reference["affine"][number], atol=1e-3)
        visible = reference["vis"][number].reshape(17, -1)[:, 0] > 0
        np.testing.assert_array_equal(crop.visible.numpy() > 0, visible)
        np.testing.assert_allclose(
            crop.keypoints_input[visible], reference["joints_in"][number][visible], atol=1e-3
        )
        difference = np.abs(
            crop.pixels.numpy().astype(int) - reference["crop"][number].astype(int)
        )
        assert difference.mean() < 1.0


def test_keypoints_lie_on_the_same_pixels_in_crop_and_image(folder):
    """The crop at a mapped keypoint shows the image's colour there, for every augmentation."""
    crops = dataset(folder, augmentation=AugmentConfig(half_body_probability=0.5))
    checked = 0
    for index in range(6):
        crop = crops[3, index]
        image = crops.pictures.read(int(crops.people.image_index[index]), 1).pixels
        points_image = geometry.input_to_image(crop.keypoints_input[None], crop.affine[None])[0]
        for (xi, yi), (x, y) in zip(crop.keypoints_input.round().int(), points_image, strict=True):
            if 2 <= xi < INPUT_WH[0] - 2 and 2 <= yi < INPUT_WH[1] - 2:
                shown = crop.pixels[yi, xi].numpy().astype(int)
                assert np.abs(shown - image[round(y), round(x)].astype(int)).max() < 40
                checked += 1
    assert checked > 40


def test_flip_mirrors_the_crop_and_exchanges_left_and_right(folder):
    plain, flipped = dataset(folder), dataset(folder, augmentation=FLIP_ONLY)
    for index in range(6):
        a, b = plain[0, index], flipped[0, index]
        # The official alignment centres the box at W/2: mirrored, x goes to W - x.
        mirrored = a.keypoints_input[list(COCO17.flip_index)]
        np.testing.assert_allclose(
            b.keypoints_input[:, 0], INPUT_WH[0] - mirrored[:, 0], atol=1e-3
        )
        np.testing.assert_allclose(b.keypoints_input[:, 1], mirrored[:, 1], atol=1e-3)
        inner = np.abs(
            b.pixels[:, 1:].numpy().astype(int) - a.pixels[:, 1:].flip(1).numpy().astype(int)
        )
        assert inner.mean() < 1.0
        np.testing.assert_allclose(
            geometry.input_to_image(b.keypoints_input[None], b.affine[None])[0],
            plain.people.keypoints_image[index][list(COCO17.flip_index)],
            atol=1e-3,
        )


def test_the_default_recipe_leaves_colours_as_they_are(folder):
    """An augmented crop is the cut of its affine, and nothing more."""
    crops = dataset(folder, augmentation=AugmentConfig())
    for index in range(6):
        crop = crops[1, index]
        image = crops.pictures.read(int(crops.people.image_index[index]), 1).pixels
        assert np.array_equal(crop.pixels.numpy(), cut(image, crop.affine.numpy(), INPUT_WH))


def test_a_sample_depends_on_its_key_alone(folder):
    crops = dataset(folder, augmentation=AugmentConfig())
    again = dataset(folder, augmentation=AugmentConfig())
    again[0, 5]
    assert same(crops[2, 3], again[2, 3])
    assert not same(crops[2, 3], crops[3, 3])
    other_seed = dataset(folder, augmentation=AugmentConfig(), seed=1)
    assert not same(crops[2, 3], other_seed[2, 3])


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_batches_do_not_depend_on_workers(folder, workers):
    crops = dataset(folder, augmentation=AugmentConfig())
    loader = crop_loader(crops, batch_size=4, workers=workers, shuffle=True)
    loader.sampler.epoch = 5
    first = next(iter(loader))
    keys = list(EpochSampler(crops.people, shuffle=True))
    assert first.rows.tolist() != [i for _, i in keys][:4]  # epoch 5 is not epoch 0
    for position, row in enumerate(first.rows.tolist()):
        expected = crops[5, row]
        assert torch.equal(first.pixels[position], expected.pixels)
        assert torch.equal(first.keypoints_input[position], expected.keypoints_input)


def test_sampler_gives_every_person_once_and_evaluation_goes_image_by_image():
    people = make_people(7)[[5, 0, 3, 1, 4, 2, 6]]
    for epoch in (0, 1):
        sampler = EpochSampler(people, shuffle=True)
        sampler.epoch = epoch
        assert sorted(i for _, i in sampler) == list(range(7))
    order = [i for _, i in EpochSampler(people, shuffle=False)]
    assert (np.diff(people.image_index[order]) >= 0).all()


def test_unreadable_image_gives_an_invisible_person_and_a_warning(folder, caplog):
    (folder / "000002.png").write_bytes(b"")
    crop = dataset(folder)[0, 2]
    assert not crop.readable
    assert crop.visible.sum() == 0
    assert "000002.png" in caplog.text
    assert dataset(folder)[0, 0].readable


def test_workers_start_after_opencv_has_used_its_threads(folder):
    """A forked worker that touches OpenCV's thread pool would wait forever."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (11, 11), 0)
        loader = crop_loader(dataset(folder), batch_size=4, workers=1)
        assert sum(len(batch.pixels) for batch in loader) == 6
    finally:
        cv2.setNumThreads(threads)
