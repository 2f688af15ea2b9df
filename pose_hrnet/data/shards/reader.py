"""Crop shards: tar files of persons cut out with a margin for augmentation, and their index.

A folder, or the same under a URL that fsspec opens, of ``00000.tar`` ... and ``index.json``. A tar
holds ``key.jpg`` and ``key.json`` for each person, as WebDataset has it; the index holds the same
JSON and where each JPEG lies, so that persons are read one by one in any order. A stored crop is
an image of its own: all coordinates of its `People` row are pixels of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, BinaryIO, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from pydantic import ValidationError
from torch.utils.data import Sampler

from pose_hrnet.config.base import explain_faults
from pose_hrnet.config.skeleton import SkeletonFile
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.crops import SampleKey
from pose_hrnet.data.images import ImageError
from pose_hrnet.data.jpeg import picture_decoder
from pose_hrnet.data.loader import Share
from pose_hrnet.data.pictures import Picture
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.keypoints.records import Images, People, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import Decode
from pose_hrnet.system.inputs import open_input
from pose_hrnet.system.text import format_size, one_line, shown

INDEX_NAME = "index.json"
FORMAT_NAME = "pose-hrnet crop shards"
FORMAT = f"{FORMAT_NAME}, version 1"
SHUFFLE_BUFFER = 4096
OPEN_FILES = 16
NEVER = 1000
"""More keypoints than any person has: there are no half bodies."""


Key: TypeAlias = Annotated[str, Meta(pattern=r"^[\w.-]{1,200}\Z")]
Side: TypeAlias = Annotated[int, Meta(gt=0, le=2**17)]
Pixel: TypeAlias = Annotated[float, Meta(ge=-1e12, le=1e12)]


class Sample(msgspec.Struct):
    """One person, in pixels of its stored crop; ``key.json`` in the tar.

    Attributes:
        key: Its name in the tar.
        id: Of the annotation.
        image_id: Of the image that it was cut out of.
        width: Of the stored crop; `height` alike.
        bbox: Left, top, width, height.
        area: Square pixels.
        keypoints: ``[x, y, visibility] * K``.
    """

    key: Key
    id: int | str
    image_id: int | str
    width: Side
    height: Side
    bbox: tuple[Pixel, Pixel, Pixel, Pixel]
    area: Pixel
    keypoints: Annotated[list[Pixel], Meta(max_length=3000)]


class Entry(msgspec.Struct):
    """Where a person's JPEG lies in its tar, in bytes."""

    offset: Annotated[int, Meta(ge=0, le=2**62)]
    size: Annotated[int, Meta(gt=0, le=2**28)]
    sample: Sample


class Shard(msgspec.Struct):
    """One tar file: its name, and its persons in their order there."""

    name: Annotated[str, Meta(pattern=r"^[\w-][\w.-]{0,200}\.tar\Z")]
    count: Annotated[int, Meta(ge=0, le=10**7)]
    keys: list[Key]
    entries: list[Entry]

    def __post_init__(self) -> None:
        if not self.count == len(self.keys) == len(self.entries):
            raise ValueError(
                f"{self.name} has {len(self.entries)} entries and {len(self.keys)} keys, but the "
                f"count {self.count}"
            )


class Cut(msgspec.Struct, frozen=True):
    """What the margin of the crops was made for."""

    input_wh: tuple[Side, Side]
    box_padding: Annotated[float, Meta(gt=0, le=100)]
    scale_std: Annotated[float, Meta(ge=0, le=1)]
    rotation_std: Annotated[float, Meta(ge=0, le=180)]
    half_body_min_keypoints: Annotated[int, Meta(ge=0, le=10**6)]

    @classmethod
    def of(cls, input_wh: tuple[int, int], box_padding: float, augmentation: AugmentConfig) -> Cut:
        """What crops of these settings need."""
        rotates, halves = augmentation.rotation_probability, augmentation.half_body_probability
        return cls(
            input_wh=input_wh,
            box_padding=box_padding,
            scale_std=augmentation.scale_std,
            rotation_std=augmentation.rotation_std if rotates else 0.0,
            half_body_min_keypoints=augmentation.half_body_min_keypoints if halves else NEVER,
        )

    def lacks(self, wanted: Cut) -> tuple[str, ...]:
        """By which settings crops of these needs leave this margin, in words; empty: none."""
        ours, theirs = self.input_wh, wanted.input_wh
        found = []
        if theirs[0] * ours[1] != theirs[1] * ours[0]:
            found.append(
                f"an input of {format_size(theirs)} (height x width), cut for the aspect of "
                f"{format_size(ours)}"
            )
        found += [
            f"{section}.{name} {asked:g}, cut for {most:g}"
            for section, name in _WIDENING
            if (asked := getattr(wanted, name)) > (most := getattr(self, name))
        ]
        fewest = self.half_body_min_keypoints
        if wanted.half_body_min_keypoints < fewest:
            cut_for = "no half bodies" if fewest >= NEVER else f"{fewest}"
            asked = wanted.half_body_min_keypoints
            found.append(f"augment.half_body_min_keypoints {asked}, cut for {cut_for}")
        return tuple(found)


_WIDENING = (("data", "box_padding"), ("augment", "scale_std"), ("augment", "rotation_std"))
"""Settings of which a larger value shows more, by their sections."""


class IndexFile(msgspec.Struct):
    """``index.json``."""

    format: str
    skeleton: dict[str, Any]
    cut: Cut
    shards: Annotated[list[Shard], Meta(max_length=10**6)]


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """All persons of the shards, as columns.

    Attributes:
        root: Folder, or URL, that they lie in.
        people: A row for each person; its images are the stored crops.
        skeleton: Their keypoints.
        cut: What the margin was made for.
        names: File names of the shards.
        counts: Persons of each.
        shard_of: ``(N,)`` shard of each person.
        offsets: ``(N,)`` byte at which the JPEG begins.
        sizes: ``(N,)`` its length.
        digest: Tells this index from an earlier one at the same place.
    """

    root: str
    people: People
    skeleton: Skeleton
    cut: Cut
    names: tuple[str, ...]
    counts: NDArray[np.int64]
    shard_of: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]
    digest: str

    def check_fits(
        self, input_wh: tuple[int, int], box_padding: float, augmentation: AugmentConfig
    ) -> None:
        """Refuse crops that would show more than the shards hold.

        Raises:
            ValueError: If the input, the padding or the augmentation is larger than the shards'.
        """
        lacking = self.cut.lacks(Cut.of(input_wh, box_padding, augmentation))
        if lacking:
            raise ValueError(
                f"{self.root} does not hold the crops that are asked for: {'; '.join(lacking)}; "
                "set what it was cut for, or write it again with pose-hrnet data shard"
            )


def read_index(store: ShardStore) -> ShardIndex:
    """Read the index of a folder or URL of shards.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no index, or empty.
    """
    where = f"{store.root.rstrip('/')}/{INDEX_NAME}"
    try:
        data = store.read(INDEX_NAME)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where} does not exist; is this a folder that pose-hrnet data shard wrote?"
        ) from None
    try:
        file = msgspec.json.decode(data, type=IndexFile)
        skeleton = SkeletonFile.model_validate(file.skeleton).skeleton()
    except ValidationError as error:
        reason = explain_faults(error)
        raise ValueError(f"{where} is not an index of crop shards: skeleton: {reason}") from None
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise ValueError(f"{where} is not an index of crop shards: {one_line(error)}") from None
    if file.format != FORMAT:
        raise ValueError(f"{where} has the format {shown(file.format)}, expected {FORMAT!r}")
    entries = list(chain.from_iterable(shard.entries for shard in file.shards))
    if not entries:
        raise ValueError(f"{where} lists no person; write the shards again")
    for sample in (entry.sample for entry in entries):
        if len(sample.keypoints) != 3 * skeleton.num_keypoints:
            raise ValueError(
                f"{where} has {len(sample.keypoints)} keypoint values for {sample.key}; expected "
                f"x, y and visibility of {skeleton.num_keypoints}; write the shards again"
            )
    counts = np.array([shard.count for shard in file.shards], np.int64)
    return ShardIndex(
        root=store.root.rstrip("/"),
        people=_people([entry.sample for entry in entries]),
        skeleton=skeleton,
        cut=file.cut,
        names=tuple(shard.name for shard in file.shards),
        counts=counts,
        shard_of=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        offsets=np.array([entry.offset for entry in entries], np.int64),
        sizes=np.array([entry.size for entry in entries], np.int32),
        digest=hashlib.sha256(data).hexdigest(),
    )


def _people(samples: Sequence[Sample]) -> People:
    count = len(samples)
    triples = np.array([sample.keypoints for sample in samples], np.float32).reshape(count, -1, 3)
    return People(
        images=Images(
            ids=tuple(sample.image_id for sample in samples),
            file_names=tuple(f"{sample.key}.jpg" for sample in samples),
            sizes_wh=np.array([(s.width, s.height) for s in samples], np.int32).reshape(count, 2),
        ),
        image_index=np.arange(count, dtype=np.int32),
        ids=object_array([sample.id for sample in samples]),
        boxes_xywh=np.array([sample.bbox for sample in samples], np.float32).reshape(count, 4),
        keypoints_image=np.ascontiguousarray(triples[..., :2]),
        visibility=triples[..., 2].astype(np.uint8),
        areas=np.array([sample.area for sample in samples], np.float32),
        scores=np.ones(count, np.float32),
        is_crowd=np.zeros(count, np.bool_),
    )


class ShardPictures:
    """Pictures of stored crops, each read from its place in its shard.

    Args:
        index: Where they are.
        store: The files.
        decode: See `pose_hrnet.data.jpeg.picture_decoder`.
    """

    def __init__(self, index: ShardIndex, store: ShardStore, decode: Decode = "exact") -> None:
        self.index = index
        self.store = store
        self.decoder = picture_decoder(decode)
        self.reduces = self.decoder.reduces
        self._open: dict[tuple[int, int], BinaryIO] = {}

    def read(self, row: int, reduction: float) -> Picture:
        """As `Pictures.read`."""
        shard = int(self.index.shard_of[row])
        size, offset = int(self.index.sizes[row]), int(self.index.offsets[row])
        file = self._file(shard)
        file.seek(offset)
        data = file.read(size)
        images = self.index.people.images
        path = f"{self.index.root}/{self.index.names[shard]}/{images.file_names[row]}"
        if len(data) < size:
            raise ImageError(f"image {path} lies behind the end of its shard", "truncated")
        width, height = images.sizes_wh[row].tolist()
        return self.decoder(path, data, (width, height), reduction)

    def _file(self, shard: int) -> BinaryIO:
        """An open file, of which a few are kept."""
        # A process opens its own: a file shared by fork has one position for both.
        key = (os.getpid(), shard)
        if key not in self._open:
            while len(self._open) >= OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            path = self.store.fetch(self.index.names[shard], self.index.digest)
            self._open[key] = open_input(path, buffering=0)
        return self._open[key]

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files, for processes that are spawned."""
        return {**self.__dict__, "_open": {}}


class ShardSampler(Sampler[SampleKey]):
    """Yields the ``(epoch, row)`` keys of one epoch, shard by shard.

    Shards come in random order, and each person up to a buffer later than in that order, so that
    only a few shards are in use at a time. The order comes from ``(seed, epoch)``, whatever the
    number of loader processes; training processes share it out as `Share` says, so that those of
    a machine have the same few shards in use.

    Args:
        counts: ``(S,)`` persons of each shard.
        loose: Persons after those of the shards that are in no shard: they come in any order,
            spread over the epoch.
        seed: Seed of the order.
        buffer: How many persons are mixed.
        batch_size: The loader's; matters where there are several processes.
        rank: Number of the process, and
        world_size: how many there are.

    Attributes:
        epoch: The epoch that the next pass gives.
        start: How many persons of the epoch the next pass leaves out, see `EpochSampler`.
    """

    def __init__(
        self,
        counts: NDArray[np.integer],
        *,
        loose: int = 0,
        seed: int = 0,
        buffer: int = SHUFFLE_BUFFER,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.counts = np.asarray(counts, np.int64)
        self.loose = loose
        self.seed, self.buffer = seed, buffer
        self.share = Share(rank, world_size, batch_size)
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return self.share.count(int(self.counts.sum()) + self.loose, self.start)

    def __iter__(self) -> Iterator[SampleKey]:
        rows = self.share.of(self._order(), self.start)
        return iter([(self.epoch, row) for row in rows.tolist()])

    def _order(self) -> NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, self.epoch))
        shards = rng.permutation(len(self.counts))
        first = np.cumsum(self.counts) - self.counts
        rows = np.concatenate([np.arange(first[s], first[s] + self.counts[s]) for s in shards])
        due = np.arange(len(rows)) + rng.uniform(0, self.buffer, len(rows))
        if self.loose:
            due = np.concatenate([due, rng.uniform(0, due.max(), self.loose)])
            rows = np.concatenate([rows, np.arange(len(rows), len(due))])
        order: NDArray[np.int64] = rows[np.argsort(due)]
        return order


__all__ = ["ShardIndex", "ShardPictures", "ShardSampler", "read_index"]
