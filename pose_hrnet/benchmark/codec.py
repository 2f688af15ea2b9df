"""Heatmaps to keypoints and back, for each codec."""

from __future__ import annotations

import math
from functools import partial
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_hrnet.benchmark.timing import Measurement, Pace, Variant, measure
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.records import Float32
from pose_hrnet.system.choices import CodecName
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import format_size

PERSONS, KEYPOINTS = 64, 17
LOOP = "gaussian, a loop over keypoints"


def made_up_heatmaps(input_wh: tuple[int, int]) -> tuple[Tensor, CropFrames]:
    """``(PERSONS, 17, H/4, W/4)`` noisy Gaussians, and where their crops lie."""
    generator = torch.Generator().manual_seed(0)
    points = _points(input_wh, generator)
    heatmaps, _ = HeatmapCodec(input_wh=input_wh).encode(points, torch.ones(PERSONS, KEYPOINTS))
    heatmaps += 0.05 * torch.randn(heatmaps.shape, generator=generator)
    rng = np.random.default_rng(0)
    sizes = np.tile(np.array(input_wh, np.float64) * 0.8, (PERSONS, 1))
    centers = rng.uniform(0, 400, (PERSONS, 2))
    return heatmaps, CropFrames.of_regions(centers, sizes, input_wh, "official")


def decode_variants(input_wh: tuple[int, int]) -> list[Variant]:
    """Heatmaps to image pixels with each codec, and by a loop over keypoints before them."""
    heatmaps, frames = made_up_heatmaps(input_wh)
    loop = Variant.ready(LOOP, partial(_decode_in_a_loop, heatmaps.numpy(), frames))
    return [loop] + [
        Variant.ready(codec.name, partial(_decode, codec, heatmaps, frames))
        for codec in _codecs(input_wh)
    ]


def encode_variants(input_wh: tuple[int, int]) -> list[Variant]:
    """Keypoints to targets with each codec."""
    points = _points(input_wh, torch.Generator().manual_seed(0))
    visible = torch.ones(PERSONS, KEYPOINTS)
    return [
        Variant.ready(codec.name, partial(codec.encode, points, visible))
        for codec in _codecs(input_wh)
    ]


def benchmark_codec(
    input_wh: tuple[int, int], pace: Pace, *, progress: Progress = SILENT
) -> list[Measurement]:
    """Time a batch of `PERSONS` persons through every codec, both ways, on the CPU."""
    settings = {"input_wh": list(input_wh), "persons": PERSONS, "keypoints": KEYPOINTS}
    cells = format_size([side // 4 for side in input_wh])
    size = f"{PERSONS} persons, {KEYPOINTS} heatmaps of {cells} each"
    found = []
    for title, variants in (
        ("heatmaps to image pixels", decode_variants(input_wh)),
        ("keypoints to heatmaps", encode_variants(input_wh)),
    ):
        baseline = variants[0].name
        rows = measure(variants, baseline, pace, name="codec", progress=progress)
        found.append(
            Measurement(
                "codec",
                f"{title}: {size}",
                "person",
                PERSONS,
                baseline,
                rows,
                settings,
                shows_each=True,
            )
        )
    return found


def _codecs(input_wh: tuple[int, int]) -> list[HeatmapCodec]:
    return [HeatmapCodec(name, input_wh) for name in get_args(CodecName)]


def _points(input_wh: tuple[int, int], generator: torch.Generator) -> Tensor:
    share = torch.rand(PERSONS, KEYPOINTS, 2, generator=generator)
    return (0.1 + 0.8 * share) * torch.tensor(input_wh)


def _decode(codec: HeatmapCodec, heatmaps: Tensor, frames: CropFrames) -> NDArray[np.floating]:
    return frames.to_image(codec.decode(heatmaps)[0].numpy())


def _decode_in_a_loop(heatmaps: Float32, frames: CropFrames) -> Float32:
    """The quarter-cell step as plain code: each keypoint is found and mapped to the image alone.

    Args:
        heatmaps: ``(N, K, H, W)``.
        frames: Of the N crops.

    Returns:
        ``(N, K, 2)`` image pixels.
    """
    persons, joints, height, width = heatmaps.shape
    points = np.zeros((persons, joints, 2), np.float32)
    for n in range(persons):
        for k in range(joints):
            heatmap = heatmaps[n, k]
            y, x = divmod(int(heatmap.argmax()), width)
            if heatmap[y, x] <= 0:
                continue
            points[n, k] = x, y
            if 1 < x < width - 1 and 1 < y < height - 1:
                points[n, k, 0] += 0.25 * math.copysign(1, heatmap[y, x + 1] - heatmap[y, x - 1])
                points[n, k, 1] += 0.25 * math.copysign(1, heatmap[y + 1, x] - heatmap[y - 1, x])
        to_image = np.linalg.inv(np.vstack([frames.affines[n], [0, 0, 1]]))
        for k in range(joints):
            points[n, k] = (to_image @ np.array([*(points[n, k] * 4), 1.0]))[:2]
    return points
