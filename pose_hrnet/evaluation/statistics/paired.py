"""Is B better than A? The same images for both: differences, a permutation test, Holm, Welch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from pose_hrnet.evaluation.metrics.coco_matching import Rows
from pose_hrnet.evaluation.statistics.bootstrap import (
    LEVEL,
    REPLICATES,
    Draws,
    Interval,
    clusters_numbered,
)
from pose_hrnet.evaluation.statistics.curves import Curves
from pose_hrnet.keypoints.records import Float64

_EQUAL = 1e-12  # differences that rounding alone makes
_COUNTS_AT_ONCE = 1 << 20


def mean_of(draws: Sequence[Draws]) -> Draws:
    """The means of several files' numbers, draw by draw: of trainings of one side."""
    first = draws[0]
    return Draws(
        first.names,
        np.mean([each.values for each in draws], axis=0),
        np.mean([each.draws for each in draws], axis=0),
        first.units,
        first.unit,
        first.seed,
    )


def swapped_p_value(
    first: Sequence[Curves],
    second: Sequence[Curves],
    *,
    clusters: Sequence[object] | None = None,
    permutations: int = REPLICATES,
    seed: int = 0,
) -> float:
    """How often chance alone makes a difference as large: a permutation test (Fisher, 1935).

    If it did not matter which side results are of, both could change places in any image. In each
    permutation they do so in every image, or cluster, with a probability of one half, and AP is
    taken of both sides anew. Of several files a side they are dealt out to the sides at random.

    Args:
        first: AP of each file of a side, `Curves` of AP alone.
        second: Of the other, on the same images.
        clusters: I labels of what changes places together; None: each image by itself.
        permutations: Of which the value is at least ``1 / (permutations + 1)``.
        seed: Of the permutations.

    Returns:
        Two-sided: ``(1 + n) / (1 + permutations)``, n being those of a difference at least as
        large as that of the files as they are.
    """
    files = [*first, *second]
    joined, count, images = Curves.joined(files), len(files), files[0].images
    side = np.array([-1 / len(first)] * len(first) + [1 / len(second)] * len(second))
    labels = clusters_numbered(clusters, images)
    rng = np.random.default_rng((seed, 1))

    def differences(dealt: Rows) -> Float64:
        """Of ``(P, C, F)`` ways to deal: which file stands in each place, in each cluster."""
        weights = np.zeros((len(dealt), count, count, images), np.int64)
        for place in range(count):
            np.put_along_axis(
                weights[:, place], dealt[:, labels, place][:, None], np.int64(1), axis=1
            )
        values = joined.weighted(weights.reshape(-1, count * images))[:, 0]
        return np.asarray(values.reshape(len(dealt), count) @ side, np.float64)

    in_order = np.tile(np.arange(count), (1, int(labels.max()) + 1, 1))
    observed = abs(differences(in_order)[0])
    as_large, step = 0, max(1, _COUNTS_AT_ONCE // (count * count * images))
    for at in range(0, permutations, step):
        ways = np.repeat(in_order, min(step, permutations - at), axis=0)
        found = differences(rng.permuted(ways, axis=2))
        as_large += int((np.abs(found) >= observed - _EQUAL).sum())
    return (1 + as_large) / (1 + permutations)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests together, adjusted so that the chance of any false one stays.

    Holm, 1979: the smallest times their number, the next times one less, and so on, never falling.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(order), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


@dataclass(frozen=True)
class Trainings:
    """What trainings of two sides tell about another training of each.

    Attributes:
        first: AP of each training of one side.
        second: Of the other.
        difference: Second less first, with Welch's t interval; no ends if a side has but one.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    difference: Interval


def welch(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Trainings:
    """The difference of two means, the spreads of both sides being unknown (Welch, 1947).

    Args:
        first: AP of each training of one side.
        second: Of the other.
        level: Of the interval.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    value = float(b.mean() - a.mean())
    difference = Interval(value)
    if len(a) > 1 and len(b) > 1:
        parts = np.array([x.var(ddof=1) / len(x) for x in (a, b)])
        half = 0.0
        if parts.sum() > 0:
            freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
            half = float(stdtrit(freedom, 0.5 + level / 2) * np.sqrt(parts.sum()))
        difference = Interval(value, value - half, value + half)
    return Trainings(tuple(map(float, a)), tuple(map(float, b)), difference)
