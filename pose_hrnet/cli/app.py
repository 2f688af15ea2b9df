"""The command line: ``pose-hrnet demo | train | evaluate | predict | export | benchmark ...``.

Each command unpacks its arguments and makes one call. Modules that need torch are imported inside
the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli import data, recipes, weights
from pose_hrnet.cli.benchmark import benchmark
from pose_hrnet.cli.console import (
    BAD_INPUT,
    HERE,
    RichProgress,
    one_sentence_errors,
    one_sentence_errors_of_all,
    print_table,
    refuse_several,
    say,
)
from pose_hrnet.cli.evaluate import evaluate, score
from pose_hrnet.cli.export import export
from pose_hrnet.cli.options import (
    Backend,
    BackendOption,
    Card,
    Checkpoint,
    Commands,
    Device,
    FlipTest,
    Logger,
    Output,
    Precision,
    PrecisionOption,
    Resume,
    ResumeAlone,
    ResumeOption,
    expected_crops,
)
from pose_hrnet.cli.tables import print_checks, print_facts, print_scores
from pose_hrnet.system.text import counted

if TYPE_CHECKING:
    from pose_hrnet.training.loggers import LoggerName

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
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
    """Draw a data set, train a small HRNet on it, score it, and make pictures: no download.

    A second run into the same folder reuses what is there.

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


@app.command(cls=ResumeAlone)
@one_sentence_errors_of_all
def train(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a recipe.")],
    output: Output,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
    ] = None,
    resume: ResumeOption = Resume.never,
    device: Device = "auto",
    logger: Annotated[
        list[Logger] | None,
        typer.Option(help="May be repeated; else TensorBoard where it is installed."),
    ] = None,
    try_out: Annotated[
        bool, typer.Option("--dry-run", help="Check data, memory, folder and speed, and leave.")
    ] = False,
) -> None:
    """Train a model as a configuration says.

    Ctrl-C or SIGTERM: the step is finished and the run saved; once more, and it exits at once.
    With --dry-run nothing is written, and the exit code is 2 if something would stop the run.

    Several processes, on a GPU each, learn from batches of their own in every step:
    `torchrun --nproc-per-node=2 -m pose_hrnet train ...`.

    Example: `pose-hrnet train coco_w32_256x192 --output runs/w32 --set train.batch_size=16`
    """
    from pose_hrnet.config.files import load_config

    loggers: list[LoggerName] | None = [each.value for each in logger] if logger else None
    if try_out:
        if HERE.size > 1:
            refuse_several("train --dry-run")
        from pose_hrnet.training.dry_run import dry_run

        settings = load_config(config, overrides or ())
        checks = dry_run(
            settings, output, resume=resume.value, device=device, loggers=loggers or ()
        )
        print_checks(checks)
        if any(check.result == "fault" for check in checks):
            raise typer.Exit(BAD_INPUT)
        return
    from pose_hrnet.cli.processes import joined
    from pose_hrnet.training.train import train as run_training

    with joined(device) as world:
        settings = load_config(config, overrides or ())
        run_training(
            settings,
            output,
            resume=resume.value,
            device=device,
            world=world,
            loggers=loggers,
            progress=RichProgress(),
            tell=print_facts,
        )


app.command()(evaluate)
app.command()(score)


@app.command()
@one_sentence_errors
def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    checkpoint: Checkpoint,
    output: Output,
    boxes: Annotated[
        Path | None, typer.Option(help="Detection JSON; without it, an image is one crop.")
    ] = None,
    overlays: Annotated[bool, typer.Option(help="Draw the poses on the images.")] = True,
    min_score: Annotated[float, typer.Option(help="Keypoints below it are not drawn.")] = 0.2,
    flip_test: FlipTest = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops per forward pass.")] = 32,
    device: Device = "auto",
    precision: PrecisionOption = Precision.auto,
    card: Card = None,
    backend: BackendOption = Backend.auto,
) -> None:
    """Predict poses in images and folders: COCO results JSON, CSV, and overlays.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet predict -c best.safetensors photos/ --boxes boxes.json --output out`
    """
    from pose_hrnet.inference.estimator import PoseEstimator
    from pose_hrnet.inference.files import find_images, predict_files

    crops = expected_crops(boxes) if boxes else len(find_images(inputs, skip=output / "overlays"))
    estimator = PoseEstimator.from_checkpoint(
        checkpoint,
        card=card,
        backend=backend.value,
        device=device,
        precision=precision.value,
        flip_test=flip_test,
        batch_size=batch_size,
        crops=crops,
    )
    done = predict_files(
        estimator,
        inputs,
        output,
        boxes=boxes,
        overlays=overlays,
        min_score=min_score,
        progress=RichProgress(),
    )
    say(
        f"{counted(done.persons, 'person')} in {counted(done.images, 'image')}; "
        f"{counted(len(done.failures), 'image')} could not be read; written to {output}",
    )
    if done.failures:
        raise typer.Exit(1)


app.command()(export)
app.command()(benchmark)
app.command()(recipes.recipes)


def main() -> None:
    """Entry point of the installed command."""
    app()
