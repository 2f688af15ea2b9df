"""The sections of `pose-hrnet benchmark`, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pose_hrnet.benchmark.codec import benchmark_codec
from pose_hrnet.benchmark.evaluation import benchmark_evaluation
from pose_hrnet.benchmark.loading import (
    benchmark_loading,
    draw_source,
    loading_variants,
    open_source,
)
from pose_hrnet.benchmark.model import ModelChoice, benchmark_model, random_checkpoint
from pose_hrnet.benchmark.timing import Measurement, Pace
from pose_hrnet.config.files import load_config
from pose_hrnet.config.recipe import Config
from pose_hrnet.models.card import CARD_SUFFIXES, SUFFIXES
from pose_hrnet.system.choices import Backend, Precision, SectionName
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
        backends: As of `ModelChoice`; so are the next three.
        precisions: See there.
        batches: See there.
        flip_test: See there.
        device: Runs the network.
        annotations: COCO keypoint JSON for ``loading`` and ``evaluation``; None: made up.
        images: Folder of its file names.
        drawn_images: How many to draw without it.
        workers: Numbers of loader processes.
        poses: Predictions to make up.
        pace: How long to measure.
    """

    sections: Sequence[SectionName] = get_args(SectionName)
    recipe: str = "coco_w32_256x192"
    checkpoint: Path | None = None
    exported: Sequence[Path] = ()
    backends: Sequence[Backend] = ("eager", "compile", "openvino", "onnx")
    precisions: Sequence[Precision] = ("fp32", "bf16")
    batches: Sequence[int] = (1, 8, 32)
    flip_test: bool | None = None
    device: str = "auto"
    annotations: Path | None = None
    images: Path | None = None
    drawn_images: int = 240
    workers: Sequence[int] = (0, 1, 2, 4)
    poses: int = 100_000
    pace: Pace = field(default_factory=Pace)


QUICK: dict[str, Any] = {
    "backends": ("eager",),
    "precisions": ("fp32",),
    "batches": (1, 2),
    "drawn_images": 12,
    "workers": (0, 1),
    "poses": 2_000,
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
    if "model" in plan.sections:  # before minutes are spent on the others
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
        if "model" in plan.sections:
            yield from _model(plan, folder, config, progress)


def _loading(
    plan: Plan, folder: Path, input_wh: tuple[int, int], progress: Progress
) -> Measurement:
    if plan.annotations is None or plan.images is None:
        source = draw_source(folder, plan.drawn_images, input_wh, progress)
    else:
        source = open_source(plan.annotations, plan.images, folder, _MAX_PERSONS, input_wh)
    return benchmark_loading(source, loading_variants(plan.workers), plan.pace, progress=progress)


def _model(plan: Plan, folder: Path, config: Config, progress: Progress) -> list[Measurement]:
    choice = _choice(plan)
    given = [path for path in (choice.checkpoint, *choice.exported) if path is not None]
    if given:
        name = given[0].name
    else:
        name = f"{plan.recipe.rpartition('/')[2]} with random weights"
        choice = replace(choice, checkpoint=random_checkpoint(config, folder))
    return benchmark_model(choice, plan.pace, model_name=name, progress=progress)


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
