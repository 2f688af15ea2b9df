"""Set up a training run, and let it go on to its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.loader import crop_loader, end_workers
from pose_hrnet.evaluation.evaluate import load_evaluation_set
from pose_hrnet.models.weights.load import initialise
from pose_hrnet.system.choices import LoggerName, Resume
from pose_hrnet.system.distributed import World, wrap
from pose_hrnet.system.files import check_room, write_text
from pose_hrnet.system.interrupts import Interrupts
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import check_first_images, training_crops, training_data
from pose_hrnet.training.loggers import RunLogger, check_loggers, open_loggers
from pose_hrnet.training.loop import TrainingRun
from pose_hrnet.training.losses import build_loss
from pose_hrnet.training.optimizer import build_optimizer, rate_schedule, scaled_rate
from pose_hrnet.training.pictures import Showcase
from pose_hrnet.training.report import Report
from pose_hrnet.training.run_folder import (
    Progressed,
    at_other_batch,
    bytes_to_come,
    crops_per_step,
    crops_per_step_before,
    held,
    load_run,
    restore_progress,
    run_facts,
)
from pose_hrnet.training.states import BEST, CheckpointWriter
from pose_hrnet.training.step import TrainingStep
from pose_hrnet.training.summary import Tell, log_facts, summarize

log = logging.getLogger(__name__)


def train(
    config: Config,
    output: Path,
    *,
    resume: Resume = "never",
    device: str = "auto",
    world: World | None = None,
    loggers: Sequence[LoggerName] | None = None,
    progress: Progress = SILENT,
    tell: Tell = log_facts,
) -> Path:
    """Train a model; see `pose_hrnet.training.run_folder` for what it leaves in `output`.

    Several processes call it alike; see `pose_hrnet.cli.processes.joined`.

    Args:
        config: Everything that decides the run.
        output: Folder of the run.
        resume: Whether to continue the run that the folder holds.
        device: ``auto``, ``cpu``, ``cuda`` ...
        world: The processes that learn together, each on batches of its own; None: this one.
        loggers: Get numbers and pictures, too; None: TensorBoard where it is installed.
        progress: Watches.
        tell: Takes the summaries of start and end, in the main process.

    Returns:
        Path of the best checkpoint.

    Raises:
        ValueError: If the folder holds a run and `resume` is never, or that run was started with
            other settings; if the data is malformed; if the pretrained weights do not fit.
        OSError: If the folder cannot take what will be written, or the last state was not saved.
        FloatingPointError: If a loss is not finite; the weights are those before that step.
        BatchTooLarge: If memory does not suffice for a step; names the batch that would fit.
        Interrupted: On SIGINT or SIGTERM, to any of several processes, when the step is finished
            and the run is saved.
        ProcessLost: If another process ended.
    """
    check_loggers(loggers or (), output)
    world = world or World.alone()
    where = world.device(device)
    torch.manual_seed(config.train.seed)
    model, card = build_model(config)
    world.on_main(lambda: check_room(output, bytes_to_come(model, config, output)))
    loss = build_loss(
        config.loss.name,
        card.skeleton,
        top_k=config.loss.top_k,
        keypoint_weights=config.loss.keypoint_weights,
        device=where,
    )
    data = training_data(config, card, world)
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
    # Before anything is read or written there: a run that another process is at stays as it is.
    with held(output) if world.is_main else nullcontext():
        saved = world.on_main(lambda: load_run(output, config, people, resume, world.size))
        if config.model.pretrained is not None and saved is None:
            taken = initialise(model, config.model.pretrained, card.skeleton.keypoint_names)
            log.info("%s", taken.summary())
        model.to(where)
        if config.train.channels_last:
            model.to(memory_format=torch.channels_last)
        learner = wrap(model, world, sync_batchnorm=config.train.sync_batchnorm)
        optimizer = build_optimizer(learner, config.optimizer)
        step = TrainingStep(learner, card.codec, optimizer, loss, config, where, people)

        crops = crops_per_step(config, world.size)
        steps_per_epoch = math.ceil(len(loader) / config.train.accumulate)
        base_rate = scaled_rate(config.optimizer, crops)
        is_resumed = saved is not None
        done = Progressed()
        if saved is not None:
            step.load_state_dict(saved)
            done = _place(saved, where, crops, len(people), steps_per_epoch)
            del saved  # as large as the network and its optimiser
        elif resume != "never":
            log.info("%s holds no run to resume; a new one starts", output)
        if not world.on_main((output / BEST).exists):
            done.best_score = -math.inf

        opened: Sequence[RunLogger] = ()
        if world.is_main:
            write_text(output / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
            opened = open_loggers(loggers, output, config.model_dump(mode="json"), done.epoch)
        report = Report(
            output,
            done.epoch,
            epochs=config.train.epochs,
            minutes=config.train.minutes,
            loggers=opened,
            tell=tell,
        )
        try:
            run = TrainingRun(
                config=config,
                output=output,
                model=model,
                card=card,
                step=step,
                sampler=data.sampler,
                loader=loader,
                steps_per_epoch=steps_per_epoch,
                rate=rate_schedule(
                    config.optimizer.model_copy(update={"lr": base_rate}),
                    steps_per_epoch,
                    config.train.epochs,
                    config.train.minutes,
                ),
                facts=run_facts(card, config, people, world.size),
                done=done,
                device=where,
                report=report,
                showcase=Showcase(held_out),
                progress=progress,
                world=world,
            )
            if is_resumed:
                log.info("%s", run.where_it_goes_on())
            if world.is_main:
                summary = summarize(
                    config, card, data, held_out, where, rate=base_rate, processes=world.size
                )
                report.start(summary.facts(config, place=run.place() if is_resumed else None))
            with (
                Interrupts() as interrupts,
                CheckpointWriter(output) if world.is_main else nullcontext() as checkpoints,
            ):
                run.to_the_end(interrupts, checkpoints)
        finally:
            end_workers(loader)
            report.close()
    return output / BEST


def _place(
    saved: Mapping[str, Any],
    device: torch.device,
    crops: int,
    persons: int,
    steps_per_epoch: int,
) -> Progressed:
    """How far a saved run has come, in steps of so many crops; restores its random numbers."""
    done = restore_progress(saved, device)
    before = crops_per_step_before(saved)
    if before == crops:
        return done
    log.info("the run had %s per step, and goes on with %d", counted(before, "crop"), crops)
    return at_other_batch(done, crops, persons, steps_per_epoch)
