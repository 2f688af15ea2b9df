"""The training loop, in reading order: set up, then per epoch learn, save, evaluate, report."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.data import DataLoader

from pose_hrnet.checkpointing import BEST, LAST, PREVIOUS, CheckpointWriter
from pose_hrnet.config import Config
from pose_hrnet.data.crops import Crop, EpochSampler, crop_loader, end_workers
from pose_hrnet.data.shards import ShardSampler
from pose_hrnet.device import pick_device
from pose_hrnet.epoch import Epoch
from pose_hrnet.evaluate import evaluate, load_evaluation_set
from pose_hrnet.files import check_room, write_text
from pose_hrnet.interrupts import Interrupted, Interrupts
from pose_hrnet.losses import build_loss
from pose_hrnet.metrics.main_number import main_number
from pose_hrnet.models.build import PoseNetwork
from pose_hrnet.models.weights import ModelCard, initialise
from pose_hrnet.progress import SILENT, Progress
from pose_hrnet.run_folder import (
    Progressed,
    Resume,
    load_run,
    restore_progress,
    run_facts,
    run_progress,
)
from pose_hrnet.run_report import Report, read_metrics
from pose_hrnet.training_data import (
    check_first_images,
    training_crops,
    training_data,
)
from pose_hrnet.training_model import build_model
from pose_hrnet.training_step import TrainingStep, build_optimizer, rate_schedule

log = logging.getLogger(__name__)


def train(
    config: Config,
    output: Path,
    *,
    resume: Resume = "never",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Train a model; see `pose_hrnet.run_folder` for what it leaves in `output`.

    Args:
        config: Everything that decides the run.
        output: Folder of the run.
        resume: Whether to continue the run that the folder holds.
        device: ``auto``, ``cpu``, ``cuda`` ...
        progress: Watches.

    Returns:
        Path of the best checkpoint.

    Raises:
        ValueError: If the folder holds a run and `resume` is never, or that run was started with
            other settings; if the data is malformed; if the pretrained weights do not fit.
        OSError: If the folder cannot take what will be written, or the last state was not saved.
        FloatingPointError: If a loss is not finite; the weights are those before that step.
        Interrupted: On SIGINT or SIGTERM, when the step is finished and the run is saved.
    """
    where = pick_device(device)
    torch.manual_seed(config.train.seed)
    model, card = build_model(config)
    check_room(output, _bytes_to_come(model, config, output))
    loss = build_loss(
        config.loss.name,
        card.skeleton,
        top_k=config.loss.top_k,
        keypoint_weights=config.loss.keypoint_weights,
        device=where,
    )
    data = training_data(config, card)
    people = data.people
    loader = crop_loader(
        training_crops(config, card, data),
        batch_size=config.train.batch_size,
        workers=config.data.workers,
        sampler=data.sampler,
        pin_memory=where.type == "cuda",
    )
    # Read now, so that a fault shows before the first epoch and not behind it.
    held_out = load_evaluation_set(
        config.data.val, card.skeleton, min_box_score=config.test.min_box_score
    )
    check_first_images(config.data.val, held_out.people)
    saved = load_run(output, config, people, resume)
    if config.model.pretrained is not None and saved is None:
        taken = initialise(model, config.model.pretrained, card.skeleton.keypoint_names)
        log.info("%s", taken.summary())
    model.to(where)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, config.optimizer)
    step = TrainingStep(model, card.codec, optimizer, loss, config, where, people)
    steps = math.ceil(len(loader) / config.train.accumulate)
    facts = run_facts(card, config, people)
    done = Progressed()
    if saved is not None:
        step.load_state_dict(saved)
        done = restore_progress(saved, where)
    elif resume != "never":
        log.info("%s holds no run to resume; a new one starts", output)
    if saved is None or not (output / BEST).exists():
        done.best_score = -math.inf

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    run = _Run(config, output, model, card, step, data.sampler, loader, steps, facts, done, where)
    if saved is not None:
        log.info("%s", run.where_it_goes_on())
    report = Report(output, done.epoch)
    try:
        with Interrupts() as interrupts, CheckpointWriter(output) as checkpoints:
            run.to_the_end(interrupts, checkpoints, report, progress)
    finally:
        end_workers(loader)
        report.close()
    return output / BEST


@dataclass(frozen=True)
class _Run:
    """What the loop works with; only `done`, and what `step` holds, change."""

    config: Config
    output: Path
    model: PoseNetwork
    card: ModelCard
    step: TrainingStep
    sampler: EpochSampler | ShardSampler
    loader: DataLoader[Crop]
    steps_per_epoch: int
    facts: dict[str, Any]
    done: Progressed
    device: torch.device

    def to_the_end(
        self,
        interrupts: Interrupts,
        checkpoints: CheckpointWriter,
        report: Report,
        progress: Progress,
    ) -> None:
        """Learn, save, evaluate and report, epoch by epoch from where the run is."""
        try:
            while True:
                if self.evaluation_is_due():
                    with interrupts.abandoning():
                        scores = self.score(progress)
                    self.save(checkpoints, is_best=_note_scores(self.done, scores))
                _show(report, self.done)
                if self.done.epoch >= self.config.train.epochs:
                    return
                self.learn_epoch(interrupts, checkpoints, progress)
                self.save(checkpoints)
        except Interrupted as stop:
            checkpoints.finish()
            raise Interrupted(
                stop.signal,
                f"stopped {self.place()}; saved; the same command with --resume goes on",
            ) from None

    def learn_epoch(
        self, interrupts: Interrupts, checkpoints: CheckpointWriter, progress: Progress
    ) -> None:
        """Do the steps that are left of an epoch; between them, save when it is time, or stop."""
        done, train = self.done, self.config.train
        rate = rate_schedule(self.config.optimizer, self.steps_per_epoch, train.epochs)
        self.sampler.epoch, self.sampler.start = done.epoch, done.part.samples
        title = f"epoch {done.epoch + 1}/{train.epochs}"
        total = len(self.step.people)
        with progress.task(title, total=total, unit="samples") as bar:
            epoch = Epoch(self.step, self.loader, rate, done, accumulate=train.accumulate, bar=bar)
            for _ in epoch.steps():
                stop = interrupts.received
                if stop or (train.save_every and done.part.steps % train.save_every == 0):
                    epoch.read()
                    self.save(checkpoints)
                if stop:
                    raise Interrupted(stop)
        epoch.finish()

    def save(self, checkpoints: CheckpointWriter, *, is_best: bool = False) -> None:
        """Save everything that resuming needs, and the weights to keep if they are the best."""
        progress = run_progress(self.done, self.device)
        best = (self.step.weights(), self.card) if is_best else None
        checkpoints.save({**self.facts, **self.step.state_dict(), **progress}, best)

    def evaluation_is_due(self) -> bool:
        """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
        done, train = self.done, self.config.train
        fresh = bool(done.lines) and done.part.steps == 0
        due = done.epoch >= train.epochs or done.epoch % train.evaluate_every == 0
        return fresh and due and main_number(done.lines[-1]) is None

    def score(self, progress: Progress) -> dict[str, float]:
        """The metric's numbers on the validation set, in the training's arithmetic."""
        evaluation = evaluate(
            self.step.to_score(self.model),
            self.card,
            self.config.data.val,
            self.config.test,
            device=self.device,
            precision=self.config.train.precision,
            workers=self.config.data.workers,
            progress=progress,
        )
        return dict(evaluation.scores.values)

    def place(self) -> str:
        """How far the run has come, in words."""
        part, epochs = self.done.part, self.config.train.epochs
        if part.steps:
            step = f"step {part.steps} of {self.steps_per_epoch}"
            return f"at epoch {self.done.epoch + 1} of {epochs}, {step}"
        return f"after epoch {self.done.epoch} of {epochs}"

    def where_it_goes_on(self) -> str:
        """What to say of a run that is resumed."""
        done, epochs = self.done, self.config.train.epochs
        if done.epoch < epochs or self.evaluation_is_due():
            return f"resumed {self.place()}"
        best = f"best {main_number(done.lines[-1])} {done.best_score:.3f}"
        return f"the run in {self.output} is finished: {done.epoch} of {epochs} epochs, {best}"


def _note_scores(done: Progressed, scores: dict[str, float]) -> bool:
    """Put scores into the last epoch's line; returns whether they are the best so far."""
    done.lines[-1] |= scores
    score = scores[main_number(scores) or "AP"]
    best = score > done.best_score
    done.best_score = max(score, done.best_score)
    return best


def _show(report: Report, done: Progressed) -> None:
    """Report the last finished epoch, unless that was done before; a full disk does not end it."""
    try:
        shown = read_metrics(report.path)
    except ValueError:  # others have changed it
        shown = []
    if not done.lines or done.lines == shown:
        return
    try:
        report.show(done.lines)
    except OSError as error:
        log.warning("%s could not be written (%s)", report.path, error)


def _bytes_to_come(model: PoseNetwork, config: Config, output: Path) -> int:
    """About what the run will write, less what it will write over.

    Three states, one of them half-written, and two times the best weights.
    """
    weights: int = sum(value.nbytes for value in model.state_dict().values())
    moments = 1 if config.optimizer.name == "sgd" else 2
    state = (1 + moments + (config.train.ema_decay is not None)) * weights
    there = [output / name for name in (LAST, PREVIOUS, BEST)]
    held = sum(path.stat().st_size for path in there if path.exists())
    return max(0, 3 * state + 2 * weights - held)
