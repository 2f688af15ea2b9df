"""Carries the head's rows from one keypoint set to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from pose_hrnet.models.checkpoint_files import CheckpointFile
from pose_hrnet.skeleton import SKELETONS, Skeleton

HEAD = ("final_layer.weight", "final_layer.bias")
"""The entries with one row for each keypoint."""


def official_skeleton(num_keypoints: int) -> Skeleton | None:
    """The keypoint set of official weights: COCO's, MPII's or CrowdPose's, by its size."""
    return next((s for s in SKELETONS.values() if s.num_keypoints == num_keypoints), None)


def head_by_name(
    file: CheckpointFile, state: Mapping[str, Tensor], wanted: Sequence[str] | None
) -> tuple[CheckpointFile, tuple[str, ...]]:
    """Rebuild a file's head for other keypoints: rows of the same name, the model's for the rest.

    Args:
        file: A checkpoint, left unchanged.
        state: State dict of the model, in which the head has a row for each of `wanted`.
        wanted: The model's keypoints; None: unknown, and the file is returned as it is.

    Returns:
        The checkpoint to take the weights from, and a sentence about the head if it was rebuilt.
    """
    given = _keypoints_of(file)
    if wanted is None or given is None or list(given) == list(wanted):
        return file, ()
    shared = [name for name in wanted if name in given]
    rows = [list(wanted).index(name) for name in shared]
    sources = [list(given).index(name) for name in shared]
    tensors = dict(file.tensors)
    for entry in HEAD:
        old, new = tensors.get(entry), state[entry].detach().cpu().clone()
        if old is None or old.shape[1:] != new.shape[1:] or len(old) != len(given):
            return file, ()
        new[rows] = old[sources].to(new.dtype)
        tensors[entry] = new
    fresh = [name for name in wanted if name not in given]
    sentence = f"Head: {len(shared)} of {len(wanted)} keypoints taken by name"
    if fresh:
        sentence += f"; {', '.join(fresh)} start anew"
    return replace(file, tensors=tensors), (sentence,)


def _keypoints_of(file: CheckpointFile) -> Sequence[str] | None:
    """Names of the head's rows: of the card, or of the official set with as many keypoints."""
    if file.card is not None:
        names: Sequence[str] | None = file.card.get("skeleton", {}).get("keypoint_names")
        return names
    if HEAD[0] not in file.tensors:
        return None
    known = official_skeleton(len(file.tensors[HEAD[0]]))
    return None if known is None else known.keypoint_names
