"""Looks through a whole data set, images included, before time is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pose_hrnet.data.formats.coco import AnnotationFile
from pose_hrnet.data.formats.detections import read_detections
from pose_hrnet.data.formats.mpii import MpiiFile
from pose_hrnet.data.formats.persons import AnnotatedPersons, check_names, read_persons
from pose_hrnet.data.formats.rows import explain_strays
from pose_hrnet.data.formats.skeletons import skeleton_of
from pose_hrnet.data.image_facts import ImageFacts, read_facts
from pose_hrnet.data.images import ImageError, decode_rgb, image_path, read_bytes
from pose_hrnet.data.jpeg import is_damaged
from pose_hrnet.data.missing import why_missing
from pose_hrnet.data.people import labelled_people, read_annotations
from pose_hrnet.data.validation.checks import (
    Finding,
    Severity,
    check_annotations,
    check_regions,
    found,
    suspicions,
)
from pose_hrnet.keypoints.records import Images
from pose_hrnet.keypoints.skeleton import COCO17, MPII16, Skeleton
from pose_hrnet.system.choices import BoxFormat
from pose_hrnet.system.progress import SILENT, Progress

_ORDER: tuple[Severity, ...] = ("error", "warning", "info")

MISSING_IMAGE = "image file is missing"


@dataclass(frozen=True)
class Report:
    """What `validate` found; iterate for the findings, errors first.

    Attributes:
        images: Images that the annotations list.
        persons: Usable persons in them.
        training_persons: Those of them that the official rules train on.
        images_opened: Image files that were there.
        findings: All findings: errors, warnings, infos.
    """

    images: int
    persons: int
    training_persons: int
    images_opened: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)


def validate(
    annotations: Path,
    images: Path | None = None,
    *,
    detections: Path | None = None,
    box_format: BoxFormat = "xywh",
    skeleton: Skeleton | None = None,
    category: str | int | None = None,
    workers: int = 4,
    progress: Progress = SILENT,
) -> Report:
    """Check an annotation file, its images and its detections.

    Args:
        annotations: COCO, CrowdPose or MPII keypoint JSON.
        images: Folder of the images, each of which is decoded; None: they are not opened.
        detections: COCO detection results JSON, or another box file.
        box_format: What four numbers are where the box file does not say it.
        skeleton: The keypoints of the category; None: those that it names, which are
            COCO's if they are missing or only spelt in another way.
        category: As `pose_hrnet.data.people.load_people` takes it.
        workers: Threads that open images.
        progress: Watches the images being opened.

    Raises:
        FileNotFoundError: If a file or the folder is missing.
        ValueError: If the annotations or the detections cannot be read at all.
    """
    file = read_annotations(annotations)
    if isinstance(file, MpiiFile):
        skeleton, persons = skeleton or MPII16, file.persons(category)
        check_names(persons.category, skeleton, file)
        training_persons = int((persons.people.visibility > 0).any(axis=1).sum())
        findings = check_regions(persons, skeleton)
    else:
        skeleton, refused = _skeleton(file, skeleton, category)
        persons = read_persons(file, skeleton, category)
        training_persons = len(labelled_people(persons.people))
        findings = [*refused, *check_annotations(persons, skeleton)]
    listed = persons.people.images
    if not training_persons and all(finding.severity != "error" for finding in findings):
        findings += found(
            "error",
            "no person to train on",
            persons.people.ids,
            "none has a labelled keypoint, an area, and a box of more than a pixel in the image",
        )
    if detections is not None:
        findings += _check_detections(detections, box_format, persons, skeleton)
    if images is not None:
        findings += _check_images(images, listed, max(1, workers), progress)
    missing = sum(finding.count for finding in findings if finding.kind == MISSING_IMAGE)
    return Report(
        images=len(listed),
        persons=len(persons.people),
        training_persons=training_persons,
        images_opened=0 if images is None else len(listed) - missing,
        findings=tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity))),
    )


def _skeleton(
    file: AnnotationFile, skeleton: Skeleton | None, category: str | int | None
) -> tuple[Skeleton, list[Finding]]:
    """The one that is asked for, or the category's; and why training would refuse that."""
    if skeleton is not None:
        return skeleton, []
    chosen = file.category(category)
    is_coco = COCO17.reads(chosen.keypoint_names)
    try:
        named = skeleton_of(chosen, file.path)
    except ValueError as error:
        if not is_coco:
            raise
        meaning = f"training refuses them: {error}"
        return COCO17, found("error", "keypoints that cannot be learned", [chosen.name], meaning)
    return COCO17 if is_coco else named, []


def _check_detections(
    path: Path, box_format: BoxFormat, persons: AnnotatedPersons, skeleton: Skeleton
) -> list[Finding]:
    images = persons.people.images
    people, problems = read_detections(
        path,
        images,
        skeleton=skeleton,
        category_ids=persons.category.ids,
        box_format=box_format,
    )
    strays = [problem for problem in problems if problem.stray_image_id is not None]
    bad = [problem for problem in problems if problem.stray_image_id is None]
    hint = explain_strays(strays, images)
    findings = found(
        "info" if len(people) and not hint else "error",
        "detection of an image that is not annotated",
        [problem.id for problem in strays],
        "left out" + (f"; {hint}" if hint else ""),
        "" if len(people) else "AP 0",
    )
    for kind in dict.fromkeys(problem.kind for problem in bad):
        of_kind = [problem for problem in bad if problem.kind == kind]
        name = kind if "detection" in kind else f"detection: {kind}"
        rows = [problem.id for problem in of_kind]
        findings += found("error", name, rows, f"left out; {of_kind[0].sentence}")
    if not len(people):
        meaning = f"{path} has no box of the category in the annotated images"
        findings.append(Finding("error", "no usable detection", 0, (), meaning, "AP 0"))
    findings += suspicions(people, "detection: ")
    missed = np.setdiff1d(persons.people.image_index, people.image_index)
    findings += found(
        "info",
        "image with persons but without detections",
        [images.file_names[row] for row in missed],
        "its persons cannot be found",
    )
    return findings


_IMAGE_FINDINGS: dict[str, tuple[Severity, str]] = {
    MISSING_IMAGE: ("error", "its persons are left out"),
    "image file is empty": ("error", "its persons are left out; fetch it again"),
    "image file is not an image": ("error", "its persons are left out; fetch it again"),
    "image file is truncated": ("error", "its persons are left out; fetch it again"),
    "image file is unreadable": ("error", "its persons are left out"),
    "image file is outside the image folder": (
        "error",
        "it is not read, and its persons are left out; write file_name relative to the folder, or "
        "give a folder above both",
    ),
    "image size differs from the annotations": (
        "error",
        "its persons are left out: the annotations were made on another copy of the image",
    ),
    "width and height of the annotations are exchanged": (
        "error",
        "its persons are left out: the image has them the other way round",
    ),
    "JPEG is damaged inside": (
        "error",
        "a part of the picture is grey or shifted, and is used so; fetch it again",
    ),
    "image of one colour": (
        "warning",
        "nothing is to be seen on it; had its pixels another range before they were converted?",
    ),
    "EXIF rotation applied": (
        "info",
        "the annotations have the size of the turned image, or none; programs that ignore EXIF "
        "do not see it so",
    ),
    "EXIF rotation not applied": (
        "info",
        "the annotations have the size of the stored pixels, which viewers turn",
    ),
    "EXIF rotation in doubt": (
        "warning",
        "it keeps the size, so nothing tells whether it was annotated turned or as stored; the "
        "stored pixels are used: compare them with a drawing of the keypoints",
    ),
    "grayscale image": ("info", "read as RGB"),
    "palette image": ("info", "read as RGB"),
    "CMYK image": ("info", "read as RGB, without its colour profile"),
    "image in another colour space": ("info", "read as RGB"),
    "image with transparency": ("info", "laid over white"),
    "16-bit image": ("info", "read as 8 bits, the high bytes"),
}
_FAULT_KINDS = {
    "empty": "image file is empty",
    "not an image": "image file is not an image",
    "truncated": "image file is truncated",
    "wrong size": "image size differs from the annotations",
    "sides exchanged": "width and height of the annotations are exchanged",
    "unreadable": "image file is unreadable",
    "elsewhere": "image file is outside the image folder",
}


def _check_images(folder: Path, images: Images, workers: int, progress: Progress) -> list[Finding]:
    """Open every image; those of one kind become one finding."""
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist; give an existing folder")
    sizes = [(int(width), int(height)) for width, height in images.sizes_wh]
    files: dict[str, list[str]] = {kind: [] for kind in _IMAGE_FINDINGS}
    with (
        progress.task("open images", len(images), "images") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        kinds_of_images = pool.map(partial(_image_kinds, folder), images.file_names, sizes)
        for name, kinds in zip(images.file_names, kinds_of_images, strict=True):
            for kind in kinds:
                files[kind].append(name)
            bar.advance()
    findings = []
    for kind, (severity, meaning) in _IMAGE_FINDINGS.items():
        if kind == MISSING_IMAGE and len(files[kind]) == len(images):
            meaning = why_missing(folder, images.file_names)
        findings += found(severity, kind, files[kind], meaning)
    return findings


def _image_kinds(folder: Path, name: str, size_wh: tuple[int, int]) -> list[str]:
    """Keys of `_IMAGE_FINDINGS` that hold for one file."""
    try:
        path = image_path(folder, name)
        data = read_bytes(path)
        pixels = decode_rgb(path, data, size_wh)
        facts = read_facts(path)
    except FileNotFoundError:
        return [MISSING_IMAGE]
    except ImageError as error:
        return [_FAULT_KINDS[error.fault]]
    kinds = []
    if is_damaged(data):
        kinds.append("JPEG is damaged inside")
    if pixels.min() == pixels.max():
        kinds.append("image of one colour")
    if facts.orientation != 1:
        kinds.append(_rotation_kind(facts, size_wh))
    if facts.colour != "RGB":
        kind = f"{facts.colour} image"
        kinds.append(kind if kind in _IMAGE_FINDINGS else "image in another colour space")
    if facts.has_alpha:
        kinds.append("image with transparency")
    if facts.bits == 16:
        kinds.append("16-bit image")
    return kinds


def _rotation_kind(facts: ImageFacts, size_wh: tuple[int, int]) -> str:
    if min(size_wh) <= 0 or size_wh != facts.size_wh:
        return "EXIF rotation applied"
    same_size = facts.size_wh == facts.upright_wh
    return "EXIF rotation in doubt" if same_size else "EXIF rotation not applied"


__all__ = ["Report", "validate"]
