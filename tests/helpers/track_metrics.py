"""IDF1, HOTA, switches, and how keypoints shake: from the definitions, for tests.

IDF1: Ristani et al., ECCV workshops 2016. HOTA: Luiten et al., IJCV 2021, with the two-step
matching and the 19 thresholds of its reference evaluation, TrackEval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_hrnet.keypoints.records import Float64

ALPHAS = np.arange(1, 20) / 20


@dataclass(frozen=True, eq=False)
class Frame:
    """Who is there and what was said, in a frame.

    Attributes:
        truth: Ids of the T persons.
        found: Ids of the D tracked poses.
        similarity: ``(T, D)`` from 0 to 1.
    """

    truth: Sequence[int]
    found: Sequence[int]
    similarity: Float64


def idf1(frames: Sequence[Frame], threshold: float = 0.5) -> float:
    """Of ids that are matched one to one over the whole clip: 2 IDTP / (truth + found)."""
    together: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        for t, f in np.argwhere(frame.similarity >= threshold):
            together[frame.truth[t], frame.found[f]] += 1
    truth = sorted({each for frame in frames for each in frame.truth})
    found = sorted({each for frame in frames for each in frame.found})
    table = np.array([[together[t, f] for f in found] for t in truth]).reshape(len(truth), -1)
    best = table[linear_sum_assignment(-table)].sum()
    total = sum(len(frame.truth) + len(frame.found) for frame in frames)
    return float(2 * best / total) if total else 1.0


def hota(frames: Sequence[Frame]) -> float:
    """Mean over the thresholds of sqrt(DetA * AssA)."""
    truth_count = Counter(each for frame in frames for each in frame.truth)
    found_count = Counter(each for frame in frames for each in frame.found)
    # First: which ids go together over the whole clip, by similarities weighed within each frame.
    together: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        s = frame.similarity
        union = s.sum(axis=0, keepdims=True) + s.sum(axis=1, keepdims=True) - s
        weighed = np.divide(s, union, out=np.zeros_like(s), where=union > 0)
        for t, truth in enumerate(frame.truth):
            for f, found in enumerate(frame.found):
                together[truth, found] += weighed[t, f]

    def alignment(truth: int, found: int) -> float:
        both = together[truth, found]
        return both / (truth_count[truth] + found_count[found] - both)

    # Then each frame is matched by that, once for all thresholds.
    matched = []
    for frame in frames:
        weight = np.array([[alignment(t, f) for f in frame.found] for t in frame.truth])
        weight = weight.reshape(frame.similarity.shape) * frame.similarity
        rows, columns = linear_sum_assignment(-weight)
        matched += [
            (frame.truth[t], frame.found[f], frame.similarity[t, f])
            for t, f in zip(rows, columns, strict=True)
        ]
    scores = []
    for alpha in ALPHAS:
        pairs = Counter((t, f) for t, f, s in matched if s >= alpha - 1e-9)
        hits = sum(pairs.values())
        everything = sum(truth_count.values()) + sum(found_count.values()) - hits
        association = sum(
            count * count / (truth_count[t] + found_count[f] - count)
            for (t, f), count in pairs.items()
        )
        scores.append(np.sqrt(hits / everything * association / max(hits, 1)))
    return float(np.mean(scores))


def switches(frames: Sequence[Frame]) -> int:
    """How often a person's id is another than the last time."""
    last: dict[int, int] = {}
    count = 0
    for frame in frames:
        for t, f in np.argwhere(frame.similarity >= 0.5):
            truth, found = frame.truth[t], frame.found[f]
            count += found != last.get(truth, found)
            last[truth] = found
    return count


def accelerations(points: Float64, times: Float64) -> Float64:
    """``(F - 2, ...)`` second differences over real times, per square second."""
    dt = np.diff(times).reshape(-1, *[1] * (points.ndim - 1))
    speed = np.diff(points, axis=0) / dt
    return np.asarray(np.diff(speed, axis=0) / ((dt[1:] + dt[:-1]) / 2))
