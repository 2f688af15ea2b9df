"""Time everything of an evaluation but the network: 100,000 made-up poses on COCO's val2017.

``python benchmarks/evaluation.py person_keypoints_val2017.json`` prints the seconds of each phase,
medians of several runs, and the ten numbers; with ``--reference`` also those of pycocotools' loop,
which must be the same to the last bit. Target: at most 2 s in total. Where other work shares the
cores, seconds of the clock say more about that work; seconds of the processor count, too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np

from pose_hrnet.data.coco import load_detections, load_people, poses_to_results, write_json
from pose_hrnet.metrics.coco_ap import score_poses, score_results
from pose_hrnet.metrics.oks import oks_nms, rescore
from pose_hrnet.records import People, Poses, object_array
from pose_hrnet.skeleton import COCO17

SEED = 0
FALSE_POSITIVES, DUPLICATES = 0.3, 0.05
PADDING = 1.25

Result = TypeVar("Result")


def draw_poses(people: People, count: int, rng: np.random.Generator) -> Poses:
    """Draw jittered copies of the labelled persons, strays in other images, exact duplicates.

    Each person is found several times, near and far; scores are higher for near ones and have
    three decimals, so that many are equal.
    """
    labelled = people[(people.visibility > 0).any(axis=1) & ~people.is_crowd]
    found = labelled[np.sort(rng.integers(len(labelled), size=count))]
    visible = (found.visibility > 0)[..., None]
    centres = (found.keypoints_image * visible).sum(axis=1) / visible.sum(axis=1)
    keypoints = np.where(visible, found.keypoints_image, centres[:, None])
    error = 0.2 + rng.exponential(1.0, count)  # in units of the keypoint's own tolerance
    steps = 2 * np.outer(np.sqrt(found.areas), COCO17.sigmas)[..., None]
    keypoints = keypoints + rng.normal(size=keypoints.shape) * steps * error[:, None, None]
    stray = rng.random(count) < FALSE_POSITIVES
    image = np.where(stray, rng.integers(len(people.images), size=count), found.image_index)
    quality = np.exp(-error / 2) * np.where(stray, 0.5, 1.0)
    spread = rng.uniform(0.5, 1.0, (2, count, 17))
    image_ids = object_array(people.images.ids)[image]
    poses = Poses(
        image_ids=image_ids,
        keypoints_image=keypoints.astype(np.float32),
        keypoint_scores=(quality[:, None] * spread[0]).astype(np.float32),
        boxes_xyxy=np.hstack(
            [found.boxes_xywh[:, :2], found.boxes_xywh[:, :2] + found.boxes_xywh[:, 2:]]
        ),
        scores=(quality * spread[1, :, 0]).round(3).astype(np.float32),
        areas=(found.boxes_xywh[:, 2] * found.boxes_xywh[:, 3] * PADDING**2).astype(np.float32),
    )
    rows = np.arange(count)
    copies = np.flatnonzero(rng.random(count) < DUPLICATES)
    rows[copies] = np.maximum(copies - 1, 0)
    return poses[rows]


def write_boxes(poses: Poses, path: Path) -> None:
    """Write the poses' boxes as a person detector would."""
    low, high = poses.boxes_xyxy[:, :2], poses.boxes_xyxy[:, 2:]
    boxes = np.hstack([low, high - low]).astype(np.float64).round(3)
    columns = zip(poses.image_ids, boxes.tolist(), poses.scores.tolist(), strict=True)
    write_json(
        path,
        [
            {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
            for image_id, box, score in columns
        ],
    )


class Stopwatch:
    """Collects the seconds of phases over several runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = {}

    def __call__(self, phase: str, work: Callable[[], Result]) -> Result:
        """Do the work and note its seconds by the clock and of the processor."""
        clock, processor = perf_counter(), process_time()
        result = work()
        spent = perf_counter() - clock, process_time() - processor
        self.seconds.setdefault(phase, []).append(spent)
        return result

    def report(self, title: str, phases: tuple[str, ...]) -> None:
        """Print the median of each phase and of their sum."""
        print(f"\n{title:44} clock  processor")
        rows = {phase: self.seconds[phase] for phase in phases}
        if len(rows) > 1:
            runs = zip(*rows.values(), strict=True)
            rows["total"] = [tuple(map(sum, zip(*run, strict=True))) for run in runs]
        for phase, spent in rows.items():
            clock, processor = (median(column) for column in zip(*spent, strict=True))
            print(f"{phase:42} {clock:5.2f} s {processor:7.2f} s")


def main() -> None:
    """Print seconds and the ten numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("annotations", type=Path, help="COCO keypoint annotations, JSON")
    parser.add_argument("--poses", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--reference", action="store_true", help="time pycocotools' loop, too")
    options = parser.parse_args()
    annotations: Path = options.annotations
    people = load_people(annotations)
    poses = draw_poses(people, options.poses, np.random.default_rng(SEED))
    phases = "read annotations", "read boxes", "rescore", "OKS-NMS", "ten COCO numbers"
    with tempfile.TemporaryDirectory() as folder:
        boxes, results = Path(folder) / "boxes.json", Path(folder) / "results.json"
        write_boxes(poses, boxes)
        write_json(results, poses_to_results(poses))
        watch = Stopwatch()
        for _ in range(options.repeats):
            read = watch(phases[0], partial(load_people, annotations))
            watch(phases[1], partial(load_detections, boxes, read.images))
            rescored = watch(phases[2], partial(rescore, poses))
            kept = watch(phases[3], partial(oks_nms, rescored, COCO17.sigmas))
            scores = watch(phases[4], partial(score_poses, annotations, kept))
            from_file = watch("score a results file", partial(score_results, annotations, results))
        watch.report(f"{len(poses):,} poses, {len(kept):,} after OKS-NMS", phases)
        watch.report(f"{len(poses):,} poses in a file", ("score a results file",))
        print(" ".join(f"{name} {value:.4f}" for name, value in scores.values.items()))
        if not options.reference:
            return
        slow = watch(
            "ten COCO numbers, pycocotools",
            partial(score_poses, annotations, kept, evaluator="pycocotools"),
        )
        slow_from_file = watch(
            "score a results file, pycocotools",
            partial(score_results, annotations, results, evaluator="pycocotools"),
        )
        for phase in ("ten COCO numbers, pycocotools", "score a results file, pycocotools"):
            watch.report("pycocotools' loop, one run", (phase,))
        same = (slow.values, slow_from_file.values) == (scores.values, from_file.values)
        print(f"the ten numbers {'are the same to the last bit' if same else 'DIFFER'}")


if __name__ == "__main__":
    main()
