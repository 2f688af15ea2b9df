"""The sections of `pose-hrnet benchmark`, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pose_hrnet.benchmark.codec import benchmark_codec
from pose_hrnet.benchmark.evaluation import benchmark_evaluation
from pose_hrnet.benchmark.loading import benchmark_loading, loading_variants, open_source
from pose_hrnet.benchmark.model import ModelChoice, benchmark_model, random_checkpoint
from pose_hrnet.benchmark.pipeline import benchmark_pipeline, random_detector
from pose_hrnet.benchmark.prediction import benchmark_prediction, first_jobs
from pose_hrnet.benchmark.serving import benchmark_serving
from pose_hrnet.benchmark.timing import Measurement, Pace
from pose_hrnet.benchmark.video import benchmark_video
from pose_hrnet.config.files import load_config
from pose_hrnet.config.recipe import Config
from pose_hrnet.data.synthetic.dataset import synthesize
from pose_hrnet.models.card import CARD_SUFFIXES, SUFFIXES
from pose_hrnet.system.choices import Backend, Precision, SectionName
from pose_hrnet.system.defaults import (
    BACKENDS,
    BATCHES,
    BENCHMARK_RECIPE,
    CLIENTS,
    LOADER_PROCESSES,
    MADE_UP_POSES,
    PRECISIONS,
)
from pose_hrnet.system.progress import SILENT, Progress

_MAX_PERSONS = 600
_NO_CHECKPOINT = (*SUFFIXES.values(), *CARD_SUFFIXES)


@dataclass(frozen=True)
class Plan:
    """What is measured; nothing but the recipe's name is needed, and no data.

    Attributes:
        sections: Which benchmarks.
        recipe: Recipe or YAML: its network, with random weights if there is no checkpoint, and
            its input size.
        checkpoint: A checkpoint, or an exported model.
        exported: Exported models to stand beside it.
        detector: Of ``pipeline`` and ``video``, as of `load_detector`; None: a small one with
            random weights.
        backends: As of `ModelChoice`; so are the next three.
        precisions: See there.
        batches: See there.
        flip_test: See there.
        device: Runs the network.
        annotations: COCO keypoint JSON for all but ``codec`` and ``model``; None: made up.
        images: Folder of its file names.
        drawn_images: How many to draw without it.
        workers: Numbers of loader processes.
        poses: Predictions to make up.
        clients: Of ``serve``: how many ask at once.
        minutes: Of ``serve``: of a long run after it; 0: none.
        pace: How long to measure.
    """

    sections: Sequence[SectionName] = get_args(SectionName)
    recipe: str = BENCHMARK_RECIPE
    checkpoint: Path | None = None
    exported: Sequence[Path] = ()
    detector: str | None = None
    backends: Sequence[Backend] = BACKENDS
    precisions: Sequence[Precision] = PRECISIONS
    batches: Sequence[int] = BATCHES
    flip_test: bool | None = None
    device: str = "auto"
    annotations: Path | None = None
    images: Path | None = None
    drawn_images: int = 240
    workers: Sequence[int] = LOADER_PROCESSES
    poses: int = MADE_UP_POSES
    clients: int = CLIENTS
    minutes: float = 0.0
    pace: Pace = field(default_factory=Pace)


QUICK: dict[str, Any] = {
    "backends": ("eager",),
    "precisions": ("fp32",),
    "batches": (1, 2),
    "drawn_images": 12,
    "workers": (0, 1),
    "poses": 2_000,
    "clients": 2,
    "pace": Pace(rounds=2, turn_seconds=0.0),
}
"""What of a `Plan` makes it one of seconds."""


def run_benchmarks(plan: Plan, *, progress: Progress = SILENT) -> Iterator[Measurement]:
    """Measure, and hand out each measurement when it is done.

    The order is that of `SectionName`: loader processes are forked before the runtimes have
    started threads of their own.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the recipe or a file is not what it should be.
    """
    config = load_config(plan.recipe)
    if plan.images is not None and plan.annotations is None:
        raise ValueError("--images needs the --annotations that name them; give both")
    # Before minutes are spent on the others.
    if {"prediction", "pipeline", "video", "serve", "model"} & {*plan.sections}:
        _choice(plan).check_files()
    with tempfile.TemporaryDirectory(prefix="pose_hrnet_") as name:
        folder = Path(name)
        if "loading" in plan.sections:
            yield _loading(plan, folder, config.codec.input_wh, progress)
        if "codec" in plan.sections:
            yield from benchmark_codec(config.codec.input_wh, plan.pace, progress=progress)
        if "evaluation" in plan.sections:
            yield benchmark_evaluation(
                folder, plan.annotations, plan.poses, plan.pace, progress=progress
            )
        if "prediction" in plan.sections:
            yield _prediction(plan, folder, config, progress)
        if "pipeline" in plan.sections:
            yield _pipeline(plan, folder, config, progress)
        if "video" in plan.sections:
            yield _video(plan, folder, config, progress)
        if "serve" in plan.sections:
            yield from _serve(plan, folder, config, progress)
        if "model" in plan.sections:
            yield from _model(plan, folder, config, progress)


def _loading(
    plan: Plan, folder: Path, input_wh: tuple[int, int], progress: Progress
) -> Measurement:
    persons = None if plan.images is None else _MAX_PERSONS
    source = open_source(*_data_set(plan, folder, progress), folder, persons, input_wh)
    return benchmark_loading(source, loading_variants(plan.workers), plan.pace, progress=progress)


def _data_set(plan: Plan, folder: Path, progress: Progress) -> tuple[Path, Path]:
    """The annotations and the images that are given, or drawn ones."""
    if plan.annotations is not None and plan.images is not None:
        return plan.annotations, plan.images
    annotations = folder / "drawn" / "annotations.json"
    if not annotations.is_file():
        with progress.task("draw", plan.drawn_images, "images") as bar:
            synthesize(
                annotations.parent, images=plan.drawn_images, seed=0, progress=bar.advance_to
            )
    return annotations, annotations.parent / "images"


def _prediction(plan: Plan, folder: Path, config: Config, progress: Progress) -> Measurement:
    choice, name = _models(plan, folder, config)
    jobs = first_jobs(*_data_set(plan, folder, progress))
    return benchmark_prediction(choice, jobs, plan.pace, model_name=name, progress=progress)


def _pipeline(plan: Plan, folder: Path, config: Config, progress: Progress) -> Measurement:
    choice, name = _models(plan, folder, config)
    return benchmark_pipeline(
        choice,
        first_jobs(*_data_set(plan, folder, progress)),
        plan.pace,
        detector=plan.detector or random_detector(folder),
        model_name=name,
        progress=progress,
    )


def _video(plan: Plan, folder: Path, config: Config, progress: Progress) -> Measurement:
    choice, name = _models(plan, folder, config)
    work = folder / "video"
    work.mkdir()
    return benchmark_video(
        choice,
        first_jobs(*_data_set(plan, folder, progress)),
        plan.pace,
        detector=plan.detector or random_detector(folder),
        model_name=name,
        work=work,
        progress=progress,
    )


def _serve(plan: Plan, folder: Path, config: Config, progress: Progress) -> Iterator[Measurement]:
    choice, name = _models(plan, folder, config)
    return benchmark_serving(
        choice,
        first_jobs(*_data_set(plan, folder, progress)),
        plan.pace,
        model_name=name,
        clients=plan.clients,
        minutes=plan.minutes,
        progress=progress,
    )


def _model(plan: Plan, folder: Path, config: Config, progress: Progress) -> list[Measurement]:
    choice, name = _models(plan, folder, config)
    return benchmark_model(choice, plan.pace, model_name=name, progress=progress)


def _models(plan: Plan, folder: Path, config: Config) -> tuple[ModelChoice, str]:
    """What is compared, with random weights if none are given, and its name."""
    choice = _choice(plan)
    given = [path for path in (choice.checkpoint, *choice.exported) if path is not None]
    if given:
        return choice, given[0].name
    name = f"{plan.recipe.rpartition('/')[2]} with random weights"
    return replace(choice, checkpoint=random_checkpoint(config, folder)), name


def _choice(plan: Plan) -> ModelChoice:
    """What is compared, but for random weights."""
    checkpoint, exported = plan.checkpoint, list(plan.exported)
    if checkpoint is not None and checkpoint.suffix.lower() in _NO_CHECKPOINT:
        exported.insert(0, checkpoint)
        checkpoint = None
    return ModelChoice(
        checkpoint,
        exported,
        plan.backends,
        plan.precisions,
        plan.batches,
        plan.flip_test,
        plan.device,
    )
