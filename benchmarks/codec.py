"""Milliseconds per person from heatmaps to image pixels, against a Python loop over joints.

Run: ``python benchmarks/codec.py``. One core, batches of 64 persons at 64x48.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rich import print

from pose_hrnet.codec import HeatmapCodec
from pose_hrnet.geometry import crop_affines, input_to_image

PERSONS, REPEATS = 64, 15


def loop_decode(
    heatmaps: NDArray[np.float32], affines: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The quarter-step decoder as a loop: each joint is found and mapped to the image alone."""
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
        to_image = np.linalg.inv(np.vstack([affines[n], [0, 0, 1]]))
        for k in range(joints):
            points[n, k] = (to_image @ np.array([*(points[n, k] * 4), 1.0]))[:2]
    return points


def milliseconds_per_person(decode: Callable[[], object]) -> float:
    """Median over the repeats."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        decode()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) / PERSONS * 1000


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    points = torch.rand(PERSONS, 17, 2) * torch.tensor([150.0, 210.0]) + 20
    heatmaps, _ = HeatmapCodec().encode(points, torch.ones(PERSONS, 17))
    heatmaps += 0.05 * torch.randn_like(heatmaps)
    array = heatmaps.numpy()
    rng = np.random.default_rng(0)
    affines = crop_affines(
        rng.uniform(0, 400, (PERSONS, 2)), [[150.0, 200.0]] * PERSONS, (192, 256)
    )
    loop = milliseconds_per_person(lambda: loop_decode(array, affines))
    print(f"loop over joints  {loop:.4f} ms/person")
    for name in ("gaussian", "dark", "udp"):
        codec = HeatmapCodec(name)
        decode = milliseconds_per_person(
            lambda codec=codec: input_to_image(codec.decode(heatmaps)[0].numpy(), affines)
        )
        encode = milliseconds_per_person(
            lambda codec=codec: codec.encode(points, torch.ones(PERSONS, 17))
        )
        print(f"{name:9} decode  {decode:.4f} ms/person, {loop / decode:.1f} times as fast")
        print(f"{name:9} encode  {encode:.4f} ms/person")


if __name__ == "__main__":
    main()
