"""A network at hand as a model that is ready to run."""

from __future__ import annotations

from typing import Any

import torch

from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.models.card import ModelCard


def pose_model(network: torch.nn.Module, card: ModelCard, **options: Any) -> PoseModel:
    """The network on the CPU, as it is; options as of `Decoder.of`."""
    return PoseModel(network, card, Decoder.of(card, **options), torch.device("cpu"))
