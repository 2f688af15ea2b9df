"""What is wrong or odd in an annotation file, and what that does to AP, as `Finding`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pose_hrnet.data.formats.coco import Category
from pose_hrnet.data.formats.persons import AnnotatedPersons
from pose_hrnet.data.formats.rows import Problem, explain_strays
from pose_hrnet.data.formats.suspicions import suspect_people
from pose_hrnet.keypoints.records import Float64, Images, People
from pose_hrnet.keypoints.skeleton import Skeleton

Severity: TypeAlias = Literal["error", "warning", "info"]

EXAMPLES = 3
MEDIUM_FROM, LARGE_FROM = 32.0**2, 96.0**2
"""Areas at which COCO's size ranges begin, square pixels."""
FAR_FROM_BOX = 0.5
"""Distance from the box, in its longer sides, that no person of COCO val2017 reaches."""
FACES_NEEDED = 10
"""Fewer faces than this say nothing about left and right."""


@dataclass(frozen=True)
class Finding:
    """One kind of fault or oddity.

    Attributes:
        severity: ``"error"``: data is lost, or AP means nothing; ``"warning"``: probably wrong;
            ``"info"``: good to know.
        kind: What was found, short.
        count: How many images, annotations or detections.
        examples: The first few ids or files.
        meaning: What follows from it, and what to do.
        effect: Which COCO number it spoils, such as ``"AP 0"`` or ``"APM -1"``; else empty.
    """

    severity: Severity
    kind: str
    count: int
    examples: tuple[str, ...]
    meaning: str
    effect: str = ""


def found(
    severity: Severity, kind: str, rows: Iterable[object], meaning: str, effect: str = ""
) -> list[Finding]:
    """A finding about these ids or files; none if there are none."""
    names = [str(row) for row in rows]
    if not names:
        return []
    return [Finding(severity, kind, len(names), tuple(names[:EXAMPLES]), meaning, effect)]


def check_annotations(persons: AnnotatedPersons, skeleton: Skeleton) -> list[Finding]:
    """Everything that the annotation file alone can tell."""
    people = persons.people
    return [
        *_rows_left_out(persons.problems, people),
        *_evaluation(people),
        *_category(persons.category, skeleton),
        *_areas(people, persons.stated_areas),
        *_keypoint_counts(people, persons.stated_num_keypoints),
        *suspicions(people),
        *_keypoint_places(people),
        *_left_and_right(people, skeleton),
        *_crowds(people),
        *_images(people.images, people),
    ]


def check_regions(persons: AnnotatedPersons, skeleton: Skeleton) -> list[Finding]:
    """The same of MPII's files, whose boxes are regions, and whose images have no sizes."""
    people = persons.people
    return [
        *_rows_left_out(persons.problems, people),
        *_keypoint_places(people),
        *_left_and_right(people, skeleton),
    ]


def suspicions(people: People, prefix: str = "") -> list[Finding]:
    """What looks wrong over all of the boxes and keypoints, as every command warns of it."""
    return [
        finding
        for each in suspect_people(people)
        for finding in found(
            "warning", prefix + each.kind, people.ids[each.rows], each.meaning, "AP 0"
        )
    ]


def _rows_left_out(problems: Sequence[Problem], people: People) -> list[Finding]:
    findings = []
    for kind in dict.fromkeys(problem.kind for problem in problems):
        of_kind = [problem for problem in problems if problem.kind == kind]
        hint = explain_strays(of_kind, people.images)
        meaning = f"left out; {of_kind[0].sentence}" + (f": {hint}" if hint else "")
        effect = "AP -1" if not len(people) else ""
        findings += found("error", kind, [problem.id for problem in of_kind], meaning, effect)
    return findings


def _evaluation(people: People) -> list[Finding]:
    """Files on which COCO's numbers are 0 or -1 whatever is predicted."""
    labelled = (people.visibility > 0).any(axis=1)
    counted = labelled & ~people.is_crowd
    if not counted.any():
        if not len(people):
            kind = "no usable person"
        else:
            kind = "all persons are crowds" if labelled.any() else "no labelled keypoint"
        meaning = "nothing to train on; COCO's numbers are -1 where there is nothing to find"
        return [Finding("error", kind, len(people), (), meaning, "AP -1")]
    ids, areas = people.ids[counted], people.areas[counted]
    if (areas <= 0).all():
        meaning = (
            "OKS divides squared distances by the area, so no pose can match, and the official "
            "rules train on none; write the area of the segment, or none: the box's stands in"
        )
        return found("error", "area of every person is 0", ids, meaning, "AP 0")
    findings = found(
        "warning",
        "area is 0 or less",
        ids[areas <= 0],
        "left out of training and never matched in the evaluation; write the segment's area",
    )
    if not ((areas >= MEDIUM_FROM) & (areas <= LARGE_FROM)).any():
        meaning = "no area from 32 x 32 to 96 x 96 pixels: APM and ARM are -1, which is no fault"
        findings.append(Finding("warning", "no medium person", 0, (), meaning, "APM -1"))
    if not (areas >= LARGE_FROM).any():
        meaning = "no area of 96 x 96 pixels or more: APL and ARL are -1, which is no fault"
        findings.append(Finding("warning", "no large person", 0, (), meaning, "APL -1"))
    return findings


def _category(category: Category, skeleton: Skeleton) -> list[Finding]:
    findings = []
    if not category.keypoint_names:
        findings += found(
            "warning",
            "category without keypoint names",
            [category.name],
            f"nothing shows that the keypoints have the order of {skeleton.name!r}",
        )
    elif category.keypoint_names != skeleton.keypoint_names:
        pairs = zip(category.keypoint_names, skeleton.keypoint_names, strict=True)
        findings += found(
            "warning",
            "keypoint names differ from the skeleton",
            [f"{name} for {expected}" for name, expected in pairs if name != expected],
            f"check that the keypoints have the order of {skeleton.name!r}",
        )
    if category.others:
        findings += found(
            "info",
            "categories of the same keypoints",
            category.ids,
            "learned as one, and each scored by itself; --category, or data.category in a recipe, "
            "chooses",
        )
    elif category.id != 1:
        findings += found(
            "warning",
            "category id is not 1",
            [category.id],
            "results and detections with category_id 1 do not match it; give them this id",
            "AP 0",
        )
    return findings


def _areas(people: People, stated: Float64) -> list[Finding]:
    boxes = people.boxes_xywh
    return [
        *found(
            "warning",
            "area is missing",
            people.ids[np.isnan(stated)],
            "the box's area stands in, which is larger than a segment's and raises AP; "
            "pycocotools by itself does not evaluate such a file",
        ),
        *found(
            "warning",
            "area is larger than the box",
            people.ids[stated > 1.01 * boxes[:, 2] * boxes[:, 3] + 1],
            "a segment lies within its box; too large an area raises AP",
        ),
    ]


def _keypoint_counts(people: People, stated: Float64) -> list[Finding]:
    counts = (people.visibility > 0).sum(axis=1)
    wrong = (stated >= 0) & (stated != counts)
    counted = (counts > 0) & ~people.is_crowd
    ignored = bool(counted.any()) and bool((stated[counted] == 0).all())
    return found(
        "error" if ignored else "warning",
        "num_keypoints is wrong",
        people.ids[wrong],
        "training counts the labelled keypoints itself, but COCO's evaluation ignores a person "
        "whose num_keypoints is 0; write the number of keypoints with visibility 1 or 2",
        "AP -1" if ignored else "",
    )


def _keypoint_places(people: People) -> list[Finding]:
    labelled = people.visibility > 0
    points, boxes = people.keypoints_image, people.boxes_xywh
    sizes = people.images.sizes_wh[people.image_index][:, None]
    outside = (points < 0) | ((sizes > 0) & (points >= sizes))
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    distance = np.maximum(low - points, points - high).max(axis=2)
    far = distance > FAR_FROM_BOX * boxes[:, 2:].max(axis=1, keepdims=True)
    return [
        *found(
            "warning",
            "labelled keypoint outside the image",
            people.ids[(labelled & outside.any(axis=2)).any(axis=1)],
            "give it visibility 0, or correct it; are its units pixels?",
        ),
        *found(
            "warning",
            "labelled keypoint far from the box",
            people.ids[(labelled & far).any(axis=1)],
            f"more than {FAR_FROM_BOX:g} of the longer side away: the crop does not show it; "
            "is the box [x, y, width, height]?",
        ),
    ]


def _left_and_right(people: People, skeleton: Skeleton) -> list[Finding]:
    """Of a person who faces the camera, the left eye is on the right in the image."""
    names = skeleton.keypoint_names
    if "left_eye" not in names or "right_eye" not in names:
        return []
    eyes = [names.index("left_eye"), names.index("right_eye")]
    faces = (people.visibility[:, eyes] == 2).all(axis=1)
    x = people.keypoints_image[:, eyes, 0]
    exchanged = faces & (x[:, 0] < x[:, 1])
    if faces.sum() < FACES_NEEDED or 2 * exchanged.sum() < faces.sum():
        return []
    return found(
        "warning",
        "left and right look exchanged",
        people.ids[exchanged],
        f"of {faces.sum()} persons with two visible eyes, these have the left one to the left of "
        "the right one in the image; left means the person's left",
    )


def _crowds(people: People) -> list[Finding]:
    labelled = (people.visibility > 0).any(axis=1)
    return found(
        "warning",
        "crowd with labelled keypoints",
        people.ids[people.is_crowd & labelled],
        "left out of training, and ignored by the evaluation; set iscrowd to 0 for one person",
    )


def _images(images: Images, people: People) -> list[Finding]:
    unknown = (images.sizes_wh <= 0).any(axis=1)
    empty = np.bincount(people.image_index, minlength=len(images)) == 0
    twice = [name for name, count in Counter(images.file_names).items() if count > 1]
    return [
        *found(
            "warning",
            "image size is missing",
            [images.file_names[row] for row in np.flatnonzero(unknown)],
            "boxes are not clipped to the image; write width and height",
        ),
        *found(
            "warning",
            "file name of several images",
            twice,
            "the images differ in their ids only; is one file annotated twice?",
        ),
        *found(
            "info",
            "image without persons",
            [images.file_names[row] for row in np.flatnonzero(empty)],
            "nothing is trained on it; detections in it count as false",
        ),
    ]


__all__ = ["Finding", "Severity", "check_annotations", "check_regions", "found"]
