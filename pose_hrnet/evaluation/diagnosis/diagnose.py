"""What a network gets wrong: the errors of its keypoints, and what each kind costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_hrnet.evaluation.diagnosis.corrections import Corrected, correct
from pose_hrnet.evaluation.diagnosis.groups import Group, groups_of
from pose_hrnet.evaluation.diagnosis.kinds import KeypointErrors, classify_keypoints
from pose_hrnet.evaluation.diagnosis.scene import Scene
from pose_hrnet.evaluation.metrics.coco_ap import Matched
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.keypoints.skeleton import Skeleton

REFERENCE_AREAS = (32.0**2, 1e5**2)
"""Persons that count in the program of the paper's authors, square pixels."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The errors of a results file.

    Attributes:
        scene: Persons and results.
        errors: Of the results that have found a person.
        overall: How often each kind occurs.
        groups: The same by keypoint, size, visibility, overlap, number of labelled keypoints.
        corrected: AP without each kind.
    """

    scene: Scene
    errors: KeypointErrors
    overall: Group
    groups: tuple[Group, ...]
    corrected: Corrected

    def gains(self) -> dict[str, tuple[float, float]]:
        """What correcting each kind adds to AP, alone and after the kinds before it, 0 to 1."""
        before = mean_precision(self.corrected.as_is)
        gains = {}
        last = before
        for name, alone in self.corrected.alone.items():
            after = mean_precision(self.corrected.cumulated[name])
            gains[name] = (mean_precision(alone) - before, after - last)
            last = after
        return gains

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: AP as it is and corrected, shares of each group."""
        corrected = self.corrected

        def numbers(precision: Float64) -> dict[str, float]:
            named = {"AP50": 0.5, "AP75": 0.75}
            found = {name: _at(corrected.thresholds, precision, t) for name, t in named.items()}
            return {"AP": mean_precision(precision), **found}

        return {
            "as_is": numbers(corrected.as_is),
            "alone": {name: numbers(each) for name, each in corrected.alone.items()},
            "cumulated": {name: numbers(each) for name, each in corrected.cumulated.items()},
            "groups": [
                {
                    "by": group.by,
                    "name": group.name,
                    "persons": group.persons,
                    "found": group.found,
                    "keypoints": group.keypoints,
                    **group.counts,
                }
                for group in (self.overall, *self.groups)
            ],
        }


def diagnose(matched: Matched, skeleton: Skeleton, *, reference: bool = False) -> Diagnosis:
    """Find the errors of results, and what they cost.

    Args:
        matched: Truth and results.
        skeleton: Names of the keypoints, and which exchange in the mirror.
        reference: Count as the program of the paper's authors, where it is other than the paper:
            see `correct`; persons below 32^2 square pixels do not count, and results that take a
            crowd are judged, too.

    Raises:
        ValueError: If no person has to be found, or a sigma of the skeleton is 0.
    """
    scene = Scene.of(matched, skeleton.flip_index, REFERENCE_AREAS if reference else None)
    if not scene.counts.any():
        raise ValueError(
            f"{matched.truth.name} has no person with keypoints, crowds aside, in the images that "
            "are evaluated: there are no errors to tell apart"
        )
    errors = classify_keypoints(scene, crowds=reference)
    overall, groups = groups_of(scene, errors, skeleton.keypoint_names)
    return Diagnosis(scene, errors, overall, groups, correct(scene, errors, reference=reference))


def mean_precision(precision: Float64) -> float:
    """AP of ``(T,)`` precisions: the mean of those that there are, -1 without any."""
    known = precision[precision > -1]
    return float(known.mean()) if len(known) else -1.0


def _at(thresholds: Float64, precision: Float64, wanted: float) -> float:
    return float(precision[np.abs(thresholds - wanted).argmin()])
