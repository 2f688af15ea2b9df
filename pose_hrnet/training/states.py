"""The saved states of a run: written in the background, never by halves; read whole, or not.

``last.pt`` is the newest state, ``last.previous.pt`` the one before it, which a run falls back to
where the newest is damaged. A state is written beside them and takes its place when all of it is
on the disk, so that a run may be killed, or the disk be full, at any moment.
"""

from __future__ import annotations

import logging
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.files import UnsafeFile, load_plain_values
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.system.files import replace_file
from pose_hrnet.system.folders import NotWritten
from pose_hrnet.system.inputs import check_input

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "last.previous.pt", "best.safetensors"


class StateWriter:
    """Saves the states of a run, and its best weights, one after the other in a thread.

    A save that fails is tried again with the next one; what was saved before stays as it is.
    As a context manager it waits for the last save, which must not fail.

    Args:
        folder: Of the run; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._best: tuple[dict[str, Tensor], ModelCard] | None = None
        self._last_is_whole: bool | None = None  # not known before a look at it

    def __enter__(self) -> StateWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._wait()

    def save(
        self,
        state: Mapping[str, Any],
        best: tuple[Mapping[str, Tensor], ModelCard] | None = None,
    ) -> None:
        """Copy a state to main memory, and write it in the background.

        Waits for the save before it, and warns if that one failed.

        Args:
            state: Everything that resuming needs: plain values and tensors.
            best: Weights and card for ``best.safetensors``, if this state has the best ones so
                far. They are written first: a saved state never tells of a best that is not there.
        """
        self._wait()
        if best is not None:
            self._best = (_on_cpu(best[0]), best[1])
        self._thread = threading.Thread(target=self._write, args=(_on_cpu(state),), name="saving")
        self._thread.start()

    def finish(self) -> None:
        """Wait until the last state is on the disk.

        Raises:
            OSError: If it could not be written.
        """
        self._join()
        error, self._error = self._error, None
        if isinstance(error, OSError):
            raise OSError(
                f"the last state of the run could not be saved in {self.folder} "
                f"({_reason(error)}); what was saved before is as it was: make room, and the "
                "same command with --resume goes on from there"
            ) from error
        if error is not None:
            raise error

    def _wait(self) -> None:
        self._join()
        error, self._error = self._error, None
        if isinstance(error, OSError):
            log.warning(
                "the run could not be saved in %s (%s); what was saved before is as it was, and "
                "the next save tries again",
                self.folder, _reason(error),
            )  # fmt: skip
        elif error is not None:
            raise error

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, state: dict[str, Any]) -> None:
        """What the thread does; an error waits for the next call."""
        try:
            if self._best is not None:
                save_model(self.folder / BEST, *self._best)
                self._best = None
            last = self.folder / LAST
            if self._last_is_whole is None:
                self._last_is_whole = last.exists() and _damage(last) is None
            # A damaged file must not take the place of a whole one.
            keep = self.folder / PREVIOUS if self._last_is_whole else None
            with replace_file(last, keep=keep) as temporary:
                _save(state, temporary)
            self._last_is_whole = True
        except BaseException as error:  # a thread has nobody to tell
            self._error = error


def read_newest_state(folder: Path) -> dict[str, Any] | None:
    """The last state that a run saved; the one before it, with a warning, if that is damaged.

    Returns:
        What was saved, on the CPU; None if the folder holds no state.

    Raises:
        ValueError: If what it holds is damaged.
    """
    damages: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            state = _read(path)
        except ValueError as error:
            damages.append(str(error))
            continue
        if damages:
            log.warning("%s; the run goes on from the state before it, %s", damages[0], path)
        return state
    if damages:
        raise ValueError(f"{', and '.join(damages)}; remove what is damaged to start afresh")
    return None


def holds_state(folder: Path) -> bool:
    """Whether a run has saved a state in the folder, be it whole or not."""
    return any((folder / name).exists() for name in (LAST, PREVIOUS))


def _read(path: Path) -> dict[str, Any]:
    """A saved state. Raises ValueError if it is damaged."""
    check_input(path)
    damage = _damage(path)
    if damage is None:
        try:
            state: dict[str, Any] = load_plain_values(path)
            return state
        except UnsafeFile:
            raise
        except ValueError as error:
            damage = str(error)
    raise ValueError(f"{path} is damaged ({damage})")


def _damage(path: Path) -> str | None:
    """What is wrong with a saved state; None if all of it is as it was written.

    PyTorch does not look at the checksums of what it loads, which are the zip archive's own.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except PermissionError:
        raise
    except OSError as error:  # a disk that cannot read it
        return _reason(error)
    except Exception as error:  # damaged headers may ask for a password, or for bytes before 0
        return _first_line(error)
    return None if changed is None else f"the checksum of {changed} is wrong"


def _save(state: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # PyTorch complains of an archive left unfinished, and not of why.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def _on_cpu(value: Any) -> Any:
    """A copy that later steps do not change."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _on_cpu(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_on_cpu(each) for each in value]
    return value


def _reason(error: OSError) -> str:
    if isinstance(error, NotWritten):
        return error.reason
    return error.strerror or _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
