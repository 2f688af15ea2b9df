"""What a user names - files, folders, patterns, lists, tar files, object stores - as inputs.

Nothing is opened but folders and lists, so that an input that is not there, or no image, becomes
a row with its error when it is its turn.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pose_hrnet.data.web_images import image_suffixes
from pose_hrnet.inference.video.sources import VIDEO_SUFFIXES
from pose_hrnet.inference.written import holds_drawn
from pose_hrnet.system.choices import InputKind
from pose_hrnet.system.inputs import open_input, shown_path
from pose_hrnet.system.remote import remote
from pose_hrnet.system.text import counted, few
from pose_hrnet.system.transfer import address_in, shown_url

log = logging.getLogger(__name__)

ARCHIVES = (".tar", ".tar.gz", ".tgz")
"""How the names of archives of images end."""
LOCAL = "file://"
"""Before a path of this machine."""
LISTS = (".txt", ".lst")
"""How the names of files end that hold a path or address a line."""


def kind_of(path: str) -> InputKind | None:
    """What a file is by its name: images, a video, an archive; None: none of them."""
    name = PurePosixPath(path).name.lower()
    if name.startswith("."):  # such as ._a.jpg, what macOS knows of the image a.jpg
        return None
    if name.endswith(ARCHIVES):
        return "archive"
    suffix = PurePosixPath(name).suffix
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in image_suffixes() else None


def find_inputs(named: Sequence[str], *, skip: Path | None = None) -> dict[str, InputKind]:
    """Files and addresses, each once, with what they are; folders and patterns are sorted.

    Args:
        named: Images, videos and tar files; folders, patterns, lists of them; and addresses of
            all these but lists: http and https of images, others as fsspec opens them.
        skip: A folder whose files are passed over.

    Raises:
        FileNotFoundError: If a path does not exist, or a pattern finds nothing.
        OSError: If an object store does not answer, or a list cannot be read.
        ValueError: If there is no input at all, or a package is missing.
    """
    found: dict[str, InputKind] = {}
    others: Counter[str] = Counter()
    for text in named:
        for path, is_asked in _files(text, skip):
            kind = kind_of(path)
            if kind is None and is_asked:  # by its name: what it is, its reader says
                kind = "image"
            if kind is None:
                others[PurePosixPath(path).suffix.lower() or PurePosixPath(path).name] += 1
            else:
                found.setdefault(path, kind)
    told = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    if not found:
        raise ValueError(
            f"there is no image, video or tar file in {few(named)}"
            + (f"; passed over {told}" if told else "")
        )
    if told:
        log.info("passed over %s that are none by their suffix: %s",
                 counted(others.total(), "file"), told)  # fmt: skip
    return found


def _files(text: str, skip: Path | None) -> Iterator[tuple[str, bool]]:
    """The files behind a word, and whether each was asked for by its own name."""
    address = address_in(text)
    if address is not None:
        yield from _remote_files(address)
        return
    text = text.removeprefix(LOCAL)
    path = Path(text)
    if path.is_dir():
        yield from ((each, False) for each in _inside(path, skip))
    elif path.exists() and path.suffix.lower() in LISTS:
        yield from ((line, True) for line in _lines(path))
    elif path.exists():
        yield text, True
    elif any(sign in text for sign in "*?["):
        start = Path(path.anchor)
        matches = sorted(start.glob(str(path.relative_to(start))))
        if not matches:
            raise FileNotFoundError(f"no file is found by {shown_path(text)}; correct it")
        for match in matches:
            inside = _inside(match, skip) if match.is_dir() else [str(match)]
            yield from ((each, False) for each in inside)
    else:
        raise FileNotFoundError(
            f"{shown_path(text)} does not exist; give images, videos, tar files, folders, "
            "patterns, lists or addresses"
        )


def _inside(folder: Path, skip: Path | None) -> Iterator[str]:
    """The files below a folder, sorted; without pictures that an earlier prediction drew."""
    skipped = None if skip is None else skip.resolve()
    drawn: dict[Path, bool] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or (skipped is not None and skipped in path.resolve().parents):
            continue
        if path.parent not in drawn:
            drawn[path.parent] = holds_drawn(path.parent)
        if not drawn[path.parent]:
            yield str(path)


def _lines(path: Path) -> Iterator[str]:
    """The paths and addresses of a list; empty lines and those that begin with # are none."""
    with open_input(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise ValueError(
                    f"{shown_path(path)}: line {number} is no UTF-8; expected a list of paths or "
                    "addresses, one a line"
                ) from None
            if text and not text.startswith("#"):
                yield address_in(text) or text.removeprefix(LOCAL)


def _remote_files(address: str) -> Iterator[tuple[str, bool]]:
    """The files behind an address, sorted: itself, or those of a folder or pattern."""
    if address.startswith(("http:", "https:")):
        yield address, True
        return
    with remote(address, done="listed") as fsspec:
        filesystem, root = fsspec.url_to_fs(address)
        if any(sign in address for sign in "*?["):
            matches = filesystem.glob(root)
        elif filesystem.isdir(root):
            matches = filesystem.find(root)
        elif filesystem.exists(root):
            matches = [root]
        else:
            raise FileNotFoundError(f"{shown_url(address)} does not exist; check the address")
        # What stands before a path, such as s3:// or hdfs://host, is put before all.
        before = address[: address.rindex(root)] if root in address else ""
        names = [f"{before}{match}" for match in sorted(matches)]
    if not names:
        raise FileNotFoundError(f"no file is found by {shown_url(address)}; correct it")
    yield from ((name, names == [address]) for name in names)


__all__ = ["find_inputs", "kind_of"]
