"""The folder of a training run: what it keeps, how it is resumed, and what it tells its reader.

``config.yaml`` as it was run, ``last.pt`` (everything needed to resume), ``best.safetensors`` (the
weights of the best AP, or PCKh), ``metrics.jsonl`` (a line per epoch), ``curve.png``, and
``tensorboard/`` where TensorBoard is installed.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pose_hrnet.config import Config, CropShards, RecipeNotes
from pose_hrnet.files import replace_file
from pose_hrnet.models.weights import ModelCard
from pose_hrnet.records import People

log = logging.getLogger(__name__)

RESUMABLE_CHANGES = frozenset(
    {
        "data.workers",
        "data.train.annotations",
        "data.train.images",
        "data.train.shards",
        "data.val.annotations",
        "data.val.images",
        "data.val.head_sizes",
        "train.evaluate_every",
        *(f"recipe.{note}" for note in RecipeNotes.model_fields),
    }
)
"""Settings that may differ between the parts of one run: they leave each step as it is.

Files may have moved; that the persons to learn from are the same ones is checked by itself.
"""


class RunMismatch(ValueError):
    """The run in a folder was started with other settings or other data."""


@dataclass
class Progressed:
    """How far a run has come; saved with the weights, so that it resumes exactly.

    Attributes:
        epoch: Finished epochs.
        step: Finished optimiser steps.
        best_score: Highest AP (MPII: PCKh) so far; -1 before the first evaluation.
        lines: What ``metrics.jsonl`` holds: a dict per finished epoch.
    """

    epoch: int = 0
    step: int = 0
    best_score: float = -1.0
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progressed:
        """What `save_run` wrote; earlier versions called the best score ``best_ap``."""
        return cls(**{"best_score" if k == "best_ap" else k: v for k, v in values.items()})


def fingerprint(people: People) -> str:
    """A hash of the persons to learn from: who they are, where, in which order."""
    digest = hashlib.sha256()
    for column in (people.image_index, people.boxes_xywh, people.keypoints_image):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def save_run(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    card: ModelCard,
    config: Config,
    people: People,
    done: Progressed,
) -> None:
    """Write everything that resuming needs, under a temporary name first."""
    state = {
        "card": card.to_dict(),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progressed": asdict(done),
        "rng": torch.get_rng_state(),
        "config": config.model_dump(mode="json"),
        "people": fingerprint(people),
    }
    with replace_file(path) as temporary:
        torch.save(state, temporary)


def load_run(path: Path, config: Config, people: People, resume: bool) -> dict[str, Any] | None:
    """The state that `save_run` wrote, or None where a run starts afresh.

    Raises:
        RunMismatch: If the folder holds a run and `resume` is off, or settings or persons differ.
        ValueError: If the file is damaged.
    """
    if not path.exists():
        return None
    if not resume:
        raise RunMismatch(
            f"{path.parent} holds a training run already; pass --resume to continue it, "
            "or choose another --output"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged ({str(error).splitlines()[0]}); remove it to start afresh"
        ) from None
    old, new = _flat(state["config"]), _flat(config.model_dump(mode="json"))
    changed = sorted(
        key
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
        and re.sub(r"\.\d+\.", ".", key) not in RESUMABLE_CHANGES
        # A step schedule does not look at the end; a cosine would jump back up.
        and not (key == "train.epochs" and config.optimizer.schedule == "step")
    )
    if changed:
        details = ", ".join(
            f"{key} ({old.get(key)} before, {new.get(key)} now)" for key in changed
        )
        raise RunMismatch(
            f"{path.parent} was started with other settings: {details}; "
            "resume with the same ones, or choose another --output"
        )
    if state["people"] != fingerprint(people):
        train = config.data.train
        source = (
            train.shards
            if isinstance(train, CropShards)
            else config.data.training_sets[0].annotations
        )
        raise RunMismatch(
            f"{path.parent} was started on other persons than those of {source}; "
            "resume on the same data, or choose another --output"
        )
    return state


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; a list of sections has their numbers for keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(number): section for number, section in enumerate(value)}
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
