"""What a user names for a checkpoint, as a file: a path, a name of the list, or an address."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.weights.files import read_checkpoint, write_checkpoint
from pose_hrnet.models.weights.fit import fit
from pose_hrnet.models.weights.foreign import FROM_FILE as READ
from pose_hrnet.models.weights.foreign import Overrides
from pose_hrnet.models.weights.read import open_weights
from pose_hrnet.models.weights.zoo import (
    FROM_FILE,
    Entry,
    by_file,
    entry_of_address,
    kept_at,
    kept_file,
    near,
    zoo,
)
from pose_hrnet.system.defaults import ListedName
from pose_hrnet.system.download import Origin, download
from pose_hrnet.system.inputs import open_input
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import one_line, shown
from pose_hrnet.system.transfer import Source, address_in, check_address

log = logging.getLogger(__name__)

_INCOMING = "incoming"
"""Where what is being downloaded lies."""
_ONNX = ".onnx", b"\x08"
"""Ending and first byte of files that are kept as they came."""


def checkpoint_path(what: str | Path, *, progress: Progress = SILENT) -> Path:
    """The file that a user means by a checkpoint, fetched where it is elsewhere.

    What it means, `entry_meant` decides: a file, a name of the list (`zoo`), of which ``default``
    is the weights inside the package, or an https address.

    Args:
        what: A path, a name, or an address; ``#sha256=...`` behind an address checks its file.
        progress: Draws a bar while it is downloaded.

    Returns:
        The path. If it has a folder or an ending, it is returned as it is: who reads it says what
        is wrong with it.

    Raises:
        FileNotFoundError: If it is a single word, and neither a file nor a name of the list.
        ConnectionError: If it cannot be downloaded.
        OSError: If it cannot be kept.
        ValueError: If the name is that of a detector, the address is not taken, or another file
            came than was published.
    """
    entry = entry_meant(what)
    if entry is None:
        path = Path(what)
        if path.exists():
            return path
        listed = by_file(path.name)
        if listed is not None and listed.sources:
            raise FileNotFoundError(
                f"{path}: there is no such checkpoint file; give {listed.name}, the name of these "
                "weights, to download them, or correct the path"
            )
        if len(path.parts) > 1 or path.suffix:
            return path
        raise FileNotFoundError(
            f"{shown(path.name)}: there is no such checkpoint file, nor are there published "
            f"weights of that name; {near(path.name)}"
        )
    if entry.kind == "detector":
        raise ValueError(f"{entry.name} finds persons and no keypoints; give it as --detector")
    return fetch(entry, progress=progress)


def entry_meant(what: str | Path) -> Entry | None:
    """The entry that a name or an address stands for; None: it is a path.

    Where a user named nothing, `what` is a `ListedName`, and that entry is meant, whatever lies in
    the current folder. A name that was given is a file first, if there is one; a folder, which
    cannot be what is meant, does not count before a name.

    Raises:
        ValueError: If it is an address that is not taken.
    """
    if isinstance(what, ListedName):
        return zoo()[what]
    address = address_in(what)
    if address is not None:
        return entry_of_address(address)
    entry, path = zoo().get(str(what)), Path(what)
    return None if entry is None or (path.exists() and not path.is_dir()) else entry


def fetch(entry: Entry, *, progress: Progress = SILENT) -> Path:
    """The file of an entry: from the package or the cache, else downloaded, checked and kept.

    Weights are read once, without running code of theirs, and kept as safetensors with the source
    and its hash inside, those of a whole pose network with its card. Files that cannot be
    understood, and ONNX, are kept as they came. Of several processes one downloads.

    Args:
        entry: From `zoo`, `find_entry` or `entry_of_address`.
        progress: Draws a bar while it is downloaded.

    Raises:
        ConnectionError: If no address gives it, or downloads are forbidden.
        OSError: If it cannot be kept.
        ValueError: If another file came than was published, or one that is no checkpoint.
    """
    kept = kept_file(entry)
    if kept is not None:
        return kept
    folder = kept_at(entry)
    with _alone(folder, entry.name):
        kept = kept_file(entry)  # by the process that was waited for
        if kept is not None:
            return kept
        # Apart from the folder where others look for it, until it is whole and converted.
        raw = folder / _INCOMING / entry.file
        origin = download(entry.name, _sources(entry), raw, progress=progress)
        if entry.sources[0].sha256 is None:
            log.warning(
                "%s: no hash of it is known, so that it could not be checked; it has the sha256 "
                "%s, which may stand behind its address as #sha256=", entry.name, origin.sha256,
            )  # fmt: skip
        path = _convert(entry, raw, origin)
        shutil.rmtree(raw.parent, ignore_errors=True)
    licence = f"; licence: {entry.licence}" if entry.licence else ""
    log.info("%s: kept as %s%s", entry.name, path, licence)
    return path


def _sources(entry: Entry) -> list[Source]:
    """The user's own mirror first, where a hash tells that it has the right file."""
    # The last address is that of the file as published, where those before are of copies.
    mirror, sha256 = os.environ.get("POSE_HRNET_MIRROR"), entry.sources[-1].sha256
    if not mirror or sha256 is None:
        return list(entry.sources)
    own = Source(f"{mirror.rstrip('/')}/{entry.file}", sha256)
    try:
        check_address(own.url)
    except ValueError as error:
        raise ValueError(f"POSE_HRNET_MIRROR: {error}") from None
    return [own, *entry.sources]


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """One process at a time; folders that stay empty go."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process is downloading it; waiting", name)
            lock.acquire()
        (folder / _INCOMING).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        lock.release()
        raise OSError(
            f"{name} cannot be kept in {folder.parent} ({error.strerror or one_line(error)}); set "
            "POSE_HRNET_CACHE to a folder that can be written to"
        ) from None
    try:
        yield
    finally:
        for empty in (folder / _INCOMING, folder):
            with suppress(OSError):  # not empty, or not there
                empty.rmdir()
        lock.release()


def _convert(entry: Entry, raw: Path, origin: Origin) -> Path:
    """Keep as safetensors what can be, and the file itself where it cannot."""
    folder = raw.parent.parent
    target, as_it_is = folder / f"{entry.name}.safetensors", folder / entry.file
    source = {"url": origin.url, "sha256": origin.sha256}
    ending, begin = _ONNX
    try:
        if raw.suffix.lower() == ending:
            with open_input(raw) as file:
                if file.read(1) != begin:
                    raise ValueError("this is no ONNX model; give the address of one")
            return raw.replace(as_it_is)
        if entry.kind == "detector":
            write_checkpoint(target, read_checkpoint(raw).tensors, None, source=source)
        elif not _convert_pose(entry, raw, target, source):
            return raw.replace(as_it_is)
        return target
    except ValueError as error:
        raw.unlink()
        raise ValueError(f"{origin.url}: {str(error).removeprefix(f'{raw}: ')}") from None
    except OSError as error:
        raise OSError(
            f"{entry.name} was downloaded, but could not be kept in {folder} ({_reason(error)}); "
            "see to its room and permissions, or set POSE_HRNET_CACHE to another folder"
        ) from None


def _reason(error: OSError) -> str:
    """What the system says, below what is said here of a file that could not be written."""
    below = error.__cause__
    return error.strerror or (below.strerror if isinstance(below, OSError) else "") or str(error)


def _convert_pose(entry: Entry, raw: Path, target: Path, source: dict[str, str]) -> bool:
    """Write a pose network with its card, a backbone without; False: it is no whole one."""
    weights = open_weights(raw)
    if weights.layout is None:
        write_checkpoint(target, weights.tensors, weights.file.card, source=source)
        return True
    if not weights.layout.predicts:
        write_checkpoint(target, weights.file.tensors, None, source=source)
        return True
    said, count = weights.settings.skeleton, weights.layout.architecture["num_keypoints"]
    named = entry.skeleton if isinstance(entry.skeleton, Skeleton) else None
    if said is not None and said.num_keypoints == count:
        named = None  # the file counts
    try:
        card, settings = weights.card(Overrides(named))
        network = card.build()
    except ValueError:
        return False  # who loads it says why
    origin = next((s.origin for s in settings if s.name == "keypoints"), READ)
    if entry.skeleton == FROM_FILE and origin != READ:
        raise ValueError(
            "the file does not name its keypoints, and their number does not tell them; see "
            "weights convert --annotations"
        )
    fitting, report = fit(network, weights, settings)
    if report.problem is not None:
        return False
    network.load_state_dict(fitting, strict=False)
    _compare(entry, {s.name: s.value for s in settings}, network.label)
    if any(setting.guessed for setting in settings):
        log.info("%s: %s", entry.name, report.notes[-1])
    write_checkpoint(target, network.state_dict(), card.to_dict(), source=source)
    return True


def _compare(entry: Entry, said: dict[str, str], network: str) -> None:
    """Say where a file is other than the list has it; the file counts."""
    for what, found, listed in (
        ("network", network, entry.network),
        ("input size", said.get("input size"), entry.input),
        ("codec", said.get("codec"), entry.codec),
    ):
        if listed and found != listed:
            log.warning(
                "%s: its file has %s %s where the list has %s; the file counts",
                entry.name, what, found, listed,
            )  # fmt: skip
