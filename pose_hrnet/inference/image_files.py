"""What a user names as images - files, folders, patterns, addresses - as image files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pose_hrnet.data.image_facts import read_facts
from pose_hrnet.data.images import ImageError
from pose_hrnet.data.web_images import image_suffixes, keep_web_image
from pose_hrnet.inference.written import holds_drawn
from pose_hrnet.system.inputs import shown_path
from pose_hrnet.system.text import counted, few
from pose_hrnet.system.transfer import address_in, shown_url

log = logging.getLogger(__name__)


def find_images(
    inputs: Sequence[str | Path], *, skip: Sequence[Path] = (), downloads: Path | None = None
) -> list[Path]:
    """Image files, each once; folders are searched with their sub-folders, sorted.

    Files in folders, and those that a pattern finds, are taken by their suffix; what is passed
    over is told in one line. Pictures that an earlier prediction drew are no inputs then.

    Args:
        inputs: Image files and folders; patterns of them, such as ``photos/*.jpg``, of which
            ``**`` stands for any folders; and http and https addresses.
        skip: Other folders whose files are passed over.
        downloads: Folder where images that are given by address are kept.

    Raises:
        ConnectionError: If an address does not give its image.
        FileNotFoundError: If a path does not exist, or a pattern finds nothing.
        ValueError: If there is no image at all, or an address gives none.
    """
    found: dict[Path, Path] = {}
    others: list[Path] = []
    drawn: list[Path] = []
    for named in inputs:
        address = address_in(named)
        if address is not None:
            files = [_downloaded(address, downloads)]
        elif Path(named).is_dir():
            files = _inside(Path(named), others, drawn)
        elif Path(named).exists():
            files = [Path(named)]
        else:
            files = _matching(str(named), others, drawn)
        for file in files:
            found.setdefault(file.resolve(), file)
    skipped = {folder.resolve() for folder in skip}
    paths = [path for resolved, path in found.items() if skipped.isdisjoint(resolved.parents)]
    kinds = Counter(file.suffix.lower() or file.name for file in others)
    told = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5))
    if not paths:
        looked = " ".join(sorted(image_suffixes())) + (
            f", not below {few(map(str, skip))}" if found else ""
        )
        looked += f", not at {counted(len(drawn), 'picture')} of earlier runs" if drawn else ""
        raise ValueError(
            f"there is no image in {few(map(str, inputs))}; looked for {looked}"
            + (f", and passed over {told}" if told else "")
        )
    if told:
        log.info("passed over %s that are no images by their suffix: %s",
                 counted(len(others), "file"), told)  # fmt: skip
    return paths


def check_some_open(paths: Sequence[Path]) -> None:
    """Refuse files of which none is an image, which would wait for a model in vain.

    Of each so much is read as it takes to find one that is an image, or a damaged one.

    Raises:
        ImageError: If all are something else.
    """
    first: ImageError | None = None
    for path in paths:
        try:
            read_facts(path)
            return
        except ImageError as error:
            if error.fault != "not an image":
                return
            first = first or error
        except OSError:  # a link to nowhere, which is told and counted with the damaged ones
            return
    if first is not None and len(paths) > 1:
        raise ImageError(f"none of {len(paths)} files is an image: {first}", first.fault)
    if first is not None:
        raise first


def _inside(folder: Path, others: list[Path], drawn: list[Path]) -> list[Path]:
    """The images below a folder, sorted; takes what is passed over to the other lists."""
    files = sorted(file for file in folder.rglob("*") if not file.is_dir())
    return _images_among(files, others, drawn)


def _images_among(files: Sequence[Path], others: list[Path], drawn: list[Path]) -> list[Path]:
    overlays = {folder: holds_drawn(folder) for folder in {file.parent for file in files}}
    drawn += [file for file in files if overlays[file.parent]]
    photographs: list[Path] = []
    for file in (file for file in files if not overlays[file.parent]):
        # A hidden one, such as ._a.jpg, holds what macOS knows of the image a.jpg.
        is_image = file.suffix.lower() in image_suffixes() and not file.name.startswith(".")
        (photographs if is_image else others).append(file)
    return photographs


def _matching(pattern: str, others: list[Path], drawn: list[Path]) -> list[Path]:
    """The images that a pattern finds, and those in the folders that it finds."""
    if not any(sign in pattern for sign in "*?["):
        raise FileNotFoundError(
            f"{shown_path(pattern)} does not exist; give image files, folders of them, "
            "patterns or addresses"
        )
    # Of pathlib, which does not follow links to folders for ever, as glob.glob does.
    start = Path(Path(pattern).anchor)
    matches = sorted(start.glob(str(Path(pattern).relative_to(start))))
    if not matches:
        raise FileNotFoundError(f"no file is found by {shown_path(pattern)}; correct it")
    folders = dict.fromkeys(path for path in matches if path.is_dir())
    images = _images_among([path for path in matches if path not in folders], others, drawn)
    for folder in folders:
        if folders.keys().isdisjoint(folder.parents):
            images += _inside(folder, others, drawn)
    return images


def _downloaded(address: str, downloads: Path | None) -> Path:
    if downloads is None:
        raise ValueError(f"{shown_url(address)} cannot be kept; download it, and give its path")
    return keep_web_image(address, downloads)


__all__ = ["check_some_open", "find_images"]
