"""By how much frames of a stream come late: by its clock, or by whether they were waited for."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Protocol

_WAITS = 100
"""Frames by which it is told how long one is usually waited for."""
_WAITED = 0.5
"""Share of the usual wait below which a frame was there before it was asked for."""


class Lateness(Protocol):
    """Of the frames of one connection, in their order."""

    def of(self, asked_s: float, came_s: float, stamp_s: float) -> float:
        """How much longer a frame was on its way than others, seconds.

        Args:
            asked_s: When it was asked for.
            came_s: When it was there.
            stamp_s: When it was sent, by the clock of the stream; 0: it does not say.
        """


class ByClock:
    """Where a stream says when it sent a frame: the least of all frames is on time."""

    def __init__(self) -> None:
        self._least = float("inf")

    def of(self, asked_s: float, came_s: float, stamp_s: float) -> float:
        """As of `Lateness`; 0 where there is no stamp."""
        if stamp_s <= 0:
            return 0.0
        self._least = min(self._least, came_s - stamp_s)
        return came_s - stamp_s - self._least


class ByWaiting:
    """Where it does not: what is there before it is asked for has waited, nobody knows how long.

    It was sent after the last time that nothing was there, and so is late by no more than what
    has passed since. What comes after a longer silence than any of late may have come during it,
    too, to a program that had no processor.
    """

    def __init__(self) -> None:
        self._waits: deque[float] = deque(maxlen=_WAITS)
        self._empty_s = 0.0

    def of(self, asked_s: float, came_s: float, stamp_s: float) -> float:
        """As of `Lateness`, at most; the stamp counts for nothing."""
        wait = came_s - asked_s
        if self._waits and wait < _WAITED * median(self._waits):
            return came_s - self._empty_s
        late_s = max(0.0, wait - max(self._waits, default=wait))
        self._waits.append(wait)
        self._empty_s = asked_s
        return late_s
