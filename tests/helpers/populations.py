"""Results drawn from a law, matched already: what intervals say is then known to be so or not."""

from __future__ import annotations

import numpy as np

from pose_hrnet.evaluation.statistics.curves import Curves, Ranking

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def draw_curves(rng, images, names=("AP", "AP50", "AP75", "AR"), skill=1.0, per_cluster=1):
    """COCO's numbers of a data set of so many images.

    An image has 1 to 6 persons and a difficulty that they share, and a cluster of images has one,
    too. Most persons are found, with an OKS that the difficulty lowers and a score that goes with
    it; some results are of nobody.
    """
    persons = np.minimum(1 + rng.poisson(1.2, images), 6)
    shared = np.repeat(rng.normal(0, 1, -(-images // per_cluster)), per_cluster)[:images]
    hard = rng.normal(0, 0.6, images) + 0.6 * shared
    image = np.repeat(np.arange(images), persons)
    quality = 1.4 * skill - hard[image] + rng.normal(0, 1.2, len(image))
    oks = 1 / (1 + np.exp(-quality))
    found = rng.random(len(image)) < 0.93
    strays = np.flatnonzero(rng.random(images) < 0.3)
    image = np.concatenate([image[found], strays])
    oks = np.concatenate([oks[found], rng.random(len(strays)) * 0.4])
    scores = 0.6 * oks + 0.4 * rng.random(len(oks))
    order = np.argsort(image, kind="stable")
    right = (oks[order] >= THRESHOLDS[:, None])[None].repeat(3, 0)
    ranking = Ranking.of(image[order], scores[order], right, ~right, persons[None].repeat(3, 0))
    return Curves(tuple(names), (ranking,), np.linspace(0, 1, 101), images)
