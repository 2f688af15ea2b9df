"""Data sets of every kind, alone or several together, as `People` of one skeleton."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import msgspec
import numpy as np

from pose_hrnet.config.recipe import Kind
from pose_hrnet.data.formats.coco import Category, read_as_others, read_category, stand_for
from pose_hrnet.data.formats.mpii import load_mpii
from pose_hrnet.data.formats.results import load_people, training_people
from pose_hrnet.data.formats.rows import Source, decode_rows, open_annotations
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.keypoints.records import ImageId, People
from pose_hrnet.keypoints.skeleton import MPII16, Skeleton, spelling_of
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)


class _Image(msgspec.Struct, gc=False):
    crowdIndex: float | None = None


def opened(annotations: Path) -> Source:
    """An annotation file, read once for all that is asked of it; MPII's, which is small, not yet.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file.
    """
    return annotations if _is_list(annotations) else open_annotations(annotations)


def kind_of(annotations: Source) -> Kind:
    """Which kind of data set a file is: a list is MPII; any image's crowdIndex makes CrowdPose.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file.
    """
    if _is_list(annotations):
        return "mpii"
    images = decode_rows(open_annotations(annotations).images, _Image, "image", [])
    return "crowdpose" if any(image.crowdIndex is not None for image in images) else "coco"


def choose_skeleton(choice: str | None, annotations: Path) -> Skeleton:
    """As `find_skeleton`, for data sets of every kind.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: As `find_skeleton`.
    """
    if choice is None and _is_list(annotations):
        return MPII16
    return find_skeleton(choice, annotations, category_of)


def category_of(annotations: Source) -> Category:
    """The person category, which MPII files do not have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or lacks the category.
    """
    if _is_list(annotations):
        return Category(1, "person", MPII16.keypoint_names)
    return read_category(annotations)


def check_keypoints(annotations: Source, skeleton: Skeleton) -> ImageId:
    """Refuse a data set of other keypoints than a checkpoint's; else the id of its category.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file, or has other keypoints.
    """
    category = category_of(annotations)
    names = category.keypoint_names
    if not stand_for(names, skeleton):
        raise ValueError(
            f"{annotations} has {counted(len(names), 'keypoint')} ({', '.join(names)}), but the "
            f"model predicts {skeleton.num_keypoints} ({', '.join(skeleton.keypoint_names)}): "
            "give a data set of the model's keypoints, or train for these with this checkpoint as "
            "model.pretrained"
        )
    others = ", ".join(f"{name} as {own}" for name, own in read_as_others(names, skeleton))
    if others:
        log.warning("%s: keypoints are read in the model's order, %s", annotations, others)
    return category.id


def annotated_people(annotations: Source, skeleton: Skeleton) -> People:
    """The persons that are predicted in their annotated boxes.

    COCO and CrowdPose: those of the official rules (`training_people`). MPII: all, since its
    evaluation asks for every row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is malformed, or of another skeleton.
    """
    if _is_list(annotations):
        check_keypoints(annotations, skeleton)
        return load_mpii(annotations)
    return training_people(load_people(annotations, skeleton=skeleton))


def people_to_learn(
    annotations: Path,
    skeleton: Skeleton,
    *,
    source: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> People:
    """The persons of one data set who have a keypoint to learn, under the target's keypoints.

    Args:
        annotations: Of any kind.
        skeleton: The keypoints to learn. Those that the data set lacks are not labelled.
        source: The data set's own keypoints, as `choose_skeleton` takes them.
        mapping: As in `map_keypoints`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the file is malformed, the mapping names unknown keypoints, or no person
            has a keypoint to learn.
    """
    own, file = skeleton, opened(annotations)
    names = category_of(file).keypoint_names
    same = stand_for(names, skeleton) and not read_as_others(names, skeleton)
    if source is not None or mapping or not same:
        own = choose_skeleton(source, annotations)
    people = annotated_people(file, own)
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
    annotations: Path,
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
    own = source.keypoint_names
    place = {spelling_of(name): k for k, name in enumerate(own)} | {
        n: k for k, n in enumerate(own)
    }
    wanted = [mapping.get(name, name) for name in target.keypoint_names]
    found = [place.get(name, place.get(spelling_of(name), -1)) for name in wanted]
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
        The persons, and what their file names are relative to. Of more than one data set, the
        file names hold the folders.
    """
    if len(parts) == 1 and parts[0][2] == 1:
        return parts[0][:2]
    placed = []
    for people, folder, repeat in parts:
        names = tuple(str(folder / name) for name in people.images.file_names)
        repeated = people[np.tile(np.arange(len(people)), repeat)]
        placed.append(replace(repeated, images=replace(people.images, file_names=names)))
    return People.concatenate(placed), Path()


def _is_list(annotations: Source) -> TypeGuard[Path]:
    """Whether the first sign of a JSON file opens a list, as MPII's does."""
    if not isinstance(annotations, Path):
        return False
    try:
        with annotations.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    except OSError:
        return False  # whoever reads it says what is wrong


__all__ = [
    "annotated_people",
    "category_of",
    "check_keypoints",
    "choose_skeleton",
    "join",
    "kind_of",
    "map_keypoints",
    "opened",
    "people_to_learn",
]
