"""The command line: ``pose-hrnet demo | train | evaluate | predict | recipes | data ...``.

Each command unpacks its arguments and makes one call. Modules that need torch are imported inside
the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_hrnet.commands import data, recipes, weights
from pose_hrnet.commands.options import (
    Annotations,
    Checkpoint,
    Device,
    Evaluator,
    EvaluatorOption,
    FlipTest,
    Metric,
    MetricOption,
    Nms,
    Output,
    Precision,
    PrecisionOption,
    SkeletonOption,
)
from pose_hrnet.console import (
    RichProgress,
    one_sentence_errors,
    print_table,
    say,
)

if TYPE_CHECKING:
    from pose_hrnet.compare import Comparison
    from pose_hrnet.evaluate import Evaluation
    from pose_hrnet.metrics.coco_ap import CocoScores
    from pose_hrnet.metrics.mpii import MpiiScores

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Top-down human pose estimation with HRNet: train, evaluate COCO AP, predict.",
)
app.add_typer(data.app, name="data")
app.command()(recipes.recipes)
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
    from pose_hrnet.config_files import load_config
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
    flip_test: FlipTest = True,
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
    compare: Annotated[
        str | None,
        typer.Option(help="Score every combination of these: flip,shift,codec,nms, or a part."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops per forward pass.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 1,
    evaluator: EvaluatorOption = Evaluator.fast,
    device: Device = "auto",
    precision: PrecisionOption = Precision.fp32,
    metric: MetricOption = Metric.auto,
    head_sizes: Annotated[Path | None, typer.Option(help="MPII's gt_valid.mat.")] = None,
) -> None:
    """Score a checkpoint on a data set: COCO or CrowdPose AP or MPII PCKh, and what made them.

    With annotated boxes, PCK, AUC and EPE as well.

    With --compare, other test-time choices stand beside the checkpoint's own: flip test, its
    shift, codec, NMS. The network runs once for each view and crop alignment, not for each choice.

    Example: `pose-hrnet evaluate -c runs/w32/best.safetensors --annotations val.json
    --images val2017 --output runs/w32/val`
    """
    from pose_hrnet.compare import compare as run_comparison
    from pose_hrnet.compare import parse_items
    from pose_hrnet.config import DataSet, EvaluateConfig
    from pose_hrnet.device import pick_device
    from pose_hrnet.evaluate import evaluate as run_evaluation
    from pose_hrnet.models.weights import load_model

    compared = () if compare is None else parse_items(compare)
    where = pick_device(device)
    loaded = load_model(checkpoint)
    model = loaded.model.to(where)
    data = DataSet(
        annotations=annotations,
        images=images,
        boxes=boxes,
        metric=metric.value,
        head_sizes=head_sizes,
    )
    test = EvaluateConfig(
        batch_size=batch_size,
        flip_test=flip_test,
        flip_shift=flip_shift,
        keypoint_threshold=keypoint_threshold,
        nms=nms.value,
        nms_threshold=nms_threshold,
        min_box_score=min_box_score,
    )
    facts = {"checkpoint": str(checkpoint)}
    bars = RichProgress()
    say(loaded.report.summary())
    if compared:
        comparison = run_comparison(
            model, loaded.card, data, test, compared,
            device=where, precision=precision.value, workers=workers,
            evaluator=evaluator.value, progress=bars,
        ).with_provenance(facts)  # fmt: skip
        comparison.write(output)
        print_evaluation(comparison.own)
        print_comparison(comparison)
        say(f"{output / 'comparison.json'}")
    else:
        evaluation = run_evaluation(
            model, loaded.card, data, test,
            device=where, precision=precision.value, workers=workers,
            evaluator=evaluator.value, progress=bars,
        ).with_provenance(facts)  # fmt: skip
        evaluation.write(output)
        print_evaluation(evaluation)
    say(f"{output / 'metrics.json'}\n{output / 'results.json'}")


@app.command()
@one_sentence_errors
def score(
    results: Annotated[Path, typer.Argument(help="COCO keypoint results JSON of any program.")],
    annotations: Annotations,
    skeleton: SkeletonOption = None,
    metric: MetricOption = Metric.auto,
    evaluator: EvaluatorOption = Evaluator.fast,
) -> None:
    """Score any results file with the COCO or CrowdPose keypoint evaluation.

    Example: `pose-hrnet score results.json --annotations person_keypoints_val2017.json`
    """
    from pose_hrnet.scoring import score_file

    scores, name = score_file(
        annotations, results, skeleton=skeleton, metric=metric.value, evaluator=evaluator.value
    )
    print_scores(scores, name)
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in scores.counts.items()
    )
    say(f"{counts}; {scores.evaluator}")


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
    flip_test: FlipTest = True,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops per forward pass.")] = 32,
    device: Device = "auto",
    precision: PrecisionOption = Precision.fp32,
) -> None:
    """Predict poses in images and folders: COCO results JSON, CSV, and overlays.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet predict -c best.safetensors photos/ --boxes boxes.json --output out`
    """
    from pose_hrnet.predict import PoseEstimator
    from pose_hrnet.predict_files import predict_files

    estimator = PoseEstimator.from_checkpoint(
        checkpoint,
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


TITLES = {
    "coco": "COCO keypoints (OKS)",
    "crowdpose": "CrowdPose (OKS; E, M, H: easy, medium, hard images)",
    "mpii": "MPII (PCKh@0.5)",
}


def print_scores(scores: CocoScores | MpiiScores, metric: str = "coco") -> None:
    """Print the numbers of a metric, and the notes on them."""
    names = list(scores.values)
    print_table(TITLES[metric], names, [[f"{scores.values[name]:.3f}" for name in names]])
    for note in scores.notes:
        say(f"note: {note}")


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the numbers, and what produced them."""
    print_scores(evaluation.scores, evaluation.metric)
    print_keypoint_metrics(evaluation.keypoint_metrics)
    facts = [[name, str(value)] for name, value in evaluation.provenance.items()]
    print_table("what produced them", ["setting", "value"], facts)


def print_comparison(comparison: Comparison) -> None:
    """Print every combination, the best first and in bold, and what may be wrong."""
    numbers = ["AP", "AP50", "AP75", "AR"]
    rows = []
    for place, row in enumerate(comparison.rows):
        choice = row.combination
        mark = "best" if place == 0 else ""
        if choice == comparison.own_combination:
            mark = "both" if mark else "own"
        flip = f"shift {choice.flip_shift}" if choice.flip_test else "off"
        scores = [f"{row.scores.values[name]:.3f}" for name in numbers]
        rows.append([mark, flip, choice.codec, choice.nms, *scores])
    print_table("compared, best first", ["", "flip", "codec", "nms", *numbers], rows, bold=0)
    say("own: as the checkpoint and the options say; both: own and best")
    say(
        f"the network saw {comparison.network_crops} crops; crop alignments, each with a run of "
        f"its own: {', '.join(comparison.alignments)}"
    )
    if comparison.hint:
        say(f"hint: {comparison.hint}")


def print_keypoint_metrics(values: dict[str, Any]) -> None:
    """Print PCK, AUC and EPE, or why there are none."""
    if "left_out" in values:
        say(f"note: {values['left_out']}")
        return
    names = [name for name in values if name != "per_keypoint"]
    row = [f"{values[name]:.3f}" for name in names]
    print_table("keypoints in annotated boxes (EPE: pixels)", names, [row])


def main() -> None:
    """Entry point of the installed command."""
    app()
