"""Pictures of what a training sees: augmented crops, their keypoints, their target heatmaps."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pose_hrnet.config.recipe import Config
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.crops import Crop, SampleKey
from pose_hrnet.keypoints.geometry import image_to_input, resampled
from pose_hrnet.keypoints.records import Image
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.defaults import PREVIEW_CROPS
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import TrainingData, training_crops, training_data
from pose_hrnet.visualize.heatmaps import draw_heatmaps
from pose_hrnet.visualize.pictures import add_title, enlarged, picture_grid, write_image
from pose_hrnet.visualize.poses import draw_poses

PLAIN = "plain"
PAIRS_PER_ROW = 4
CROP_HEIGHT = 256
"""Pixels; smaller crops are shown larger by a whole factor, to come near it."""
GAP = 4
"""Pixels around a picture in the grid."""


def preview_training(
    config: Config, path: Path, *, count: int = PREVIEW_CROPS, epoch: int = 0
) -> None:
    """Draw the first crops of a training epoch, each beside its target heatmaps.

    Args:
        config: Of the training; `config.train.seed` decides the order and the augmentation.
        path: PNG or JPEG to write.
        count: Crops; fewer if the data set has fewer persons.
        epoch: The first is 0.

    Raises:
        ValueError: If no person is fit to learn from, or the suffix names no image format.
        OSError: If the annotations cannot be read, or the picture cannot be written.
    """
    card, data, keys = _first_samples(config, count, epoch)
    crops = training_crops(config, card, data)
    tiles = []
    for key in keys:
        crop = crops[key]
        targets, _ = card.heatmap_codec.encode(crop.keypoints_input[None], crop.visible[None])
        light = draw_heatmaps(
            crop.pixels.numpy(),
            targets[0].numpy(),
            card.heatmap_codec.cell_pitch_xy,
            skeleton=card.skeleton,
        )
        pair = np.hstack([_with_keypoints(crop, card.skeleton), enlarged(light, CROP_HEIGHT)])
        note = "" if crop.readable else ", unreadable"
        tiles.append(add_title(pair, f"id {data.people.ids[key[1]]}{note}"))
    _write_grid(path, tiles, columns=min(PAIRS_PER_ROW, len(tiles)))


def preview_each(
    config: Config, path: Path, *, count: int = PREVIEW_CROPS, epoch: int = 0
) -> None:
    """Draw a row for each crop: as it is, then under each augmentation alone, at probability 1.

    Args:
        config: Of the training; says how strong each augmentation is.
        path: PNG or JPEG to write.
        count: Crops; fewer if the data set has fewer persons.
        epoch: The first is 0.

    Raises:
        ValueError: As `preview_training`.
        OSError: As `preview_training`.
    """
    card, data, keys = _first_samples(config, count, epoch)
    variants = {
        name: training_crops(config.model_copy(update={"augment": settings}), card, data)
        for name, settings in single_augmentations(config.augment).items()
    }
    tiles = [
        add_title(
            _with_keypoints(crops[key], card.skeleton),
            name if name != PLAIN else f"id {data.people.ids[key[1]]}",
        )
        for key in keys
        for name, crops in variants.items()
    ]
    _write_grid(path, tiles, columns=len(variants))


def single_augmentations(settings: AugmentConfig) -> dict[str, AugmentConfig]:
    """The settings with nothing random (`PLAIN`), then with one augmentation each, for sure."""
    chances = [
        name
        for name in AugmentConfig.model_fields
        # The latter is a choice that half bodies make, no augmentation.
        if name.endswith("_probability") and name != "upper_body_probability"
    ]
    still = settings.model_copy(update={**dict.fromkeys(chances, 0.0), "scale_std": 0.0})
    singles = {
        name.removesuffix("_probability").replace("_", " "): {name: 1.0} for name in chances
    }
    changes = {PLAIN: {}, "scale": {"scale_std": settings.scale_std}, **singles}
    return {name: still.model_copy(update=change) for name, change in changes.items()}


def _first_samples(
    config: Config, count: int, epoch: int
) -> tuple[ModelCard, TrainingData, list[SampleKey]]:
    """What the crops are made for, and of; and the epoch's first samples."""
    # Only its card is of use here, so its weights need no memory.
    with torch.device("meta"):
        _, card = build_model(config)
    data = training_data(config, card)
    data.sampler.epoch = epoch
    return card, data, list(islice(data.sampler, count))


def _with_keypoints(crop: Crop, skeleton: Skeleton) -> Image:
    """The crop, enlarged, with its labelled keypoints."""
    pixels = enlarged(crop.pixels.numpy(), CROP_HEIGHT)
    factor = len(pixels) / len(crop.pixels)
    points = image_to_input(crop.keypoints_input[None], resampled(factor)[None])
    visible = crop.visible.numpy()[None]
    return draw_poses(pixels, points, visible, skeleton=skeleton, thickness=2)


def _write_grid(path: Path, tiles: list[Image], *, columns: int) -> None:
    """Write pictures of one size in rows, as large as they are."""
    height, width = tiles[0].shape[:2]
    grid = picture_grid(tiles, columns=columns, tile_wh=(width + GAP, height + GAP))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, grid)
