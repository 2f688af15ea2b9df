"""Everything of an evaluation but the network, for made-up poses: reading, NMS, ten numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pose_hrnet.benchmark.made_up import sample_poses, write_annotations, write_boxes
from pose_hrnet.benchmark.timing import Measurement, Pace, Row, Variant, Work, measure
from pose_hrnet.data.formats.detections import load_detections
from pose_hrnet.data.people import load_people
from pose_hrnet.evaluation.metrics.coco_ap import score_poses, score_results
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.keypoints.oks import oks_nms, rescore, soft_oks_nms
from pose_hrnet.keypoints.records import Poses
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.choices import Evaluator
from pose_hrnet.system.files import write_json
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

# As many as val2017 has images with persons, and as labelled and unlabelled persons in them.
IMAGES, PERSONS = 2_693, 11_004
BASELINE = "ten numbers, pycocotools' loop"
FAST = "ten numbers"
_TOGETHER = ("read annotations", "read boxes", "rescore", "OKS-NMS", FAST)


def benchmark_evaluation(
    folder: Path,
    annotations: Path | None,
    poses: int,
    pace: Pace,
    *,
    progress: Progress = SILENT,
) -> Measurement:
    """Time the phases of an evaluation, our matching against pycocotools' loop.

    Args:
        folder: For files that are made up.
        annotations: COCO keypoint JSON; None: `PERSONS` made-up persons.
        poses: How many predictions to make up.
        pace: How long to measure.
        progress: Watches.

    Raises:
        FileNotFoundError: If there are no such annotations.
        ValueError: If they are malformed, or have no person with keypoints.
    """
    made_up = annotations is None
    if annotations is None:
        annotations = folder / "annotations.json"
        scale = min(1.0, poses / 100_000)
        images, persons = round(IMAGES * scale) + 1, round(PERSONS * scale) + 2
        write_annotations(annotations, images=images, persons=persons)
    people = load_people(annotations)
    if not (people.visibility > 0).any():
        raise ValueError(f"{annotations} has no person with keypoints; give other annotations")
    found = sample_poses(people, poses)
    kept = oks_nms(rescore(found), COCO17.sigmas)
    scores: dict[Evaluator, Scores] = {}
    works = _works(annotations, found, kept, folder, scores)
    variants = [Variant.ready(name, work) for name, work in works.items()]
    rows = measure(variants, BASELINE, pace, name="evaluation", progress=progress)
    return Measurement(
        "evaluation",
        f"{poses:,} made-up poses ({len(kept):,} after OKS-NMS) on {len(people):,} "
        f"{'made-up' if made_up else 'annotated'} persons in "
        f"{counted(len(people.images), 'image')}",
        "pose",
        poses,
        BASELINE,
        (*_compared(rows), _together(rows)),
        {"poses": poses, "after_nms": len(kept), "persons": len(people), "made_up": made_up},
        (f"together: {', '.join(_TOGETHER)}", *_agreement(scores)),
    )


def _works(
    annotations: Path,
    poses: Poses,
    kept: Poses,
    folder: Path,
    scores: dict[Evaluator, Scores],
) -> dict[str, Work]:
    """The phases by name; those that score leave the numbers in `scores`."""
    boxes, results = folder / "boxes.json", folder / "results.json"
    write_boxes(poses, boxes)
    write_json(results, poses.to_coco())
    images, rescored = load_people(annotations).images, rescore(poses)

    def score(evaluator: Evaluator) -> None:
        scores[evaluator] = score_poses(annotations, kept, evaluator=evaluator)

    return {
        BASELINE: partial(score, "pycocotools"),
        FAST: partial(score, "fast"),
        "results file to ten numbers": partial(score_results, annotations, results),
        "read annotations": partial(load_people, annotations),
        "read boxes": partial(load_detections, boxes, images),
        "rescore": partial(rescore, poses),
        "OKS-NMS": partial(oks_nms, rescored, COCO17.sigmas),
        "OKS-NMS, soft": partial(soft_oks_nms, rescored, COCO17.sigmas),
    }


def _compared(rows: Sequence[Row]) -> list[Row]:
    """Ratios only where both do the same."""
    return [row if row.variant in (BASELINE, FAST) else replace(row, ratio=None) for row in rows]


def _together(rows: Sequence[Row]) -> Row:
    """What an evaluation takes without its network: the sum of its phases in each round."""
    parts = [row for row in rows if row.variant in _TOGETHER]
    if any(row.reason for row in parts):
        return Row("together", reason="a phase could not be run")
    rounds = tuple(
        sum(seconds) for seconds in zip(*(row.round_seconds for row in parts), strict=True)
    )
    return Row("together", rounds, None, len(rounds))


def _agreement(scores: dict[Evaluator, Scores]) -> tuple[str, ...]:
    if len(scores) < 2:
        return ()
    same = scores["fast"].values == scores["pycocotools"].values
    verdict = "the same to the last bit" if same else "DIFFERENT"
    return (f"the ten numbers of both ways are {verdict}",)
