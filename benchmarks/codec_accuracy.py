"""COCO AP of the same small network trained with each codec, on drawn people.

Run: ``python benchmarks/codec_accuracy.py --output runs/codec_accuracy``. Draws a data set, trains
one network per codec, input size and seed, and prints the table; an interrupted run goes on where
it was.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.config_files import load_config
from pose_hrnet.console import RichProgress, say
from pose_hrnet.data.synthetic import data_set_info, synthesize
from pose_hrnet.train import train

CODECS = ("gaussian", "dark", "udp")
SIZES = ((96, 128), (48, 64))


def measure(output: Path, codec: str, input_wh: tuple[int, int], seed: int, epochs: int) -> float:
    """Train once, or take the finished run, and return its last AP."""
    overrides = [
        *(
            f"data.{part}.{key}={json.dumps(str(output / 'data' / part / name))}"
            for part in ("train", "val")
            for key, name in (("annotations", "annotations.json"), ("images", "images"))
        ),
        f"codec.name={codec}",
        f"codec.input_wh={list(input_wh)}",
        f"train.seed={seed}",
        f"train.epochs={epochs}",
        f"train.evaluate_every={epochs}",
    ]
    folder = output / f"{codec}_{input_wh[1]}x{input_wh[0]}_seed{seed}"
    train(load_config("demo", overrides), folder, resume=True, progress=RichProgress())
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return float(json.loads(lines[-1])["AP"])


def main(
    output: Path = Path("runs/codec_accuracy"),
    images: Annotated[int, typer.Option(help="Drawn training images.")] = 1000,
    epochs: int = 6,
    seeds: int = 3,
) -> None:
    """Print mean and standard deviation of AP over the seeds."""
    for part, count, seed in (("train", images, 11), ("val", 300, 12)):
        path = output / "data" / part / "annotations.json"
        wanted = data_set_info(count, seed)
        if not path.exists() or json.loads(path.read_bytes())["info"] != wanted:
            synthesize(path.parent, images=count, seed=seed)
    say("| input | " + " | ".join(CODECS) + " |\n| --- |" + " --- |" * len(CODECS))
    for size in SIZES:
        cells = []
        for codec in CODECS:
            scores = [measure(output, codec, size, seed, epochs) for seed in range(seeds)]
            spread = statistics.stdev(scores) if seeds > 1 else 0.0
            cells.append(f"{statistics.mean(scores):.3f} ± {spread:.3f}")
        say(f"| {size[1]}x{size[0]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    typer.run(main)
