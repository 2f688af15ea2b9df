"""The clock of all benchmarks: variants take turns, and are compared within each round.

On a machine that other work shares, minutes differ more than variants do. So every round gives
each variant a turn, and a ratio is the median over the rounds of the baseline's time over the
variant's in the same round: what slows a round slows both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median, quantiles
from time import perf_counter
from typing import Any, TypeAlias

from pose_hrnet.system.defaults import ROUNDS
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.text import one_line

Work: TypeAlias = Callable[[], object]
"""One call of it is timed."""


@dataclass(frozen=True)
class Pace:
    """How long to measure.

    Attributes:
        rounds: Turns of each variant.
        turn_seconds: What a turn lasts at least; short calls are repeated in it.
    """

    rounds: int = ROUNDS
    turn_seconds: float = 0.5


@dataclass(frozen=True)
class Variant:
    """One way to do the same.

    Attributes:
        name: What tells it from the others.
        prepare: Makes what is timed: loads, converts. What it raises becomes the row's reason.
        prepared_seconds: Spent on it before.
    """

    name: str
    prepare: Callable[[], Work]
    prepared_seconds: float = 0.0

    @classmethod
    def ready(cls, name: str, work: Work) -> Variant:
        """One that needs no preparation."""
        return cls(name, lambda: work)


@dataclass(frozen=True)
class Row:
    """The times of one variant, or why there are none.

    Attributes:
        variant: Its name.
        round_seconds: Median seconds of a call in each round.
        p95_seconds: 95th percentile of all calls.
        calls: How many were timed.
        prepare_seconds: Loading, conversion and the first call, which compiles.
        ratio: How many times as fast as the baseline; None without one.
        reason: Why it could not be run; empty if it could.
    """

    variant: str
    round_seconds: tuple[float, ...] = ()
    p95_seconds: float | None = None
    calls: int = 0
    prepare_seconds: float | None = None
    ratio: float | None = None
    reason: str = ""

    @property
    def seconds(self) -> float | None:
        """Median of the rounds."""
        return median(self.round_seconds) if self.round_seconds else None

    @property
    def spread(self) -> float | None:
        """Half the interquartile range of the rounds, as a share of their median."""
        if len(self.round_seconds) < 2:
            return None
        low, middle, high = quantiles(self.round_seconds, n=4, method="inclusive")
        return (high - low) / 2 / middle

    def to_dict(self, amount: int) -> dict[str, Any]:
        """Plain values for JSON, in milliseconds; `amount` units are done in a call."""

        def milliseconds(seconds: float | None) -> float | None:
            return None if seconds is None else round(seconds * 1000, 5)

        return {
            "variant": self.variant,
            "ms": milliseconds(self.seconds),
            "spread": None if self.spread is None else round(self.spread, 4),
            "ms_p95": milliseconds(self.p95_seconds),
            "ms_rounds": [milliseconds(seconds) for seconds in self.round_seconds],
            "calls": self.calls,
            "ms_each": milliseconds(None if self.seconds is None else self.seconds / amount),
            "per_second": None if self.seconds is None else round(amount / self.seconds, 2),
            "ratio": None if self.ratio is None else round(self.ratio, 5),
            "prepare_seconds": None if not self.calls else round(self.prepare_seconds or 0, 3),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Measurement:
    """Variants that took turns.

    Attributes:
        section: Which benchmark.
        title: What a call does.
        unit: What it does it to (noun in the singular).
        amount: How many of them in a call.
        baseline: The variant that ratios refer to.
        rows: One for each variant, in order.
        settings: What decided the work; plain values, no paths.
        notes: What else was found, in sentences.
        shows_each: Tables show the time of a unit, not how many there are in a second.
    """

    section: str
    title: str
    unit: str
    amount: int
    baseline: str
    rows: tuple[Row, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shows_each: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "section": self.section,
            "title": self.title,
            "unit": self.unit,
            "amount": self.amount,
            "baseline": self.baseline,
            "settings": self.settings,
            "notes": list(self.notes),
            "rows": [row.to_dict(self.amount) for row in self.rows],
        }


def measure(
    variants: Sequence[Variant],
    baseline: str,
    pace: Pace,
    *,
    name: str,
    progress: Progress = SILENT,
) -> tuple[Row, ...]:
    """Prepare the variants, and time them in turns.

    Args:
        variants: Named differently. One that raises is left out from then on, and says why.
        baseline: Name of the one that ratios refer to.
        pace: How long to measure.
        name: Shown beside the bar.
        progress: Watches.

    Returns:
        A row for each variant.
    """
    records = [_Record(variant) for variant in variants]
    with progress.task(name, len(records) * (pace.rounds + 1), "turns") as bar:
        for record in records:
            bar.advance(0, note=record.variant.name)
            record.attempt(record.prepare)
            bar.advance(1, note=record.variant.name)
        for number in range(pace.rounds):
            first = number % len(records)  # none is always behind the same one
            for record in (*records[first:], *records[:first]):
                _take_turn(record, pace.turn_seconds, bar)
    reference = next((record for record in records if record.variant.name == baseline), None)
    return tuple(record.row(reference) for record in records)


class _Record:
    """What is known of a variant so far."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.work: Work | None = None
        self.turns: list[list[float]] = []
        self.prepare_seconds = variant.prepared_seconds
        self.reason = ""

    def attempt(self, step: Work) -> None:
        """Do something that may fail; if it does, that was the last."""
        try:
            step()
        except Exception as error:  # the runtimes' and compilers' errors have no common base
            self.work, self.reason = None, without_folders(one_line(error))

    def prepare(self) -> None:
        began = perf_counter()
        work = self.variant.prepare()
        work()  # compiles, fills caches
        self.prepare_seconds += perf_counter() - began
        self.work = work

    def row(self, reference: _Record | None) -> Row:
        if self.reason:
            return Row(self.variant.name, reason=self.reason)
        rounds = [median(turn) for turn in self.turns]
        calls = sorted(seconds for turn in self.turns for seconds in turn)
        ratio = None
        if reference is not None and not reference.reason:
            base = [median(turn) for turn in reference.turns]
            ratio = median(b / own for b, own in zip(base, rounds, strict=True))
        return Row(
            self.variant.name,
            tuple(rounds),
            calls[round(0.95 * (len(calls) - 1))],
            len(calls),
            self.prepare_seconds,
            ratio,
        )


def _take_turn(record: _Record, least_seconds: float, bar: Bar) -> None:
    if record.work is not None:
        record.attempt(partial(_time_calls, record.work, least_seconds, record.turns))
    bar.advance(1, note=record.variant.name)


def _time_calls(work: Work, least_seconds: float, turns: list[list[float]]) -> None:
    """Add the seconds of the calls of one turn.

    The first, which finds the caches full of another variant's data and its threads still
    waiting for work, counts only if it is the only one.
    """
    calls: list[float] = []
    began = perf_counter()
    while not calls or perf_counter() - began < least_seconds:
        start = perf_counter()
        work()
        calls.append(perf_counter() - start)
    turns.append(calls[1:] or calls)


def without_folders(text: str) -> str:
    """A message in which files have no folders: those are a machine's own."""
    return re.sub(r"(?<![\w.:/])(?:[A-Za-z]:)?(?:[/\\][\w.+@~-]+)*[/\\]([\w.+@~-]+)", r"\1", text)
