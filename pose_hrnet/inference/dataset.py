"""A data set's persons -> Poses: the network and its decoder over batches of crops."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pose_hrnet.data.crops import Crop, CropDataset
from pose_hrnet.data.loader import end_workers
from pose_hrnet.inference.model import Decoder, PoseModel, decode_each, poses_of
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.records import Float32, Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.distributed import World
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inference:
    """Poses of a data set's persons.

    Attributes:
        poses: One row per person whose image could be read, with the box's score.
        unreadable_images: Rows of the Images that could not be read; their persons are left out.
        rows: ``(N,)`` int64 row of the People that each pose is of.
    """

    poses: Poses
    unreadable_images: tuple[int, ...]
    rows: NDArray[np.int64]


def predict_people(
    model: PoseModel,
    dataset: CropDataset,
    loader: DataLoader[Crop],
    *,
    world: World | None = None,
    progress: Progress = SILENT,
) -> Inference:
    """Predict every person of a data set; see `predict_each`, of which this is the case of one."""
    decoders = [model.decoder]
    return predict_each(model, decoders, dataset, loader, world=world, progress=progress)[0]


@dataclass(frozen=True)
class _Batch:
    """What is kept of B crops.

    Attributes:
        row: ``(B,)`` rows of the People.
        readable: ``(B,)`` bool.
        decoded: For each decoder ``(B, K, 2)`` keypoints in input pixels and ``(B, K)`` scores.
    """

    row: NDArray[np.int64]
    readable: NDArray[np.bool_]
    decoded: list[tuple[Float32, Float32]]


def predict_each(
    model: PoseModel,
    decoders: Sequence[Decoder],
    dataset: CropDataset,
    loader: DataLoader[Crop],
    *,
    world: World | None = None,
    progress: Progress = SILENT,
) -> list[Inference]:
    """Predict every person of a data set, decoded in one or several ways.

    Heatmaps live for one batch, in which every decoder has its turn; what is kept are keypoints.

    Args:
        model: Gives the heatmaps; its network is put into evaluation mode and left in the mode
            that it had.
        decoders: From crops to keypoints; see `decode_each`.
        dataset: The crops.
        loader: Their batches, unshuffled; of several processes, this one's share of them. An
            error ends its processes.
        world: The processes that predict; None: this one alone.
        progress: Watches.

    Returns:
        For each decoder poses image by image, of all processes in each. Their areas are those of
        the padded crops, as official OKS-NMS uses them.

    Raises:
        ValueError: If the processes' loaders do not share the persons out.
    """
    world = world or World.alone()
    own: list[_Batch] = []
    watcher = progress if world.is_main else SILENT
    persons = len(dataset)
    with model.evaluating(), watcher.task("predict", persons, "persons") as bar:
        try:
            for done, batch in _predicted(model, decoders, loader):
                own.append(batch)
                bar.advance_to(min(persons, done * world.size))  # the others are about as far
        except BaseException:
            end_workers(loader)  # which would live on in the traceback
            raise
    # Batch b was dealt to process b mod size.
    turns = zip_longest(*world.gather(own))
    batches = [batch for turn in turns for batch in turn if batch is not None]
    if world.size > 1 and sum(len(batch.row) for batch in batches) != persons:
        raise ValueError(
            f"{world.size} processes predicted {sum(len(batch.row) for batch in batches)} persons "
            f"of {persons}; give each its share with crop_loader(rank=..., world_size=...)"
        )
    unreadable = {
        image
        for batch in batches
        for image in dataset.people.image_index[batch.row[~batch.readable]].tolist()
    }
    if unreadable and world.is_main:
        images = counted(len(unreadable), "image")
        log.warning("%s could not be read; all persons there count as missed", images)
    return [
        _joined(dataset, batches, place, model.card.skeleton, unreadable)
        for place in range(len(decoders))
    ]


@torch.inference_mode()
def _predicted(
    model: PoseModel,
    decoders: Sequence[Decoder],
    loader: DataLoader[Crop],
) -> Iterator[tuple[int, _Batch]]:
    """Every batch of a loader, predicted, and how many crops that makes so far."""
    done = 0
    for batch in loader:
        decoded = []
        for keypoints_input, values in decode_each(model, decoders, batch.pixels):
            decoded.append((keypoints_input.cpu().numpy(), values.cpu().numpy()))
        done += len(batch.pixels)
        # Copied: to keep what a loader process shares is to keep a file descriptor.
        yield done, _Batch(batch.rows.numpy().copy(), batch.readable.numpy().copy(), decoded)


def _joined(
    dataset: CropDataset,
    batches: Sequence[_Batch],
    place: int,
    skeleton: Skeleton,
    unreadable: set[int],
) -> Inference:
    """What one decoder made of all batches, but for crops whose image could not be read."""
    row = [batch.row[batch.readable] for batch in batches]
    points = [batch.decoded[place][0][batch.readable] for batch in batches]
    scores = [batch.decoded[place][1][batch.readable] for batch in batches]
    empty = np.empty((0, len(skeleton.keypoint_names), 2), np.float32)
    rows = np.concatenate([*row, np.empty(0, np.int64)]).astype(np.int64)
    people = dataset.people[rows]
    poses = poses_of(
        dataset.frames[rows],
        np.concatenate([*points, empty]),
        np.concatenate([*scores, empty[..., 0]]),
        boxes_xyxy=xywh_to_xyxy(people.boxes_xywh),
        scores=people.scores,
        image_ids=people.image_ids,
        skeleton=skeleton,
    )
    poses = replace(poses, category_ids=people.category_ids)
    return Inference(poses, tuple(sorted(unreadable)), rows)
