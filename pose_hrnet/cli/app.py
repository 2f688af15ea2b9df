"""The command line: ``pose-hrnet demo | train | evaluate | predict | track | export | ...``.

A command turns its arguments into plain values, calls the rooms below, and prints what comes back.
Modules that need torch are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli import data, recipes, weights
from pose_hrnet.cli.benchmark import benchmark
from pose_hrnet.cli.bulk import bulk
from pose_hrnet.cli.compare import compare
from pose_hrnet.cli.console import (
    BAD_INPUT,
    RichProgress,
    one_sentence_errors,
    print_error,
    print_table,
    say,
)
from pose_hrnet.cli.detect import detect
from pose_hrnet.cli.evaluate import evaluate, score
from pose_hrnet.cli.export import export
from pose_hrnet.cli.options import Output
from pose_hrnet.cli.parsing import Commands, ResumeAlone, ShowsDefaults
from pose_hrnet.cli.predict import predict
from pose_hrnet.cli.report import report
from pose_hrnet.cli.runs import runs
from pose_hrnet.cli.serve import serve
from pose_hrnet.cli.tables import print_scores
from pose_hrnet.cli.track import track
from pose_hrnet.cli.train import train
from pose_hrnet.system.interrupts import end_at_once_on_interrupt

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its columns cut the names of options at 80 characters
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Top-down human pose estimation with HRNet: train, evaluate COCO AP, predict.",
)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def version(show: bool) -> None:
    """Print the version and leave."""
    if show:
        from pose_hrnet import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def main_options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options in front of every command."""


@app.command()
@one_sentence_errors
def demo(
    output: Output = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=20, help="Drawn training images.")] = 2000,
    epochs: Annotated[int | None, typer.Option(min=1, help="Override the recipe's.")] = None,
) -> None:
    """Draw a data set, fine-tune the default model on it, score it, make pictures: no download.

    A second run into the same folder reuses what is there; a training with other settings is moved
    aside.

    Example: `pose-hrnet demo --output runs/demo`
    """
    from pose_hrnet.cli.demo import run_demo

    result = run_demo(output, images=images, epochs=epochs, progress=RichProgress())
    print_scores(result.scores)
    print_table(
        "seconds", ["phase", "s"], [[name, f"{s:.1f}"] for name, s in result.seconds.items()]
    )
    for name in ("predictions.png", "training/curve.png", "metrics.json", "results.json"):
        say(f"{output / name}")


app.command(cls=ResumeAlone)(train)
app.command(cls=ShowsDefaults)(evaluate)
app.command()(score)
app.command()(compare)
app.command()(report)
app.command()(predict)
app.command()(bulk)
app.command()(detect)
app.command()(track)
app.command()(export)
app.command()(serve)
app.command()(benchmark)
app.command()(runs)
app.command()(recipes.recipes)


def main() -> None:
    """Entry point of the installed command."""
    end_at_once_on_interrupt()
    try:
        app()
    except OSError as error:  # of Typer's own printing: commands tell theirs themselves
        print_error(f"standard output could not be written ({error.strerror or error})")
        raise SystemExit(BAD_INPUT) from None
