"""The folder of a training run: what it keeps, how it is resumed, and what it tells its reader.

``config.yaml`` as it was run, ``last.pt`` (everything needed to resume), ``best.safetensors`` (the
weights of the best AP), ``metrics.jsonl`` (a line per epoch), ``curve.png``, and ``tensorboard/``
where TensorBoard is installed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pose_hrnet.config import Config
from pose_hrnet.draw import draw_training_curve
from pose_hrnet.files import replace_file, write_text
from pose_hrnet.models.weights import ModelCard

log = logging.getLogger(__name__)

RESUMABLE_CHANGES = ("data.workers", "train.evaluate_every", "train.epochs")
"""Settings that may differ between the parts of one run: they leave each step as it is."""


@dataclass
class Progressed:
    """How far a run has come; saved with the weights, so that it resumes exactly.

    Attributes:
        epoch: Finished epochs.
        step: Finished optimiser steps.
        best_ap: Highest AP so far; -1 before the first evaluation.
    """

    epoch: int = 0
    step: int = 0
    best_ap: float = -1.0


def save_run(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    card: ModelCard,
    config: Config,
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
    }
    with replace_file(path) as temporary:
        torch.save(state, temporary)


def load_run(path: Path, config: Config, resume: bool) -> dict[str, Any] | None:
    """The state that `save_run` wrote, or None where a run starts afresh."""
    if not path.exists():
        return None
    if not resume:
        raise ValueError(
            f"{path.parent} holds a training run already; pass --resume to continue it, "
            "or choose another --output"
        )
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    old, new = _flat(state["config"]), _flat(config.model_dump(mode="json"))
    changed = sorted(
        key
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key) and key not in RESUMABLE_CHANGES
    )
    if changed:
        details = ", ".join(
            f"{key} ({old.get(key)} before, {new.get(key)} now)" for key in changed
        )
        raise ValueError(
            f"{path.parent} was started with other settings: {details}; "
            "resume with the same ones, or choose another --output"
        )
    return state


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


class Report:
    """Appends a line per epoch to ``metrics.jsonl``, redraws the curve, feeds TensorBoard.

    Args:
        output: Folder of the run.
        finished_epochs: Lines behind these epochs belong to work that was lost, and are dropped.
    """

    def __init__(self, output: Path, finished_epochs: int) -> None:
        self.path = output / "metrics.jsonl"
        self.curve = output / "curve.png"
        self.lines = read_metrics(self.path)[:finished_epochs] if finished_epochs else []
        self.board = _tensorboard(output)

    def add(self, line: dict[str, Any]) -> None:
        """Record one epoch."""
        self.lines.append(line)
        write_text(self.path, "".join(json.dumps(each) + "\n" for each in self.lines))
        if "AP" in line:
            draw_training_curve(self.lines, self.curve)
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["epoch"])
            self.board.flush()
        ap = f", AP {line['AP']:.3f}" if "AP" in line else ""
        log.info(
            "epoch %d: loss %.3e%s, %.0f samples/s, waiting for data %.0f %%",
            line["epoch"], line["loss"], ap, line["samples_per_second"], 100 * line["data_wait"],
        )  # fmt: skip


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; empty if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _tensorboard(output: Path) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(output / "tensorboard"))
