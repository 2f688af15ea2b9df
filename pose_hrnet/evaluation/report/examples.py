"""The persons whose pictures show what is right and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.evaluation.diagnosis.kinds import GOOD, KINDS
from pose_hrnet.evaluation.matching import worth_showing
from pose_hrnet.evaluation.metrics.coco_matching import Rows
from pose_hrnet.evaluation.report.findings import PLURAL, background_rows
from pose_hrnet.evaluation.report.numbers import Numbers
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.text import counted, shown
from pose_hrnet.visualize.html import Picture
from pose_hrnet.visualize.persons import draw_person

LEGEND = (
    ("c-truth", "annotated"), ("c-found", "predicted"), ("c-jitter", "jitter"),
    ("c-inversion", "inversion"), ("c-swap", "swap"), ("c-miss", "miss"),
)  # fmt: skip
"""Colours of the pictures, and what they are of."""
SHOWN = 12
"""Pictures of a row at most."""


@dataclass(eq=False)
class Pictures:
    """The images of a data set, read when they are drawn on, each once; counts what cannot be.

    Attributes:
        numbers: Whose persons are drawn.
        folder: Of the images.
        unreadable: Names of images that could not be read.
    """

    numbers: Numbers
    folder: Path
    unreadable: set[str] = field(default_factory=set)
    _last: tuple[int, Image | None] = (-1, None)

    def of(self, image_number: int) -> Image | None:
        """The image of a number of the ground truth; None: it cannot be read."""
        if self._last[0] != image_number:
            self._last = image_number, self._read(image_number)
        return self._last[1]

    def name(self, image_number: int) -> str:
        """What the image is called, short enough for a caption."""
        coco = self.numbers.file.truth.coco
        row = _row_of(self.numbers, image_number)
        return shown(coco.images.file_names[row] or str(coco.images.ids[row]), 40).strip("'")

    def _read(self, image_number: int) -> Image | None:
        images = self.numbers.file.truth.coco.images
        row = _row_of(self.numbers, image_number)
        width, height = (int(side) for side in images.sizes_wh[row])
        try:
            path = image_path(self.folder, images.file_names[row])
            return read_rgb(path, (width, height) if width and height else None)
        except (ImageError, OSError, ValueError):
            self.unreadable.add(images.file_names[row] or str(images.ids[row]))
            return None


def _row_of(numbers: Numbers, image_number: int) -> int:
    """Row of the images that a number of the ground truth stands for."""
    coco = numbers.file.truth.coco
    return coco.images.ids.index(numbers.file.image_ids[image_number - 1])


@dataclass(frozen=True, eq=False)
class Example:
    """A person, or a result of nobody, to be drawn.

    Attributes:
        person: Row of the scene's persons; None: nobody is there.
        result: Row of its results; None: nobody was found.
        error: Row of the keypoint errors, where it has one.
        words: What is said of it.
    """

    person: int | None
    result: int | None
    error: int | None
    words: str


def worst_typical_best(numbers: Numbers) -> dict[str, list[Example]]:
    """Found persons of lowest, of middle and of highest OKS, by what they are called.

    Of persons with at least `MIN_KEYPOINTS` labelled keypoints, unless all have fewer; each
    person is in one of the three.
    """
    errors = numbers.diagnosis.errors
    fit = worth_showing((errors.kinds >= 0).sum(axis=1))
    rising = fit[np.argsort(errors.oks[fit], kind="stable")]
    each = min(SHOWN, -(-len(rising) // 3))
    worst, rest = rising[:each], rising[each:]
    best, rest = rest[::-1][:each], rest[: max(len(rest) - each, 0)]
    start = max((len(rest) - each) // 2, 0)
    return {
        "worst": [_of_error(numbers, row) for row in worst.tolist()],
        "typical": [_of_error(numbers, row) for row in rest[start : start + each].tolist()],
        "best": [_of_error(numbers, row) for row in best.tolist()],
    }


def of_kinds(numbers: Numbers) -> dict[str, list[Example]]:
    """For each kind of error the persons with most of it, one of an image; and what has no other.

    ``not found`` are persons whom no result finds, the largest first; ``background`` results that
    find nobody, the surest first.
    """
    diagnosis = numbers.diagnosis
    errors, scene = diagnosis.errors, diagnosis.scene
    chosen: dict[str, list[Example]] = {}
    for kind in range(GOOD + 1, len(KINDS)):
        count = (errors.kinds == kind).sum(axis=1)
        order = np.lexsort((errors.oks, -count))
        order = order[count[order] > 0]
        rows = _one_of_an_image(order, scene.persons.image_numbers[errors.person])
        chosen[KINDS[kind]] = [_of_error(numbers, row) for row in rows.tolist()]
    found = np.zeros(len(scene.persons), np.bool_)
    found[errors.person] = True
    missed = np.flatnonzero(scene.counts & ~found)
    missed = missed[np.argsort(-scene.persons.areas[missed], kind="stable")][:SHOWN]
    chosen["not found"] = [
        Example(
            person, None, None, f"area {scene.persons.areas[person]:,.0f} px\N{SUPERSCRIPT TWO}"
        )
        for person in missed.tolist()
    ]
    chosen["background"] = [
        Example(None, result, None, f"score {scene.found.scores[result]:.2f}")
        for result in background_rows(numbers)[:SHOWN]
    ]
    return chosen


def _one_of_an_image(order: Rows, images: Rows) -> Rows:
    """The first `SHOWN`, each of another image if there are so many images."""
    _, first = np.unique(images[order], return_index=True)
    different = order[np.sort(first)][:SHOWN]
    rest = order[~np.isin(order, different)]
    return np.concatenate([different, rest[: SHOWN - len(different)]])


def _of_error(numbers: Numbers, row: int) -> Example:
    errors = numbers.diagnosis.errors
    kinds = errors.kinds[row]
    wrong = {KINDS[k]: int((kinds == k).sum()) for k in range(GOOD + 1, len(KINDS))}
    said = ", ".join(f"{n} {kind if n == 1 else PLURAL[kind]}" for kind, n in wrong.items() if n)
    return Example(
        int(errors.person[row]),
        int(errors.result[row]),
        row,
        f"OKS {errors.oks[row]:.2f}: {said or 'all good'}",
    )


def draw(pictures: Pictures, examples: Sequence[Example]) -> list[Picture]:
    """The pictures of examples whose images can be read, in their order."""
    numbers = pictures.numbers
    order = sorted(range(len(examples)), key=lambda at: _image_number(numbers, examples[at]))
    drawn: dict[int, Picture] = {}
    for at in order:
        number = _image_number(numbers, examples[at])
        image = pictures.of(number)
        if image is not None:
            caption = f"{pictures.name(number)}. {examples[at].words}"
            drawn[at] = Picture(_drawn(numbers, examples[at], image), caption)
    return [drawn[at] for at in sorted(drawn)]


def _image_number(numbers: Numbers, example: Example) -> int:
    matched, scene = numbers.file.matched, numbers.diagnosis.scene
    if example.person is not None:
        row = scene.person_rows[example.person]
        return int(matched.truth.persons.image_numbers[row])
    return int(matched.found.image_numbers[scene.result_rows[example.result]])


def _drawn(numbers: Numbers, example: Example, image: Image) -> Image:
    scene, skeleton = numbers.diagnosis.scene, numbers.file.truth.skeleton
    truth = box = None
    if example.person is not None:
        truth = scene.persons.keypoints[example.person]
        box = scene.persons.boxes_xywh[example.person]
    found = None
    if example.result is not None:
        found = scene.found.keypoints[example.result].reshape(-1, 3)[:, :2]
    kinds = None
    if example.error is not None:
        named = numbers.diagnosis.errors.kinds[example.error].tolist()
        kinds = [KINDS[k] if k > GOOD else None for k in named]
    return draw_person(image, skeleton, truth=truth, found=found, box_xywh=box, kinds=kinds)


def unreadable_in_words(pictures: Pictures) -> str | None:
    """A sentence on the images that could not be read; None: there are none."""
    if not pictures.unreadable:
        return None
    names = sorted(pictures.unreadable)
    return (
        f"{counted(len(names), 'image')} of those that were to be shown could not be read from "
        f"{pictures.folder}, such as {shown(names[0])}; their pictures are left out."
    )
