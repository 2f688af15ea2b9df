"""A checkpoint file, opened: what it is, its weights under our names, its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.files import CheckpointFile, read_checkpoint
from pose_hrnet.models.weights.foreign import (
    Overrides,
    Setting,
    channel_order,
    foreign_card,
    rgb_weights,
)
from pose_hrnet.models.weights.layouts import Layout, identify, named, size_of
from pose_hrnet.models.weights.mmpose import FileSettings, read_settings
from pose_hrnet.system.choices import ColourOrder


@dataclass(frozen=True, eq=False)
class Weights:
    """A file's weights under our names.

    Attributes:
        file: As it was read.
        kind: What it is, such as ``MMPose 1.x HRNet pose``.
        tensors: By our names, for RGB.
        layout: Of a file that carries no card of ours; None for ours.
        settings: What the configuration in a file of MMPose says; nothing for others.
        own_card: Of a file of ours.
    """

    file: CheckpointFile
    kind: str
    tensors: dict[str, Tensor]
    layout: Layout | None
    settings: FileSettings = field(default_factory=FileSettings)
    own_card: ModelCard | None = None

    @property
    def description(self) -> str:
        """Kind and size; of our own files, whose kind does not say it, the network between."""
        said = size_of if self.layout else named
        return f"{self.kind}, {said(self.architecture)}"

    @property
    def architecture(self) -> dict[str, Any]:
        """As the card has it, or as far as names and shapes tell it; empty of an export's card."""
        card, layout = self.own_card, self.layout
        return (layout.architecture if layout else card.architecture if card else None) or {}

    def card(self, overrides: Overrides) -> tuple[ModelCard, tuple[Setting, ...]]:
        """The file's card, or one composed for it, and where the settings of the latter are from.

        Raises:
            ValueError: If there is no heatmap head, or the heatmaps cannot be decoded.
        """
        if self.own_card is not None:
            return overrides.over(self.own_card), ()
        assert self.layout is not None  # one or the other
        if not self.layout.predicts:
            raise ValueError(
                f"the file ({self.description}) has no keypoint head to predict with; "
                "give it as pretrained weights to start training"
            )
        return foreign_card(self.layout, self.settings, self.file.path.name, overrides)


def open_weights(path: str | Path, colour: ColourOrder | None = None) -> Weights:
    """Read a checkpoint and find out what it holds; errors as of `load_network`.

    Args:
        path: As of `load_network`.
        colour: Channel order that a network of others was trained on, where the caller knows it.
    """
    file = read_checkpoint(Path(path))
    if file.card is not None:
        kind = f"pose_hrnet {'training state' if file.found_under else 'checkpoint'}"
        try:
            card = ModelCard.from_dict(file.card)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return Weights(file, kind, file.tensors, None, own_card=card)
    try:
        plain = with_one_expert(file.tensors)
        layout = identify(shapes_of(plain))
        tensors = {layout.names[name]: value for name, value in plain.items()}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    settings = read_settings(file.meta)
    order, _ = channel_order(layout, settings, colour)
    return Weights(file, layout.kind, rgb_weights(tensors, order), layout, settings)


def with_one_expert(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ViTPose+ of the hub as the ViTPose that it is on COCO; other files as they are.

    ViTPose+ (Xu et al., PAMI 2024) learnt from several data sets: the last outputs of each MLP are
    of one expert a data set, of which the first is COCO's.
    """
    mark = ".mlp.experts.experts."
    plain = {name: value for name, value in tensors.items() if mark not in name}
    for name, value in tensors.items():
        block, found, rest = name.partition(mark)
        expert, _, kind = rest.partition(".")
        shared = f"{block}.mlp.fc2.{kind}"
        if found and expert == "0" and shared in plain:
            plain[shared] = torch.cat([plain[shared], value])
    return plain


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(value.shape) for name, value in tensors.items()}
