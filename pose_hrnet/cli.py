"""The command line: ``pose-hrnet demo | train | evaluate | score | predict | export | data ...``.

Each command unpacks its arguments and makes one call. Modules that need torch are imported inside
the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.commands import data
from pose_hrnet.commands.export import export
from pose_hrnet.commands.options import (
    Annotations,
    Backend,
    Card,
    Checkpoint,
    Device,
    FlipTest,
    Nms,
    Output,
    Precision,
    PrecisionOption,
)
from pose_hrnet.console import (
    RichProgress,
    one_sentence_errors,
    print_table,
    say,
)

if TYPE_CHECKING:
    from pose_hrnet.metrics.coco_ap import CocoScores

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Top-down human pose estimation with HRNet: train, evaluate COCO AP, predict.",
)
app.add_typer(data.app, name="data")
app.command()(export)


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
    images: Annotated[int, typer.Option(min=20, help="Drawn training images.")] = 1500,
    epochs: Annotated[int | None, typer.Option(min=1, help="Override the recipe's.")] = None,
) -> None:
    """Draw a data set, train a small HRNet on it, score it, and make pictures: no download.

    A second run into the same folder reuses what is there.

    Example: `pose-hrnet demo --output runs/demo`
    """
    from pose_hrnet.demo import run_demo

    result = run_demo(output, images=images, epochs=epochs, progress=RichProgress())
    print_scores(result.scores)
    print_table(
        "seconds", ["phase", "s"], [[name, f"{s:.1f}"] for name, s in result.seconds.items()]
    )
    for name in ("predictions.png", "training/curve.png", "metrics.json", "results.json"):
        say(f"{output / name}")


@app.command()
@one_sentence_errors
def train(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a recipe.")],
    output: Output,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --output.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Train a model as a configuration says.

    Example: `pose-hrnet train coco_w32_256x192 --output runs/w32 --set train.batch_size=16`
    """
    from pose_hrnet.config import load_config
    from pose_hrnet.train import train as run_training

    settings = load_config(config, overrides or ())
    best = run_training(settings, output, resume=resume, device=device, progress=RichProgress())
    say(f"best checkpoint: {best}")


@app.command()
@one_sentence_errors
def evaluate(
    checkpoint: Checkpoint,
    annotations: Annotations,
    images: Annotated[Path, typer.Option("--images", help="Folder of the JSON's file names.")],
    output: Output,
    boxes: Annotated[
        Path | None, typer.Option(help="Detection JSON; without it, ground-truth boxes.")
    ] = None,
    flip_test: FlipTest = None,
    flip_shift: Annotated[
        int | None, typer.Option(min=0, help="Cells; the codec's own without it.")
    ] = None,
    nms: Annotated[Nms, typer.Option(help="Removal of duplicates.")] = Nms.oks,
    nms_threshold: Annotated[
        float, typer.Option(min=0.01, max=1, help="OKS of a duplicate.")
    ] = 0.9,
    keypoint_threshold: Annotated[
        float, typer.Option(min=0, help="Keypoints above it count in the pose score.")
    ] = 0.2,
    min_box_score: Annotated[float, typer.Option(help="Leave out weaker detections.")] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops per forward pass.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 1,
    device: Device = "auto",
    precision: PrecisionOption = Precision.fp32,
    card: Card = None,
    backend: Backend = None,
) -> None:
    """Score a checkpoint on a COCO-format data set: the ten COCO numbers, and what made them.

    Example: `pose-hrnet evaluate -c runs/w32/best.safetensors --annotations val.json
    --images val2017 --output runs/w32/val`
    """
    from pose_hrnet.config import DataSet, EvaluateConfig
    from pose_hrnet.evaluate import evaluate as run_evaluation
    from pose_hrnet.runtimes import load_pose_model

    model = load_pose_model(
        checkpoint,
        card=card,
        backend=None if backend is None else backend.value,
        device=device,
        precision=precision.value,
        flip_test=flip_test,
        flip_shift=flip_shift,
    )
    evaluation = run_evaluation(
        model.network,
        model.card,
        DataSet(annotations=annotations, images=images, boxes=boxes),
        EvaluateConfig(
            batch_size=batch_size,
            keypoint_threshold=keypoint_threshold,
            nms=nms.value,
            nms_threshold=nms_threshold,
            min_box_score=min_box_score,
        ),
        device=model.device,
        decoder=model.decoder,
        workers=workers,
        progress=RichProgress(),
    )
    evaluation = evaluation.with_provenance(
        {"checkpoint": str(checkpoint), "backend": model.backend}
    )
    evaluation.write(output)
    say(model.summary)
    print_scores(evaluation.scores)
    facts = [[name, str(value)] for name, value in evaluation.provenance.items()]
    print_table("what produced them", ["setting", "value"], facts)
    say(f"{output / 'metrics.json'}\n{output / 'results.json'}")


@app.command()
@one_sentence_errors
def score(
    results: Annotated[Path, typer.Argument(help="COCO keypoint results JSON of any program.")],
    annotations: Annotations,
) -> None:
    """Score any results file with the COCO keypoint evaluation.

    Example: `pose-hrnet score results.json --annotations person_keypoints_val2017.json`
    """
    from pose_hrnet.metrics.coco_ap import score_results

    print_scores(score_results(annotations, results))


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
    precision: PrecisionOption = Precision.fp32,
    card: Card = None,
    backend: Backend = None,
) -> None:
    """Predict poses in images and folders: COCO results JSON, CSV, and overlays.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet predict -c best.safetensors photos/ --boxes boxes.json --output out`
    """
    from pose_hrnet.predict import PoseEstimator
    from pose_hrnet.predict_files import predict_files

    estimator = PoseEstimator.from_checkpoint(
        checkpoint,
        card=card,
        backend=None if backend is None else backend.value,
        device=device,
        precision=precision.value,
        flip_test=flip_test,
        batch_size=batch_size,
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
        f"{done.persons} persons in {done.images} images; {len(done.failures)} images could not "
        f"be read; written to {output}",
    )
    if done.failures:
        raise typer.Exit(1)


def print_scores(scores: CocoScores) -> None:
    """Print the ten COCO numbers, and the notes on them."""
    names = list(scores.values)
    print_table("COCO keypoints (OKS)", names, [[f"{scores.values[name]:.3f}" for name in names]])
    for note in scores.notes:
        say(f"note: {note}")


def main() -> None:
    """Entry point of the installed command."""
    app()
