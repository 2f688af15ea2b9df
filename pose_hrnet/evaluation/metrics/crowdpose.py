"""CrowdPose's AP (Li et al., CVPR 2019), as crowdposetools computes it.

COCO's rules on 14 keypoints with three differences: a person's area is 0.53 times the box's, there
are no size ranges, and AP is also taken over easy, medium and hard images, by their crowd index.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.data.formats.coco import AnnotationFile
from pose_hrnet.data.formats.results import Results, read_results
from pose_hrnet.evaluation.metrics.coco_ap import score_results
from pose_hrnet.evaluation.metrics.coco_truth import Truth
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.keypoints.records import ImageId
from pose_hrnet.keypoints.skeleton import CROWDPOSE14
from pose_hrnet.system.choices import Evaluator
from pose_hrnet.system.text import counted

AREA_OVER_BOX = 0.53
"""Area of a person over that of the box, which stands for the segment that CrowdPose lacks."""
CROWD_LIMITS = (0.2, 0.8)
"""Crowd indices at which medium and hard begin, as crowdposetools has them; the paper says 0.1."""
_OF_ALL_IMAGES = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
CROWDPOSE_METRICS = (*_OF_ALL_IMAGES, "APE", "APM", "APH")
"""Names of the nine numbers; E, M, H: easy, medium and hard images, not sizes."""


@dataclass(frozen=True)
class CrowdTruth:
    """What CrowdPose's evaluation compares with.

    Attributes:
        truth: The persons.
        groups: Ids of the images that are easy, medium and hard, by the name of their AP.
        without_index: How many images are in no group.
    """

    truth: Truth
    groups: dict[str, list[ImageId]]
    without_index: int

    @classmethod
    def of(cls, file: AnnotationFile) -> CrowdTruth:
        """The ground truth of CrowdPose annotations, whose images have a ``crowdIndex``.

        Raises:
            ValueError: As `Truth.of`.
        """
        truth = Truth.of(file, CROWDPOSE14.num_keypoints, area_over_box=AREA_OVER_BOX)
        groups: dict[str, list[ImageId]] = {"APE": [], "APM": [], "APH": []}
        for image_id, index in zip(file.images.ids, file.crowd_indices, strict=True):
            if not np.isnan(index):
                reached = sum(index >= limit for limit in CROWD_LIMITS)
                groups[("APE", "APM", "APH")[reached]].append(image_id)
        return cls(truth, groups, int(np.isnan(file.crowd_indices).sum()))


def score_crowdpose(
    crowd: CrowdTruth,
    results: Path | list[dict[str, Any]] | Results,
    *,
    evaluator: Evaluator = "fast",
) -> Scores:
    """Score results against CrowdPose annotations.

    Args:
        crowd: Their ground truth.
        results: As `score_results` takes them.
        evaluator: As `score_results` takes it.

    Returns:
        The numbers of `CROWDPOSE_METRICS`, 0 to 1; -1 where no person stands in such images.

    Raises:
        FileNotFoundError: If there is no such results file.
        ValueError: As `score_results`.
    """
    truth, sigmas = crowd.truth, CROWDPOSE14.sigmas
    if not isinstance(results, Results):
        results = read_results(results, CROWDPOSE14.num_keypoints)
    whole = score_results(
        truth, results, sigmas=sigmas, evaluator=evaluator, metrics=_OF_ALL_IMAGES
    )
    values, notes = dict(whole.values), list(whole.notes)
    if unknown := crowd.without_index:
        without = counted(unknown, "image")
        notes.append(f"{without} of {truth.name} without crowdIndex, for AP alone")
    for name, images in crowd.groups.items():
        values[name] = -1.0
        if images:
            part = score_results(
                truth,
                results,
                sigmas=sigmas,
                image_ids=images,
                evaluator=evaluator,
                metrics=("AP",),
            )
            values[name] = part.values["AP"]
        if values[name] == -1:
            notes.append(f"{name} is -1: no person with keypoints stands in such images")
    return Scores(values, whole.counts, tuple(notes), whole.evaluator)


__all__ = ["CROWDPOSE_METRICS", "CrowdTruth", "score_crowdpose"]
