"""The persons to learn from, as the configuration names them: their crops, and in which order."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_hrnet.config.data import AnnotatedImages, CropShards, DataConfig, TrainingSet
from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.data.images import ImageError, ImageFiles, image_path
from pose_hrnet.data.jpeg import picture_decoder
from pose_hrnet.data.loader import EpochSampler
from pose_hrnet.data.missing import why_missing
from pose_hrnet.data.mixed import Source, mix
from pose_hrnet.data.people import join, map_keypoints, people_to_learn
from pose_hrnet.data.pictures import Pictures
from pose_hrnet.data.shards.reader import ShardPictures, ShardSampler, read_index
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.keypoints.records import People
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.distributed import World
from pose_hrnet.system.text import counted, format_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """Persons, where their pixels come from, and their order.

    Attributes:
        people: The persons fit to learn from.
        pictures: Of their images, or of the crops that stand for images in shards.
        sampler: The keys of an epoch; set its `epoch` before each pass.
    """

    people: People
    pictures: Pictures
    sampler: EpochSampler | ShardSampler


def training_data(config: Config, card: ModelCard, world: World | None = None) -> TrainingData:
    """What `data.train` names.

    Args:
        config: Names the data, its order, and the batch size.
        card: Skeleton, and size and padding of the crops.
        world: The processes that share each epoch; None: this one has it all.

    Raises:
        FileNotFoundError: If there is no such file, folder or URL.
        ValueError: If a data set is malformed, has no person to learn from, or the images are
            not in their folder; if shards do not hold the crops that are asked for.
    """
    world = world or World.alone()
    seed, decode, batch_size = config.train.seed, config.data.decode, config.train.batch_size
    images = None
    if config.data.training_sets:
        people, folder, _ = training_persons(config.data.training_sets, card.skeleton)
        pictures = ImageFiles(people.images, folder, picture_decoder(decode))
        images = Source(people, pictures, np.empty(0, np.int64))
    if config.data.shards:
        sources = [_cut_out_source(part, config, card) for part in config.data.shards]
        sources = [*sources, images] if images else sources
        source, loose = (sources[0], 0) if _is_whole(sources) else mix(sources)
        order = ShardSampler(
            source.counts,
            loose=loose,
            seed=seed,
            batch_size=batch_size,
            rank=world.rank,
            world_size=world.size,
        )
        return TrainingData(source.people, source.pictures, order)
    return TrainingData(
        people,
        pictures,
        EpochSampler(
            people,
            shuffle=True,
            seed=seed,
            whole_images=config.data.order == "images",
            batch_size=batch_size,
            rank=world.rank,
            world_size=world.size,
        ),
    )


def _is_whole(sources: Sequence[Source]) -> bool:
    """Whether the first source is all there is, once."""
    return len(sources) == 1 and sources[0].repeat == 1


def _cut_out_source(part: CropShards, config: Config, card: ModelCard) -> Source:
    """The persons of one folder of shards, under the keypoints to learn."""
    store = ShardStore(part.shards)
    index = read_index(store)
    index.check_fits(card.codec.input_wh, card.box_padding, config.augment)
    if card.codec.input_wh > index.cut.input_wh:
        log.warning(
            "%s was cut for an input of %s: crops of %s show no more than that", part.shards,
            format_size(index.cut.input_wh), format_size(card.codec.input_wh),
        )  # fmt: skip
    people, counts = index.people, index.counts
    if part.mapping or index.skeleton.keypoint_names != card.skeleton.keypoint_names:
        people = map_keypoints(
            people, index.skeleton, card.skeleton, part.mapping or {}, part.shards
        )
        people = people[(people.visibility > 0).any(axis=1)]
        counts = np.bincount(index.shard_of[people.image_index], minlength=len(counts))
    return Source(people, ShardPictures(index, store, config.data.decode), counts, part.repeat)


def training_crops(config: Config, card: ModelCard, data: TrainingData) -> CropDataset:
    """Augmented crops of the training persons."""
    return CropDataset(
        data.people,
        data.pictures,
        card.codec,
        card.box_padding,
        augmentation=config.augment,
        skeleton=card.skeleton,
        seed=config.train.seed,
    )


def training_persons(sets: Sequence[TrainingSet], skeleton: Skeleton) -> tuple[People, Path, int]:
    """The persons fit to learn from, of one data set or several, and the folder of their images.

    Last comes how many images were left out, and told, since they lie outside of their folder.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a data set is malformed, has no such person, or the images are not in
            their folder.
    """
    parts, left_out = [], 0
    for data in sets:
        people = people_to_learn(
            data.annotations,
            skeleton,
            source=data.skeleton,
            category=data.category,
            mapping=data.mapping,
        )
        check_first_images(data, people)
        people, outside = _inside(people, data)
        parts.append((people, data.images, data.repeat))
        left_out += outside
    return *join(parts), left_out


def skeleton_to_learn(data: DataConfig) -> Skeleton:
    """The keypoints of the first data set or shards, unless `data.skeleton` names others.

    Raises:
        FileNotFoundError: If the file that names the keypoints is missing.
        ValueError: If it does not name them.
    """
    first = data.training_sources[0]
    if isinstance(first, CropShards):
        if data.skeleton is None or not data.training_sets:
            return read_index(ShardStore(first.shards)).skeleton
        first = data.training_sets[0]
    return find_skeleton(data.skeleton or first.skeleton, first.annotations, first.category)


def learnt_from_too(data: TrainingData, held_out: AnnotatedImages, people: People) -> str | None:
    """What to know where images that are scored on are learnt from too; None where none is.

    Args:
        data: To learn from; of crops in shards the files are not known, and nothing is said.
        held_out: To score on.
        people: Its persons.
    """
    if not isinstance(data.pictures, ImageFiles):
        return None
    learnt = _files(data.people, data.pictures.folder)
    scored = _files(people, held_out.images)
    if not (both := learnt & scored):
        return None
    return (
        f"{len(both)} of the {counted(len(scored), 'image')} of {held_out.annotations} are learnt "
        f"from too, {min(both)} is one: the AP says nothing of new images; give data.val others"
    )


def _files(people: People, folder: Path) -> set[str]:
    """Of the images in which the persons stand, as whole paths."""
    names, root = people.images.file_names, os.path.abspath(folder)
    return {
        os.path.normpath(os.path.join(root, names[row])) for row in np.unique(people.image_index)
    }


def _inside(people: People, data: AnnotatedImages) -> tuple[People, int]:
    """The persons of images in the folder, and how many images are not, which a warning tells."""
    outside: dict[int, ImageError] = {}
    for row, name in enumerate(people.images.file_names):
        try:
            image_path(data.images, name)
        except ImageError as error:
            outside[row] = error
    if not outside:
        return people, 0
    first = next(iter(outside))
    log.warning(
        "%s: left out %s, of which %r is the first: %s", data.annotations,
        counted(len(outside), "image"), people.images.ids[first], outside[first],
    )  # fmt: skip
    return people[~np.isin(people.image_index, list(outside))], len(outside)


def check_first_images(data: AnnotatedImages, people: People) -> None:
    """Fail at once, not after an epoch of black crops, if the folder is the wrong one.

    Raises:
        ValueError: If none of the first images lies there.
    """
    file_names = people.images.file_names
    paths = []
    for name in file_names[:100]:
        with suppress(ImageError):  # told by who reads them, unless it is all
            paths.append(image_path(data.images, name))
    if file_names and not paths:
        image_path(data.images, file_names[0])
    if not any(path.is_file() for path in paths):
        raise ValueError(
            f"none of the first images of {data.annotations} ({file_names[0]}, ...) lies in "
            f"{data.images}: {why_missing(data.images, file_names)}"
        )


__all__ = [
    "TrainingData",
    "check_first_images",
    "learnt_from_too",
    "skeleton_to_learn",
    "training_crops",
    "training_data",
    "training_persons",
]
