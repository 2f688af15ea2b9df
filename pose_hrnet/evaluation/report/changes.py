"""Two results files side by side: what changed, how sure that is, and where most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_hrnet.evaluation.matching import MIN_KEYPOINTS
from pose_hrnet.evaluation.report.examples import SHOWN, Pictures
from pose_hrnet.evaluation.report.numbers import Numbers
from pose_hrnet.evaluation.statistics.comparison import Pair, ResultsComparison
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.keypoints.records import Image
from pose_hrnet.visualize.html import Picture
from pose_hrnet.visualize.persons import draw_person


@dataclass(frozen=True, eq=False)
class Changes:
    """What the results of a report have more than others.

    Attributes:
        other: The others.
        comparison: Of both, the others first.
    """

    other: Numbers
    comparison: ResultsComparison

    @property
    def pair(self) -> Pair:
        """The two."""
        return self.comparison.pairs[0]


def changed_persons(numbers: Numbers, other: MatchedFile, *, better: bool) -> list[int]:
    """Rows of `BestPoses` of the persons that changed most, one of an image, by falling change.

    Persons with fewer than `MIN_KEYPOINTS` labelled keypoints come last.

    Args:
        numbers: Of the report.
        other: What they are compared with.
        better: Those that became better, or worse.
    """
    best = numbers.file.best
    change = best.oks - other.best.oks
    change = change if better else -change
    labelled = (~np.isnan(best.similarity)).sum(axis=1)
    few = labelled < MIN_KEYPOINTS  # whose OKS says little
    order = np.lexsort((-change, few))
    order = order[change[order] > 0]
    _, first = np.unique(best.image[order], return_index=True)
    return [int(row) for row in order[np.sort(first)][:SHOWN]]


def draw_changes(pictures: Pictures, other: MatchedFile, rows: list[int]) -> list[Picture]:
    """Pictures of persons with the pose of each file, the other's on the left."""
    file = pictures.numbers.file
    truth, skeleton, drawn = file.matched.truth.persons, file.truth.skeleton, []
    for row in rows:
        number = int(truth.image_numbers[file.best.person[row]])
        image = pictures.of(number)
        if image is None:
            continue
        keypoints = truth.keypoints[file.best.person[row]]
        box = truth.boxes_xywh[file.best.person[row]]
        views: list[Image] = []
        for side in (other, file):
            pose = int(side.best.pose[row])
            found = None
            if pose >= 0:
                found = side.matched.found.keypoints[pose].reshape(-1, 3)[:, :2]
            view = draw_person(
                image, skeleton, truth=keypoints, found=found, box_xywh=box, widen=False
            )
            views.append(view)
        before, after = other.best.oks[row], file.best.oks[row]
        caption = f"{pictures.name(number)}. OKS {before:.2f} in A (left), {after:.2f} in B"
        rule = np.full((views[0].shape[0], 6, 3), 255, np.uint8)
        drawn.append(Picture(np.hstack([views[0], rule, views[1]]), caption))
    return drawn
