"""Any annotations that are known -> COCO JSON, or a YOLO-pose data set; see `convert`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pose_hrnet.data.convert.coco import coco_content, read_coco_set
from pose_hrnet.data.convert.cvat import read_cvat, read_cvat_zip
from pose_hrnet.data.convert.deeplabcut import read_deeplabcut
from pose_hrnet.data.convert.labelled import LabelledSet, check_printable, with_sizes
from pose_hrnet.data.convert.labelstudio import read_labelstudio
from pose_hrnet.data.convert.lsp import read_lsp
from pose_hrnet.data.convert.yolo import DATA, read_yolo
from pose_hrnet.data.convert.yolo_out import yolo_data, yolo_texts
from pose_hrnet.data.formats.rows import is_list
from pose_hrnet.data.images import image_path
from pose_hrnet.keypoints.skeleton import guess_flip_pairs
from pose_hrnet.system.choices import ForeignFormat, LabelFormat
from pose_hrnet.system.files import encode_json, replace_file
from pose_hrnet.system.folders import owned
from pose_hrnet.system.inputs import check_input

log = logging.getLogger(__name__)

LOCK = ".convert.lock"
SKELETON = "skeleton.yaml"
_READERS: Mapping[ForeignFormat, Callable[[Path], LabelledSet]] = {
    "cvat": read_cvat,
    "labelstudio": read_labelstudio,
    "lsp": read_lsp,
    "deeplabcut": read_deeplabcut,
}
_SUFFIXES: Mapping[str, ForeignFormat] = {
    ".xml": "cvat",
    ".zip": "cvat",
    ".mat": "lsp",
    ".csv": "deeplabcut",
    ".yaml": "yolo",
    ".yml": "yolo",
}


@dataclass(frozen=True)
class Converted:
    """What `convert` did.

    Attributes:
        files: Written annotation files; of YOLO-pose data.yaml.
        images: In them.
        persons: In them.
        left_out: Images that could not be read.
    """

    files: tuple[Path, ...]
    images: int
    persons: int
    left_out: int


def convert(
    source: Path,
    output: Path,
    *,
    to: LabelFormat = "coco",
    kind: ForeignFormat | None = None,
    images: Path | None = None,
    category: str | int | None = None,
    skeleton: str | None = None,
) -> Converted:
    """Write annotations in another format; nothing that is there is written over.

    To ``coco``: ``annotations.json``, or ``train.json`` and so on where the source has parts;
    coordinates are as they were written. ``skeleton.yaml`` joins them where flip pairs are known
    that the names do not tell. To ``yolo``: ``data.yaml`` and ``labels/SPLIT/NAME.txt``, and
    with the folder of the images a copy of them in ``images/SPLIT``.

    Args:
        source: A file, or the folder of a YOLO-pose data set.
        output: Folder to write to.
        to: Format to write.
        kind: Format of the source; None: told by its name and content.
        images: Folder of the images: sizes that the source does not say are read from them. An
            image that is needed and cannot be read is left out, and told.
        category: Of COCO annotations, as `AnnotationFile.category` takes it.
        skeleton: Of COCO annotations, which need not name their keypoints then; as
            `find_skeleton` takes it.

    Raises:
        FileNotFoundError: If a file is missing.
        FileExistsError: If a file to write is there already.
        ValueError: If a file is faulty, or of no known format, or no image can be read.
    """
    kind = kind or format_of(source)
    sets, copied = _read(source, kind, category, skeleton), dict[str, Path]()
    if images is not None and kind != "yolo":
        sets = [with_sizes(each, images, all_read=to == "yolo") for each in sets]
        copied = _images(sets, images) if to == "yolo" else {}
    for labelled in sets:
        check_printable((*labelled.keypoint_names, *labelled.kinds), source)
    if to == "yolo":
        texts = _yolo_files(sets, source)
    else:
        texts = {f"{each.name}.json": encode_json(coco_content(each)) for each in sets}
        if (described := _skeleton(sets[0])) is not None:
            texts[SKELETON] = described
    for name in (*texts, *copied):
        if (output / name).exists() or (output / name).is_symlink():
            raise FileExistsError(
                f"{output / name} is there already, and is not written over; choose another "
                "--output"
            )
    with owned(output, LOCK):
        for name, path in copied.items():
            with _replaced(output / name) as temporary:
                shutil.copyfile(path, temporary)
        for name, content in texts.items():
            with _replaced(output / name) as temporary:
                temporary.write_bytes(content)
    files = [DATA] if to == "yolo" else [name for name in texts if name.endswith(".json")]
    return Converted(
        tuple(output / name for name in files),
        sum(len(each.images) for each in sets),
        sum(each.persons for each in sets),
        sum(each.left_out for each in sets),
    )


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """`replace_file` in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        yield temporary


def format_of(source: Path) -> ForeignFormat:
    """What a file is, by its name and content.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is of no known format.
    """
    if source.is_dir():
        return "yolo"
    check_input(source)
    suffix = source.suffix.lower()
    if suffix == ".json":
        return "labelstudio" if is_list(source) else "coco"
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{source} is of no known format by its name; give data.yaml or its folder, CVAT's "
            ".xml or .zip, a .json, LSP's .mat or DeepLabCut's .csv, or say which (--from)"
        )
    return _SUFFIXES[suffix]


def _read(
    source: Path, kind: ForeignFormat, category: str | int | None, skeleton: str | None
) -> list[LabelledSet]:
    if skeleton is not None and kind != "coco":
        raise ValueError(
            f"--skeleton is for COCO's annotations, and {source} is of {kind}; leave it out"
        )
    if kind == "yolo":
        return read_yolo(source)
    if kind == "coco":
        return [read_coco_set(source, category, skeleton)]
    if kind == "cvat" and source.suffix.lower() == ".zip":
        return read_cvat_zip(source, category)
    if kind == "cvat" and source.suffix.lower() == ".json":
        return [read_coco_set(source, category)]
    return [_READERS[kind](source)]


def _skeleton(labelled: LabelledSet) -> bytes | None:
    """A skeleton YAML with the flip pairs, where the names do not tell them."""
    pairs, names = labelled.flip_pairs, labelled.keypoint_names
    if pairs is None or {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in guess_flip_pairs(names)[0]
    }:
        return None
    said: dict[str, Any] = {"flip_pairs": [[names[a], names[b]] for a, b in pairs]}
    log.info("the names do not tell which keypoints exchange in the mirror; %s does", SKELETON)
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True).encode()


def _yolo_files(sets: list[LabelledSet], source: Path) -> dict[str, bytes]:
    """data.yaml and all labels; a set without a part's name is ``train``."""
    named = [replace(s, name="train" if s.name == "annotations" else s.name) for s in sets]
    texts = {
        f"labels/{each.name}/{name}": text.encode()
        for each in named
        for name, text in yolo_texts(each, source).items()
    }
    content = yolo_data(named[0], [each.name for each in named])
    return {
        **texts,
        DATA: yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode(),
    }


def _images(sets: list[LabelledSet], folder: Path) -> dict[str, Path]:
    """The images to copy, by the path of the copy."""
    return {
        f"images/{'train' if each.name == 'annotations' else each.name}/{image.file_name}": (
            image_path(folder, image.file_name)
        )
        for each in sets
        for image in each.images
    }
