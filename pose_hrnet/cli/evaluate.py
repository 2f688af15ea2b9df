"""``pose-hrnet evaluate`` and ``pose-hrnet score``: what a model or a results file is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli.console import (
    RichProgress,
    one_sentence_errors,
    one_sentence_errors_of_all,
    say,
)
from pose_hrnet.cli.options import (
    Annotations,
    Backend,
    BackendOption,
    Card,
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
    expected_crops,
)
from pose_hrnet.cli.tables import print_comparison, print_evaluation, print_scores


@one_sentence_errors_of_all
def evaluate(
    checkpoint: Checkpoint,
    annotations: Annotations,
    images: Annotated[Path, typer.Option("--images", help="Folder of the JSON's file names.")],
    output: Output,
    boxes: Annotated[
        Path | None, typer.Option(help="Box file, as of predict; without it, annotated boxes.")
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
    card: Card = None,
    backend: BackendOption = Backend.auto,
) -> None:
    """Score a checkpoint on a data set: COCO or CrowdPose AP or MPII PCKh, and what made them.

    With annotated boxes, PCK, AUC and EPE as well.

    With --compare, other test-time choices stand beside the checkpoint's own: flip test, its
    shift, codec, NMS. The network runs once for each view and crop alignment, not for each choice.

    Several processes share the crops out among them, and give the same numbers:
    `torchrun --nproc-per-node=2 -m pose_hrnet evaluate ...`.

    Example: `pose-hrnet evaluate -c runs/w32/best.safetensors --annotations val.json
    --images val2017 --output runs/w32/val`
    """
    from pose_hrnet.cli.processes import joined
    from pose_hrnet.config.data import DataSet
    from pose_hrnet.config.recipe import EvaluateConfig
    from pose_hrnet.evaluation.compare import compare as run_comparison
    from pose_hrnet.evaluation.compare import parse_items
    from pose_hrnet.evaluation.evaluate import evaluate as run_evaluation
    from pose_hrnet.inference.load import load_model

    with joined(device) as world:
        compared = () if compare is None else parse_items(compare)
        model = load_model(
            checkpoint,
            card=card,
            backend=backend.value,
            device=str(world.device(device)) if world.size > 1 else device,
            precision=precision.value,
            flip_test=flip_test,
            crops=expected_crops(boxes or annotations),
        ).with_test_settings(flip_shift=flip_shift)
        data = DataSet(
            annotations=annotations,
            images=images,
            boxes=boxes,
            metric=metric.value,
            head_sizes=head_sizes,
        )
        test = EvaluateConfig(
            batch_size=batch_size,
            keypoint_threshold=keypoint_threshold,
            nms=nms.value,
            nms_threshold=nms_threshold,
            min_box_score=min_box_score,
        )
        facts = {
            "checkpoint": str(checkpoint),
            "weights": model.weights,
            "backend": model.choice.backend,
        }
        bars = RichProgress()
        say(f"{model.summary}\n{model.choice.summary}")
        if compared:
            comparison = run_comparison(
                model, data, test, compared, workers=workers,
                evaluator=evaluator.value, world=world, progress=bars,
            ).with_provenance(facts)  # fmt: skip
            if world.is_main:
                comparison.write(output)
            print_evaluation(comparison.own)
            print_comparison(comparison)
            say(f"{output / 'comparison.json'}: the scores of all {len(comparison.rows)}")
            say("and of the own one, whose poses alone are kept:")
        else:
            evaluation = run_evaluation(
                model, data, test, workers=workers,
                evaluator=evaluator.value, world=world, progress=bars,
            ).with_provenance(facts)  # fmt: skip
            if world.is_main:
                evaluation.write(output)
            print_evaluation(evaluation)
        say(f"{output / 'metrics.json'}\n{output / 'results.json'}")


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
    from pose_hrnet.evaluation.scorer import score_file

    scores, name = score_file(
        annotations, results, skeleton=skeleton, metric=metric.value, evaluator=evaluator.value
    )
    print_scores(scores, name)
    counts = []
    for counted, count in scores.counts.items():
        noun, *more = counted.split("_")
        counts.append(
            " ".join([str(count), noun.removesuffix("s") if count == 1 else noun, *more])
        )
    say(f"{', '.join(counts)}; {scores.evaluator}")
