"""Label Studio's JSON export: rectangles and keypoints in percent of the image.

Format: https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks. A keypoint
belongs to the rectangle that is its ``parentID``, or that a relation joins it with, or else to the
smallest rectangle around it. A choice "occluded" or "hidden" of a keypoint makes it hidden. Of
several annotations of a task the first is taken that was not cancelled.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from pose_hrnet.data.convert.labelled import (
    PIXEL_DECIMALS,
    Box,
    LabelledImage,
    LabelledSet,
    Person,
    check_names,
    safe_name,
    told,
)
from pose_hrnet.data.convert.text import length, number
from pose_hrnet.keypoints.skeleton import COCO17, SKELETONS, WHOLEBODY133
from pose_hrnet.system.inputs import parse_json, read_input
from pose_hrnet.system.text import shown

_HIDDEN = ("occluded", "hidden", "not visible", "invisible")


def read_labelstudio(path: Path) -> LabelledSet:
    """The persons of an export.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not Label Studio's JSON, or has no keypoints.
    """
    try:
        tasks = parse_json(read_input(path))
    except ValueError as error:
        raise ValueError(f"{path} is no export of Label Studio ({error})") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError(f"{path} is no export of Label Studio; expected a list of tasks")
    found = [_results(task, at, path) for at, task in enumerate(tasks)]
    names = _names(found, path)
    left_out: Counter[str] = Counter()
    kinds: dict[str, int] = {}
    images = []
    for at, (task, results) in enumerate(zip(tasks, found, strict=True)):
        where = f"{path}: task {shown(task.get('id', at))}"
        if results is None:
            left_out["tasks without an annotation"] += 1
            continue
        size = _size(results, where)
        persons = _persons(_regions(results, size, where), names, kinds, left_out)
        images.append(LabelledImage(_file_name(task, where, path), tuple(persons), size))
    check_names(images, path)
    told(left_out, path)
    known = next((s for s in SKELETONS.values() if s.keypoint_names == names), None)
    return LabelledSet(
        "annotations",
        names,
        tuple(images),
        tuple(kinds) or ("person",),
        known.links if known else (),
    )


def _results(task: dict[str, Any], at: int, path: Path) -> list[dict[str, Any]] | None:
    """The regions of a task; None where nobody annotated it."""
    annotations = task.get("annotations", task.get("completions"))
    if "data" not in task or not isinstance(annotations, list):
        raise ValueError(
            f"{path}: task {at} has no data or annotations; export as JSON, not as JSON-MIN"
        )
    for annotation in annotations:
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            results = annotation.get("result")
            if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
                raise ValueError(f"{path}: task {at} has an annotation without a list of results")
            return results
    return None


def _label(result: dict[str, Any], kind: str, where: str) -> str:
    value = result.get("value")
    labels = value.get(kind) if isinstance(value, dict) else None
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise ValueError(f"{where}: a region has {kind} {shown(labels)}; expected one name")
    return labels[0]


def _names(found: list[list[dict[str, Any]] | None], path: Path) -> tuple[str, ...]:
    """The keypoints: those of a known skeleton that has them all, or as they come."""
    names = dict.fromkeys(
        _label(result, "keypointlabels", str(path))
        for results in found
        for result in results or ()
        if result.get("type") == "keypointlabels"
    )
    if not names:
        raise ValueError(f"{path} has no keypoints; expected regions of the type keypointlabels")
    known = (
        skeleton.keypoint_names
        for skeleton in SKELETONS.values()
        if {*names} <= {*skeleton.keypoint_names}
        and (skeleton is not WHOLEBODY133 or len(names) > COCO17.num_keypoints)
    )
    return next(known, tuple(names))


def _size(results: list[dict[str, Any]], where: str) -> tuple[int, int] | None:
    sizes = {
        tuple(length(result.get(f"original_{s}"), f"{where}: original_{s}") for s in _SIDES)
        for result in results
        if result.get("type") in ("keypointlabels", "rectanglelabels")
    }
    if len(sizes) > 1:
        raise ValueError(f"{where} has regions of images of different sizes")
    return next(((size[0], size[1]) for size in sizes), None)


_SIDES = ("width", "height")


class _Regions:
    """Of a task: rectangles, keypoints, and which belongs to which, by their ids."""

    def __init__(self) -> None:
        self.boxes: dict[str, tuple[Box, str]] = {}
        self.points: list[tuple[str, str, float, float]] = []
        self.parents: dict[str, str] = {}
        self.hidden: set[str] = set()


def _regions(results: list[dict[str, Any]], size: tuple[int, int] | None, where: str) -> _Regions:
    regions = _Regions()
    for result in results:
        kind, name, value = result.get("type"), str(result.get("id")), result.get("value", {})
        if kind == "relation":
            for ends in (("from_id", "to_id"), ("to_id", "from_id")):
                regions.parents.setdefault(*(str(result.get(end)) for end in ends))
            continue
        if kind == "choices" and isinstance(value, dict):
            choices = value.get("choices")
            said = choices if isinstance(choices, list) else [choices]
            if any(str(each).lower() in _HIDDEN for each in said):
                regions.hidden.add(name)
            continue
        if kind not in ("rectanglelabels", "keypointlabels") or size is None:
            continue
        if not isinstance(value, dict):
            raise ValueError(f"{where}: region {shown(name)} has no value")
        if result.get("parentID"):
            regions.parents[name] = str(result["parentID"])
        x, y = (_pixels(value, axis, size[at], where) for at, axis in enumerate("xy"))
        if kind == "keypointlabels":
            regions.points.append((name, _label(result, kind, where), x, y))
        else:
            if value.get("rotation"):
                raise ValueError(f"{where} has a rotated rectangle; boxes of persons are upright")
            wide, high = (_pixels(value, s, size[at], where) for at, s in enumerate(_SIDES))
            regions.boxes[name] = (x, y, wide, high), _label(result, kind, where)
    return regions


def _pixels(value: dict[str, Any], key: str, whole: int, where: str) -> float:
    return round(number(value.get(key), f"{where}: {key}") * whole / 100, PIXEL_DECIMALS)


def _persons(
    regions: _Regions, names: tuple[str, ...], kinds: dict[str, int], left_out: Counter[str]
) -> list[Person]:
    """Rectangles with their keypoints; without any rectangle, all keypoints are one person."""
    owners = {name: np.zeros((len(names), 3)) for name in regions.boxes or [""]}
    for name, label, x, y in regions.points:
        parent = regions.parents.get(name, "")
        if parent not in owners:
            around = [
                (wide * high, owner)
                for owner, ((left, top, wide, high), _) in regions.boxes.items()
                if left <= x <= left + wide and top <= y <= top + high
            ]
            parent = min(around, default=(0.0, ""))[1]
        keypoint = owners[parent][names.index(label)] if parent in owners else None
        if keypoint is None:
            left_out["keypoints in no rectangle"] += 1
        elif keypoint[2]:
            left_out["keypoints that a person has twice"] += 1
        else:
            keypoint[:] = x, y, 1 if name in regions.hidden else 2
    persons = []
    for owner, keypoints in owners.items():
        box, kind = regions.boxes.get(owner, (None, "person"))
        if box is not None or keypoints[:, 2].any():
            persons.append(Person(keypoints, box, kinds.setdefault(kind, len(kinds))))
    return persons


def _file_name(task: dict[str, Any], where: str, path: Path) -> str:
    """The image of a task: what follows ``?d=`` of a local file, else the address's last part."""
    data = task["data"]
    addresses = [v for v in data.values() if isinstance(v, str)] if isinstance(data, dict) else []
    image = data.get("image", data.get("img")) if isinstance(data, dict) else None
    address = image if isinstance(image, str) else next(iter(addresses), "")
    if not address:
        raise ValueError(f"{where} names no image in data")
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    if local:
        return safe_name(local[0].lstrip("/"), path)
    last = unquote(parts.path).rsplit("/", 1)[-1] if "/" in parts.path else address
    return safe_name(last, path)
