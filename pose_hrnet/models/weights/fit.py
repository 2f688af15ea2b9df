"""What of a file fits a network, its head by the keypoints' names, and a report on every entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from torch import Tensor, nn

from pose_hrnet.keypoints.skeleton import official_skeleton, places_by_name
from pose_hrnet.models.weights.files import CheckpointFile
from pose_hrnet.models.weights.foreign import Setting
from pose_hrnet.models.weights.read import Weights
from pose_hrnet.system.text import counted, few

# Entries that a network of ours would use if it had a place for them: without them it would
# compute something else. Not among them: outputs of stage 4 that V1 does not look at.
_BACKBONE = re.compile(
    r"(backbone\.)?(conv\d|bn|stem|layer|transition|stage(?!4\.\d+\.fuse_layers\.[123]))"
)
_HEAD = re.compile(r"(keypoint_head\.|head\.)?(deconv_layers|conv_layers|final_layer|\d)")


LAST_LAYERS = ("final_layer", "head.3")
"""The convolution with one row for each keypoint: HRNet's V1 and SimpleBaseline's, HRNet's V2."""


@dataclass(frozen=True)
class LoadReport:
    """What became of every entry of a file and of the model.

    Attributes:
        path: The file.
        kind: What the file is, such as ``official HRNet pose``.
        used: Entries taken from the file.
        missing: Entries of the model that the file lacks.
        left_over: Entries of the file that the model lacks.
        mismatched: Entries of both in different shapes, not taken, each with the two shapes.
        settings: What decoding needs, and where each of it is from; empty for our own files.
        notes: What was assumed or chosen, in sentences.
        card_note: `ModelCard.note` of a file of ours.
    """

    path: Path
    kind: str
    used: tuple[str, ...]
    missing: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()
    card_note: str = ""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Those missing entries that prediction needs.

        Files of PyTorch before 0.4.1 lack counters, which nothing but training reads.
        """
        return tuple(n for n in self.missing if not n.endswith("num_batches_tracked"))

    @property
    def strange_backbone(self) -> tuple[str, ...]:
        """Entries of the file's backbone that the model has no place for."""
        return tuple(name for name in self.left_over if _BACKBONE.match(name))

    @property
    def problem(self) -> str | None:
        """Why the file must not predict; None if it may."""
        if self.lacking or self.mismatched:
            return (
                f"this is no complete network ({self.kind}): "
                f"{counted(len(self.lacking), 'entry')} missing ({few(self.lacking)}) and "
                f"{len(self.mismatched)} of another shape ({few(self.mismatched)}); get the whole "
                "file again"
            )
        heads = tuple(name for name in self.left_over if _HEAD.match(name))
        strange = self.strange_backbone + heads
        if strange:
            return (
                f"this is another network ({self.kind}), with {counted(len(strange), 'entry')} "
                f"more than the plain one has ({few(strange)}); give a plain HRNet or ResNet"
            )
        return None

    def summary(self) -> str:
        """The report in plain words, with counts and a few names."""
        total = len(self.used) + len(self.missing) + len(self.mismatched)
        parts = [f"{self.path} ({self.kind}): {len(self.used)} of {total} entries taken"]
        for names, what in (
            (self.missing, "missing from the file"),
            (self.mismatched, "of another shape"),
            (self.left_over, "in the file not needed"),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({few(names)})")
        return ". ".join(["; ".join(parts), *self.notes])

    def __str__(self) -> str:
        return self.summary()


def fit(
    model: nn.Module,
    weights: Weights,
    settings: tuple[Setting, ...],
    notes: tuple[str, ...] = (),
) -> tuple[dict[str, Tensor], LoadReport]:
    """The file's entries that the model has in the same shape, and a report on all entries.

    Args:
        model: Left as it is.
        weights: The file's.
        settings: What decoding needs, for the report.
        notes: Sentences for the report.
    """
    wanted, tensors, file = model.state_dict(), weights.tensors, weights.file
    both = [name for name in wanted if name in tensors]
    used = [name for name in both if tensors[name].shape == wanted[name].shape]
    ours = weights.layout.names if weights.layout else {}
    report = LoadReport(
        path=file.path,
        kind=weights.kind,
        used=tuple(used),
        missing=tuple(name for name in wanted if name not in tensors),
        left_over=tuple(name for name in file.tensors if ours.get(name, name) not in wanted),
        mismatched=tuple(
            f"{name}: file {tuple(tensors[name].shape)}, model {tuple(wanted[name].shape)}"
            for name in both
            if tensors[name].shape != wanted[name].shape
        ),
        settings=settings,
        notes=(*_notes(file, settings), *notes),
        card_note=weights.own_card.note if weights.own_card else "",
    )
    return {name: tensors[name] for name in used}, report


def _notes(file: CheckpointFile, settings: tuple[Setting, ...]) -> tuple[str, ...]:
    """Which of several weights were taken, and every setting that neither file nor caller gave."""
    found = (f"Weights taken from {file.found_under!r}",) if file.found_under else ()
    unsaid = sorted((s for s in settings if s.guessed), key=lambda s: s.origin)
    by_origin = (
        f"{', '.join(f'{s.name} {s.value}' for s in group)} ({origin})"
        for origin, group in groupby(unsaid, key=lambda s: s.origin)
    )
    said = "; ".join(by_origin)
    return (*found, f"Not said in the file: {said}") if said else found


def head_by_name(
    weights: Weights, state: Mapping[str, Tensor], wanted: Sequence[str] | None
) -> tuple[Weights, tuple[str, ...]]:
    """Rebuild the head for other keypoints: rows of the same name, the model's for the rest.

    A name in another spelling is the same: `places_by_name`.

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
    places = places_by_name(wanted, given)
    if places == list(range(len(given))):
        return weights, ()
    rows = [row for row, place in enumerate(places) if place >= 0]
    tensors = dict(weights.tensors)
    for entry in (f"{layer}.weight", f"{layer}.bias"):
        old, new = tensors.get(entry), state[entry].detach().cpu().clone()
        if old is None or old.shape[1:] != new.shape[1:] or len(old) != len(given):
            return weights, ()
        new[rows] = old[[places[row] for row in rows]].to(new.dtype)
        tensors[entry] = new
    fresh = [name for name, place in zip(wanted, places, strict=True) if place < 0]
    sentence = f"Head: {len(rows)} of {len(wanted)} keypoints taken by name{doubt}"
    if fresh:
        sentence += f"; {', '.join(fresh)} start anew"
    return replace(weights, tensors=tensors), (sentence,)


def _keypoints_of(weights: Weights, count: int) -> tuple[Sequence[str], str]:
    """Names of the head's rows, and what is to be said of them; no names if they are unknown.

    They are the file's, or those of the official set with as many keypoints.
    """
    if weights.own_card is not None:
        return weights.own_card.skeleton.keypoint_names, ""
    said, known = weights.settings.skeleton, official_skeleton(count)
    if said is not None and said.num_keypoints == count:
        return said.keypoint_names, ""
    if known is None:
        return (), ""
    return known.keypoint_names, f" (names assumed from their number: {known.name})"
