"""Carries the head's rows from one keypoint set to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from pose_hrnet.models.mmpose_meta import read_settings
from pose_hrnet.models.opened import Weights
from pose_hrnet.skeleton import official_skeleton

HEAD = ("final_layer.weight", "final_layer.bias")
"""The entries with one row for each keypoint."""


def head_by_name(
    weights: Weights, state: Mapping[str, Tensor], wanted: Sequence[str] | None
) -> tuple[Weights, tuple[str, ...]]:
    """Rebuild the head for other keypoints: rows of the same name, the model's for the rest.

    Args:
        weights: Of a checkpoint, left unchanged.
        state: State dict of the model, in which the head has a row for each of `wanted`.
        wanted: The model's keypoints; None: unknown, and the weights are returned as they are.

    Returns:
        The weights to take, and a sentence about the head if it was rebuilt.
    """
    given = _keypoints_of(weights)
    if wanted is None or given is None or list(given) == list(wanted):
        return weights, ()
    shared = [name for name in wanted if name in given]
    rows = [list(wanted).index(name) for name in shared]
    sources = [list(given).index(name) for name in shared]
    tensors = dict(weights.tensors)
    for entry in HEAD:
        old, new = tensors.get(entry), state[entry].detach().cpu().clone()
        if old is None or old.shape[1:] != new.shape[1:] or len(old) != len(given):
            return weights, ()
        new[rows] = old[sources].to(new.dtype)
        tensors[entry] = new
    fresh = [name for name in wanted if name not in given]
    sentence = f"Head: {len(shared)} of {len(wanted)} keypoints taken by name"
    if fresh:
        sentence += f"; {', '.join(fresh)} start anew"
    return replace(weights, tensors=tensors), (sentence,)


def _keypoints_of(weights: Weights) -> Sequence[str] | None:
    """Names of the head's rows: the file's, or of the official set with as many keypoints."""
    card, head = weights.file.card, weights.tensors.get(HEAD[0])
    if card is not None:
        names: Sequence[str] | None = card.get("skeleton", {}).get("keypoint_names")
        return names
    if head is None:
        return None
    said = read_settings(weights.file.meta).skeleton
    known = said if said and said.num_keypoints == len(head) else official_skeleton(len(head))
    return None if known is None else known.keypoint_names
