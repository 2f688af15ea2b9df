"""``pose-hrnet train``: learn as a configuration says, or try that out."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from pose_hrnet.cli.console import (
    BAD_INPUT,
    HERE,
    RichProgress,
    one_sentence_errors_of_all,
    refuse_several,
)
from pose_hrnet.cli.options import (
    Device,
    Offline,
    Output,
    ResumeOption,
    one_of,
)
from pose_hrnet.cli.tables import print_checks, print_facts
from pose_hrnet.system.choices import LoggerName
from pose_hrnet.system.text import parse_names


@one_sentence_errors_of_all
def train(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a recipe.")],
    output: Output,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
    ] = None,
    resume: ResumeOption = "never",
    device: Device = "auto",
    logger: Annotated[
        list[str] | None,
        typer.Option(
            metavar=one_of(LoggerName),
            help="May be repeated; else TensorBoard where it is installed.",
        ),
    ] = None,
    try_out: Annotated[
        bool, typer.Option("--dry-run", help="Check data, memory, folder and speed, and leave.")
    ] = False,
    offline: Offline = False,
) -> None:
    """Train a model as a configuration says.

    Ctrl-C, SIGTERM or a closed terminal: the step is finished and the run saved; once more, and
    it exits at once.
    With --dry-run nothing is written, and the exit code is 2 if something would stop the run.

    Several processes, on a GPU each, learn from batches of their own in every step:
    `torchrun --nproc-per-node=2 -m pose_hrnet train ...`.

    Example: `pose-hrnet train coco_w32_256x192 --output runs/w32 --set train.batch_size=16`
    """
    from pose_hrnet.config.files import load_config

    loggers = parse_names(",".join(logger), "--logger", get_args(LoggerName)) if logger else None
    if try_out:
        if HERE.size > 1:
            refuse_several("train --dry-run")
        from pose_hrnet.training.dry_run import dry_run

        settings = load_config(config, overrides or ())
        checks = dry_run(settings, output, resume=resume, device=device, loggers=loggers or ())
        print_checks(checks)
        if any(check.result == "fault" for check in checks):
            raise typer.Exit(BAD_INPUT)
        return
    from pose_hrnet.cli.processes import distributed_command
    from pose_hrnet.training.train import train as run_training

    with distributed_command(device) as world:
        settings = load_config(config, overrides or ())
        run_training(
            settings,
            output,
            resume=resume,
            device=device,
            world=world,
            loggers=loggers,
            progress=RichProgress(),
            tell=print_facts,
        )
