"""Data sets of every kind, alone or several together, as `People` of one skeleton."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from pose_hrnet.data.formats.coco import AnnotationFile, Category, read_coco
from pose_hrnet.data.formats.detections import load_detections
from pose_hrnet.data.formats.mpii import MpiiFile, read_mpii
from pose_hrnet.data.formats.persons import read_persons
from pose_hrnet.data.formats.rows import explain_strays, is_list, summarise
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.data.formats.suspicions import suspect_people, warn_of
from pose_hrnet.keypoints.records import People
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton, places_by_name
from pose_hrnet.system.choices import BoxFormat
from pose_hrnet.system.text import counted, few

log = logging.getLogger(__name__)


Annotations: TypeAlias = AnnotationFile | MpiiFile
"""A decoded annotation file of any kind; its `kind` says which."""


def read_annotations(path: Path) -> Annotations:
    """Decode an annotation file, once for all that is asked of it: a list is MPII's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file.
    """
    return read_mpii(path) if is_list(path) else read_coco(path)


def check_keypoints(
    file: Annotations,
    skeleton: Skeleton,
    category: str | int | None = None,
    *,
    trained: bool = True,
) -> Category:
    """Refuse a data set of other keypoints than a model's; else its category.

    Args:
        file: The data set.
        skeleton: What the model predicts.
        category: As of `AnnotationFile.category`.
        trained: Whether there is a checkpoint of it; False: it is to learn from other data.

    Raises:
        ValueError: If it lacks a category of persons, or has other keypoints.
    """
    chosen = file.category(category)
    names = chosen.keypoint_names
    if not skeleton.reads(names):
        learnt = "the model predicts" if trained else "the model is to learn"
        advice = (
            "give a data set of the model's keypoints, or train for these with this checkpoint as "
            "model.pretrained"
            if trained
            else "give data.val and data.train of the same keypoints, or name those to learn in "
            "data.skeleton (docs/data_sets.md)"
        )
        raise ValueError(
            f"{file} has {counted(len(names), 'keypoint')} ({', '.join(names)}), but {learnt} "
            f"{skeleton.num_keypoints} ({', '.join(skeleton.keypoint_names)}): {advice}"
        )
    others = ", ".join(f"{name} as {own}" for name, own in skeleton.renames(names))
    if others:
        log.warning("%s: keypoints are read in the model's order, %s", file, others)
    return chosen


def annotated_people(
    file: Annotations, skeleton: Skeleton, category: str | int | None = None
) -> People:
    """The persons that are predicted in their annotated boxes.

    COCO and CrowdPose: those of the official rules (`labelled_people`). MPII: all, since its
    evaluation asks for every row.

    Raises:
        ValueError: If there is none, or they are of another skeleton.
    """
    if isinstance(file, AnnotationFile):
        return labelled_people(load_people(file, skeleton=skeleton, category=category))
    check_keypoints(file, skeleton, category)
    if file.problems:
        log.warning("%s: %s", file, summarise(file.problems))
    return file.people


def load_people(
    annotations: Path | AnnotationFile,
    *,
    skeleton: Skeleton = COCO17,
    category: str | int | None = None,
    on_bad: Literal["report", "raise"] = "report",
) -> People:
    """Load every person of an annotation file, crowds and persons without keypoints included.

    Ids may be integers or strings. A missing ``area`` is the box's, a missing ``iscrowd`` is 0,
    missing keypoints are unlabelled, and ``num_keypoints`` is not read. Left out and reported are
    the rows that cannot be decoded, and those that break a rule of
    `pose_hrnet.data.formats.persons.RULES`.

    Args:
        annotations: COCO keypoint JSON, or what was read of it.
        skeleton: The keypoints of the category.
        category: As `AnnotationFile.category` takes it.
        on_bad: Whether a bad row is logged (one warning for the file) or ends the loading.

    Returns:
        N persons in the file's order; `boxes_xywh` are as the file has them, not clipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no annotation file of this skeleton, has no usable person, or
            has a bad row and `on_bad` is ``"raise"``.
    """
    file = read_coco(annotations) if isinstance(annotations, Path) else annotations
    persons = read_persons(file, skeleton, category)
    people, problems = persons.people, persons.problems
    if problems and on_bad == "raise":
        more = f" (and {len(problems) - 1} more bad rows)" if len(problems) > 1 else ""
        raise ValueError(f"{file}: {problems[0].sentence}{more}")
    if not len(people):
        reasons = [summarise(problems) or "no annotation has this category_id"]
        reasons += filter(None, [explain_strays(problems, people.images)])
        raise ValueError(
            f"{file} has no usable person of category {few(map(repr, persons.category.ids))} "
            f"({persons.category.name}): {'; '.join(reasons)}"
        )
    if problems:
        log.warning("%s: %s", file, summarise(problems))
    warn_of(file, suspect_people(people))
    return people


def labelled_people(people: People) -> People:
    """The labelled persons, which the official code trains on and evaluates in their own boxes.

    Left out are crowds and persons without a labelled keypoint, an area or a box inside the
    image. Boxes are clipped to ``[x1, y1, x2 - x1, y2 - y1]`` with ``x1 = max(0, x)`` and
    ``x2 = min(W - 1, x1 + max(0, w - 1))``, the same in y; where the image size is unknown, only
    against 0. A box that clips to a single point has no crop and is left out, too.

    Returns:
        The remaining persons, in order; may be none.
    """
    boxes = people.boxes_xywh
    sizes = people.images.sizes_wh[people.image_index]
    last_pixel = np.where(sizes > 0, sizes - 1, np.inf)
    low = np.maximum(0, boxes[:, :2])
    high = np.minimum(last_pixel, low + np.maximum(0, boxes[:, 2:] - 1))
    keep = ~people.is_crowd & (people.visibility > 0).any(axis=1) & (people.areas > 0)
    keep &= (high >= low).all(axis=1) & (high > low).any(axis=1)
    clipped = np.concatenate([low, high - low], axis=1).astype(np.float32)
    return replace(people, boxes_xywh=clipped)[keep]


def people_to_predict(
    file: Annotations,
    boxes: Path | None,
    skeleton: Skeleton,
    *,
    category: str | int | None = None,
    min_box_score: float = 0.0,
    box_format: BoxFormat = "xywh",
) -> People:
    """The persons whose crops are predicted: the detections, or the official ground-truth boxes.

    Ground-truth boxes are those of `annotated_people`, as the official code evaluates them.

    Args:
        file: The annotations.
        boxes: A detector's boxes in the same images; None: the annotated ones.
        skeleton: The keypoints.
        category: As `AnnotationFile.category` takes it.
        min_box_score: Weaker detections are left out.
        box_format: What four numbers are where the box file does not say it.

    Raises:
        ValueError: If a file is malformed, has other keypoints or leaves no person.
        FileNotFoundError: If there are no such boxes.
    """
    if boxes is None:
        people = annotated_people(file, skeleton, category)
    else:
        annotated = (
            file.people
            if isinstance(file, MpiiFile)
            else load_people(file, skeleton=skeleton, category=category)
        )
        people = load_detections(
            boxes,
            annotated.images,
            skeleton=skeleton,
            min_score=min_box_score,
            box_format=box_format,
            category_ids=file.category(category).ids,
        )
    if not len(people) and boxes is None:
        raise ValueError(f"{file} has no person to predict; see pose-hrnet data validate")
    return people


def people_to_learn(
    annotations: Path,
    skeleton: Skeleton,
    *,
    source: str | None = None,
    category: str | int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> People:
    """The persons of one data set who have a keypoint to learn, under the target's keypoints.

    Args:
        annotations: Of any kind.
        skeleton: The keypoints to learn. Those that the data set lacks are not labelled.
        source: The data set's own keypoints, as `find_skeleton` takes them.
        category: As `AnnotationFile.category` takes it.
        mapping: As in `map_keypoints`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the file is malformed, the mapping names unknown keypoints, or no person
            has a keypoint to learn.
    """
    own, file = skeleton, read_annotations(annotations)
    names = file.category(category).keypoint_names
    same = skeleton.reads(names) and not skeleton.renames(names)
    if source is not None or mapping or not same:
        own = find_skeleton(source, annotations, category)
    people = annotated_people(file, own, category)
    if own is not skeleton:
        people = map_keypoints(people, own, skeleton, mapping or {}, annotations)
    people = people[(people.visibility > 0).any(axis=1)]
    if not len(people):
        raise ValueError(
            f"{annotations} has no person with labelled keypoints to learn from; "
            "see pose-hrnet data validate"
        )
    return people


def map_keypoints(
    people: People,
    source: Skeleton,
    target: Skeleton,
    mapping: Mapping[str, str],
    annotations: Path | str,
) -> People:
    """Give persons the keypoints of another skeleton, by name.

    Args:
        people: N persons with the source's keypoints.
        source: What they have.
        target: What they get; keypoints without a source have visibility 0.
        mapping: Source name for target names that the source calls otherwise.
        annotations: Where the persons come from, for messages.

    Raises:
        ValueError: If the mapping has an unknown name, or the skeletons share no keypoint.
    """
    for role, known, names in (
        ("to learn", target, mapping.keys()),
        ("of the file", source, mapping.values()),
    ):
        unknown = [name for name in names if name not in known.keypoint_names]
        if unknown:
            raise ValueError(
                f"the mapping of {annotations} names {unknown[0]!r}, which is no keypoint {role} "
                f"({', '.join(known.keypoint_names)}); write it as {{to learn: in the file}}"
            )
    wanted = [mapping.get(name, name) for name in target.keypoint_names]
    found = places_by_name(wanted, source.keypoint_names)
    if max(found) < 0:
        raise ValueError(
            f"{annotations} has none of the keypoints to learn by name: it has "
            f"{', '.join(source.keypoint_names)}, not {', '.join(target.keypoint_names)}; "
            "give a mapping {to learn: in the file}"
        )
    index = np.array(found)
    visibility = np.where(index >= 0, people.visibility[:, index], 0).astype(np.uint8)
    points = np.where(visibility[..., None] > 0, people.keypoints_image[:, index], np.float32(0))
    absent = [n for n, k in zip(target.keypoint_names, found, strict=True) if k < 0]
    log.info(
        "%s: %d of %d keypoints by name%s", annotations,
        len(found) - len(absent), len(found), f", without {', '.join(absent)}" if absent else "",
    )  # fmt: skip
    return replace(people, keypoints_image=points, visibility=visibility)


def join(parts: Sequence[tuple[People, Path, int]]) -> tuple[People, Path]:
    """The persons of several data sets as one.

    Args:
        parts: Of each data set: its persons, the folder of its images, and how many times each
            person counts.

    Returns:
        The persons, and what their file names are relative to. Of more than one data set, these
        are whole paths, and the folder is the root of the disk.
    """
    if len(parts) == 1 and parts[0][2] == 1:
        return parts[0][:2]
    placed = []
    for people, folder, repeat in parts:
        names = tuple(str((folder / name).absolute()) for name in people.images.file_names)
        repeated = people[np.tile(np.arange(len(people)), repeat)]
        placed.append(replace(repeated, images=replace(people.images, file_names=names)))
    return People.concatenate(placed), Path(Path.cwd().anchor)
