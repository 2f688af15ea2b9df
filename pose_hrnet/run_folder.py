"""The folder of a training run: what it keeps, how it is resumed, and what it tells its reader.

``config.yaml`` as it was run, ``last.pt`` (everything needed to resume), ``best.safetensors`` (the
weights of the best AP, or PCKh), ``metrics.jsonl`` (a line per epoch), ``curve.png``, and
``tensorboard/`` where TensorBoard is installed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pose_hrnet.config import Config, RecipeNotes
from pose_hrnet.draw import draw_training_curve
from pose_hrnet.files import replace_file, write_text
from pose_hrnet.metrics.main_number import main_number
from pose_hrnet.models.weights import ModelCard
from pose_hrnet.records import People

log = logging.getLogger(__name__)

RESUMABLE_CHANGES = frozenset(
    {
        "data.workers",
        "data.train.annotations",
        "data.train.images",
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
        best_ap: Highest AP (MPII: PCKh) so far; -1 before the first evaluation.
        lines: What ``metrics.jsonl`` holds: a dict per finished epoch.
    """

    epoch: int = 0
    step: int = 0
    best_ap: float = -1.0
    lines: list[dict[str, Any]] = field(default_factory=list)


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
        raise RunMismatch(
            f"{path.parent} was started on other persons than those of "
            f"{config.data.training_sets[0].annotations}; resume on the same data, or choose "
            "another --output"
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


class Report:
    """Shows the finished epochs: ``metrics.jsonl``, the curve, TensorBoard, a log line.

    Args:
        output: Folder of the run.
        finished_epochs: What TensorBoard has of later epochs is work that was lost, and is hidden.
    """

    def __init__(self, output: Path, finished_epochs: int) -> None:
        self.path = output / "metrics.jsonl"
        self.curve = output / "curve.png"
        self.board = _tensorboard(output, finished_epochs)

    def show(self, lines: list[dict[str, Any]]) -> None:
        """Write all lines, and say the last one.

        Args:
            lines: One per finished epoch.
        """
        line = lines[-1]
        write_text(self.path, "".join(json.dumps(each) + "\n" for each in lines))
        score = main_number(line)
        if score is not None:
            draw_training_curve(lines, self.curve)
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["epoch"])
            self.board.flush()
        ap = "" if score is None else f", {score} {line[score]:.3f}"
        log.info(
            "epoch %d: loss %.3e%s, %.0f samples/s, waiting for data %.0f %%",
            line["epoch"], line["loss"], ap, line["samples_per_second"], 100 * line["data_wait"],
        )  # fmt: skip

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; empty if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _tensorboard(output: Path, finished_epochs: int) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(output / "tensorboard"), purge_step=finished_epochs + 1)
