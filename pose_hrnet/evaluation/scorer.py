"""Picks the metric of a data set, scores predictions with it, and names its main number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose_hrnet.config.data import DataSet
from pose_hrnet.data.formats.mpii import MpiiFile
from pose_hrnet.data.formats.skeletons import find_skeleton, skeleton_of
from pose_hrnet.data.people import Annotations, read_annotations
from pose_hrnet.evaluation.metrics.coco_ap import (
    results_of_poses,
    score_poses,
    score_results,
)
from pose_hrnet.evaluation.metrics.coco_truth import Truth
from pose_hrnet.evaluation.metrics.crowdpose import CrowdTruth, score_crowdpose
from pose_hrnet.evaluation.metrics.pck import keypoint_metrics
from pose_hrnet.evaluation.metrics.pckh import MpiiTruth, score_mpii
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.inference.dataset import Inference
from pose_hrnet.keypoints.records import People, Poses
from pose_hrnet.keypoints.skeleton import COCO17, CROWDPOSE14, Skeleton
from pose_hrnet.system.arguments import check_choice
from pose_hrnet.system.choices import AnnotationKind, Evaluator, MetricName


@dataclass(frozen=True)
class Metric:
    """What is said of a metric's numbers, and what they are good for.

    Attributes:
        title: Above a table of them.
        main_number: The one that says how good a model is; AP, if test-time choices are compared.
        curve: Those in the picture of a training.
        by_person: Each pose is known to be of a person, so that there are no duplicates to remove.
    """

    title: str
    main_number: str
    curve: tuple[str, ...]
    by_person: bool = False


METRICS: Mapping[AnnotationKind, Metric] = {
    "coco": Metric("COCO keypoints (OKS)", "AP", ("AP", "AP50", "AR")),
    "crowdpose": Metric(
        "CrowdPose (OKS; E, M, H: easy, medium, hard images)", "AP", ("AP", "AP50", "AR")
    ),
    "mpii": Metric("MPII (PCKh@0.5)", "PCKh", ("PCKh", "PCKh@0.1"), by_person=True),
}
"""Every metric, by its name."""
CURVE_SCORES = tuple(dict.fromkeys(name for each in METRICS.values() for name in each.curve))
"""Scores in the picture of the curve of a training, whichever metric it has."""
NEEDS_ANNOTATED_BOXES = (
    "PCK, AUC and EPE need the annotated boxes, each of which belongs to one person; "
    "these are a detector's"
)


def main_number(values: Mapping[str, Any]) -> str | None:
    """Name of the number that says how good a model is; None if there is none among the values."""
    return next((m.main_number for m in METRICS.values() if m.main_number in values), None)


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores the poses of one data set, however often; made before, so that faults show early.

    Attributes:
        metric: The evaluation.
        data: The data set.
        skeleton: Its keypoints.
        truth: What they are compared with.
    """

    metric: AnnotationKind
    data: DataSet
    skeleton: Skeleton
    truth: Truth | CrowdTruth | MpiiTruth

    @classmethod
    def of(cls, file: Annotations, data: DataSet, skeleton: Skeleton) -> Scorer:
        """The scorer of the metric that a data set asks for, or is known by.

        Args:
            file: The annotations of the data set.
            data: What goes with them.
            skeleton: The keypoints.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the metric does not apply to the annotations or the boxes.
        """
        metric = file.kind if data.metric == "auto" else data.metric
        if (metric == "mpii") != (file.kind == "mpii"):
            raise ValueError(
                f"{file} has {'MPII' if file.kind == 'mpii' else 'COCO-style'} annotations,"
                f" to which the metric {metric} does not apply; "
                f"use {'mpii' if file.kind == 'mpii' else 'coco or crowdpose'}, or auto"
            )
        if isinstance(file, MpiiFile):
            if data.boxes is not None:
                raise ValueError(
                    f"PCKh scores annotated persons, which the boxes of {data.boxes} are not; "
                    "leave out the boxes"
                )
            return cls(metric, data, skeleton, MpiiTruth.of(file, data.head_sizes))
        if data.head_sizes is not None:
            raise ValueError(
                f"head sizes {data.head_sizes} are for PCKh, but the metric of {file} "
                f"is {metric}; leave out the head sizes"
            )
        if metric == "coco":
            category = file.category(data.category)
            truth = Truth.of(file, skeleton.num_keypoints, category=category)
            return cls(metric, data, skeleton, truth)
        if metric != "crowdpose":
            raise ValueError(f"the metric {metric} has no ground truth in Scorer.of; add it")
        count = CROWDPOSE14.num_keypoints
        if skeleton.num_keypoints != count:
            raise ValueError(
                f"the metric crowdpose has {count} keypoints, but {skeleton.name!r} has "
                f"{skeleton.num_keypoints}; use the metric coco"
            )
        return cls(metric, data, skeleton, CrowdTruth.of(file))

    def score(
        self,
        poses: Poses,
        people: People,
        inference: Inference,
        *,
        evaluator: Evaluator = "fast",
    ) -> Scores:
        """Score predictions.

        Args:
            poses: Duplicates removed; MPII does without.
            people: The persons that were predicted.
            inference: Their poses.
            evaluator: As `score_poses` takes it.

        Raises:
            ValueError: If the annotations are malformed.
        """
        if isinstance(self.truth, MpiiTruth):
            rows = people.ids[inference.rows].astype(int)
            return score_mpii(self.truth, inference.poses, rows)
        if isinstance(self.truth, CrowdTruth):
            results = results_of_poses(poses)
            return score_crowdpose(self.truth, results, evaluator=evaluator)
        return score_poses(
            self.truth,
            poses,
            sigmas=self.skeleton.sigmas,
            evaluator=evaluator,
        )

    def keypoint_metrics(self, people: People, inference: Inference) -> dict[str, Any]:
        """PCK, AUC and EPE, or under ``left_out`` why there are none."""
        if self.data.boxes is not None:
            return {"left_out": NEEDS_ANNOTATED_BOXES}
        names = self.skeleton.keypoint_names
        return keypoint_metrics(people, inference.poses, inference.rows, names)


@dataclass(frozen=True, eq=False)
class FileTruth:
    """Annotations that results files of any program are scored against.

    Attributes:
        metric: The evaluation.
        truth: What it compares with.
        skeleton: The keypoints, whose sigmas OKS uses.
    """

    metric: AnnotationKind
    truth: Truth | CrowdTruth
    skeleton: Skeleton

    @classmethod
    def of(
        cls,
        annotations: Path,
        *,
        skeleton: str | None = None,
        category: str | int | None = None,
        metric: MetricName = "auto",
    ) -> FileTruth:
        """Read annotations; takes and raises what `score_file` does."""
        check_choice("metric", metric, MetricName)
        file = read_annotations(annotations)
        if isinstance(file, MpiiFile) or metric == "mpii":
            raise ValueError(
                f"PCKh of {annotations} needs to know whose pose each result is, which results "
                "files do not say; score MPII with pose-hrnet evaluate"
            )
        name = file.kind if metric == "auto" else metric
        if name == "crowdpose":
            return cls(name, CrowdTruth.of(file), CROWDPOSE14)
        chosen = COCO17
        if skeleton is not None:
            chosen = find_skeleton(skeleton, annotations, category)
        elif (named := file.category(category)).keypoint_names:
            chosen = skeleton_of(named, annotations)
        scored = None if category is None else file.category(category)
        return cls(name, Truth.of(file, chosen.num_keypoints, category=scored), chosen)

    def score(self, results: Path, *, evaluator: Evaluator = "fast") -> Scores:
        """Score a results file; takes and raises what `score_file` does."""
        if isinstance(self.truth, CrowdTruth):
            scores = score_crowdpose(self.truth, results, evaluator=evaluator)
        else:
            scores = score_results(
                self.truth, results, sigmas=self.skeleton.sigmas, evaluator=evaluator
            )
        if all(value == -1 for value in scores.values.values()):
            raise ValueError(f"nothing in {self.name} can be scored: {'; '.join(scores.notes)}")
        return scores

    @property
    def name(self) -> str:
        """The annotation file."""
        return self.coco.name

    @property
    def coco(self) -> Truth:
        """The persons, as COCO's matching takes them."""
        return self.truth.truth if isinstance(self.truth, CrowdTruth) else self.truth


def score_file(
    annotations: str | Path,
    results: str | Path,
    *,
    skeleton: str | None = None,
    category: str | int | None = None,
    metric: MetricName = "auto",
    evaluator: Evaluator = "fast",
) -> tuple[Scores, AnnotationKind]:
    """Score a COCO results file of any program; also says by which metric.

    Args:
        annotations: COCO or CrowdPose annotations.
        results: COCO keypoint results.
        skeleton: Whose sigmas COCO's OKS uses, as `find_skeleton` takes it. None: COCO's where
            the annotations name no keypoints.
        category: Which categories are scored, as `AnnotationFile.category` takes it; None: all.
        metric: ``auto``: the one that the annotations are known by.
        evaluator: As `score_results` takes it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed, or the annotations are MPII's or have no person to
            find; or if an argument is none of its choices.
    """
    check_choice("evaluator", evaluator, Evaluator)
    annotations, results = Path(annotations), Path(results)
    truth = FileTruth.of(annotations, skeleton=skeleton, category=category, metric=metric)
    return truth.score(results, evaluator=evaluator), truth.metric
