"""How long work reports its progress without knowing who watches.

The package itself never draws: the command line passes a `Progress` that draws bars, everyone else
gets `SILENT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """One running task."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count finished units; `note` is shown beside the bar (a loss, say)."""

    def advance_to(self, done: int) -> None:
        """Say how many units are finished in all."""


class Progress(Protocol):
    """Makes a `Bar` for each task."""

    def task(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """A bar that lives inside a ``with`` block; `total` counts `unit` (plural noun).

        None: nobody knows how many there will be.
        """


class _Silent:
    def advance(self, amount: int = 1, note: str = "") -> None:
        pass

    def advance_to(self, done: int) -> None:
        pass

    @contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Bar]:
        yield self


SILENT: Progress = _Silent()
"""Reports nothing."""
