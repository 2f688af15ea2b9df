"""``pose-hrnet evaluate`` and ``pose-hrnet score``: what a model or a results file is worth."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pose_hrnet.cli.console import (
    RichProgress,
    end_incomplete,
    one_sentence_errors,
    one_sentence_errors_of_all,
    say,
)
from pose_hrnet.cli.models import DetectorThreshold, DetectorToScore, loaded_detector
from pose_hrnet.cli.options import (
    Annotations,
    BackendOption,
    BoxFormatOption,
    Calibrated,
    Card,
    CategoryOption,
    Checkpoint,
    ClusterOption,
    Device,
    EvaluatorOption,
    FlipTest,
    IntervalsOption,
    MetricOption,
    Offline,
    PrecisionOption,
    ResultsOutput,
    SkeletonOption,
    check_there,
    checkpoint_file,
    expected_crops,
    given,
)
from pose_hrnet.cli.tables import (
    print_comparison,
    print_evaluation,
    print_intervals,
    print_scores,
)
from pose_hrnet.system.choices import CompareItem, NmsName
from pose_hrnet.system.defaults import MOST_WORKERS
from pose_hrnet.system.folders import check_not_over, check_room, owned
from pose_hrnet.system.text import parse_names
from pose_hrnet.system.transfer import address_in

if TYPE_CHECKING:
    from pose_hrnet.config.data import DataSet
    from pose_hrnet.evaluation.evaluate import Evaluation
    from pose_hrnet.evaluation.scorer import FileTruth
    from pose_hrnet.evaluation.statistics.results import DrawnFile
    from pose_hrnet.inference.detector import Detector
    from pose_hrnet.system.distributed import World


@one_sentence_errors_of_all
def evaluate(
    checkpoint: Checkpoint,
    annotations: Annotations,
    images: Annotated[Path, typer.Option("--images", help="Folder of the JSON's file names.")],
    output: ResultsOutput,
    boxes: Annotated[
        Path | None, typer.Option(help="Box file, as of predict; without it, annotated boxes.")
    ] = None,
    box_format: BoxFormatOption = "xywh",
    detector: DetectorToScore = None,
    detector_threshold: DetectorThreshold = None,
    flip_test: FlipTest = None,
    flip_shift: Annotated[
        int | None, typer.Option(min=0, help="Cells; the codec's own without it.")
    ] = None,
    nms: Annotated[NmsName | None, typer.Option(help="Removal of duplicates.")] = None,
    nms_threshold: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="OKS of a duplicate.")
    ] = None,
    keypoint_threshold: Annotated[
        float | None, typer.Option(min=0, help="Keypoints above it count in the pose score.")
    ] = None,
    min_box_score: Annotated[
        float | None, typer.Option(help="Leave out weaker detections.")
    ] = None,
    intervals: IntervalsOption = False,
    compare: Annotated[
        str | None,
        typer.Option(help="Score every combination of these: flip,shift,codec,nms, or a part."),
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Write report.html, too: what goes wrong, with pictures."),
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Crops per forward pass.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes.")] = 1,
    evaluator: EvaluatorOption = "fast",
    device: Device = "auto",
    precision: PrecisionOption = None,
    metric: MetricOption = "auto",
    category: CategoryOption = None,
    head_sizes: Annotated[Path | None, typer.Option(help="MPII's gt_valid.mat.")] = None,
    card: Card = None,
    calibrated: Calibrated = False,
    backend: BackendOption = "auto",
    offline: Offline = False,
) -> None:
    """Score a checkpoint on a data set: COCO or CrowdPose AP or MPII PCKh, and what made them.

    With annotated boxes, PCK, AUC and EPE as well. With --detector, the persons that it finds are
    predicted, and what its boxes cost is said beside.

    Exit code 1 if some image could not be read; the rest is done all the same.

    With --compare, other test-time choices stand beside the checkpoint's own: flip test, its
    shift, codec, NMS. The network runs once for each view and crop alignment, not for each choice.

    Several processes share the crops out among them, and give the same numbers:
    `torchrun --nproc-per-node=2 -m pose_hrnet evaluate ...`.

    Example: `pose-hrnet evaluate -c runs/w32/best.safetensors --annotations val.json
    --images val2017 --output runs/w32/val`
    """
    from pose_hrnet.cli.processes import distributed_command
    from pose_hrnet.config.data import DataSet
    from pose_hrnet.config.recipe import EvaluateConfig
    from pose_hrnet.data.formats.results import POSE_BYTES, RESULTS_FILE, RESULTS_LOCK
    from pose_hrnet.evaluation.evaluate import COMPARISON_FILE, METRICS_FILE, REPORT_FILE
    from pose_hrnet.evaluation.evaluate import evaluate as run_evaluation
    from pose_hrnet.evaluation.report.write import write_report
    from pose_hrnet.evaluation.scorer import FileTruth
    from pose_hrnet.evaluation.settings import compare_settings
    from pose_hrnet.inference.load import load_model
    from pose_hrnet.inference.options import ModelOptions

    with distributed_command(device) as world, ExitStack() as held:
        compared: tuple[CompareItem, ...] = ()
        if compare is not None:
            compared = parse_names(compare, "--compare", get_args(CompareItem))
        detects = detector not in (None, "none")
        if boxes is not None and detects:
            raise ValueError("--boxes and --detector both say where persons are; give one")
        if detector_threshold is not None and not detects:
            raise ValueError(
                "--detector-threshold does nothing without --detector; give both, or neither"
            )
        check_not_over(output / RESULTS_FILE, boxes, annotations)
        check_there(annotations, images, boxes, head_sizes)
        crops = expected_crops(annotations, boxes, box_format)
        world.on_main(lambda: check_room(output, POSE_BYTES * (crops or 0), "results"))
        file = checkpoint_file(checkpoint)
        reported: list[FileTruth] = []
        if report:  # what it cannot be written of is said before any work
            named = given(metric=metric, category=category)
            world.on_main(lambda: reported.append(FileTruth.of(annotations, **named)))
        model = load_model(
            file,
            card=card,
            backend=backend,
            device=str(world.device(device)) if world.size > 1 else device,
            flip_test=flip_test,
            crops=crops,
            **given(precision=precision),
        ).with_test_settings(flip_shift=flip_shift)
        if calibrated:
            model = model.calibrated()
        data = DataSet(
            annotations=annotations,
            images=images,
            boxes=boxes,
            box_format=box_format,
            metric=metric,
            category=category,
            head_sizes=head_sizes,
        )
        test = EvaluateConfig(
            **given(
                batch_size=batch_size,
                keypoint_threshold=keypoint_threshold,
                nms=nms,
                nms_threshold=nms_threshold,
                min_box_score=min_box_score,
            )
        )
        facts: dict[str, Any] = {
            # Not an address, in which there may be what only one user may know.
            "checkpoint": str(file) if address_in(checkpoint) else checkpoint,
            "weights": model.weights,
            "backend": model.choice.backend,
        }
        bars = RichProgress()
        world.on_main(lambda: held.enter_context(owned(output, RESULTS_LOCK)))
        say(f"{model.summary}\n{model.choice.summary}")
        annotated, unread = None, 0
        if detects:
            finder = ModelOptions(
                detector=detector, threshold=detector_threshold, precision="fp32", device=device
            )
            loaded = loaded_detector(finder, scoring=True)
            facts |= {"detector": loaded.summary, "detector_threshold": loaded.threshold}
            boxed = data.model_copy(update={"boxes": output / "boxes.json", "box_format": "xywh"})
            unread = _detect(loaded, boxed, world)
            annotated = run_evaluation(
                model, data, test, workers=workers,
                evaluator=evaluator, world=world, progress=bars,
            )  # fmt: skip
            facts["with_annotated_boxes"] = dict(annotated.scores.values)
            data = boxed
        if compared:
            comparison = compare_settings(
                model, data, test, compared, workers=workers,
                evaluator=evaluator, world=world, progress=bars,
            ).with_provenance(facts)  # fmt: skip
            if world.is_main:
                comparison.write(output)
            evaluation = comparison.own
            print_evaluation(evaluation)
            print_comparison(comparison)
            say(f"{output / COMPARISON_FILE}: the scores of all {len(comparison.rows)}")
            say("and of the own one, whose poses alone are kept:")
        else:
            evaluation = run_evaluation(
                model, data, test, workers=workers,
                evaluator=evaluator, world=world, progress=bars,
            ).with_provenance(facts)  # fmt: skip
            if world.is_main:
                evaluation.write(output)
            print_evaluation(evaluation)
        drawn: DrawnFile | None = None
        if intervals and world.is_main:
            try:
                named = given(metric=metric, category=category)
                truth = reported[0] if reported else FileTruth.of(annotations, **named)
                drawn = _drawn(truth, annotations, output / RESULTS_FILE, None)
                print_intervals(drawn, evaluation.scores.notes)
                evaluation = evaluation.with_intervals(drawn.intervals)
            except ValueError as error:
                say(f"note: there are no intervals: {error}")
                evaluation = evaluation.with_intervals(str(error))
            evaluation.write_metrics(output)
        if annotated is not None:
            say(_cost(evaluation, annotated))
        say(f"{output / METRICS_FILE}\n{output / RESULTS_FILE}")
        for known in reported:
            page = output / REPORT_FILE
            try:
                source = drawn or output / RESULTS_FILE
                write_report(source, known, page, images=images, progress=bars)
                say(str(page))
            except ValueError as error:
                say(f"note: there is no report: {error}")
    if world.is_main:
        end_incomplete(unread + evaluation.provenance["unreadable_images"])


def _detect(detector: Detector, data: DataSet, world: World) -> int:
    """Write the box file of a data set; returns how many images could not be read."""
    from pose_hrnet.inference.detected import detect_data_set

    assert data.boxes is not None
    output = data.boxes
    found = world.on_main(lambda: detect_data_set(detector, data, output, progress=RichProgress()))
    unread = len(found.failures)
    say(f"{found.in_words()}; {unread} could not be read; {output}")
    return unread


def _cost(evaluation: Evaluation, annotated: Evaluation) -> str:
    """What a detector's boxes cost, in a sentence."""
    from pose_hrnet.evaluation.scorer import METRICS

    name = METRICS[evaluation.metric].main_number
    own, best = evaluation.scores.values[name], annotated.scores.values[name]
    return (
        f"{name} {own:.3f} with the detector's boxes, {best:.3f} with the annotated ones: "
        f"its boxes cost {best - own:.3f}"
    )


@one_sentence_errors
def score(
    results: Annotated[Path, typer.Argument(help="COCO keypoint results JSON of any program.")],
    annotations: Annotations,
    skeleton: SkeletonOption = None,
    category: CategoryOption = None,
    metric: MetricOption = "auto",
    evaluator: EvaluatorOption = "fast",
    intervals: IntervalsOption = False,
    cluster: ClusterOption = None,
) -> None:
    """Score any results file with the COCO or CrowdPose keypoint evaluation.

    Example: `pose-hrnet score results.json --annotations person_keypoints_val2017.json`
    """
    from pose_hrnet.evaluation.scorer import FileTruth

    if cluster is not None and not intervals:
        raise ValueError("--cluster says what intervals are drawn of; give --intervals, too")
    truth = FileTruth.of(annotations, skeleton=skeleton, category=category, metric=metric)
    scores = truth.score(results, evaluator=evaluator)
    print_scores(scores, truth.metric)
    counts = []
    for counted, count in scores.counts.items():
        noun, *more = counted.split("_")
        counts.append(
            " ".join([str(count), noun.removesuffix("s") if count == 1 else noun, *more])
        )
    say(f"{', '.join(counts)}; {scores.evaluator}")
    if intervals:
        print_intervals(_drawn(truth, annotations, results, cluster), scores.notes)


def _drawn(truth: FileTruth, annotations: Path, results: Path, cluster: str | None) -> DrawnFile:
    """All numbers of a results file, drawn again."""
    from pose_hrnet.evaluation.statistics.clusters import cluster_labels
    from pose_hrnet.evaluation.statistics.results import DrawnFile, MatchedFile

    labels = None if cluster is None else cluster_labels(annotations, truth, cluster)
    file = MatchedFile.of(truth, results)
    return DrawnFile.of(file, clusters=labels, unit=cluster or "image")
