"""Two results files side by side: what changed, how sure that is, and where most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_hrnet.evaluation.matching import MIN_KEYPOINTS
from pose_hrnet.evaluation.report.examples import LEGEND, SHOWN, Pictures
from pose_hrnet.evaluation.report.numbers import Numbers
from pose_hrnet.evaluation.report.page import interval_cell
from pose_hrnet.evaluation.statistics.comparison import Pair, ResultsComparison, compare_drawn
from pose_hrnet.evaluation.statistics.keypoints import is_of_keypoint
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.keypoints.records import Image
from pose_hrnet.visualize import html
from pose_hrnet.visualize.html import Picture, Section
from pose_hrnet.visualize.persons import draw_person

MOST_IMAGES = 20
"""Images in the table of those that changed most."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What the results of a report have more than others.

    Attributes:
        other: The others.
        numbers: Of the report.
        comparison: Of both, the others first.
    """

    other: Numbers
    numbers: Numbers
    comparison: ResultsComparison

    @classmethod
    def between(cls, other: Numbers, numbers: Numbers) -> Changes:
        """Compare numbers that are of the same draws."""
        return cls(other, numbers, compare_drawn([[other.drawn], [numbers.drawn]]))

    @property
    def pair(self) -> Pair:
        """The two."""
        return self.comparison.pairs[0]

    @property
    def sentence(self) -> str:
        """Which of them is better, if that can be told."""
        first, second = (short_name(Path(side.files[0])) for side in self.comparison.sides)
        sentence = self.pair.sentence
        return f"A is {first}, B is {second}. {sentence[0].upper()}{sentence[1:]}."


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


def _draw(pictures: Pictures, other: MatchedFile, rows: list[int]) -> list[Picture]:
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
        caption = f"{pictures.name(number)}. OKS {before:.2f} in A, {after:.2f} in B"
        rule = np.full((views[0].shape[0], 6, 3), 255, np.uint8)
        drawn.append(Picture(np.hstack([views[0], rule, views[1]]), caption))
    return drawn


def changes_section(changes: Changes, pictures: Pictures | None) -> Section:
    """Differences of all numbers, kinds of errors and images; with pictures, the persons, too."""
    pair, other, numbers = changes.pair, changes.other, changes.numbers
    first, second = (side.values.values for side in changes.comparison.sides)
    names = [name for name in first if not is_of_keypoint(name)]
    differences = pair.differences.values
    rows: list[list[html.Content]] = [
        [
            name,
            html.number(first[name].value),
            html.number(second[name].value),
            interval_cell(differences[name], sign="+"),
        ]
        for name in names
    ]
    keypoints: list[list[html.Content]] = [
        [
            name,
            html.number(first[f"OKS {name}"].value),
            html.number(second[f"OKS {name}"].value),
            interval_cell(differences[f"OKS {name}"], sign="+"),
        ]
        for name in numbers.file.best.names
    ]
    shares = [each.diagnosis.overall.shares for each in (other, numbers)]
    kinds: list[list[html.Content]] = [
        [
            kind,
            html.number(100 * shares[0][kind], 1),
            html.number(100 * shares[1][kind], 1),
            html.number(100 * (shares[1][kind] - shares[0][kind]), 1, sign="+"),
        ]
        for kind in shares[0]
    ]
    scores: list[list[html.Content]] = [
        [what, interval_cell(before), interval_cell(after)]
        for what, before, after in zip(
            ("keypoints", "persons"),
            other.calibration_errors,
            numbers.calibration_errors,
            strict=True,
        )
    ]
    images: list[list[html.Content]] = [
        [
            str(each.file_name or each.image_id),
            each.persons,
            html.number(each.before / each.persons),
            html.number(each.after / each.persons),
            html.number(each.change, 2, sign="+"),
        ]
        for each in pair.images[:MOST_IMAGES]
        if each.change
    ]
    blocks = [
        html.paragraph(changes.sentence),
        html.paragraph(
            "p: results change places within images. One training of each: another seed of the "
            "same recipe may differ as much.",
            note=True,
        ),
        html.side_by_side(
            html.heading("Numbers")
            + html.table(["number", "A", "B", "B minus A"], rows)
            + html.heading("Kinds of keypoint errors, percent")
            + html.table(["kind", "A", "B", "B minus A"], kinds),
            html.heading("Similarity of each keypoint")
            + html.table(["keypoint", "A", "B", "B minus A"], keypoints)
            + html.heading("Expected calibration error of scores")
            + html.table(["scores of", "A", "B"], scores),
        ),
    ]
    if images:
        blocks += [
            html.heading("Images that changed most"),
            html.table(["image", "persons", "mean OKS A", "mean OKS B", "change, summed"], images),
        ]
    if pictures is not None:
        drawn = list[str]()
        sides = "in B (right) than in A (left)"
        for better, title in ((True, f"Better {sides}"), (False, f"Worse {sides}")):
            rows_of = changed_persons(numbers, other.file, better=better)
            if found := _draw(pictures, other.file, rows_of):
                drawn += [html.heading(title), html.gallery(found, pairs=True)]
        blocks += [html.legend_of(LEGEND[:2]), *drawn] if drawn else []
    return Section("What changed", tuple(blocks))


def short_name(path: Path) -> str:
    """A results file in a title: of ``results.json`` the folder says more."""
    name = path.name if path.stem != "results" else path.resolve().parent.name
    return name or path.name
