"""Training crops per second: from images decoded exactly and fast, in both orders, and shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import DataLoader

from pose_hrnet.benchmark.timing import Measurement, Pace, Variant, Work, measure
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.crops import Crop, CropDataset
from pose_hrnet.data.images import ImageFiles
from pose_hrnet.data.jpeg import picture_decoder
from pose_hrnet.data.loader import EpochSampler, crop_loader, end_workers
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.data.shards.reader import ShardPictures, ShardSampler, read_index
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.data.shards.writer import StoredCrops, write_shards
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.records import People
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.choices import Decode
from pose_hrnet.system.device import usable_cores
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted, format_size

BASELINE = "exact, persons, 0 workers"
BATCH = 32


@dataclass(frozen=True)
class LoadingVariant:
    """How crops are read.

    Attributes:
        decode: ``exact`` or ``fast``.
        order: ``persons``, ``images``, or ``shards``: cut out before.
        workers: Loader processes; 0: this one.
    """

    decode: Decode
    order: str
    workers: int

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.decode}, {self.order}, {counted(self.workers, 'worker')}"


@dataclass(frozen=True)
class CropSource:
    """The same persons as images and as shards.

    Attributes:
        people: Who is cropped.
        images: Folder of their images.
        shards: Folder of their shards.
        input_wh: Size of the crops.
    """

    people: People
    images: Path
    shards: Path
    input_wh: tuple[int, int]

    def loader(self, variant: LoadingVariant) -> DataLoader[Crop]:
        """Augmented crops as the official recipe has them, in batches."""
        if variant.order == "shards":
            store = ShardStore(str(self.shards))
            index = read_index(store)
            dataset = self._crops(index.people, ShardPictures(index, store, variant.decode))
            sampler: EpochSampler | ShardSampler = ShardSampler(index.counts)
        else:
            decoder = picture_decoder(variant.decode)
            pictures = ImageFiles(self.people.images, self.images, decoder)
            dataset = self._crops(self.people, pictures)
            sampler = EpochSampler(
                self.people, shuffle=True, whole_images=variant.order == "images"
            )
        return crop_loader(dataset, batch_size=BATCH, workers=variant.workers, sampler=sampler)

    def _crops(self, people: People, pictures: ImageFiles | ShardPictures) -> CropDataset:
        codec = HeatmapCodec(input_wh=self.input_wh)
        return CropDataset(people, pictures, codec, BOX_PADDING, augmentation=AugmentConfig())


def loading_variants(workers: Sequence[int]) -> list[LoadingVariant]:
    """Every variant in this process, and the slowest and the fastest from images with workers."""
    orders = ("persons", "images", "shards")
    decodes: tuple[Decode, Decode] = ("exact", "fast")
    alone = [LoadingVariant(decode, order, 0) for decode in decodes for order in orders]
    return alone + [
        variant
        for count in dict.fromkeys(min(each, usable_cores()) for each in workers)
        if count
        for variant in (
            LoadingVariant("exact", "persons", count),
            LoadingVariant("fast", "images", count),
        )
    ]


def open_source(
    annotations: Path,
    images: Path,
    folder: Path,
    persons: int | None,
    input_wh: tuple[int, int],
) -> CropSource:
    """The first persons of a COCO data set, image by image, with shards in a folder.

    Args:
        annotations: COCO keypoint JSON.
        images: Folder of its file names.
        folder: Where the shards go.
        persons: At most so many; None: all.
        input_wh: Size of the crops.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the annotations are malformed or have no person to crop.
    """
    people = labelled_people(load_people(annotations))
    people = people[np.argsort(people.image_index, kind="stable")[:persons]]
    if not len(people):
        raise ValueError(f"{annotations} has no person to crop; see pose-hrnet data validate")
    shards = folder / "shards"
    write_shards(people, images, shards, StoredCrops(input_wh, AugmentConfig(), COCO17))
    return CropSource(people, images, shards, input_wh)


def benchmark_loading(
    source: CropSource,
    variants: Sequence[LoadingVariant],
    pace: Pace,
    *,
    progress: Progress = SILENT,
) -> Measurement:
    """Time passes over all persons; the variants take turns.

    Every pass is of the same epoch, so that all crop the same regions. Loader processes stay
    alive between passes, and their start counts as preparation.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)  # as loaders with processes have it, for all alike
    loaders: list[DataLoader[Crop]] = []
    try:
        rows = measure(
            [
                Variant(variant.name, partial(_prepare, source, variant, loaders))
                for variant in variants
            ],
            BASELINE,
            pace,
            name="loading",
            progress=progress,
        )
    finally:
        for loader in loaders:
            end_workers(loader)
        cv2.setNumThreads(threads)
    amount = len(source.people)
    return Measurement(
        "loading",
        f"{counted(amount, 'augmented training crop')} of {format_size(source.input_wh)} from "
        f"{counted(len(np.unique(source.people.image_index)), 'image')}",
        "crop",
        amount,
        BASELINE,
        rows,
        {"input_wh": list(source.input_wh), "batch": BATCH},
    )


def _prepare(source: CropSource, variant: LoadingVariant, loaders: list[DataLoader[Crop]]) -> Work:
    loader = source.loader(variant)
    loaders.append(loader)

    def one_pass() -> int:
        return sum(len(batch.pixels) for batch in loader)

    return one_pass
