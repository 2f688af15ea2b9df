"""What every metric gives: its numbers, and what there is to say about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """A metric's verdict on a set of poses.

    Attributes:
        values: The numbers by their names, in the order to print them; those of COCO, CrowdPose
            and MPII are 0 to 1, -1 where the ground truth has nothing to score.
        counts: What was scored: images, persons, results, labelled joints.
        notes: What was mended and what a number of -1 means, one sentence each; empty for
            ordinary data.
        evaluator: What computed them, with its version, where there are several that can.
        per_joint: The numbers of each joint, where the metric has them.
    """

    values: dict[str, float]
    counts: dict[str, int]
    notes: tuple[str, ...]
    evaluator: str | None = None
    per_joint: dict[str, dict[str, float]] | None = None
