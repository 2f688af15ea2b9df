"""Set up a training run, and let it go on to its end."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import yaml

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.data.loader import end_workers
from pose_hrnet.evaluation.evaluate import METRICS_FILE
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.arguments import check_choice, check_choices, check_kind
from pose_hrnet.system.choices import LoggerName, Resume
from pose_hrnet.system.distributed import World
from pose_hrnet.system.files import write_text
from pose_hrnet.system.folders import check_room, move_aside, owned
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.interrupts import Interrupts
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.training.assemble import Assembly
from pose_hrnet.training.data import learnt_from_too
from pose_hrnet.training.loggers import check_loggers, open_loggers
from pose_hrnet.training.loop import TrainingRun
from pose_hrnet.training.origin import add_origin
from pose_hrnet.training.report import CURVE, KEPT_PICTURES, METRICS, Report
from pose_hrnet.training.run_folder import (
    CONFIG,
    STATES,
    Progressed,
    bytes_to_come,
    load_run,
    of_a_run,
    restore_place,
)
from pose_hrnet.training.states import BEST, StateWriter
from pose_hrnet.training.summary import Tell, log_facts, summarize

log = logging.getLogger(__name__)

_WRITTEN = (
    BEST, CONFIG, METRICS, CURVE, *(f"{name}.png" for name in KEPT_PICTURES), RESULTS_FILE,
    METRICS_FILE,
)  # fmt: skip
"""By a run, besides its states, and what is moved aside with results anyway."""


def train(
    config: Config,
    output: str | Path,
    *,
    resume: Resume = "never",
    device: str = "auto",
    world: World | None = None,
    loggers: Sequence[LoggerName] | None = None,
    progress: Progress = SILENT,
    tell: Tell = log_facts,
) -> Path:
    """Train a model; see `pose_hrnet.training.run_folder` for what it leaves in `output`.

    Several processes call it alike; see `pose_hrnet.cli.processes.distributed_command`.

    Args:
        config: Everything that decides the run.
        output: Folder of the run. What else lies there under the names of a new run's files is
            moved aside.
        resume: Whether to continue the run that the folder holds.
        device: ``auto``, ``cpu``, ``cuda`` ...
        world: The processes that learn together, each on batches of its own; None: this one.
        loggers: Get numbers and pictures, too; None: TensorBoard where it is installed.
        progress: Watches.
        tell: Takes the summaries of start and end, in the main process.

    Returns:
        Path of the best weights.

    Raises:
        FolderBusy: If another process works in the folder.
        ValueError: If the folder holds a run and `resume` is never, or that run was started with
            other settings; if the data is malformed; if the pretrained weights do not fit; if an
            argument is none of its choices.
        OSError: If the folder cannot take what will be written, or the last state was not saved.
        FloatingPointError: If a loss is not finite; the weights are those before that step.
        BatchTooLarge: If memory does not suffice for a step; names the batch that would fit.
        Interrupted: On SIGINT, SIGTERM or SIGHUP, to any of several processes, when the step is
            finished and the run is saved.
        ProcessLost: If another process ended.
    """
    check_kind("config", config, Config, "load_config gives one")
    check_choice("resume", resume, Resume)
    check_choices("loggers", loggers or (), LoggerName)
    output = Path(output)
    check_loggers(loggers or (), output)
    world = world or World.alone()
    parts = Assembly(config, world.device(device), world)
    world.on_main(lambda: check_room(output, bytes_to_come(parts.model, config, output), STATES))
    parts.read()
    if world.is_main and (words := other_batch(config, parts.crops_per_step)):
        log.warning("%s", words)
    held_out = parts.held_out.people
    if world.is_main and (words := learnt_from_too(parts.data, config.data.val, held_out)):
        log.warning("%s", words)
    # Before anything is read or written there: a run that another process is at stays as it is.
    with owned(output) if world.is_main else nullcontext():
        done = _begin(parts, output, resume, progress)
        is_resumed = done is not None
        done = done or Progressed()
        if not world.on_main((output / BEST).exists):
            done.best_score = -math.inf
        settings = config.model_dump(mode="json")
        opened = []
        if world.is_main:
            written = yaml.safe_dump(settings)
            if not is_resumed:
                _make_way(output, written)
            write_text(output / CONFIG, written)
            add_origin(output, str(parts.device))
            opened = open_loggers(loggers, output, settings, done.epoch)
        report = Report(
            output,
            done.epoch,
            epochs=config.train.epochs,
            minutes=config.train.minutes,
            loggers=opened,
            tell=tell,
        )
        try:
            with (
                Interrupts() as interrupts,
                StateWriter(output) if world.is_main else nullcontext() as writer,
            ):
                run = TrainingRun(
                    parts, done, output, report, interrupts, writer, progress=progress
                )
                if is_resumed:
                    log.info("%s", run.where_it_goes_on())
                if world.is_main:
                    place = run.place() if is_resumed else None
                    report.start(summarize(parts).facts(config, place=place))
                run.to_the_end()
        finally:
            end_workers(parts.loader)
            report.close()
    return output / BEST


def other_batch(config: Config, crops_per_step: int) -> str | None:
    """What to know where a step has other crops than the recipe's number was published with.

    Args:
        config: Of the run; `lr_batch` sees to the rate by itself.
        crops_per_step: Of all processes.
    """
    published, settings = config.recipe.crops_per_step, config.optimizer
    if published in (None, crops_per_step) or settings.lr_batch is not None:
        return None
    return (
        f"a step learns from {crops_per_step} crops at the rate {settings.lr:g}, and the recipe's "
        f"number was published with {published} crops a step; change train.batch_size or "
        "train.accumulate, or set optimizer.lr_batch to the crops that the rate is meant for"
    )


def _make_way(output: Path, settings: str) -> None:
    """Move aside what a new run would write over, but a configuration that is its own."""
    for path in (output / name for name in _WRITTEN):
        own = path.name == CONFIG and path.is_file() and read_input(path) == settings.encode()
        if os.path.lexists(path) and not own:
            log.warning("%s is not of this run, and is moved to %s", path, move_aside(path))


def _begin(parts: Assembly, output: Path, resume: Resume, progress: Progress) -> Progressed | None:
    """Give the network what it starts from; returns how far a resumed run is, None for a new."""
    config, world, people = parts.config, parts.world, parts.data.people
    saved = world.on_main(lambda: load_run(output, config, people, resume, world.size))
    if saved is None:
        if resume != "never":
            log.info("%s holds no run to resume; a new one starts", output)
        if config.model.pretrained is not None:
            log.info("%s", parts.start_from_pretrained(progress))
        return None
    step = parts.step  # before it, as of several processes all must ask for it
    with of_a_run(output):
        step.load_state_dict(saved)
        parts.pass_on(ModelCard.from_dict(saved["card"]).note)
        return restore_place(
            saved,
            parts.device,
            crops=parts.crops_per_step,
            persons=len(people),
            steps_per_epoch=parts.steps_per_epoch,
        )
