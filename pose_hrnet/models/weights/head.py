"""Carries the head's rows from one keypoint set to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from pose_hrnet.keypoints.skeleton import official_skeleton
from pose_hrnet.models.weights.read import Weights

LAST_LAYERS = ("final_layer", "head.3")
"""The convolution with one row for each keypoint: HRNet's V1 and SimpleBaseline's, HRNet's V2."""


def head_by_name(
    weights: Weights, state: Mapping[str, Tensor], wanted: Sequence[str] | None
) -> tuple[Weights, tuple[str, ...]]:
    """Rebuild the head for other keypoints: rows of the same name, the model's for the rest.

    Args:
        weights: Of a checkpoint, left unchanged.
        state: State dict of the model, in which the head has a row for each of `wanted`.
        wanted: The model's keypoints; None: unknown, and the weights are returned as they are,
            as they also are where file and model do not end in the same layer.

    Returns:
        The weights to take, and a sentence about the head if it was rebuilt.
    """
    layer = next((name for name in LAST_LAYERS if f"{name}.weight" in state), None)
    if wanted is None or layer is None or f"{layer}.weight" not in weights.tensors:
        return weights, ()
    given, doubt = _keypoints_of(weights, len(weights.tensors[f"{layer}.weight"]))
    if list(given) == list(wanted):
        return weights, ()
    shared = [name for name in wanted if name in given]
    rows = [list(wanted).index(name) for name in shared]
    sources = [list(given).index(name) for name in shared]
    tensors = dict(weights.tensors)
    for entry in (f"{layer}.weight", f"{layer}.bias"):
        old, new = tensors.get(entry), state[entry].detach().cpu().clone()
        if old is None or old.shape[1:] != new.shape[1:] or len(old) != len(given):
            return weights, ()
        new[rows] = old[sources].to(new.dtype)
        tensors[entry] = new
    fresh = [name for name in wanted if name not in given]
    sentence = f"Head: {len(shared)} of {len(wanted)} keypoints taken by name{doubt}"
    if fresh:
        sentence += f"; {', '.join(fresh)} start anew"
    return replace(weights, tensors=tensors), (sentence,)


def _keypoints_of(weights: Weights, count: int) -> tuple[Sequence[str], str]:
    """Names of the head's rows, and what is to be said of them; no names if they are unknown.

    They are the file's, or those of the official set with as many keypoints.
    """
    if weights.file.card is not None:
        names: Sequence[str] = weights.file.card.get("skeleton", {}).get("keypoint_names", ())
        return names, ""
    said, known = weights.settings.skeleton, official_skeleton(count)
    if said is not None and said.num_keypoints == count:
        return said.keypoint_names, ""
    if known is None:
        return (), ""
    return known.keypoint_names, f" (names assumed from their number: {known.name})"
