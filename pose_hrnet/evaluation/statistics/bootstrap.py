"""Intervals: the images, or clusters of them, are drawn again and again (Efron, 1979).

What an interval tells is how far a number would move with other images of the same kind, the
model being as it is. It does not tell how far it would move with another training of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.evaluation.statistics.weighted import Statistic, as_they_are
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.text import counted

REPLICATES = 1000
LEVEL = 0.95
LEVEL_IN_WORDS = f"{100 * LEVEL:g} %"
FEW = 100
"""Under so many images an interval is itself a guess."""
MOST_WITHOUT = 0.05
"""Share of draws that may lack what a number counts; above it, there is no interval."""
WHAT_IT_IS = (
    "the spread over images: how far a number would move with other images of the same kind, and "
    "not with another training seed"
)
_COUNTS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its interval; None: there is no such number.

    Attributes:
        value: Of the images as they are.
        low: Its lower end.
        high: Its upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def in_words(self, decimals: int = 3, *, sign: str = "") -> str:
        """``0.534 [0.499, 0.566]``; a dash for what there is not.

        Args:
            decimals: Of each.
            sign: ``+``: positive ones with their sign.
        """
        if self.value is None:
            return "-"
        shown = f"{self.value:{sign}.{decimals}f}"
        if self.low is None or self.high is None:
            return f"{shown} [-]"
        return f"{shown} [{self.low:{sign}.{decimals}f}, {self.high:{sign}.{decimals}f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether it lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Intervals:
    """Numbers with their intervals, and how they came about.

    Attributes:
        values: By the names of the numbers.
        units: How many images, or clusters, were drawn from.
        unit: One of them: ``image``, or the name of a cluster.
        replicates: Draws.
        seed: Of the draws.
        level: Share of the draws inside.
        notes: What there is to say about them, a sentence each.
    """

    values: dict[str, Interval]
    units: int
    unit: str
    replicates: int
    seed: int
    level: float
    notes: tuple[str, ...]

    def in_words(self) -> str:
        """How they came about, in a line; of one image or cluster there are none: empty."""
        if self.units < 2:
            return ""
        return (
            f"[{100 * self.level:g} % intervals] by {counted(self.replicates, 'draw')} of "
            f"{counted(self.units, self.unit)}: {WHAT_IT_IS}"
        )


@dataclass(frozen=True, eq=False)
class Draws:
    """Numbers of the images as they are, and of each draw.

    Attributes:
        names: M.
        values: ``(M,)``; NaN where there is nothing to count.
        draws: ``(R, M)``, likewise.
        units: How many images, or clusters, were drawn from.
        unit: One of them.
        seed: Of the draws.
    """

    names: tuple[str, ...]
    values: Float64
    draws: Float64
    units: int
    unit: str
    seed: int

    def minus(self, other: Draws) -> Draws:
        """The differences, draw by draw: both must be of the same images, draws and seed."""
        return Draws(
            self.names,
            self.values - other.values,
            self.draws - other.draws,
            self.units,
            self.unit,
            self.seed,
        )

    def intervals(self, level: float = LEVEL) -> Intervals:
        """Percentile intervals: between them lie so many of the draws.

        None for a number that more than `MOST_WITHOUT` of the draws do not have, or if there is
        but one image or cluster to draw from.
        """
        ends = [50 * (1 - level), 50 * (1 + level)]
        values, without = {}, list[str]()
        for name, value, drawn in zip(self.names, self.values, self.draws.T, strict=True):
            known = drawn[~np.isnan(drawn)]
            if np.isnan(value):
                values[name] = Interval(None)
            elif self.units < 2 or len(known) < (1 - MOST_WITHOUT) * len(drawn):
                values[name] = Interval(float(value))
                without += [name] * (self.units > 1)
            else:
                low, high = np.percentile(known, ends)
                values[name] = Interval(float(value), float(low), float(high))
        notes = []
        if self.units < 2:
            notes.append(f"one {self.unit} says nothing of others: there are no intervals")
        elif self.units < FEW:
            notes.append(
                f"{counted(self.units, self.unit)} are few: under {FEW}, intervals are "
                "themselves uncertain, and most often too narrow"
            )
        if without:
            notes.append(
                f"no interval for {', '.join(without[:3])}{', ...' * (len(without) > 3)}: too "
                f"few of the {self.unit}s have what is counted"
            )
        return Intervals(
            values, self.units, self.unit, len(self.draws), self.seed, level, tuple(notes)
        )


def bootstrap(
    statistic: Statistic,
    *,
    clusters: Sequence[object] | None = None,
    unit: str = "image",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Draws:
    """Draw the images again, as many as there are, each as often as it comes.

    Images that resemble each other, such as those of a video, are no independent images: give
    clusters, and whole clusters are drawn.

    Args:
        statistic: Numbers of I images.
        clusters: I labels, in the order of the statistic's images; None: each image is its own.
        unit: What one of them is called.
        replicates: R draws.
        seed: The same seed gives the same draws, whatever the statistic.

    Raises:
        ValueError: If there are not as many labels as images, or no draws.
    """
    if replicates < 1:
        raise ValueError(f"a bootstrap got {replicates} draws; give at least 1, usually 1000")
    labels = clusters_numbered(clusters, statistic.images)
    count = int(labels.max()) + 1
    rng, shares = np.random.default_rng(seed), np.full(count, 1 / count)
    step = max(1, _COUNTS_AT_ONCE // statistic.images)
    draws = []
    for at in range(0, replicates, step):
        counts = rng.multinomial(count, shares, size=min(step, replicates - at))
        draws.append(statistic.weighted(counts[:, labels]))
    values = as_they_are(statistic)
    return Draws(statistic.names, values, np.concatenate(draws), count, unit, seed)


def clusters_numbered(clusters: Sequence[object] | None, images: int) -> NDArray[np.intp]:
    """``(I,)`` numbers of the labels, in the order in which they first appear."""
    if clusters is None:
        return np.arange(images)
    if len(clusters) != images:
        raise ValueError(
            f"{len(clusters)} cluster labels were given for {counted(images, 'image')}; give one "
            "for each, in the order of the image ids"
        )
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in clusters], np.intp)
