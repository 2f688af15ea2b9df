"""The training loop, in reading order: set up, then per epoch learn, evaluate, save, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.data import DataLoader

from pose_hrnet.config import Config
from pose_hrnet.data.crops import Crop, crop_loader, end_workers
from pose_hrnet.device import pick_device
from pose_hrnet.evaluate import Evaluation, evaluate, load_evaluation_set, own_decoder
from pose_hrnet.files import write_text
from pose_hrnet.loggers import LoggerName, check_loggers, open_loggers
from pose_hrnet.losses import build_loss
from pose_hrnet.memory import named_out_of_memory, trial
from pose_hrnet.metrics.main_number import main_number
from pose_hrnet.models.build import PoseNetwork
from pose_hrnet.models.weights import ModelCard, initialise, save_model
from pose_hrnet.progress import SILENT, Bar, Progress
from pose_hrnet.run_folder import Progressed, load_run, save_run
from pose_hrnet.run_report import Report
from pose_hrnet.run_summary import Tell, log_facts, summarize
from pose_hrnet.showcase import Showcase
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
    resume: bool = False,
    device: str = "auto",
    loggers: Sequence[LoggerName] | None = None,
    progress: Progress = SILENT,
    tell: Tell = log_facts,
) -> Path:
    """Train a model; see `pose_hrnet.run_folder` for what it leaves in `output`.

    Args:
        config: Everything that decides the run.
        output: Folder of the run.
        resume: Continue the run that the folder holds, if it holds one.
        device: ``auto``, ``cpu``, ``cuda`` ...
        loggers: Get numbers and pictures, too; None: TensorBoard where it is installed.
        progress: Watches.
        tell: Takes the summaries of start and end.

    Returns:
        Path of the best checkpoint.

    Raises:
        ValueError: If the folder holds a run and `resume` is off, or that run was started with
            other settings; if the data is malformed; if the pretrained weights do not fit.
        FloatingPointError: If a loss is not finite; the weights are those before that step.
        BatchTooLarge: If memory does not suffice for a step; names the batch that would fit.
    """
    check_loggers(loggers or ())
    where = pick_device(device)
    last, best = output / "last.pt", output / "best.safetensors"
    torch.manual_seed(config.train.seed)
    model, card = build_model(config)
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
    saved = load_run(last, config, people, resume)
    if config.model.pretrained is not None and saved is None:
        report = initialise(model, config.model.pretrained, card.skeleton.keypoint_names)
        log.info("%s", report.summary())
    model.to(where)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, config.optimizer)
    rate = rate_schedule(config.optimizer, len(loader), config.train.epochs)
    done = Progressed()
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done = Progressed.from_dict(saved["progressed"])
        log.info("resumed after epoch %d of %d", done.epoch, config.train.epochs)
    elif resume:
        log.info("%s holds no run to resume; a new one starts", output)

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    step = TrainingStep(model, card.codec, optimizer, loss, config, where, people)
    opened = open_loggers(loggers, output, config.model_dump(mode="json"), done.epoch)
    run_report = Report(output, done.epoch, epochs=config.train.epochs, loggers=opened, tell=tell)
    decoder = own_decoder(card, config.test, config.train.precision)
    showcase = Showcase(card, held_out, decoder, where)
    summary = summarize(config, card, data, held_out, where)
    run_report.start(summary.facts(config, finished_epochs=done.epoch))

    try:
        while True:
            if _evaluation_is_due(done, config):
                evaluation = _score(model, card, config, where, progress)
                run_report.pictures(showcase.pictures(evaluation.poses, model), done.epoch)
                scores = dict(evaluation.scores.values)
                done.lines[-1] |= scores
                score = scores[main_number(scores) or "AP"]
                if score > done.best_score or not best.exists():
                    done.best_score = score
                    save_model(best, model.state_dict(), card)
                save_run(last, model, optimizer, card, config, people, done)
            if done.lines:
                run_report.show(done.lines)
            if done.epoch >= config.train.epochs:
                break
            data.sampler.epoch = done.epoch
            title = f"epoch {done.epoch + 1}/{config.train.epochs}"
            with (
                named_out_of_memory(trial(step, card), config.train, where),
                progress.task(title, total=len(people), unit="samples") as bar,
            ):
                timed = run_report.timed(bar, len(people), done.epoch)
                line = learn_epoch(step, loader, rate, done, timed)
            done.epoch += 1
            done.lines.append({"epoch": done.epoch, "step": done.step, **line})
            save_run(last, model, optimizer, card, config, people, done)
        run_report.finish(done.lines, best)
    except KeyboardInterrupt:
        log.info("saved up to epoch %d; the same command with --resume goes on", done.epoch)
        raise
    finally:
        end_workers(loader)
        run_report.close()
    return best


def _evaluation_is_due(done: Progressed, config: Config) -> bool:
    """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
    ends = done.epoch >= config.train.epochs or done.epoch % config.train.evaluate_every == 0
    return bool(done.lines) and ends and main_number(done.lines[-1]) is None


def learn_epoch(
    step: TrainingStep,
    loader: DataLoader[Crop],
    rate: Callable[[int], float],
    done: Progressed,
    bar: Bar,
) -> dict[str, Any]:
    """One pass over the training persons; counts steps in `done` and returns the epoch's line."""
    step.model.train()
    began = time.perf_counter()
    waited, total_loss, samples, unreadable = 0.0, 0.0, 0, 0
    for number, (batch, seconds) in enumerate(_timed(loader)):
        waited += seconds
        name = f"epoch {done.epoch + 1}, batch {number}"
        loss = step(batch, rate(done.step), name)
        size = len(batch.pixels)
        total_loss += loss * size
        samples += size
        unreadable += size - int(torch.as_tensor(batch.readable).sum())
        done.step += 1
        share = waited / (time.perf_counter() - began)
        bar.advance(size, note=f"loss {total_loss / samples:.2e}, waiting for data {share:.0%}")
    seconds = time.perf_counter() - began
    return {
        "loss": total_loss / samples,
        "lr": rate(done.step - 1),
        "seconds": round(seconds, 2),
        "samples_per_second": round(samples / seconds, 1),
        "data_wait": round(waited / seconds, 4),
        "unreadable": unreadable,
    }


def _timed(loader: DataLoader[Crop]) -> Iterator[tuple[Crop, float]]:
    """Batches, each with the seconds that were spent waiting for it."""
    batches = iter(loader)
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began


def _score(
    model: PoseNetwork, card: ModelCard, config: Config, device: torch.device, progress: Progress
) -> Evaluation:
    """The metric's numbers on the validation set, in the training's arithmetic."""
    return evaluate(
        model,
        card,
        config.data.val,
        config.test,
        device=device,
        precision=config.train.precision,
        workers=config.data.workers,
        progress=progress,
    )
