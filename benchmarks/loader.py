"""Training crops per second: images decoded exactly and fast, and crop shards; memory; waiting.

Crops of 192x256 with the official augmentation in this process, on one core, from a warm page
cache. The ways take turns, and the table shows medians of both clocks: processor time is what a
core of one's own would give on a machine that others use, too. With --memory, the loader's
processes are weighed after each of five epochs; with --config, a training is run with 1, 2 and 4
loader processes (Linux: it reads ``/proc``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, default_collate

from pose_hrnet.config import AugmentConfig
from pose_hrnet.config_files import load_config
from pose_hrnet.data.coco import load_people, training_people
from pose_hrnet.data.crops import Crop, CropDataset, EpochSampler, SampleKey, crop_loader
from pose_hrnet.data.decode import ImageFiles
from pose_hrnet.data.shard_writer import write_shards
from pose_hrnet.data.shards import ShardPictures, ShardSampler, ShardStore, read_index
from pose_hrnet.run_folder import read_metrics
from pose_hrnet.skeleton import COCO17
from pose_hrnet.train import train

INPUT_WH, BATCH = (192, 256), 32
console = Console()


class OneByOne(CropDataset):
    """Every crop decodes its image alone, as before batches were read image by image."""

    def __getitems__(self, keys: Sequence[SampleKey]) -> Crop:
        """A batch of single crops."""
        if len(keys) == 1:
            return super().__getitems__(keys)
        batch: Crop = default_collate([self[key] for key in keys])
        return batch


def make_loaders(
    annotations: Path, images: Path, shards: Path, workers: int
) -> dict[str, DataLoader[Crop]]:
    """A loader for each way, of the same persons."""
    people = training_people(load_people(annotations))
    store = ShardStore(str(shards))
    index = read_index(store)
    loaders = {}
    for decode in ("exact", "fast"):
        files = ImageFiles(people.images, images, decode)
        for order in ("one by one", "persons", "images"):
            kind = OneByOne if order == "one by one" else CropDataset
            loaders[f"{decode}, {order}"] = crop_loader(
                kind(people, files, input_wh=INPUT_WH, augmentation=AugmentConfig()),
                batch_size=BATCH,
                workers=workers,
                sampler=EpochSampler(people, shuffle=True, whole_images=order == "images"),
            )
    for decode in ("exact", "fast"):
        pictures = ShardPictures(index, store, decode)
        loaders[f"{decode}, shards"] = crop_loader(
            CropDataset(index.people, pictures, input_wh=INPUT_WH, augmentation=AugmentConfig()),
            batch_size=BATCH,
            workers=workers,
            sampler=ShardSampler(index.counts),
        )
    del loaders["fast, one by one"]
    return loaders


def compare(loaders: dict[str, DataLoader[Crop]], repeats: int) -> None:
    """Print crops per second; the ways take turns, and the first turn is not kept."""
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for _ in range(repeats + 1):
        for name, loader in loaders.items():
            wall, processor = time.perf_counter(), time.process_time()
            crops = sum(len(batch.pixels) for batch in loader)
            rates[name].append(
                (crops / (time.perf_counter() - wall), crops / (time.process_time() - processor))
            )
    table = Table(title=f"crops per second, medians of {repeats}", title_justify="left")
    for heading in ("decode, order", "per second", "per second of processor time", "ratio"):
        table.add_column(heading, justify="left" if "," in heading else "right")
    medians = {
        name: [statistics.median(clock) for clock in zip(*runs[1:], strict=True)]
        for name, runs in rates.items()
    }
    slowest = medians["exact, one by one"][1]
    for name, (wall, processor) in medians.items():
        ratio = f"{processor / slowest:.2f}"
        table.add_row(name, f"{wall:,.0f}", f"{processor:,.0f}", ratio)
    console.print(table)


def weigh(loader: DataLoader[Crop], epochs: int = 5) -> list[list[float]]:
    """Resident megabytes of this process and each worker, after each epoch."""
    weights = []
    for epoch in range(epochs):
        loader.sampler.epoch = epoch
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
    """Parse the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    if args.config:
        waiting(args.config, args.overrides)
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        people = training_people(load_people(args.annotations))
        write_shards(
            people,
            args.images,
            Path(folder),
            input_wh=INPUT_WH,
            augmentation=AugmentConfig(),
            skeleton=COCO17,
        )
        if not args.memory:
            compare(make_loaders(args.annotations, args.images, Path(folder), 0), args.repeats)
            return
        table = Table(title="resident MB after each epoch: main process, workers")
        for heading in ("decode, order", "1", "2", "3", "4", "5"):
            table.add_column(heading)
        for name, loader in make_loaders(args.annotations, args.images, Path(folder), 2).items():
            if "images" in name or "shards" in name:
                cells = [" ".join(f"{mb:.0f}" for mb in row) for row in weigh(loader)]
                table.add_row(name, *cells)
        console.print(table)


if __name__ == "__main__":
    main()
