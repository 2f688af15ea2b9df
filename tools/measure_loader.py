"""Memory of the loader's processes, and how long a training waits for them.

``--annotations FILE --images FOLDER`` weighs the processes after each of five epochs; ``--config``
runs a training with 1, 2 and 4 loader processes (Linux: it reads ``/proc``). Crops per second are
those of `pose-hrnet benchmark loading`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import cv2
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from pose_hrnet.benchmark.loading import LoadingVariant, open_source
from pose_hrnet.config.files import load_config
from pose_hrnet.data.crops import Crop
from pose_hrnet.training.report import read_metrics
from pose_hrnet.training.train import train

INPUT_WH, WORKERS = (192, 256), 2
VARIANTS = (
    LoadingVariant("exact", "images", WORKERS),
    LoadingVariant("fast", "images", WORKERS),
    LoadingVariant("exact", "shards", WORKERS),
    LoadingVariant("fast", "shards", WORKERS),
)
console = Console()


def weigh(loader: DataLoader[Crop], epochs: int = 5) -> list[list[float]]:
    """Resident megabytes of this process and each worker, after each epoch."""
    weights = []
    for epoch in range(epochs):
        loader.sampler.epoch = epoch  # type: ignore[attr-defined]  # ours, not torch's
        batches = iter(loader)
        for _ in batches:
            pass
        workers = getattr(batches, "_workers", [])
        weights.append([_resident(os.getpid()), *(_resident(w.pid) for w in workers)])
    return weights


def _resident(process: int) -> float:
    """Anonymous memory: what is shared with the page cache or other processes is no burden."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3
    return float("nan")


def memory(annotations: Path, images: Path) -> None:
    """Print the weights of each variant to read crops."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    table = Table(title="resident MB after each epoch: main process, workers")
    for heading in ("decode, order", "1", "2", "3", "4", "5"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as folder:
        source = open_source(annotations, images, Path(folder), None, INPUT_WH)
        for variant in VARIANTS:
            cells = [" ".join(f"{mb:.0f}" for mb in row) for row in weigh(source.loader(variant))]
            table.add_row(variant.name, *cells)
    console.print(table)


def waiting(config: str, overrides: list[str]) -> None:
    """Print the share of an epoch spent waiting for data, as training itself tells it."""
    table = Table(title=f"{config}: waiting for data", title_justify="left")
    for heading in ("workers", "waiting", "crops/s"):
        table.add_column(heading, justify="right")
    for workers in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder:
            settings = [*overrides, f"data.workers={workers}", "train.epochs=2"]
            train(load_config(config, settings), Path(folder), device="cpu")
            line = read_metrics(Path(folder) / "metrics.jsonl")[-1]
        rate = f"{line['samples_per_second']:.0f}"
        table.add_row(str(workers), f"{line['data_wait']:.1%}", rate)
    console.print(table)


def main() -> None:
    """Parse the arguments and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    if args.config:
        waiting(args.config, args.overrides)
    elif args.annotations and args.images:
        memory(args.annotations, args.images)
    else:
        parser.error("give --config, or --annotations and --images")


if __name__ == "__main__":
    main()
