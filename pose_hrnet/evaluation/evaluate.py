"""Score a model on a data set: predict, rescore, OKS-NMS, COCO AP, and say what produced it."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.crops import Crop, CropDataset
from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.data.missing import why_unreadable
from pose_hrnet.data.people import check_keypoints, people_to_predict, read_annotations
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.evaluation.scorer import METRICS, Scorer
from pose_hrnet.evaluation.statistics.bootstrap import Intervals
from pose_hrnet.inference.dataset import Inference, predict_people
from pose_hrnet.inference.model import PoseModel, postprocess
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.records import People, Poses
from pose_hrnet.keypoints.simcc import Codec, codec_of
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.arguments import check_choice, check_count, check_kind
from pose_hrnet.system.choices import AnnotationKind, Evaluator
from pose_hrnet.system.device import arithmetic
from pose_hrnet.system.distributed import World
from pose_hrnet.system.files import write_json
from pose_hrnet.system.folders import move_aside
from pose_hrnet.system.progress import SILENT, Progress

log = logging.getLogger(__name__)

COMPARISON_FILE, METRICS_FILE, REPORT_FILE = "comparison.json", "metrics.json", "report.html"
USUAL = EvaluateConfig()
"""The settings of an evaluation unless others are given."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and everything that decided it.

    Attributes:
        metric: Which evaluation the scores are of.
        scores: Its numbers, with notes on those that are not meaningful.
        keypoint_metrics: PCK, AUC and EPE, or why there are none.
        poses: The poses that were scored, in image pixels.
        provenance: Boxes, flip, shift, codec, NMS, counts: plain values, ready for JSON.
        intervals: Of the scores and of each keypoint, or under ``left_out`` why there are none;
            None: they were not asked for.
    """

    metric: AnnotationKind
    scores: Scores
    keypoint_metrics: dict[str, Any]
    poses: Poses
    provenance: dict[str, Any]
    intervals: dict[str, Any] | None = None

    @property
    def results(self) -> list[dict[str, Any]]:
        """The poses in COCO results format."""
        return self.poses.to_coco()

    def with_provenance(self, facts: dict[str, Any]) -> Evaluation:
        """The same scores with further facts about what produced them."""
        return replace(self, provenance={**facts, **self.provenance})

    def with_intervals(self, found: Intervals | str) -> Evaluation:
        """The same with the intervals of its numbers, or with the reason why there are none."""
        known = {"left_out": found} if isinstance(found, str) else asdict(found)
        return replace(self, intervals=known)

    def in_words(self) -> list[tuple[str, str]]:
        """What produced the numbers, in short: who was predicted, how, and what is unusual."""
        facts, codec = self.provenance, codec_of(self.provenance["codec"])
        persons, images = facts["persons_predicted"], facts["images"]
        boxes = "the annotated boxes"
        if facts["boxes"] != "ground truth":
            boxes = f"the boxes of {Path(facts['boxes']).name}"
        usual: dict[str, Any] = USUAL.model_dump() | {
            "flip_shift_cells": codec.flip_shift if facts["flip_test"] else None,
            "box_padding": BOX_PADDING,
            "precision": "fp32",
            "backend": "eager",
            "weights": "fp32",
            "unreadable_images": 0,
            "calibrated": False,
        }
        if METRICS[self.metric].by_person:
            usual["nms"] = "none"
        unusual = [
            f"{name.replace('_', ' ')} {value} instead of {usual[name]}"
            for name, value in facts.items()
            if value != usual.get(name, value) and (name, value) != ("weights", None)
        ]
        return [
            (
                "predicted",
                f"{persons} person{'s' * (persons != 1)} of {Path(facts['annotations']).name} "
                f"({images} image{'s' * (images != 1)}), in {boxes}",
            ),
            ("codec", str(codec)),
            ("not as usual", ", ".join(unusual) or "nothing"),
        ]

    def metrics(self) -> dict[str, Any]:
        """Numbers, notes and provenance as one JSON-able dict."""
        per_joint = self.scores.per_joint
        return {
            "metric": self.metric,
            **self.scores.values,
            **({} if per_joint is None else {"per_joint": per_joint}),
            "keypoint_metrics": self.keypoint_metrics,
            **({} if self.intervals is None else {"intervals": self.intervals}),
            "notes": list(self.scores.notes),
            "evaluated": self.provenance,
        }

    def write(self, output: str | Path) -> None:
        """Write ``metrics.json`` and ``results.json`` (COCO results format) into a folder.

        An earlier `pose_hrnet.evaluation.settings.Comparison` there, and a report, both of other
        poses, are moved aside.
        """
        output = Path(output)
        output.mkdir(parents=True, exist_ok=True)
        for name, what in ((COMPARISON_FILE, "comparison"), (REPORT_FILE, "report")):
            if (output / name).exists():
                aside = move_aside(output / name)
                log.warning("the %s of an earlier evaluation is moved to %s", what, aside)
        write_json(output / RESULTS_FILE, self.results)
        self.write_metrics(output)

    def write_metrics(self, output: Path) -> None:
        """Write ``metrics.json`` alone."""
        write_json(output / METRICS_FILE, self.metrics())


@dataclass(frozen=True)
class EvaluationSet:
    """What is predicted and scored.

    Attributes:
        data: Annotations, image folder and boxes.
        people: The persons whose crops are predicted.
        scorer: The data set's metric.
    """

    data: DataSet
    people: People
    scorer: Scorer

    def crops(
        self, card: ModelCard, codec: Codec, batch_size: int, *, workers: int, world: World
    ) -> tuple[CropDataset, DataLoader[Crop]]:
        """The persons' crops, as a codec cuts them, and a process's share of the batches."""
        dataset = CropDataset(self.people, self.data.images, codec, card.box_padding)
        loader = crop_loader(
            dataset,
            batch_size=batch_size,
            workers=workers,
            rank=world.rank,
            world_size=world.size,
        )
        return dataset, loader


def load_evaluation_set(
    data: DataSet, skeleton: Skeleton, *, min_box_score: float = 0.0, trained: bool = True
) -> EvaluationSet:
    """Read annotations, once, and boxes; arguments and errors as of `people_to_predict`.

    `trained` is as of `check_keypoints`.
    """
    file = read_annotations(data.annotations)
    check_keypoints(file, skeleton, data.category, trained=trained)
    scorer = Scorer.of(file, data, skeleton)
    people = people_to_predict(
        file,
        data.boxes,
        skeleton,
        category=data.category,
        min_box_score=min_box_score,
        box_format=data.box_format,
    )
    return EvaluationSet(data, people, scorer)


def tested_as(model: PoseModel, test: EvaluateConfig) -> PoseModel:
    """The model with the flip test of the settings where they name it, else with its own.

    Raises:
        ValueError: If the model is an export, and holds another.
    """
    named = {"flip_test", "flip_shift"} & test.model_fields_set
    return model.with_test_settings(**{name: getattr(test, name) for name in named})


def check_arguments(
    model: PoseModel, data: DataSet, test: EvaluateConfig, workers: int, evaluator: Evaluator
) -> None:
    """Refuse what `evaluate` is called with by mistake, before anything is predicted.

    Raises:
        ValueError: Says what is expected.
    """
    check_kind("model", model, PoseModel, "load_model gives one")
    check_kind("data", data, DataSet, "DataSet(annotations=..., images=...)")
    check_kind("test", test, EvaluateConfig, "the section test of a Config")
    check_count("workers", workers, 0)
    check_choice("evaluator", evaluator, Evaluator)


def evaluate(
    model: PoseModel,
    data: DataSet,
    test: EvaluateConfig = USUAL,
    *,
    workers: int = 0,
    evaluator: Evaluator = "fast",
    world: World | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Predict all persons of a data set and score the poses.

    Several processes share the batches out among them, and the main one scores; each returns the
    same, which is what one process would return.

    Args:
        model: From `load_model`, or around a network at hand, which is put into evaluation mode
            and left in the mode it had.
        data: Annotations, image folder and boxes.
        test: Test-time settings; see `tested_as` for those of the flip test.
        workers: Loader processes.
        evaluator: What matches poses with persons; both give the same numbers.
        world: The processes that predict; None: this one alone.
        progress: Watches.

    Raises:
        ValueError: If the data is malformed, no image could be read, or an argument makes no
            sense.
        FileNotFoundError: If the annotations or the boxes are missing.
    """
    check_arguments(model, data, test, workers, evaluator)
    model = tested_as(model, test)
    card, codec = model.card, model.decoder.codec
    chosen = load_evaluation_set(data, card.skeleton, min_box_score=test.min_box_score)
    world = world or World.alone()
    dataset, loader = chosen.crops(card, codec, test.batch_size, workers=workers, world=world)
    inference = predict_people(model, dataset, loader, world=world, progress=progress)
    return world.on_main(
        lambda: score_inference(
            inference, chosen, model, test, evaluator=evaluator, processes=world.size
        )
    )


def score_inference(
    inference: Inference,
    chosen: EvaluationSet,
    model: PoseModel,
    test: EvaluateConfig,
    *,
    evaluator: Evaluator = "fast",
    processes: int = 1,
) -> Evaluation:
    """Rescore, remove duplicates, score, and say what produced the numbers.

    Args:
        inference: The predicted poses, with the boxes' scores.
        chosen: What was predicted.
        model: What predicted them.
        test: Settings of rescoring and NMS.
        evaluator: What matches poses with persons; both give the same numbers.
        processes: How many predicted.

    Raises:
        ValueError: If there are no poses because no image could be read.
    """
    card, decoder = model.card, model.decoder
    data = chosen.data
    if not len(inference.poses) and len(chosen.people):
        raise ValueError(
            f"none of the images of {data.annotations} could be read from {data.images}: "
            f"{why_unreadable(data.images, chosen.people.images)}"
        )
    people, scorer = chosen.people, chosen.scorer
    if METRICS[scorer.metric].by_person:
        test = test.model_copy(update={"nms": "none"})
    poses = model.finish(postprocess(inference.poses, card.skeleton, test))
    scores = scorer.score(poses, people, inference, evaluator=evaluator)
    keypoint_metrics = scorer.keypoint_metrics(people, inference)
    provenance = {
        "annotations": str(data.annotations),
        "boxes": "ground truth" if data.boxes is None else str(data.boxes),
        "images": len(chosen.people.images),
        "persons_predicted": len(inference.poses),
        "unreadable_images": len(inference.unreadable_images),
        "poses_after_nms": len(poses),
        "codec": decoder.codec.to_dict(),
        "box_padding": card.box_padding,
        "flip_test": decoder.flip_test,
        "flip_shift_cells": decoder.shift_cells,
        "nms": test.nms,
        "nms_threshold": test.nms_threshold,
        "nms_area": "padded crop (official)",
        "keypoint_threshold": test.keypoint_threshold,
        "min_box_score": test.min_box_score,
        "calibrated": model.calibration is not None,
        "precision": arithmetic(model.device, decoder.precision),
        "processes": processes,
        "evaluator": scores.evaluator,
        **({"note": card.note} if card.note else {}),
    }
    return Evaluation(scorer.metric, scores, keypoint_metrics, poses, provenance)
