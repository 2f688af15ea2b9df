"""The training loop, in reading order: set up, then per epoch learn, save, evaluate, report."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from torch import Tensor

from pose_hrnet.checkpointing import BEST, LAST, PREVIOUS, CheckpointWriter
from pose_hrnet.config import Config
from pose_hrnet.data.crops import crop_loader, end_workers
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
        report = initialise(model, config.model.pretrained, card.skeleton.keypoint_names)
        log.info("%s", report.summary())
    model.to(where)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, config.optimizer)
    steps_per_epoch = math.ceil(len(loader) / config.train.accumulate)
    rate = rate_schedule(config.optimizer, steps_per_epoch, config.train.epochs)
    step = TrainingStep(model, card.codec, optimizer, loss, config, where, people)
    facts = run_facts(card, config, people)
    done = Progressed()
    if saved is not None:
        step.load_state_dict({key: saved[key] for key in saved.keys() - facts.keys()})
        done = restore_progress(saved, where)
        _say_resumed(output, done, steps_per_epoch, config)
    elif resume != "never":
        log.info("%s holds no run to resume; a new one starts", output)
    if saved is None or not (output / BEST).exists():
        done.best_score = -math.inf

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    run_report = Report(output, done.epoch)

    with Interrupts() as interrupts, CheckpointWriter(output) as checkpoints:

        def save(best: Mapping[str, Tensor] | None = None) -> None:
            state = {**facts, **step.state_dict(), **run_progress(done, where)}
            checkpoints.save(state, None if best is None else (best, card))

        try:
            while True:
                if _evaluation_is_due(done, config):
                    with interrupts.abandoning():
                        scores = _score(model, card, config, where, progress)
                    save(best=step.weights() if _note_scores(done, scores) else None)
                _show(run_report, done, output)
                if done.epoch >= config.train.epochs:
                    break
                data.sampler.epoch, data.sampler.start = done.epoch, done.part.samples
                title = f"epoch {done.epoch + 1}/{config.train.epochs}"
                with progress.task(title, total=len(people), unit="samples") as bar:
                    epoch = Epoch(
                        step, loader, rate, done, accumulate=config.train.accumulate, bar=bar
                    )
                    for _ in epoch.steps():
                        signal = interrupts.received
                        if signal or _save_is_due(done, config):
                            epoch.read()
                            save()
                        if signal:
                            raise Interrupted(signal)
                epoch.finish()
                save()
        except Interrupted as stop:
            checkpoints.finish()
            place = _place(done, steps_per_epoch, config.train.epochs)
            sentence = f"stopped {place}; saved; the same command with --resume goes on"
            raise Interrupted(stop.signal, sentence) from None
        finally:
            end_workers(loader)
            run_report.close()
    return output / BEST


def _evaluation_is_due(done: Progressed, config: Config) -> bool:
    """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
    ends = done.epoch >= config.train.epochs or done.epoch % config.train.evaluate_every == 0
    fresh = bool(done.lines) and done.part.steps == 0
    return fresh and ends and main_number(done.lines[-1]) is None


def _save_is_due(done: Progressed, config: Config) -> bool:
    """Whether to save within an epoch."""
    every = config.train.save_every
    return every is not None and done.part.steps % every == 0


def _note_scores(done: Progressed, scores: dict[str, float]) -> bool:
    """Put scores into the last epoch's line; returns whether they are the best so far."""
    done.lines[-1] |= scores
    score = scores[main_number(scores) or "AP"]
    best = score > done.best_score
    done.best_score = max(score, done.best_score)
    return best


def _place(done: Progressed, steps: int, epochs: int) -> str:
    """How far a run has come, in words."""
    if done.part.steps:
        return f"at epoch {done.epoch + 1} of {epochs}, step {done.part.steps} of {steps}"
    return f"after epoch {done.epoch} of {epochs}"


def _say_resumed(output: Path, done: Progressed, steps: int, config: Config) -> None:
    """Say where a run goes on, or that it has nothing left to do."""
    epochs = config.train.epochs
    if done.epoch < epochs or _evaluation_is_due(done, config):
        log.info("resumed %s", _place(done, steps, epochs))
        return
    name = main_number(done.lines[-1])
    log.info(
        "the run in %s is finished: %d of %d epochs, best %s %.3f",
        output, done.epoch, epochs, name, done.best_score,
    )  # fmt: skip


def _show(run_report: Report, done: Progressed, output: Path) -> None:
    """Report the last finished epoch, unless that was done before; a full disk does not end it."""
    try:
        shown = read_metrics(output / "metrics.jsonl")
    except ValueError:  # others have changed it
        shown = []
    if not done.lines or done.lines == shown:
        return
    try:
        run_report.show(done.lines)
    except OSError as error:
        log.warning("the metrics in %s could not be written (%s)", output, error)


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


def _score(
    model: PoseNetwork, card: ModelCard, config: Config, device: torch.device, progress: Progress
) -> dict[str, float]:
    """The metric's numbers on the validation set, in the training's arithmetic."""
    evaluation = evaluate(
        model,
        card,
        config.data.val,
        config.test,
        device=device,
        precision=config.train.precision,
        workers=config.data.workers,
        progress=progress,
    )
    return dict(evaluation.scores.values)
