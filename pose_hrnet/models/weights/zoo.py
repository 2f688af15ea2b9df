"""Published weights by name: where they can be had, what they are, what they scored.

The table is ``zoo.yaml`` beside this file; what names and file names say is taken from there.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import CodecName
from pose_hrnet.system.defaults import DEFAULT_WEIGHTS
from pose_hrnet.system.files import cache_folder
from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import shown
from pose_hrnet.system.transfer import Source, check_address, file_name_in, shown_url

Kind = Literal["pose", "backbone", "detector"]
"""Predicts keypoints; is there to start training from; finds persons."""

FROM_FILE = "file"
"""Of an entry's skeleton: it must stand in the weights' file, and is never guessed."""

_TABLE = Path(__file__).with_name("zoo.yaml")
# As in coco_w32_256x192_udp: data set, HRNet's width or ResNet's depth, height x width, variant.
_NAME = re.compile(r".+?_(?P<net>w|res)(?P<size>\d+)(?:_(?P<input>\d+x\d+))?(?:_(?P<more>\w+))?")
# As in hrnet_w32-36af842e.pth, and MMPose's ...-256x192-81c58e40_20220909.pth.
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.\w+$")
_SEVERAL_FILES = (".xml", ".yaml", ".yml", ".json", ".zip")
"""Endings of what is no single file of weights."""


@dataclass(frozen=True)
class Entry:
    """One name of the list.

    Attributes:
        name: What a user writes.
        kind: What the weights are for.
        sources: Where they can be had, tried in this order; none: they are in the package.
        file: Name of the file, which may say what the file itself does not.
        size: In bytes; None: not published.
        network: Such as ``HRNet-W32``.
        input: Height x width in pixels, such as ``256x192``; empty: any.
        codec: Of heatmaps; None: there are none.
        dataset: What they learnt from.
        score: The published number; None: there is none.
        metric: What that number is.
        measured_on: And on what.
        licence: In words.
        note: What a user should know.
        skeleton: Of keypoints that are not known by their number; `FROM_FILE`: in the file alone.
    """

    name: str
    kind: Kind
    sources: tuple[Source, ...]
    file: str
    size: int | None = None
    network: str = ""
    input: str = ""
    codec: CodecName | None = None
    dataset: str = ""
    score: float | None = None
    metric: str = ""
    measured_on: str = ""
    licence: str = ""
    note: str = ""
    skeleton: Skeleton | Literal["file"] | None = None


@cache
def zoo() -> Mapping[str, Entry]:
    """Every name and what it stands for, in the order of the table."""
    table = read_yaml(_TABLE)
    skeletons = {name: _skeleton(name, values) for name, values in table["skeletons"].items()}
    entries = [
        _entry(kind, name, group, row, skeletons)
        for kind in get_args(Kind)
        for group in table[kind]
        for name, row in group["files"].items()
    ]
    return {entry.name: entry for entry in entries}


def find_entry(name: str) -> Entry:
    """What a name stands for.

    Raises:
        ValueError: If it is unknown, with the nearest names.
    """
    entry = zoo().get(name)
    if entry is None:
        raise ValueError(f"there are no published weights of the name {shown(name)}; {near(name)}")
    return entry


def default_in_words(path: Path) -> str:
    """What the weights inside the package are, and that better ones can be had.

    Args:
        path: A file that is there; of any other than that of these weights nothing is said.
    """
    weights = find_entry(DEFAULT_WEIGHTS)
    if not path.samefile(_TABLE.with_name(weights.file)):
        return ""
    return (
        f"{weights.name}: a small HRNet, {weights.score:.3f} {weights.metric} "
        f"({weights.measured_on}); pose-hrnet weights list has better ones"
    )


def by_file(file: str) -> Entry | None:
    """The entry whose file has this name, as a user knows it who downloaded it elsewhere."""
    return next((entry for entry in zoo().values() if entry.file == file), None)


def near(name: str) -> str:
    """The names nearest to one that is not there, as the end of a sentence."""
    names = difflib.get_close_matches(name.lower(), zoo(), n=3, cutoff=0.5)
    nearest = f"the nearest names are {', '.join(names)}, and " if names else ""
    return f"{nearest}pose-hrnet weights list has them all"


def entry_of_address(address: str) -> Entry:
    """An address as an entry of its own.

    A hash is taken from its end, ``#sha256=...``, or from the file's name as MMPose, timm and
    torchvision write it. An address of the list is its entry, with all that the list knows.

    Raises:
        ValueError: If it is no address that is taken; see `check_address`.
    """
    check_address(address)
    url, _, fragment = address.partition("#")
    given = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if fragment and given is None:
        raise ValueError(
            f"the address ends in #{shown(fragment)}; expected #sha256= and 64 hexadecimal "
            "digits, or nothing"
        )
    file = file_name_in(url, "file")
    if Path(file).suffix.lower() in _SEVERAL_FILES:
        raise ValueError(
            f"{shown_url(url)} does not stand alone, but names files beside it; download them all "
            "and give the path"
        )
    if given is None:
        for entry in zoo().values():
            if any(source.url == url for source in entry.sources):
                return entry
    dated = re.search(r"-(19|20)\d{6}\.\w+$", file)  # as in best-20240131.pth: no hash
    sha256 = given[1].lower() if given else None if dated else _hash_in(file)
    return Entry(Path(file).stem, "pose", (Source(url, sha256),), file)


def kept_at(entry: Entry) -> Path:
    """The folder where an entry's file is kept, another one for each hash; it need not exist."""
    if not entry.sources:
        return _TABLE.parent
    first = entry.sources[0]
    mark = first.sha256 or hashlib.sha256(first.url.encode()).hexdigest()
    return cache_folder("weights") / f"{entry.name}-{mark[:8]}"


def kept_file(entry: Entry) -> Path | None:
    """The file of an entry on this machine: converted, or as it came; None if it is not here."""
    names = (f"{entry.name}.safetensors", entry.file)
    try:
        folder = kept_at(entry)
    except OSError:  # the user has no home folder
        return None
    # Not Path.is_file, which fails in a folder that may not be read.
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


def _entry(
    kind: Kind,
    name: str,
    group: Mapping[str, Any],
    row: Any,
    skeletons: Mapping[str, Skeleton],
) -> Entry:
    if isinstance(row, list):
        row = dict(zip(("file", "score"), row, strict=False))
    said = _NAME.fullmatch(name)
    path, address = row["file"], group.get("address")
    file = row.get("saved_as", path.rsplit("/", 1)[-1])
    sha256 = row.get("sha256", _hash_in(path))
    sources = [] if address is None else [Source(f"{address}{path}", sha256)]
    sources += [Source(m["url"], m.get("sha256", sha256)) for m in row.get("mirrors", ())]
    return Entry(
        name,
        kind,
        tuple(sources),
        file,
        row.get("size"),
        row.get("network", _network(said)),
        row.get("input", (said and said["input"]) or ""),
        row.get("codec", _codec(said) if kind == "pose" else None),
        group["dataset"],
        row.get("score"),
        row.get("metric", group.get("metric", "")),
        group.get("measured_on", ""),
        group["licence"],
        row.get("note", ""),
        skeletons.get(group.get("skeleton", ""), group.get("skeleton")),
    )


def _network(said: re.Match[str] | None) -> str:
    if said is None:
        return ""
    return f"HRNet-W{said['size']}" if said["net"] == "w" else f"ResNet-{said['size']}"


def _codec(said: re.Match[str] | None) -> CodecName:
    variants = ((said and said["more"]) or "").split("_")
    return "dark" if "dark" in variants else "udp" if "udp" in variants else "gaussian"


def _hash_in(file: str) -> str | None:
    found = _HASH_IN_NAME.search(file)
    return found[1] if found else None


def _skeleton(name: str, values: Mapping[str, Any]) -> Skeleton:
    return Skeleton(
        name,
        tuple(values["names"]),
        tuple((a, b) for a, b in values["pairs"]),
        tuple((a, b) for a, b in values["links"]),
        tuple(values["sigmas"]),
        tuple(values["upper"]),
        tuple(map(float, values["weights"])),
    )
