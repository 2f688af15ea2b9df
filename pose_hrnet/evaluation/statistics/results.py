"""All numbers of a results file, as one statistic of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from pose_hrnet.data.formats.results import Results, read_results
from pose_hrnet.evaluation.diagnosis.scene import LOCALISED
from pose_hrnet.evaluation.metrics.coco_ap import Matched, match_results
from pose_hrnet.evaluation.metrics.crowdpose import CROWDPOSE_METRICS, CrowdTruth
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.evaluation.statistics.bootstrap import REPLICATES, Draws, Intervals, bootstrap
from pose_hrnet.evaluation.statistics.curves import Curves
from pose_hrnet.evaluation.statistics.keypoints import BestPoses
from pose_hrnet.evaluation.statistics.weighted import Joined, Part, Statistic
from pose_hrnet.keypoints.records import ImageId
from pose_hrnet.system.choices import Evaluator
from pose_hrnet.system.text import counted


@dataclass(frozen=True, eq=False)
class MatchedFile:
    """A results file, matched with the annotations.

    Attributes:
        truth: What it is matched with.
        results: What it holds.
        matched: What its COCO numbers are counted from.
    """

    truth: FileTruth
    results: Results
    matched: Matched

    @classmethod
    def of(
        cls, truth: FileTruth, results: Path | Results, *, evaluator: Evaluator = "fast"
    ) -> MatchedFile:
        """Match a results file of any program.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a result is malformed, the file is of other images, or nothing in the
                annotations can be scored.
        """
        sigmas = truth.skeleton.sigmas
        if not isinstance(results, Results):
            results = read_results(results, len(sigmas))
        matched = match_results(truth.coco, results, sigmas=sigmas, evaluator=evaluator)
        if (matched.evaluation.stats == -1).all():
            raise ValueError(
                f"nothing in {truth.name} can be scored: it has no person with keypoints, crowds "
                "aside; give annotations of persons"
            )
        return cls(truth, results, matched)

    @property
    def name(self) -> str:
        """The file."""
        return self.results.name

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the file, one sentence each; nothing of ordinary ones."""
        notes, found, best = list(self.matched.notes), self.matched.found, self.best
        if not len(found):
            notes.append(f"{self.name} has no result: every person counts as missed")
        elif len(best.oks) and best.oks.max() < LOCALISED:
            notes.append(
                f"no result of {self.name} comes near a person of {self.truth.name} (the highest "
                f"OKS is {best.oks.max():.2g}): are they of the same images, in pixels of these?"
            )
        rows = np.column_stack(
            [found.image_numbers, found.category_numbers, found.scores, found.keypoints]
        )
        if twice := len(rows) - len(np.unique(rows, axis=0)):
            notes.append(
                f"{twice} of {counted(len(rows), 'result')} of {self.name} stand there before, "
                "equal in every number; each counts as a false one"
            )
        return tuple(notes)

    @property
    def image_ids(self) -> tuple[ImageId, ...]:
        """I image ids, in the order of all statistics."""
        return tuple(self.truth.coco.image_numbers)

    @cached_property
    def reached(self) -> frozenset[int]:
        """Numbers of the images with persons on which there is a result."""
        with_persons = np.array(self.matched.images)[np.unique(self.best.image)]
        found = np.intersect1d(with_persons, self.matched.found.image_numbers)
        return frozenset(found.tolist())

    @cached_property
    def best(self) -> BestPoses:
        """The result of highest OKS for each person."""
        return BestPoses.of(self.matched, self.truth.skeleton.keypoint_names)

    @cached_property
    def ap(self) -> Curves:
        """AP alone, which takes less time."""
        return Curves.of(self.matched, ("AP",))

    @cached_property
    def metrics(self) -> Statistic:
        """The numbers that `score_file` gives."""
        crowd = self.truth.truth
        if not isinstance(crowd, CrowdTruth):
            return Curves.of(self.matched)
        whole = [name for name in CROWDPOSE_METRICS if name not in crowd.groups]
        parts: list[Statistic] = [Curves.of(self.matched, whole)]
        row = {image_id: at for at, image_id in enumerate(self.image_ids)}
        for name, images in crowd.groups.items():
            if images:
                chosen = np.array(sorted(row[image_id] for image_id in images), np.intp)
                alone = match_results(
                    crowd.truth,
                    self.results,
                    sigmas=self.truth.skeleton.sigmas,
                    image_ids=images,
                )
                parts.append(Part((name,), Curves.of(alone, ("AP",)), chosen, len(row)))
        return Joined(tuple(parts))

    @cached_property
    def everything(self) -> Statistic:
        """Those numbers, PCK, and similarity and PCK of each keypoint."""
        return Joined((self.metrics, self.best.pck(), *self.best.by_keypoint()))


@dataclass(frozen=True, eq=False)
class DrawnFile:
    """A results file, and its numbers, drawn again.

    Attributes:
        file: It, matched.
        draws: Of `MatchedFile.everything`.
    """

    file: MatchedFile
    draws: Draws

    @classmethod
    def of(
        cls,
        file: MatchedFile,
        *,
        clusters: Sequence[object] | None = None,
        unit: str = "image",
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> DrawnFile:
        """Draw all numbers of a file; takes and raises what `bootstrap` does."""
        draws = bootstrap(
            file.everything, clusters=clusters, unit=unit, replicates=replicates, seed=seed
        )
        return cls(file, draws)

    @cached_property
    def intervals(self) -> Intervals:
        """Of all numbers."""
        return self.draws.intervals()

    @property
    def ap(self) -> float:
        """Of the images as they are."""
        return float(self.draws.values[self.draws.names.index("AP")])


def check_common_images(files: Sequence[MatchedFile]) -> None:
    """Results that are compared are of the same images.

    Raises:
        ValueError: If two files have results, and on no common image with persons.
    """
    for a, b in combinations(files, 2):
        if a.reached and b.reached and not a.reached & b.reached:
            raise ValueError(
                f"{a.name} and {b.name} have results on no common image; give results on the "
                f"same images of {a.truth.name}"
            )


def notes_on(files: Sequence[MatchedFile]) -> list[str]:
    """Those of the files, and which of them lacks images that another one has results of."""
    notes = [note for file in files for note in file.notes]
    union = frozenset[int]().union(*(file.reached for file in files))
    for file in files:
        if missing := len(union - file.reached):
            notes.append(
                f"{file.name} has no result on {counted(missing, 'image')} with persons where "
                "another file has some; all persons there count as missed"
            )
    return list(dict.fromkeys(notes))
