"""Numbers of images that count several times, or not at all: what a bootstrap asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.keypoints.records import Float64


class Statistic(Protocol):
    """Numbers of I images, as a function of how often each of them counts."""

    @property
    def names(self) -> tuple[str, ...]:
        """M names of the numbers."""
        ...

    @property
    def images(self) -> int:
        """I."""
        ...

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """The numbers, as if each image were there so often.

        Args:
            weights: ``(R, I)`` counts from 0, a row for each data set that is asked for.

        Returns:
            ``(R, M)``; NaN where there is nothing to count.
        """
        ...


@dataclass(frozen=True, eq=False)
class Ratios:
    """Shares and means: sums over images divided by sums over images.

    Attributes:
        names: M names.
        numerators: ``(I, M)`` of each image, such as how many keypoints are right.
        denominators: ``(I, M)``, such as how many there are.
    """

    names: tuple[str, ...]
    numerators: Float64
    denominators: Float64

    @property
    def images(self) -> int:
        """I."""
        return len(self.numerators)

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """As `Statistic.weighted`."""
        counted = weights.astype(np.float64)
        below = counted @ self.denominators
        ratios = np.full(below.shape, np.nan)
        np.divide(counted @ self.numerators, below, where=below > 0, out=ratios)
        return ratios


@dataclass(frozen=True, eq=False)
class Means:
    """Means of numbers, such as PCK over keypoints; what there is none of is left out.

    Attributes:
        names: M names.
        of: What is averaged.
        columns: For each mean, which of its numbers.
    """

    names: tuple[str, ...]
    of: Statistic
    columns: tuple[Sequence[int], ...]

    @property
    def images(self) -> int:
        """I."""
        return self.of.images

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """As `Statistic.weighted`."""
        every = self.of.weighted(weights)
        known = ~np.isnan(every)
        values = np.where(known, every, 0.0)
        means = np.full((len(weights), len(self.names)), np.nan)
        for at, columns in enumerate(self.columns):
            number = known[:, columns].sum(axis=1)
            np.divide(values[:, columns].sum(axis=1), number, where=number > 0, out=means[:, at])
        return means


@dataclass(frozen=True, eq=False)
class Part:
    """A statistic of some of the images.

    Attributes:
        names: M names.
        of: The statistic of those images alone.
        columns: Which they are among all.
        images: I, of all.
    """

    names: tuple[str, ...]
    of: Statistic
    columns: NDArray[np.intp]
    images: int

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """As `Statistic.weighted`."""
        return self.of.weighted(weights[:, self.columns])


@dataclass(frozen=True, eq=False)
class Joined:
    """Several statistics of the same images, side by side.

    Attributes:
        parts: At least one.
    """

    parts: tuple[Statistic, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parts."""
        return tuple(name for part in self.parts for name in part.names)

    @property
    def images(self) -> int:
        """I."""
        return self.parts[0].images

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """As `Statistic.weighted`."""
        return np.hstack([part.weighted(weights) for part in self.parts])


def as_they_are(statistic: Statistic) -> Float64:
    """``(M,)`` the numbers with every image once."""
    values: Float64 = statistic.weighted(np.ones((1, statistic.images), np.int64))[0]
    return values
