"""Reads MPII's annotations in the JSON form that the official HRNet code publishes.

``annot/{train,valid}.json`` is a list of ``{image, center, scale, joints, joints_vis}``: one row a
person, pixels counted from 1 as in Matlab, and a region of 200 * scale pixels in place of a box
(Andriluka et al., CVPR 2014). A row may have a ``head_box`` ``[x1, y1, x2, y2]``; the official
files have none, and PCKh then takes head sizes from ``gt_valid.mat``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from pose_hrnet.data.formats.broken_json import UNDECODABLE, fault_of
from pose_hrnet.data.formats.coco import Category
from pose_hrnet.data.formats.persons import AnnotatedPersons
from pose_hrnet.data.formats.rows import MALFORMED, Problem, lenient, read_json, summarise
from pose_hrnet.keypoints.records import Float64, Images, People, object_array
from pose_hrnet.keypoints.skeleton import MPII16
from pose_hrnet.system.choices import AnnotationKind
from pose_hrnet.system.text import few

FIRST_PIXEL = 1
"""MPII counts pixels from 1."""
PIXELS_PER_SCALE = 200
"""Side of the region in pixels where scale is 1."""
CENTER_DOWN = 15
"""Pixels, times scale, that the official code moves the centre down by, not to cut off feet."""
MPII_PERSON = Category(1, "person", MPII16.keypoint_names)
"""Stands in for the category that MPII's files do not name."""


@dataclass(frozen=True, eq=False)
class MpiiFile:
    """The usable rows of an MPII file.

    Attributes:
        path: The file.
        people: N persons; the id of each is its row in the file, counted from 0. Boxes are the
            square regions of 200 * scale, which box padding 1.25 turns into the official crops.
        rows: Length of the file's list.
        head_boxes: ``(N, 4)`` float64 x1, y1, x2, y2 from ``head_box``, NaN where there is none.
        problems: The rows that were left out.
    """

    path: Path
    people: People
    rows: int
    head_boxes: Float64
    problems: tuple[Problem, ...]

    kind: ClassVar[AnnotationKind] = "mpii"

    def __str__(self) -> str:
        return str(self.path)

    def category(self, wanted: str | int | None = None) -> Category:
        """That of persons, which the file does not name.

        Raises:
            ValueError: If another one is asked for.
        """
        if wanted not in (None, MPII_PERSON.id, MPII_PERSON.name, "all"):
            raise ValueError(f"{self} is MPII's, which has no categories; ask for no {wanted!r}")
        return MPII_PERSON

    def persons(self, category: str | int | None = None) -> AnnotatedPersons:
        """The rows as those of COCO's files, without areas and counts of their own.

        Raises:
            ValueError: If another category is asked for than that of persons.
        """
        unknown = np.full(len(self.people), np.nan)
        chosen = self.category(category)
        return AnnotatedPersons(self.people, self.problems, chosen, unknown, unknown)


class _Person(msgspec.Struct):
    image: str
    center: tuple[float, float]
    scale: float
    joints: list[tuple[float, float]] = []
    joints_vis: list[float] = []
    head_box: list[Any] | None = None
    headbox: list[Any] | None = None


def read_mpii(path: Path) -> MpiiFile:
    """Read an MPII file; rows that cannot be used are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no list of persons, or none of them can be used.
    """
    raws = read_json(path, list[msgspec.Raw], "MPII annotations, a list of {image, center, ...}")
    problems: list[Problem] = []
    kept: list[_Person] = []
    numbers: list[int] = []
    decode = lenient(_Person)
    for number, raw in enumerate(raws):
        try:
            fault = _fault(person := decode(raw))
        except UNDECODABLE as error:
            sentence = f"row {number}: {fault_of(raw, error)[1]}"
            problems.append(Problem(f"{MALFORMED} row", number, sentence))
            continue
        if fault:
            problems.append(Problem(fault, number, f"row {number} ({person.image}): {fault}"))
        else:
            kept.append(person)
            numbers.append(number)
    if not kept and (other := _other_list(raws)):
        raise ValueError(
            f"{path} is {other}, no annotation file; give COCO, CrowdPose or MPII annotations "
            "(rows of MPII have image, center, scale)"
        )
    if not kept:
        reason = summarise(problems) or "the list is empty"
        raise ValueError(f"{path} has no usable person: {reason}")
    people = _people(kept, numbers)
    heads = np.array([_head_box(person) for person in kept], np.float64)
    return MpiiFile(Path(path), people, len(raws), heads, tuple(problems))


_OTHER_LISTS = (
    ({"keypoints", "image_id"}, "a list of results (are two files exchanged?)"),
    ({"bbox"}, "a list of detections"),
    ({"data", "annotations"}, "a list of Label Studio's tasks"),
)
"""What other lists are, by keys that all of their rows have."""


def _other_list(raws: Sequence[msgspec.Raw]) -> str:
    """What a list is whose first rows have neither image nor center; empty if they have."""
    try:
        rows = msgspec.convert(
            [msgspec.json.decode(raw) for raw in raws[:3]], list[dict[str, Any]]
        )
    except UNDECODABLE:
        return "a list, but not of objects" if raws else ""
    if not rows or any({"image", "center"} & {*row} for row in rows):
        return ""
    kind = next((what for keys, what in _OTHER_LISTS if keys <= {*rows[0]}), "a list of others")
    return f"{kind} with {few(map(repr, rows[0])) or 'nothing'} in each"


def _fault(person: _Person) -> str:
    """What is wrong with a row; empty if nothing."""
    count = MPII16.num_keypoints
    if {len(person.joints), len(person.joints_vis)} not in ({count}, {0}):
        return f"joints and joints_vis are not {count} each"
    if person.scale <= 0 or person.center[0] < 0:
        return "no center and scale"  # the official files write -1
    return ""


def _people(kept: list[_Person], numbers: list[int]) -> People:
    names = tuple(dict.fromkeys(person.image for person in kept))
    place = {name: i for i, name in enumerate(names)}
    count, k = len(kept), MPII16.num_keypoints
    nowhere = [(0.0, 0.0)] * k
    joints = np.array([p.joints or nowhere for p in kept], np.float64).reshape(count, k, 2)
    labelled = np.array([p.joints_vis or [0] * k for p in kept], np.float64) > 0
    scales = np.array([p.scale for p in kept], np.float64)[:, None]
    centers = np.array([p.center for p in kept], np.float64)
    centers = centers + np.array([0, CENTER_DOWN]) * scales - FIRST_PIXEL
    sides = np.repeat(PIXELS_PER_SCALE * scales, 2, axis=1)
    boxes = np.concatenate([centers - sides / 2, sides], axis=1).astype(np.float32)
    keypoints = np.where(labelled[..., None], joints - FIRST_PIXEL, 0.0)
    return People(
        images=Images(names, names, np.zeros((len(names), 2), np.int32)),
        image_index=np.array([place[person.image] for person in kept], np.int32),
        ids=object_array(numbers),
        boxes_xywh=boxes,
        keypoints_image=keypoints.astype(np.float32),
        visibility=np.where(labelled, 2, 0).astype(np.uint8),
        areas=boxes[:, 2:].prod(axis=1),
        scores=np.ones(count, np.float32),
        is_crowd=np.zeros(count, np.bool_),
    )


def _head_box(person: _Person) -> Float64:
    """``[x1, y1, x2, y2]`` or ``[[x1, y1], [x2, y2]]`` as four numbers; NaN if it is neither."""
    given = person.head_box or person.headbox
    try:
        box = np.array(given, np.float64).reshape(-1)
    except (TypeError, ValueError):
        box = np.empty(0)
    return box if box.size == 4 else np.full(4, np.nan)


__all__ = ["FIRST_PIXEL", "MPII_PERSON", "MpiiFile", "read_mpii"]
