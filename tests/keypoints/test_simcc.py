"""SimCC's vectors are read as the papers and MMPose read them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.simcc import SimccCodec, codec_of
from pose_hrnet.keypoints.skeleton import COCO17

CODEC = SimccCodec((192, 256))


def published(x: np.ndarray, y: np.ndarray, ratio: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """argmax / split ratio, and the smaller maximum; -1 bin where that is not positive."""
    scores = np.minimum(x.max(-1), y.max(-1))
    places = np.stack([x.argmax(-1), y.argmax(-1)], -1).astype(np.float32)
    places[scores <= 0] = -1
    return places / ratio, scores


def vectors(seed=0, low=-1.0):
    random = np.random.default_rng(seed)
    sizes = CODEC.bins_wh
    return [random.uniform(low, 1, (3, 17, size)).astype(np.float32) for size in sizes]


def test_points_and_scores_are_the_published_formula():
    assert CODEC.bins_wh == (384, 512)
    x, y = vectors()
    x[0, 3] -= 5  # no positive value
    points, scores = CODEC.decode(torch.from_numpy(np.concatenate([x, y], -1)))
    expected = published(x, y)
    np.testing.assert_array_equal(points, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    assert points[0, 3].tolist() == [-0.5, -0.5]


def test_another_split_ratio():
    codec = SimccCodec((6, 8), 3.0)
    x, y = np.zeros((1, 1, 18), np.float32), np.zeros((1, 1, 24), np.float32)
    x[..., 7], y[..., 23] = 0.5, 0.75
    points, scores = codec.decode(torch.from_numpy(np.concatenate([x, y], -1)))
    np.testing.assert_allclose(points, [[[7 / 3, 23 / 3]]])
    assert scores.tolist() == [[0.5]]


def test_a_flip_mirrors_x_and_exchanges_the_sides():
    x, y = vectors()
    flipped = torch.from_numpy(np.concatenate([x, y], -1))
    back = CODEC.flip_back(flipped, COCO17.flip_index).numpy()
    index = list(COCO17.flip_index)
    np.testing.assert_array_equal(back[..., :384], x[:, index, ::-1])
    np.testing.assert_array_equal(back[..., 384:], y[:, index])
    assert torch.equal(CODEC.flip_back(torch.from_numpy(back), COCO17.flip_index), flipped)
    with pytest.raises(ValueError, match="flipped without a shift, but 1 is given"):
        CODEC.flip_back(flipped, COCO17.flip_index, shift=1)


def test_reports_tell_both_kinds_apart():
    for codec in (CODEC, HeatmapCodec("dark")):
        assert codec_of(codec.to_dict()) == codec
    assert str(CODEC) == "simcc, 2 bins per pixel, 256x192 -> 384 + 512"


def test_half_bins_and_heatmaps_are_refused():
    with pytest.raises(ValueError, match=r"input 256x191 .* split ratio 2\.5 make no whole"):
        SimccCodec((191, 256), 2.5)
    with pytest.raises(ValueError, match="no heatmaps, which codec dark could read"):
        CODEC.as_codec("dark")
