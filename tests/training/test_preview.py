"""The pictures show the samples of the training: their pixels, keypoints and targets."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.images import read_rgb
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import training_crops, training_data
from pose_hrnet.training.preview import (
    CROP_HEIGHT,
    GAP,
    PAIRS_PER_ROW,
    preview_each,
    preview_training,
    single_augmentations,
)
from tests.helpers.builders import make_people, write_annotations, write_images

TITLE = 28
SETTINGS = ["codec.input_wh=[192, 256]", "codec.sigma=2"]  # shown pixel for pixel


@pytest.fixture
def config(tmp_path):
    people = make_people(6)
    annotations = write_annotations(people, tmp_path / "people.json")
    images = write_images(people, tmp_path / "images")
    data = [f"data.train.annotations={annotations}", f"data.train.images={images}"]
    return load_config("demo", [*data, *SETTINGS])


def pairs(path, count):
    """The (keypoints, heatmaps) pictures of a preview at 192 x 256, without titles."""
    grid = read_rgb(path)
    height, width = CROP_HEIGHT + TITLE + GAP, 2 * 192 + GAP
    assert grid.shape[:2] == (
        -(-count // PAIRS_PER_ROW) * height,
        min(count, PAIRS_PER_ROW) * width,
    )
    for number in range(count):
        top = number // PAIRS_PER_ROW * height + GAP // 2 + TITLE
        left = number % PAIRS_PER_ROW * width + GAP // 2
        pair = grid[top : top + 256, left : left + 2 * 192]
        yield pair[:, :192], pair[:, 192:]


def first_samples(config, epoch, count):
    _, card = build_model(config)
    data = training_data(config, card)
    data.sampler.epoch = epoch
    crops = training_crops(config, card, data)
    return [crops[key] for key in list(data.sampler)[:count]]


def test_shows_the_first_samples_of_the_epoch(config, tmp_path):
    preview_training(config, tmp_path / "a.png", count=5, epoch=2)
    for (drawn, _), crop in zip(
        pairs(tmp_path / "a.png", 5), first_samples(config, 2, 5), strict=True
    ):
        # Limbs and dots apart, the picture is the crop.
        assert np.mean((drawn == crop.pixels.numpy()).all(axis=-1)) > 0.5
        inside = crop.keypoints_input.numpy().round().astype(int)
        shown = [
            tuple(drawn[y, x]) != tuple(crop.pixels.numpy()[y, x])
            for x, y in inside
            if 0 <= x < 192 and 0 <= y < 256
        ]
        assert np.mean(shown) > 0.95


@pytest.mark.parametrize("codec", ["gaussian", "udp"])
def test_heatmaps_are_brightest_at_the_keypoints(config, tmp_path, codec):
    config = config.model_copy(update={"codec": config.codec.model_copy(update={"name": codec})})
    preview_training(config, tmp_path / "a.png", count=4)
    for (_, light), crop in zip(
        pairs(tmp_path / "a.png", 4), first_samples(config, 0, 4), strict=True
    ):
        dark = 0.6 * crop.pixels.numpy()
        added = np.abs(light - dark).sum(axis=-1)
        inside = crop.keypoints_input.numpy().round().astype(int)
        at = [added[y, x] for x, y in inside if 4 <= x < 188 and 4 <= y < 252]
        far = np.ones((256, 192), bool)
        for x, y in inside:
            far[max(0, y - 30) : max(0, y + 30), max(0, x - 30) : max(0, x + 30)] = False
        assert np.median(at) > 100
        assert not far.any() or added[far].max() < 5


def test_a_second_look_is_the_same_and_another_epoch_is_not(config, tmp_path):
    for name, epoch in (("a", 0), ("b", 0), ("c", 1)):
        preview_training(config, tmp_path / f"{name}.png", count=3, epoch=epoch)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_an_unreadable_image_is_shown_as_such(config, tmp_path):
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"")
    preview_training(config, tmp_path / "a.png", count=99)
    assert all((drawn == 0).all() for drawn, _ in pairs(tmp_path / "a.png", 6))


def test_single_augmentations_switch_on_one_thing_each():
    singles = single_augmentations(AugmentConfig(scale_std=0.2, blur_probability=0.3))
    names = ["plain", "scale", "half body", "rotation", "flip", "photometric", "grayscale",
             "blur", "jpeg", "dropout", "grid mask"]  # fmt: skip
    assert list(singles) == names
    plain = singles["plain"].model_dump()
    assert plain["scale_std"] == plain["flip_probability"] == plain["blur_probability"] == 0
    for name, settings in singles.items():
        changed = {k: v for k, v in settings.model_dump().items() if v != plain[k]}
        field = "scale_std" if name == "scale" else f"{name.replace(' ', '_')}_probability"
        assert changed == ({} if name == "plain" else {field: 0.2 if name == "scale" else 1.0})


def test_each_is_a_row_per_crop_and_a_column_per_augmentation(config, tmp_path):
    preview_each(config, tmp_path / "a.png", count=2)
    grid = read_rgb(tmp_path / "a.png")
    height, width = CROP_HEIGHT + TITLE + GAP, 192 + GAP
    assert grid.shape[:2] == (2 * height, 11 * width)
    tiles = grid.reshape(2, height, 11, width, 3)[:, TITLE + 2 : -2, :, 2:-2].swapaxes(1, 2)
    plain, names = tiles[:, 0], list(single_augmentations(config.augment))
    settings = single_augmentations(config.augment)["plain"]
    crops = first_samples(config.model_copy(update={"augment": settings}), 0, 2)
    for tile, crop in zip(plain, crops, strict=True):
        assert np.mean((tile == crop.pixels.numpy()).all(axis=-1)) > 0.5
    for column, name in enumerate(names):
        same = [(tile == first).all() for tile, first in zip(tiles[:, column], plain, strict=True)]
        assert all(same) == (name == "plain"), name
    assert (np.ptp(tiles[:, names.index("grayscale")], axis=-1) == 0).mean() > 0.5
