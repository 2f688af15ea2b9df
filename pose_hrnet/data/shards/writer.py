"""Cuts persons out of their images, with a margin for augmentation, into tar files.

See `pose_hrnet.data.shards.reader` for the format, and for reading.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.augment import Region, reach_xyxy
from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.data.shards.reader import (
    FORMAT,
    FORMAT_NAME,
    INDEX_NAME,
    Cut,
    Entry,
    IndexFile,
    Sample,
    Shard,
)
from pose_hrnet.keypoints import geometry
from pose_hrnet.keypoints.geometry import BOX_PADDING, CropFrames
from pose_hrnet.keypoints.records import Float64, Image, People
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.defaults import DETAIL, PERSONS_PER_SHARD, QUALITY
from pose_hrnet.system.files import replace_file, write_json
from pose_hrnet.system.folders import check_room, draft_folder, owned, put_in_place
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)

_SEAM = 2
"""Pixels around the reach, for bilinear sampling at its border."""


@dataclass(frozen=True)
class StoredCrops:
    """What the shards are to hold, and how fine.

    Attributes:
        input_wh: Network input size.
        augmentation: The largest that the crops are to hold.
        skeleton: Of the people.
        box_padding: Factor on the person box.
        detail: More keeps what smaller regions (scale, half body) show sharp, for larger files.
        quality: Of the JPEGs.
        persons_per_shard: At most.
    """

    input_wh: tuple[int, int]
    augmentation: AugmentConfig
    skeleton: Skeleton
    box_padding: float = BOX_PADDING
    detail: float = DETAIL
    quality: int = QUALITY
    persons_per_shard: int = PERSONS_PER_SHARD


@dataclass(frozen=True, eq=False)
class _Cutter:
    """Everything that one shard needs to know; sent to each process."""

    people: People
    image_folder: Path
    output: Path
    stored: StoredCrops


def write_shards(
    people: People,
    image_folder: Path,
    output: Path,
    stored: StoredCrops,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Progress = SILENT,
) -> Path:
    """Write persons in random order; those of unreadable images are left out and reported.

    A person is stored with all that the augmentation can show of it (`reach_xyxy`),
    at the image's resolution or, if that is finer, at `detail` stored pixels for a pixel of the
    input at size factor 1.

    Args:
        people: Whom; see `labelled_people`.
        image_folder: What their file names are relative to.
        output: Folder to write to; made if needed.
        stored: What is kept of them.
        seed: Of the order.
        workers: Processes.
        progress: Watches.

    Returns:
        Path of the index, which is written last. Shards that the folder holds already stay as they
        are until all new ones are there, and then give way.

    Raises:
        FolderBusy: If another process works in the folder.
        ValueError: If no person could be written, or the folder holds an index of something else.
        OSError: If the folder cannot be written to, or the disk is full.
    """
    check_room(output)
    earlier = _earlier_tars(output / INDEX_NAME)
    order = np.random.default_rng(seed).permutation(len(people))
    parts = np.array_split(order, max(1, -(-len(order) // stored.persons_per_shard)))
    with owned(output), draft_folder(output / INDEX_NAME) as drafts:
        cutter = _Cutter(people, image_folder, drafts, stored)
        with progress.task("shard", total=len(people), unit="persons") as bar:
            write = partial(_write_shard, cutter)
            shards = list(_watched(_map(write, parts, workers), parts, bar))
        index = _index(people, image_folder, stored, shards)
        # From here on it takes no time: without an index, there are no shards.
        (output / INDEX_NAME).unlink(missing_ok=True)
        for name in earlier - {shard.name for shard in shards}:
            (output / name).unlink(missing_ok=True)
        put_in_place(drafts, output)
        write_json(output / INDEX_NAME, index)
    return output / INDEX_NAME


class _Named(msgspec.Struct):
    name: str


class _Listing(msgspec.Struct):
    """What an index must hold to be replaced."""

    format: str
    shards: list[_Named]


def _earlier_tars(index: Path) -> set[str]:
    """Names of the shards that the folder holds already, which are replaced.

    Raises:
        ValueError: If it holds an index of something else.
    """
    if not index.exists():
        return set()
    try:
        found = msgspec.json.decode(read_input(index), type=_Listing)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = _Listing("", [])
    if not found.format.startswith(FORMAT_NAME):
        raise ValueError(
            f"{index} is not of shards of this program, and would be overwritten; choose another "
            "--output"
        )
    return {shard.name for shard in found.shards if re.fullmatch(r"\d+\.tar", shard.name)}


def _index(
    people: People, image_folder: Path, stored: StoredCrops, shards: list[Shard]
) -> IndexFile:
    """What says where everybody is.

    Raises:
        ValueError: If nobody is anywhere.
    """
    written = sum(shard.count for shard in shards)
    if not written:
        raise ValueError(
            f"no image of {counted(len(people), 'person')} in {image_folder} is readable"
        )
    if written < len(people):
        everybody = counted(len(people), "person")
        log.warning("left out: %d of %s", len(people) - written, everybody)
    cut = Cut.of(stored.input_wh, stored.box_padding, stored.augmentation)
    return IndexFile(FORMAT, stored.skeleton.to_dict(), cut, shards)


def _map(
    write: partial[Shard], parts: Sequence[NDArray[np.intp]], workers: int
) -> Iterator[Shard]:
    names = [f"{number:05d}.tar" for number in range(len(parts))]
    if workers == 1:
        yield from map(write, names, parts)
        return
    # Spawned, as forking a process that runs torch threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(write, names, parts)


def _watched(
    shards: Iterable[Shard], parts: Sequence[NDArray[np.intp]], bar: Bar
) -> Iterator[Shard]:
    for shard, part in zip(shards, parts, strict=True):
        bar.advance(len(part))
        yield shard


def _write_shard(cutter: _Cutter, name: str, rows: NDArray[np.intp]) -> Shard:
    entries: list[Entry] = []
    with (
        replace_file(cutter.output / name) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for row in rows.tolist():
            try:
                sample, jpeg = _stored(cutter, row)
            except (ImageError, OSError) as error:
                log.warning("%s; its persons are left out", error)
                continue
            _add(tar, f"{sample.key}.json", msgspec.json.encode(sample))
            offset = _add(tar, f"{sample.key}.jpg", jpeg)
            entries.append(Entry(offset, len(jpeg), sample))
    return Shard(name, len(entries), [entry.sample.key for entry in entries], entries)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a file and return the byte at which its data begins."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, BytesIO(data))
    return int(tar.offset) - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _stored(cutter: _Cutter, row: int) -> tuple[Sample, bytes]:
    """One person: its JSON, and its crop as JPEG."""
    people, stored = cutter.people, cutter.stored
    image_row = int(people.image_index[row])
    width, height = people.images.sizes_wh[image_row].tolist()
    image = read_rgb(
        image_path(cutter.image_folder, people.images.file_names[image_row]),
        (width, height) if width and height else None,
    )
    box = people.boxes_xywh[row : row + 1].astype(np.float64)
    frames = CropFrames.of_boxes(box, stored.input_wh, "official", padding=stored.box_padding)
    reach = reach_xyxy(
        Region(frames.centers_image[0], frames.sizes_wh[0]),
        people.keypoints_image[row],
        people.visibility[row],
        stored.skeleton,
        stored.augmentation,
    )
    factor = max(1.0, frames.sizes_wh[0, 0] / (stored.input_wh[0] * stored.detail))
    pixels, to_stored = _cut_out(image, reach, factor)
    corners = geometry.image_to_input(geometry.xywh_to_xyxy(box).reshape(1, 2, 2), to_stored[None])
    points = geometry.image_to_input(people.keypoints_image[row][None], to_stored[None])[0]
    visibility = people.visibility[row]
    points[visibility == 0] = 0
    sample = Sample(
        key=f"{row:09d}",
        id=people.ids[row],
        image_id=people.images.ids[image_row],
        width=pixels.shape[1],
        height=pixels.shape[0],
        bbox=tuple(geometry.xyxy_to_xywh(corners.reshape(4)).round(3).tolist()),
        area=round(float(people.areas[row]) * float(np.linalg.det(to_stored[:, :2])), 3),
        keypoints=np.column_stack([points.round(3), visibility]).ravel().tolist(),
    )
    ok, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, stored.quality])
    if not ok:
        raise ImageError(f"the crop of annotation {people.ids[row]!r} cannot be encoded")
    return sample, jpeg.tobytes()


def _cut_out(image: Image, reach_xyxy: Float64, factor: float) -> tuple[Image, Float64]:
    """The part of an image within reach, reduced by a factor, and ``(2, 3)`` image to stored."""
    size_wh = np.array(image.shape[1::-1])
    seam = np.ceil(_SEAM * factor)
    low = np.clip(np.floor(reach_xyxy[:2] - seam), 0, size_wh - 1).astype(int)
    high = np.clip(np.ceil(reach_xyxy[2:] + seam) + 1, low + 1, size_wh).astype(int)
    pixels = image[low[1] : high[1], low[0] : high[0]]
    if factor > 1:
        stored_wh = np.maximum(1, np.round((high - low) / factor)).astype(int)
        pixels = np.asarray(cv2.resize(pixels, stored_wh.tolist(), interpolation=cv2.INTER_AREA))
    scale = np.array(pixels.shape[1::-1]) / (high - low)
    return pixels.astype(np.uint8, copy=False), geometry.resampled(scale, low)


__all__ = ["StoredCrops", "write_shards"]
