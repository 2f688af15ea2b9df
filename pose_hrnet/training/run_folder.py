"""The folder of a training run: what it keeps, and how it is resumed.

``config.yaml`` as it was run, ``last.pt`` (everything needed to resume) and the one before it,
``last.previous.pt``, ``best.safetensors`` (the weights of the best AP, or PCKh), ``metrics.jsonl``
(a line per epoch), ``origin.json`` (what it was made with), ``curve.png``,
``best_predictions.png`` and ``worst_predictions.png`` (of the last evaluation), ``results.json``
and ``metrics.json`` (of the best weights) and at the end ``report.html`` on them, what loggers
leave: ``tensorboard/``, and the ids of remote runs in
``loggers.json``; and ``.lock``, locked by the process that owns the folder.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_hrnet.config.data import CropShards
from pose_hrnet.config.files import dotted_keys
from pose_hrnet.config.recipe import Config, RecipeNotes
from pose_hrnet.evaluation.scorer import main_number
from pose_hrnet.keypoints.records import People
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.choices import Resume
from pose_hrnet.system.text import counted, one_line, shown
from pose_hrnet.training.states import BEST, LAST, PREVIOUS, holds_state, read_newest_state

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
        "test.batch_size",
        "train.evaluate_every",
        "train.report",
        "train.save_every",
        *(f"recipe.{note}" for note in RecipeNotes.model_fields),
    }
)
"""Settings that may differ between the parts of one run: they leave each step as it is.

Files may have moved; that the persons to learn from are the same ones is checked by itself.
"""

BATCH_SETTINGS = frozenset({"train.batch_size", "train.accumulate"})
"""Settings that may differ if the crops of a step, of all processes, stay as many."""


CONFIG = "config.yaml"
STATES = "states and weights"
"""What a run needs room for."""


class RunMismatch(ValueError):
    """The run in a folder was started with other settings or other data."""


@dataclass
class EpochPart:
    """What the finished steps of an epoch sum up to.

    Attributes:
        steps: Finished optimiser steps.
        samples: Persons seen, in all processes: the first ones of the epoch's order, which
            resuming leaves out.
        loss_sum: Sum of their losses.
        unreadable: How many of them had an image that could not be read.
        seconds: That the main process spent on them.
        seconds_waited: Those of them that went by waiting for data.
    """

    steps: int = 0
    samples: int = 0
    loss_sum: float = 0.0
    unreadable: int = 0
    seconds: float = 0.0
    seconds_waited: float = 0.0


@dataclass
class Progressed:
    """How far a run has come; saved with the weights, so that it resumes exactly.

    Attributes:
        epoch: Finished epochs.
        step: Finished optimiser steps.
        best_score: Highest AP (MPII: PCKh) so far; -inf before the first evaluation.
        lines: What ``metrics.jsonl`` holds: a dict per finished epoch.
        part: Of the epoch that is not finished.
        seconds_before: Spent on the finished epochs, not rounded as their lines are.
    """

    epoch: int = 0
    step: int = 0
    best_score: float = -math.inf
    lines: list[dict[str, Any]] = field(default_factory=list)
    part: EpochPart = field(default_factory=EpochPart)
    seconds_before: float = 0.0

    @property
    def seconds(self) -> float:
        """Spent on learning so far, evaluations apart."""
        return self.seconds_before + self.part.seconds

    def place(self, epochs: int, steps_per_epoch: int) -> str:
        """How far that is, in words."""
        if self.part.steps:
            step = f"step {self.part.steps:,} of {steps_per_epoch:,}"
            return f"at epoch {self.epoch + 1} of {epochs}, {step}"
        return f"after epoch {self.epoch} of {epochs}"

    def finish_epoch(self, rate: float) -> None:
        """Turn the part, of which nothing is left to do, into the epoch's line.

        Args:
            rate: The learning rate of its last step.
        """
        part = self.part
        self.epoch += 1
        self.seconds_before += part.seconds
        self.lines.append(
            {
                "epoch": self.epoch,
                "step": self.step,
                "loss": part.loss_sum / part.samples,
                "lr": rate,
                "seconds": round(part.seconds, 2),
                "samples_per_second": round(part.samples / part.seconds, 1),
                "data_wait": round(part.seconds_waited / part.seconds, 4),
                "unreadable": part.unreadable,
            }
        )
        self.part = EpochPart()

    def note_scores(self, scores: Mapping[str, float]) -> bool:
        """Put the last epoch's scores into its line; returns whether they are the best so far."""
        self.lines[-1] |= scores
        score = scores[main_number(scores) or "AP"]
        is_best = score > self.best_score
        self.best_score = max(score, self.best_score)
        return is_best

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progressed:
        """What was saved; earlier versions called the best score ``best_ap``, and had no part."""
        named = {"best_score" if k == "best_ap" else k: v for k, v in values.items()}
        return TypeAdapter(cls).validate_python(named)


_MALFORMED = (
    LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError
)  # fmt: skip
"""What is raised where a state holds something else than was saved, by torch, too."""


@contextmanager
def of_a_run(folder: Path) -> Iterator[None]:
    """While something is taken from a saved state: what it lacks is one sentence.

    Raises:
        ValueError: If the state is none that a training of ours could go on from.
    """
    try:
        yield
    except (RunMismatch, torch.OutOfMemoryError):
        raise
    except _MALFORMED as error:
        raise ValueError(
            f"{folder / LAST} is no state of a training that can go on "
            f"({type(error).__name__}: {one_line(error)}); choose another --output, or move it "
            "away"
        ) from None


def fingerprint(people: People) -> str:
    """A hash of the persons to learn from: who they are, where, in which order."""
    digest = hashlib.sha256()
    for column in (people.image_index, people.boxes_xywh, people.keypoints_image):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def run_facts(
    card: ModelCard, config: Config, people: People, processes: int = 1
) -> dict[str, Any]:
    """What is saved with every state of a run, and stays the same throughout."""
    return {
        "card": card.to_dict(),
        "config": config.model_dump(mode="json"),
        "people": fingerprint(people),
        "processes": processes,
    }


def restore_place(
    saved: Mapping[str, Any],
    device: torch.device,
    *,
    crops: int,
    persons: int,
    steps_per_epoch: int,
) -> Progressed:
    """How far a saved run has come; sets the random number generators as they were.

    Args:
        saved: From `load_run`.
        device: Where the run goes on.
        crops: Of an optimiser step of all processes, from now on.
        persons: In an epoch.
        steps_per_epoch: From now on.
    """
    torch.set_rng_state(saved["rng"])
    if device.type == "cuda" and "cuda_rng" in saved:
        torch.cuda.set_rng_state(saved["cuda_rng"], device)
    done = Progressed.from_dict(saved["progressed"])
    before = crops_per_step_before(saved)
    if before == crops:
        return done
    log.info("the run had %s per step, and goes on with %d", counted(before, "crop"), crops)
    return at_other_batch(done, crops, persons, steps_per_epoch)


def run_progress(done: Progressed, device: torch.device) -> dict[str, Any]:
    """What is saved of the place that a run has come to, besides network and optimiser."""
    progress = {"progressed": asdict(done), "rng": torch.get_rng_state()}
    if device.type == "cuda":
        progress["cuda_rng"] = torch.cuda.get_rng_state(device)
    return progress


def at_other_batch(
    done: Progressed, crops_per_step: int, persons: int, steps_per_epoch: int
) -> Progressed:
    """The place of a run that goes on with more or fewer crops in a step than it had.

    It goes on with the next person of the epoch. Its steps are counted as if all had been of the
    new size, so that the learning rate falls in the same epochs, and ends where it should.

    Args:
        done: The place as it was saved; not changed.
        crops_per_step: Of all processes, from now on.
        persons: In an epoch.
        steps_per_epoch: From now on.
    """
    left = math.ceil((persons - done.part.samples) / crops_per_step)
    part = replace(done.part, steps=steps_per_epoch - left)
    return replace(done, step=done.epoch * steps_per_epoch + part.steps, part=part)


def bytes_to_come(model: nn.Module, config: Config, folder: Path) -> int:
    """About what a run will write to its folder, less what it will write over.

    Three states, one of them half-written, and two times the best weights.
    """
    weights: int = sum(value.nbytes for value in model.state_dict().values())
    moments = 1 if config.optimizer.name == "sgd" else 2
    state = (1 + moments + (config.train.ema_decay is not None)) * weights
    there = [folder / name for name in (LAST, PREVIOUS, BEST)]
    replaced = sum(path.stat().st_size for path in there if path.exists())
    return max(0, 3 * state + 2 * weights - replaced)


def load_run(
    folder: Path, config: Config, people: People, resume: Resume, processes: int = 1
) -> dict[str, Any] | None:
    """The last whole state that a run saved, or None where a run starts afresh.

    It may go on with another number of processes.

    Raises:
        RunMismatch: If the folder holds a run and `resume` is never, or settings or persons
            differ.
        ValueError: If what it holds is damaged, or it holds no run and `resume` is must.
    """
    if resume == "never":
        if holds_state(folder):
            raise RunMismatch(
                f"{folder} holds a training run already; pass --resume to continue it, "
                "or choose another --output"
            )
        return None
    state = read_newest_state(folder)
    if state is None:
        if resume == "must":
            raise ValueError(
                f"{folder} holds no run to resume; check --output, or leave out --resume must"
            )
        return None
    with of_a_run(folder):
        changed = _changed_settings(state, config, processes)
        persons = state["people"]
    if changed:
        raise RunMismatch(
            f"{folder} was started with other settings: {', '.join(changed)}; "
            "resume with the same ones, or choose another --output"
        )
    if persons != fingerprint(people):
        first = config.data.training_sources[0]
        source = first.shards if isinstance(first, CropShards) else first.annotations
        raise RunMismatch(
            f"{folder} was started on other persons than those of {source}; "
            "resume on the same data, or choose another --output"
        )
    return state


def crops_per_step(config: Config, processes: int) -> int:
    """Crops that an optimiser step of all processes learns from."""
    return config.train.batch_size * config.train.accumulate * processes


def crops_per_step_before(state: Mapping[str, Any]) -> int:
    """The same of the run that saved a state; earlier versions had one process."""
    train, processes = state["config"]["train"], state.get("processes", 1)
    crops: int = train["batch_size"] * train.get("accumulate", 1) * processes
    return crops


def _changed_settings(state: Mapping[str, Any], config: Config, processes: int) -> list[str]:
    """The settings that differ, with both values, of those that must not."""
    before, may_change = state["config"], RESUMABLE_CHANGES
    # A setting that came later than the run had its default, which is to change nothing.
    with suppress(ValidationError):
        before = Config.model_validate(before).model_dump(mode="json")
    if crops_per_step_before(state) == crops_per_step(config, processes):
        may_change |= BATCH_SETTINGS
    old, new = dotted_keys(before), dotted_keys(config.model_dump(mode="json"))
    schedule = config.optimizer.schedule
    return [
        f"{key} ({shown(old.get(key))} before, {shown(new.get(key))} now)"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        and re.sub(r"\.\d+\.", ".", key) not in may_change
        # A step schedule does not look at the end; a cosine, or one over minutes, would jump.
        and not (key == "train.epochs" and schedule == "step" and config.train.minutes is None)
    ]
