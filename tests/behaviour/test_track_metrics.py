"""What judges tracking counts as TrackEval does, of which it is an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.track_metrics import Frame, hota, idf1, switches


def noisy(seed):
    """Four persons with misses, false alarms and boxes that are off; two change their ids."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(30):
        truth = [person for person in range(4) if rng.random() < 0.9]
        found = [
            person + 4 * (person < 2 and number > 15) for person in truth if rng.random() < 0.8
        ]
        similarity = rng.uniform(0, 0.5, (len(truth), len(found) + 1))
        for column, name in enumerate(found):
            similarity[truth.index(name % 4), column] = rng.uniform(0.4, 1)
        frames.append(Frame(truth, [*found, 9], similarity))
    return frames


@pytest.mark.parametrize(
    ("seed", "expected"), [(0, (0.385798549456659, 7 / 15)), (1, (0.4159260720254216, 10 / 21))]
)
def test_hota_and_idf1_are_those_of_trackeval(seed, expected):
    """Pinned: TrackEval 1.3.0 gives these numbers."""
    assert (hota(noisy(seed)), idf1(noisy(seed))) == pytest.approx(expected, abs=1e-9)


def test_two_who_change_their_ids_halfway():
    same = np.eye(2)
    frames = [Frame([1, 2], [1, 2] if number < 4 else [2, 1], same) for number in range(8)]
    assert switches(frames) == 2
    assert idf1(frames) == 0.5
    assert hota(frames) == pytest.approx((1 / 3) ** 0.5)  # 4 of 8 + 8 - 4
    assert (switches(frames[:4]), idf1(frames[:4]), hota(frames[:4])) == (0, 1, 1)
