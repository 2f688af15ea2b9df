"""Results files of two or more models on the same images, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.evaluation.statistics.bootstrap import (
    LEVEL,
    LEVEL_IN_WORDS,
    REPLICATES,
    Interval,
    Intervals,
)
from pose_hrnet.evaluation.statistics.changes import ImageChange, image_changes
from pose_hrnet.evaluation.statistics.keypoints import OKS_OF_KEYPOINT
from pose_hrnet.evaluation.statistics.paired import (
    Trainings,
    holm,
    mean_of,
    swapped_p_value,
    welch,
)
from pose_hrnet.evaluation.statistics.results import (
    DrawnFile,
    MatchedFile,
    check_common_images,
    notes_on,
)
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

ALPHA = round(1 - LEVEL, 9)
"""P values below it are told as a difference."""
MOST_SIDES = len(ascii_uppercase)


@dataclass(frozen=True)
class Side:
    """A model: the results of one training of it, or of several.

    Attributes:
        label: A letter.
        files: Its results files.
        values: Its numbers, of several files the means.
    """

    label: str
    files: tuple[str, ...]
    values: Intervals


@dataclass(frozen=True)
class Pair:
    """Two sides, and what the second has more than the first.

    Attributes:
        first: A label.
        second: The other.
        differences: Of every number, with intervals over images.
        p_value: Of AP, results being swapped within images; Holm's, if there are several pairs.
        trainings: What the trainings tell, if a side has several.
        images: How each image changed, those of the largest changes first.
        sentence: What is to be said.
        differs: Whether that is that one of them is better.
    """

    first: str
    second: str
    differences: Intervals
    p_value: float
    trainings: Trainings | None
    images: tuple[ImageChange, ...]
    sentence: str
    differs: bool

    def keypoints(self) -> list[tuple[str, Interval]]:
        """Difference of the mean similarity of each keypoint, the largest first."""
        found = [
            (name.removeprefix(OKS_OF_KEYPOINT), interval)
            for name, interval in self.differences.values.items()
            if name.startswith(OKS_OF_KEYPOINT) and interval.value is not None
        ]
        return sorted(found, key=lambda each: -abs(each[1].value or 0.0))


@dataclass(frozen=True)
class ResultsComparison:
    """Every side, and every pair of them.

    Attributes:
        annotations: What all were scored against.
        metric: By which evaluation.
        counts: Images and persons, the same for all.
        sides: In the order in which they were given.
        pairs: All pairs of them.
        notes: What there is to say, one sentence each.
    """

    annotations: str
    metric: str
    counts: dict[str, int]
    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def compare_results(
    sides: Sequence[Sequence[Path]],
    annotations: Path | FileTruth,
    *,
    clusters: Sequence[object] | None = None,
    unit: str = "image",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress = SILENT,
) -> ResultsComparison:
    """Compare results files of two or more models on the same images.

    Args:
        sides: The results files of each model, COCO keypoint results of any program: one, or
            several of as many trainings.
        annotations: COCO or CrowdPose annotations, or what was read of them.
        clusters: As of `bootstrap`.
        unit: As of `bootstrap`.
        replicates: Draws of the images, and permutations.
        seed: Of both.
        progress: Watches.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If there are not two sides, a file is malformed or of other images, or no
            image has results of all.
    """
    if not 2 <= len(sides) <= MOST_SIDES or not all(sides):
        raise ValueError(
            f"results of {counted(len(sides), 'model')} were given to compare; give those of 2 "
            f"to {MOST_SIDES}, each at least one file"
        )
    truth = annotations if isinstance(annotations, FileTruth) else FileTruth.of(annotations)
    matched = [[MatchedFile.of(truth, path) for path in side] for side in sides]
    check_common_images([file for files in matched for file in files])
    drawn: list[list[DrawnFile]] = []
    with progress.task("draw", sum(map(len, sides)), "files") as bar:
        for files in matched:
            drawn.append([])
            for file in files:
                each = DrawnFile.of(
                    file, clusters=clusters, unit=unit, replicates=replicates, seed=seed
                )
                drawn[-1].append(each)
                bar.advance()
    return compare_drawn(drawn, clusters=clusters, progress=progress)


def compare_drawn(
    sides: Sequence[Sequence[DrawnFile]],
    *,
    clusters: Sequence[object] | None = None,
    progress: Progress = SILENT,
) -> ResultsComparison:
    """Compare results whose numbers are drawn; permutations are as many as the draws.

    Args:
        sides: As of `compare_results`, all drawn with the same clusters, count and seed.
        clusters: Those.
        progress: Watches.

    Raises:
        ValueError: If no image has results of all.
    """
    matched = [[drawn.file for drawn in side] for side in sides]
    files = [file for side in matched for file in side]
    check_common_images(files)
    notes = notes_on(files)
    first_draws = sides[0][0].draws
    replicates, seed = len(first_draws.draws), first_draws.seed
    draws = [mean_of([drawn.draws for drawn in side]) for side in sides]
    pairs = list(combinations(range(len(sides)), 2))
    p_values = []
    with progress.task("compare", len(pairs), "pairs") as bar:
        for i, j in pairs:
            curves = ([file.ap for file in matched[side]] for side in (i, j))
            p_values.append(
                swapped_p_value(*curves, clusters=clusters, permutations=replicates, seed=seed)
            )
            bar.advance()
    labels = ascii_uppercase
    told = []
    for (i, j), p_value in zip(pairs, holm(p_values), strict=True):
        differences = draws[j].minus(draws[i]).intervals()
        trainings = None
        if len(sides[i]) > 1 or len(sides[j]) > 1:
            trainings = welch([a.ap for a in sides[i]], [b.ap for b in sides[j]])
        sentence, differs = verdict(
            labels[i], labels[j], differences, p_value, trainings, alone=len(pairs) == 1
        )
        images = tuple(image_changes(matched[i], matched[j]))
        told.append(
            Pair(labels[i], labels[j], differences, p_value, trainings, images, sentence, differs)
        )
    if (least := len(pairs) / (replicates + 1)) >= ALPHA:
        notes.append(
            f"{counted(len(pairs), 'pair')} and {counted(replicates, 'permutation')} give no p "
            f"value below {least:.2g}, so that no model can be told to be better; ask for more"
        )
    own = [each.intervals() for each in draws]
    for each in own:
        notes += [note for note in each.notes if note not in notes]
    first = files[0]
    return ResultsComparison(
        first.truth.name,
        first.truth.metric,
        {"images": len(first.image_ids), "persons": len(first.best.person)},
        tuple(
            Side(labels[at], tuple(file.name for file in side), values)
            for at, (side, values) in enumerate(zip(matched, own, strict=True))
        ),
        tuple(told),
        tuple(notes),
    )


def verdict(
    first: str,
    second: str,
    differences: Intervals,
    p_value: float,
    trainings: Trainings | None = None,
    *,
    alone: bool = True,
) -> tuple[str, bool]:
    """What is to be said of two models in a sentence, and whether one of them is better.

    Of a pair that is not alone, both are named.

    One is called better where the p value is below `ALPHA` and the interval excludes 0, and if
    there are several trainings of both, theirs does, too.
    """
    ap = differences.values["AP"]
    if ap.value is None:
        return f"{second} and {first} cannot be compared: there is no AP", False
    if all(each.value in (None, 0) for each in differences.values.values()):
        return f"{second} and {first} are equal in AP, AR, PCK and OKS", False
    differs = ap.excludes_zero and p_value < ALPHA
    seeds = None if trainings is None else trainings.difference
    if seeds is not None and seeds.low is not None:
        differs = differs and seeds.excludes_zero
    better, worse, sign = (second, first, 1) if ap.value > 0 else (first, second, -1)
    if not differs:
        better, sign = f"{second} minus {first}", 1
    over = "over images " if trainings is not None else ""
    interval = f"{LEVEL_IN_WORDS} interval {over}{_ends(ap, sign)}"
    if seeds is not None and seeds.low is not None:
        interval += f", over trainings {_ends(seeds, sign)}"
    gain = f"{100 * sign * ap.value:.1f} AP, {interval}, p = {p_value:.2g}"
    if differs:
        return f"{better} is better{'' if alone else f' than {worse}'} by {gain}", True
    return f"it cannot be told which of {first} and {second} is better: {better} is {gain}", False


def _ends(interval: Interval, sign: int) -> str:
    """In points of AP: ``0.4 to 2.2``."""
    if interval.low is None or interval.high is None:
        return "unknown"
    low, high = sorted((100 * sign * interval.low, 100 * sign * interval.high))
    return f"{low:.1f} to {high:.1f}"
