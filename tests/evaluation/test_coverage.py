"""Intervals hold the truth as often as they say: drawn data sets of a law whose AP is known."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.evaluation.statistics.bootstrap import bootstrap
from pose_hrnet.evaluation.statistics.weighted import as_they_are
from tests.helpers.populations import draw_curves

DATA_SETS = 500


def coverage(images, *, replicates=400, by_cluster=True, **law):
    """Share of the intervals that hold the AP, AP50, AP75 and AR of a million images."""
    truth = np.mean(
        [as_they_are(draw_curves(np.random.default_rng(s), 50_000)) for s in range(20)], axis=0
    )
    held = np.zeros(len(truth))
    size = law.get("per_cluster", 1) if by_cluster else 1
    clusters = [at // size for at in range(images)]
    for seed in range(DATA_SETS):
        curves = draw_curves(np.random.default_rng((1, seed)), images, **law)
        drawn = bootstrap(curves, clusters=clusters, replicates=replicates, seed=seed)
        every = drawn.intervals().values.values()
        held += [each.low <= t <= each.high for each, t in zip(every, truth, strict=True)]
    return held / DATA_SETS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_intervals_of_95_percent_hold_the_truth_in_95_percent_of_data_sets():
    assert np.abs(coverage(300) - 0.95).max() < 0.02


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_clusters_that_are_alike_need_their_own_intervals():
    """Ten frames a video: drawn by videos the truth is held, drawn by frames it is not."""
    alike = {"replicates": 200, "per_cluster": 10}
    assert np.abs(coverage(500, **alike) - 0.95).max() < 0.02
    assert coverage(500, by_cluster=False, **alike).max() < 0.9
