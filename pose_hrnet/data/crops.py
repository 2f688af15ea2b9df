"""People -> uint8 RGB crops of the network's input size, with their keypoints in input pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.augment import Region, draw_region
from pose_hrnet.data.images import ImageError, ImageFiles
from pose_hrnet.data.pictures import Picture, Pictures
from pose_hrnet.keypoints import geometry
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.records import Float64, Image, People
from pose_hrnet.keypoints.simcc import Codec
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton

log = logging.getLogger(__name__)


SampleKey: TypeAlias = tuple[int, int]
"""(epoch, index): all that a sample depends on besides the data set and its seed."""


class Crop(NamedTuple):
    """One sample.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 RGB.
        keypoints_input: ``(K, 2)`` float32 input pixels.
        visible: ``(K,)`` float32, 1 where the keypoint is labelled.
        affine: ``(2, 3)`` float64, image to input.
        row: Row of the People that the crop shows.
        readable: Whether the image could be read; if not, the crop is black and nothing visible.
    """

    pixels: Tensor
    keypoints_input: Tensor
    visible: Tensor
    affine: Tensor
    row: int
    readable: bool


class CropBatch(NamedTuple):
    """B samples.

    Attributes:
        pixels: ``(B, H, W, 3)`` uint8 RGB.
        keypoints_input: ``(B, K, 2)`` float32 input pixels.
        visible: ``(B, K)`` float32, 1 where the keypoint is labelled.
        affines: ``(B, 2, 3)`` float64, image to input.
        rows: ``(B,)`` int64 rows of the People that the crops show.
        readable: ``(B,)`` bool, as of `Crop`.
    """

    pixels: Tensor
    keypoints_input: Tensor
    visible: Tensor
    affines: Tensor
    rows: Tensor
    readable: Tensor


def cut(
    image: Image,
    affine: NDArray[np.floating],
    input_wh: tuple[int, int],
    out: Image | None = None,
) -> Image:
    """Resample one region bilinearly; outside the image is black.

    Args:
        image: ``(H, W, 3)``, or ``(H, W, 4)`` whose last channel is not used.
        affine: ``(2, 3)`` image to input.
        input_wh: Size of the crop.
        out: Where to write it; None: a new array.

    Returns:
        ``(input height, input width, 3)``.
    """
    matrix = np.asarray(affine, np.float64)
    if image.shape[2] == 4:
        crop = cv2.warpAffine(image, matrix, input_wh, flags=cv2.INTER_LINEAR)
        crop = cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB, out)
    else:
        crop = cv2.warpAffine(image, matrix, input_wh, out, flags=cv2.INTER_LINEAR)
    return np.asarray(crop, dtype=np.uint8)


class CropDataset(Dataset[Crop]):
    """Crops of People, looked up by ``(epoch, index)``.

    Args:
        people: One crop for each row.
        pictures: The folder that the file names are relative to, or where else pixels come from.
        codec: Whose input size and alignment the crops have.
        padding: Factor on the box.
        augmentation: Random changes; None for evaluation.
        skeleton: Left/right pairs and upper body, which augmentation needs.
        seed: First part of every sample's seed.
    """

    def __init__(
        self,
        people: People,
        pictures: Path | Pictures,
        codec: Codec,
        padding: float,
        *,
        augmentation: AugmentConfig | None = None,
        skeleton: Skeleton = COCO17,
        seed: int = 0,
    ) -> None:
        self.people = people
        self.pictures = (
            ImageFiles(people.images, pictures) if isinstance(pictures, Path) else pictures
        )
        self.codec = codec
        self.augmentation = augmentation
        self.skeleton = skeleton
        self._swapped = list(skeleton.flip_index)
        self.seed = seed
        self.frames = CropFrames.of_boxes(
            people.boxes_xywh, codec.input_wh, codec.alignment, padding=padding
        )
        self._change_appearance = None
        if augmentation is not None and augmentation.changes_appearance:
            # Here, because it imports torchvision, for a second: not for those who only predict,
            # and once for all loader processes that are forked.
            from pose_hrnet.data.appearance import change_appearance

            self._change_appearance = partial(change_appearance, settings=augmentation)
        # Rows grouped by image, and where each image's begin.
        self._by_image = np.argsort(people.image_index, kind="stable")
        counts = np.bincount(people.image_index, minlength=len(people.images))
        self._first_of_image = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: SampleKey) -> Crop:
        batch = self.batch([key])
        return Crop(
            pixels=batch.pixels[0],
            keypoints_input=batch.keypoints_input[0],
            visible=batch.visible[0],
            affine=batch.affines[0],
            row=int(batch.rows[0]),
            readable=bool(batch.readable[0]),
        )

    def __getitems__(self, keys: Sequence[SampleKey]) -> CropBatch:
        """As PyTorch's loader asks for a batch."""
        return self.batch(keys)

    def batch(self, keys: Sequence[SampleKey]) -> CropBatch:
        """A batch, in which each image is read once for all its persons.

        The crops are cut right into the batch, which is collated already.
        """
        index = np.array([row for _, row in keys], np.int64)
        draws = [self._draw(key) for key in keys]
        regions = [region for region, _ in draws]
        drawn = dict(zip(keys, regions, strict=True))
        frames = self._frames(regions)
        points_image = self.people.keypoints_image[index]
        keypoints_input = frames.to_input(points_image).astype(np.float32)
        visible = (self.people.visibility[index] > 0).astype(np.float32)
        flipped = [position for position, region in enumerate(regions) if region.flip]
        if flipped:
            keypoints_input[flipped] = keypoints_input[flipped][:, self._swapped]
            visible[flipped] = visible[flipped][:, self._swapped]
        width, height = self.codec.input_wh
        pixels = np.empty((len(keys), height, width, 3), np.uint8)
        readable = np.ones(len(keys), np.bool_)
        for positions in _groups(self.people.image_index[index]):
            picture = self._picture(keys[positions[0]], drawn)
            if picture is None:
                pixels[positions], visible[positions], readable[positions] = 0, 0, False
                continue
            for position in positions:
                self._cut(picture, frames.affines[position], pixels[position])
                if self._change_appearance is not None:
                    rng = draws[position][1]
                    pixels[position] = self._change_appearance(pixels[position], rng=rng)
        return CropBatch(
            pixels=torch.from_numpy(pixels),
            keypoints_input=torch.from_numpy(keypoints_input),
            visible=torch.from_numpy(visible),
            affines=torch.from_numpy(frames.affines),
            rows=torch.from_numpy(index),
            readable=torch.from_numpy(readable),
        )

    def _draw(self, key: SampleKey) -> tuple[Region, np.random.Generator]:
        """The region to crop, augmented as the key says, and what its later changes draw from."""
        epoch, index = key
        region = Region(self.frames.centers_image[index], self.frames.sizes_wh[index])
        rng = np.random.default_rng((self.seed, epoch, index))
        if self.augmentation is not None:
            region = draw_region(
                region,
                self.people.keypoints_image[index],
                self.people.visibility[index],
                self.skeleton,
                self.augmentation,
                rng,
            )
        return region, rng

    def _frames(self, regions: Sequence[Region]) -> CropFrames:
        """Where the crops of these regions lie."""
        return CropFrames.of_regions(
            np.array([region.center_image for region in regions]),
            np.array([region.size_wh for region in regions]),
            self.codec.input_wh,
            self.codec.alignment,
            rotations_deg=[region.rotation_deg for region in regions],
            mirrored=[region.flip for region in regions],
        )

    def _picture(self, key: SampleKey, drawn: Mapping[SampleKey, Region]) -> Picture | None:
        """The picture of this sample's image; None if it cannot be read."""
        row = int(self.people.image_index[key[1]])
        try:
            return self.pictures.read(row, self._reduction(key[0], row, drawn))
        except (ImageError, OSError) as error:
            log.warning("%s; its persons are left out", error)
            return None

    def _reduction(self, epoch: int, row: int, drawn: Mapping[SampleKey, Region]) -> float:
        """How much coarser than the image its finest crop of this epoch is.

        All its persons count, in the batch or not: a crop depends on its key alone.
        """
        if not self.pictures.reduces:
            return 1.0
        persons = self._by_image[self._first_of_image[row] : self._first_of_image[row + 1]]
        keys = [(epoch, person) for person in persons.tolist()]
        widths = [(drawn.get(key) or self._draw(key)[0]).size_wh[0] for key in keys]
        return float(min(widths)) / self.codec.input_wh[0]

    def _cut(self, picture: Picture, affine: Float64, out: Image) -> None:
        """Cut one crop, ``(H, W, 3)``, into its place."""
        if picture.affine is not None:
            affine = geometry.compose(affine, geometry.invert(picture.affine))
        cut(picture.pixels, affine, self.codec.input_wh, out)


def _groups(image_index: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Positions of each image, by image."""
    order = np.argsort(image_index, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(image_index[order])) + 1)
