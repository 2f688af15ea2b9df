"""COCO AP of the same small network trained in several ways, on drawn people.

Run: ``python tools/measure_accuracy.py codecs`` or ``... decoding``. Draws a data set, trains one
network per way and seed, and prints the table; an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli.console import RichProgress, say
from pose_hrnet.config.files import load_config
from pose_hrnet.data.synthetic.dataset import data_set_info, synthesize
from pose_hrnet.system.text import format_size
from pose_hrnet.training.train import train

app = typer.Typer(no_args_is_help=True, help=__doc__)

Output = Annotated[Path, typer.Option(help="Folder of the data and the runs.")]
Images = Annotated[int, typer.Option(help="Drawn training images.")]
Seeds = Annotated[int, typer.Option(help="Trainings of each way.")]

OUTPUT = Path("runs/accuracy")
CODECS = ("gaussian", "dark", "udp")
SIZES = ((96, 128), (48, 64))


def draw(output: Path, images: int) -> None:
    """Draw the data set, unless it is there."""
    for part, count, seed in (("train", images, 11), ("val", 300, 12)):
        path = output / "data" / part / "annotations.json"
        wanted = data_set_info(count, seed)
        if not path.exists() or json.loads(path.read_bytes())["info"] != wanted:
            synthesize(path.parent, images=count, seed=seed)


def measure(output: Path, name: str, ways: Sequence[str], epochs: int, seeds: int) -> str:
    """Mean and standard deviation of the last AP over the seeds; what is finished is taken."""
    scores = []
    for seed in range(seeds):
        overrides = [
            *(
                f"data.{part}.{key}={json.dumps(str(output / 'data' / part / file))}"
                for part in ("train", "val")
                for key, file in (("annotations", "annotations.json"), ("images", "images"))
            ),
            *ways,
            f"train.seed={seed}",
            f"train.epochs={epochs}",
            f"train.evaluate_every={epochs}",
        ]
        folder = output / f"{name}_seed{seed}"
        train(load_config("demo", overrides), folder, resume="auto", progress=RichProgress())
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        scores.append(float(json.loads(lines[-1])["AP"]))
    spread = statistics.stdev(scores) if seeds > 1 else 0.0
    return f"{statistics.mean(scores):.3f} ± {spread:.3f}"


@app.command()
def codecs(
    output: Output = OUTPUT, images: Images = 1000, epochs: int = 6, seeds: Seeds = 3
) -> None:
    """AP by codec and input size."""
    draw(output, images)
    say("| input | " + " | ".join(CODECS) + " |\n| --- |" + " --- |" * len(CODECS))
    for width, height in SIZES:
        cells = [
            measure(
                output,
                f"{codec}_{format_size((width, height))}",
                [f"codec.name={codec}", f"codec.input_wh=[{width}, {height}]"],
                epochs,
                seeds,
            )
            for codec in CODECS
        ]
        say(f"| {format_size((width, height))} | " + " | ".join(cells) + " |")


@app.command()
def decoding(
    output: Output = OUTPUT, images: Images = 1000, epochs: int = 6, seeds: Seeds = 3
) -> None:
    """AP by how training images are decoded, and in which order."""
    draw(output, images)
    say("| `data.decode`, `data.order` | AP |\n| --- | --- |")
    for decode, order in (("exact", "persons"), ("fast", "persons"), ("fast", "images")):
        ways = [f"data.decode={decode}", f"data.order={order}"]
        ap = measure(output, f"{decode}_{order}", ways, epochs, seeds)
        say(f"| {decode}, {order} | {ap} |")


if __name__ == "__main__":
    app()
