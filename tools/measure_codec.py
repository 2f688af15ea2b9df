"""What arrays are worth: `pose-hrnet benchmark codec` with a Python loop over joints beside it.

Run: ``python tools/measure_codec.py``. One core, batches of 64 persons at 64x48, to image pixels.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from pose_hrnet.benchmark.codec import PERSONS, decode_variants, made_up_heatmaps
from pose_hrnet.benchmark.timing import Pace, Variant, measure
from pose_hrnet.cli.console import print_table
from pose_hrnet.keypoints.records import Float32, Float64

INPUT_WH = (192, 256)


def loop_decode(heatmaps: Float32, affines: Float64) -> Float32:
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


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    heatmaps, frames = made_up_heatmaps(INPUT_WH)
    loop = Variant.ready("loop", partial(loop_decode, heatmaps.numpy(), frames.affines))
    rows = measure([loop, *decode_variants(INPUT_WH)], "loop", Pace(), name="codec")
    cells = [
        [row.variant, f"{(row.seconds or 0) / PERSONS * 1000:.4f}", f"{row.ratio or 0:.1f}"]
        for row in rows
    ]
    print_table("decoding", ["", "ms per person", "times as fast"], cells)


if __name__ == "__main__":
    main()
