"""CVAT's exports: "CVAT for images" and "CVAT for video" in XML, and the zip files of exports.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format. A person is a ``skeleton`` with a
``points`` element for each keypoint: ``outside`` is not labelled, ``occluded`` is hidden. A
``box`` in the same group is the person's. A zip holds ``annotations.xml``, or, of COCO Keypoints,
``annotations/person_keypoints_*.json``.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from pose_hrnet.data.convert.coco import read_coco_set
from pose_hrnet.data.convert.labelled import (
    Box,
    LabelledImage,
    LabelledSet,
    Person,
    check_names,
    safe_name,
    told,
)
from pose_hrnet.data.convert.text import length, number, parse_xml, whole_number
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.inputs import UNPACKED_ANYWAY, open_input, read_input
from pose_hrnet.system.text import few, gigabytes, one_line, shown

_PACKED = 50
"""How many times its size a zip of annotations may hold: text packs well."""


def read_cvat_zip(path: Path, category: str | int | None = None) -> list[LabelledSet]:
    """The annotations of an export.

    Args:
        path: The zip.
        category: As of `read_coco_set`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no export of poses.
    """
    members = _texts(path)
    for name, data in members.items():
        if PurePosixPath(name).name == "annotations.xml":
            return [parse_cvat(data, Path(f"{path}:{name}"))]
    listed = [name for name in sorted(members) if name.endswith(".json")]
    if not listed:
        raise ValueError(
            f"{path} holds neither annotations.xml nor annotations/person_keypoints_*.json; "
            "export it from CVAT as CVAT or COCO Keypoints"
        )
    sets = []
    for name in listed:
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "annotations.json"
            draft.write_bytes(members[name])
            try:
                found = read_coco_set(draft, category)
            except ValueError as error:
                raise ValueError(str(error).replace(str(draft), f"{path}:{name}")) from None
        part = PurePosixPath(name).stem.removeprefix("person_keypoints_")
        sets.append(replace(found, name=part if len(listed) > 1 else "annotations"))
    return sets


def _texts(path: Path) -> dict[str, bytes]:
    """The XML and JSON files in a zip."""
    with open_input(path) as file:
        most = max(UNPACKED_ANYWAY, _PACKED * path.stat().st_size)
        try:
            with zipfile.ZipFile(file) as archive:
                wanted = [
                    member
                    for member in archive.infolist()
                    if PurePosixPath(member.filename).suffix in (".xml", ".json")
                ]
                unpacked = sum(member.file_size for member in wanted)
                if unpacked <= most:
                    return {member.filename: archive.read(member) for member in wanted}
        except Exception as error:  # of a damaged zip, the unpackers raise whatever they meet
            raise ValueError(f"{path} is no zip that can be read ({one_line(error)})") from None
    raise ValueError(
        f"{path} holds {gigabytes(unpacked)} of XML and JSON, far above its size, and is not "
        "read; unpack it, and give the file in it"
    )


def read_cvat(path: Path) -> LabelledSet:
    """The skeletons of an XML file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not CVAT's, or has no or different skeletons.
    """
    return parse_cvat(read_input(path), path)


def parse_cvat(data: bytes, path: Path) -> LabelledSet:
    """`read_cvat` of what a file holds; the path is for messages."""
    root = parse_xml(data, path)
    if root.tag != "annotations":
        raise ValueError(f"{path} begins with <{shown(root.tag)}>; expected CVAT's <annotations>")
    kinds, names, links = _labels(root, path)
    left_out: Counter[str] = Counter()
    images = [_image(each, kinds, names, path, left_out) for each in root.iter("image")]
    images += _frames(root, kinds, names, path)
    if not images:
        raise ValueError(f"{path} lists no image; export it as CVAT for images, with its images")
    check_names(images, path)
    told(left_out, path)
    return LabelledSet("annotations", names, tuple(images), kinds, links)


def _labels(
    root: Element, path: Path
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the skeletons, of their keypoints, and limbs."""
    points: dict[str, list[str]] = {}
    drawings: dict[str, str] = {}
    for label in root.iter("label"):
        name, kind, parent = (label.findtext(tag) or "" for tag in ("name", "type", "parent"))
        if kind == "skeleton":
            points.setdefault(name, [])
            drawings[name] = label.findtext("svg") or ""
        elif parent:
            points.setdefault(parent, []).append(name)
    for place in (*root.iter("image"), *root.iter("track")):  # an export without labels
        for skeleton in place.findall("skeleton"):
            owner = skeleton.get("label", place.get("label")) or ""
            if owner not in drawings:
                known = points.setdefault(owner, [])
                found = [each.get("label") or "" for each in skeleton.findall("points")]
                known += [name for name in dict.fromkeys(found) if name not in known]
    points = {kind: names for kind, names in points.items() if names}
    if not points:
        raise ValueError(f"{path} has no skeletons; poses in CVAT are labels of the type skeleton")
    sets = {tuple(names) for names in points.values()}
    if len(sets) > 1:
        raise ValueError(
            f"{path} has skeletons of different keypoints ({few(points)}); export one at a time"
        )
    names = sets.pop()
    return tuple(points), names, _links(next(iter(drawings.values()), ""), names)


def _links(drawing: str, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The edges of a skeleton's drawing."""
    nodes: dict[str, int] = {}
    for circle in re.findall(r"<circle[^>]*>", drawing):
        said = dict(re.findall(r'data-([\w-]+)="([^"]*)"', circle))
        if said.get("label-name") in names:
            nodes[said.get("node-id", "")] = names.index(said["label-name"])
    links = []
    for line in re.findall(r"<line[^>]*>", drawing):
        said = dict(re.findall(r'data-([\w-]+)="([^"]*)"', line))
        ends = said.get("node-from", "-"), said.get("node-to", "-")
        if all(end in nodes for end in ends):
            links.append((nodes[ends[0]], nodes[ends[1]]))
    return tuple(links)


def _image(
    image: Element,
    kinds: tuple[str, ...],
    names: tuple[str, ...],
    path: Path,
    left_out: Counter[str],
) -> LabelledImage:
    where = f"{path}: image {shown(image.get('name'))}"
    width, height = (length(image.get(side), f"{where}: {side}") for side in ("width", "height"))
    boxes: dict[str, list[Box]] = {}
    for box in image.findall("box"):
        left, top, right, bottom = (
            number(box.get(side), f"{where}: {side} of a box")
            for side in ("xtl", "ytl", "xbr", "ybr")
        )
        group = box.get("group_id") or ""
        boxes.setdefault(group, []).append((left, top, right - left, bottom - top))
    skeletons = image.findall("skeleton")
    uses = Counter(each.get("group_id") or "" for each in skeletons)
    persons = []
    for skeleton in skeletons:
        keypoints = _keypoints(skeleton, names, where)
        group = skeleton.get("group_id") or ""
        own = boxes.pop(group, []) if group and uses[group] == 1 else []
        kind = skeleton.get("label") or ""
        if keypoints[:, 2].any() or own:
            persons.append(Person(keypoints, own[0] if own else None, _kind(kind, kinds, where)))
    left_out["boxes without a skeleton in their group"] += sum(map(len, boxes.values()))
    left_out += Counter()
    name = safe_name(image.get("name") or "", path)
    return LabelledImage(name, tuple(persons), (width, height))


def _kind(label: str, kinds: tuple[str, ...], where: str) -> int:
    if label not in kinds:
        raise ValueError(f"{where}: a skeleton has the label {shown(label)}; known: {few(kinds)}")
    return kinds.index(label)


def _keypoints(skeleton: Element, names: tuple[str, ...], where: str) -> Float64:
    """``(K, 3)`` x, y, visibility."""
    keypoints = np.zeros((len(names), 3))
    hidden = skeleton.get("outside") == "1"
    for points in skeleton.findall("points"):
        name = points.get("label") or ""
        if name not in names:
            raise ValueError(f"{where}: a skeleton has a keypoint {shown(name)} that no label has")
        if points.get("outside") == "1" or hidden:
            continue
        said = (points.get("points") or "").split(",")
        if len(said) != 2:
            raise ValueError(f"{where}: {name} is at {shown(points.get('points'))}; expected x,y")
        x, y = (number(text, f"{where}: {name}") for text in said)
        keypoints[names.index(name)] = x, y, 1 if points.get("occluded") == "1" else 2
    return keypoints


def _frames(
    root: Element, kinds: tuple[str, ...], names: tuple[str, ...], path: Path
) -> list[LabelledImage]:
    """Of a video's tracks the frames, as CVAT names their images."""
    persons: dict[int, list[Person]] = {}
    for track in root.iter("track"):
        for skeleton in track.findall("skeleton"):
            frame = whole_number(skeleton.get("frame"), f"{path}: the frame of a skeleton")
            keypoints = _keypoints(skeleton, names, f"{path}: frame {frame}")
            if keypoints[:, 2].any():
                kind = _kind(track.get("label") or "", kinds, f"{path}: frame {frame}")
                persons.setdefault(frame, []).append(Person(keypoints, None, kind))
    original = root.find(".//original_size")
    size = None
    if original is not None and persons:
        width, height = (
            whole_number(original.findtext(side), f"{path}: {side}")
            for side in ("width", "height")
        )
        size = width, height
    return [
        LabelledImage(f"frame_{frame:06d}.png", tuple(persons[frame]), size)
        for frame in sorted(persons)
    ]
