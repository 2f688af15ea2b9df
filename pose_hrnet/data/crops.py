"""People -> uint8 RGB crops of the network's input size, with their keypoints in input pixels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pose_hrnet import geometry
from pose_hrnet.config import AugmentConfig
from pose_hrnet.data.augment import Region, draw_region
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.records import People
from pose_hrnet.skeleton import COCO17, Skeleton

log = logging.getLogger(__name__)

SampleKey: TypeAlias = tuple[int, int]
"""(epoch, index): all that a sample depends on besides the data set and its seed."""


class Crop(NamedTuple):
    """One sample; a batch from `crop_loader` is a Crop of stacked tensors.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 RGB (a batch: ``(B, H, W, 3)``).
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
    row: int | Tensor
    readable: bool | Tensor


def cut(
    image: NDArray[np.uint8], affine: NDArray[np.floating], input_wh: tuple[int, int]
) -> NDArray[np.uint8]:
    """Resample one region bilinearly; outside the image is black.

    Args:
        image: ``(H, W, 3)``.
        affine: ``(2, 3)`` image to input.
        input_wh: Size of the crop.

    Returns:
        ``(input height, input width, 3)``.
    """
    crop = cv2.warpAffine(image, np.asarray(affine, np.float64), input_wh, flags=cv2.INTER_LINEAR)
    return np.asarray(crop, dtype=np.uint8)


class CropDataset(Dataset[Crop]):
    """Crops of People, looked up by ``(epoch, index)``.

    Args:
        people: One crop for each row.
        image_folder: What the file names are relative to.
        input_wh: Crop size.
        alignment: How the box meets the crop; the codec's.
        box_padding: Factor on the box.
        augmentation: Random changes; None for evaluation.
        skeleton: Left/right pairs and upper body.
        seed: First part of every sample's seed.
    """

    def __init__(
        self,
        people: People,
        image_folder: Path,
        *,
        input_wh: tuple[int, int],
        alignment: geometry.Alignment = "official",
        box_padding: float = geometry.BOX_PADDING,
        augmentation: AugmentConfig | None = None,
        skeleton: Skeleton = COCO17,
        seed: int = 0,
    ) -> None:
        self.people = people
        self.image_folder = Path(image_folder)
        self.input_wh = input_wh
        self.alignment = alignment
        self.augmentation = augmentation
        self.skeleton = skeleton
        self.seed = seed
        self.centers_image, self.sizes_wh = geometry.crop_regions(
            people.boxes_xywh, input_wh, padding=box_padding
        )
        self._change_appearance = None
        if augmentation is not None and augmentation.changes_appearance:
            # Here, because it imports torchvision, for a second: not for those who only predict,
            # and once for all loader processes that are forked.
            from pose_hrnet.data.appearance import change_appearance

            self._change_appearance = partial(change_appearance, settings=augmentation)
        self._last_image: tuple[int, NDArray[np.uint8] | None] = (-1, None)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: SampleKey) -> Crop:
        epoch, index = key
        image = self._image(int(self.people.image_index[index]))
        region = Region(self.centers_image[index], self.sizes_wh[index])
        visibility = self.people.visibility[index]
        keypoints = self.people.keypoints_image[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        if self.augmentation is not None:
            region = draw_region(
                region, keypoints, visibility, self.skeleton, self.augmentation, rng
            )

        width = 0 if image is None else image.shape[1]
        affine = self._affine(region, width)
        keypoints_input = geometry.image_to_input(keypoints[None], affine[None])[0]
        visible = visibility > 0
        if region.flip:
            swap = list(self.skeleton.flip_index)
            keypoints_input, visible = keypoints_input[swap], visible[swap]
        if image is None:
            pixels = np.zeros((self.input_wh[1], self.input_wh[0], 3), np.uint8)
            visible = np.zeros_like(visible)
        else:
            pixels = cut(image, affine, self.input_wh)
            if self._change_appearance is not None:
                pixels = self._change_appearance(pixels, rng=rng)
        return Crop(
            pixels=torch.from_numpy(pixels),
            keypoints_input=torch.from_numpy(keypoints_input).float(),
            visible=torch.from_numpy(visible).float(),
            affine=torch.from_numpy(affine),
            row=index,
            readable=image is not None,
        )

    def _affine(self, region: Region, image_width: int) -> geometry.Array:
        center = region.center_image
        if region.flip:
            center = geometry.flip_points(center, image_width)
        affine = geometry.crop_affines(
            center[None],
            region.size_wh[None],
            self.input_wh,
            rotations_deg=region.rotation_deg,
            alignment=self.alignment,
        )
        if region.flip:
            affine = geometry.mirror_affines(affine, image_width)
        chosen: geometry.Array = affine[0]
        return chosen

    def _image(self, row: int) -> NDArray[np.uint8] | None:
        """The image of this row, kept while the next samples ask for it; None if unreadable."""
        if self._last_image[0] != row:
            width, height = (int(side) for side in self.people.images.sizes_wh[row])
            path = self.image_folder / self.people.images.file_names[row]
            try:
                image = read_rgb(path, (width, height) if width and height else None)
            except (ImageError, OSError) as error:
                log.warning("%s; its persons are left out", error)
                image = None
            self._last_image = (row, image)
        return self._last_image[1]


class EpochSampler(Sampler[SampleKey]):
    """Yields the ``(epoch, index)`` keys of one epoch.

    Set `epoch` before each pass; the keys carry it into the loader's processes, so that they can
    stay alive between epochs.

    Args:
        people: The persons to go through.
        shuffle: Random order, from ``(seed, epoch)``; else image by image, so that each image is
            read once for all its persons.
        seed: Seed of the order.
    """

    def __init__(self, people: People, *, shuffle: bool, seed: int = 0) -> None:
        self.by_image = np.argsort(people.image_index, kind="stable")
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.by_image)

    def __iter__(self) -> Iterator[SampleKey]:
        order = self.by_image
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(len(order))
        return iter([(self.epoch, int(index)) for index in order])


def crop_loader(
    dataset: CropDataset,
    *,
    batch_size: int,
    workers: int,
    shuffle: bool = False,
    pin_memory: bool = False,
) -> DataLoader[Crop]:
    """Batches of crops; set ``loader.sampler.epoch`` before each training epoch.

    Args:
        dataset: The crops.
        batch_size: B of every batch but perhaps the last.
        workers: Loader processes; 0 loads in this one.
        shuffle: Random order (training), else image by image.
        pin_memory: Page-locked batches, for CUDA.
    """
    if workers:
        # The processes are the parallelism. Where they are forked it must be said before: a child
        # that touches OpenCV's thread pool, which fork does not copy, waits forever.
        cv2.setNumThreads(0)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(dataset.people, shuffle=shuffle, seed=dataset.seed),
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_one_opencv_thread,
    )


def _one_opencv_thread(worker: int) -> None:
    """Where loader processes are spawned, not forked, they start with OpenCV's default."""
    if cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)
