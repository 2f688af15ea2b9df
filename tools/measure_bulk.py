"""How fast `pose-hrnet bulk` is over Ray on this machine, against `predict`, in turns.

Draws images, and poses them by both, start-up apart: images a second from the first results to
the last ones. `predict` draws no overlays. Without a detector each image is one person.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from pose_hrnet.data.synthetic.dataset import synthesize
from pose_hrnet.deploy.bulk.columns import model_sha256
from pose_hrnet.deploy.bulk.engines import Cluster, Models, ray_engine
from pose_hrnet.deploy.bulk.job import run_job
from pose_hrnet.deploy.bulk.plan import Wanted, plan_job
from pose_hrnet.deploy.bulk.store import opened_store
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs

APART = 64
"""Images whose results end the start-up."""
console = Console()


class Clock:
    """A `Progress` that notes when how much was done."""

    def __init__(self) -> None:
        self.done, self.noted = 0, [(time.perf_counter(), 0)]

    @contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Clock]:
        yield self

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.advance_to(self.done + amount)

    def advance_to(self, done: int) -> None:
        self.done = done
        self.noted.append((time.perf_counter(), done))

    def rate(self) -> float:
        """Images a second, start-up apart."""
        began = next(each for each in self.noted if each[1] >= APART)
        (start, first), (end, last) = began, self.noted[-1]
        return (last - first) / (end - start)

    def start_up(self) -> float:
        """Seconds until the first results, beyond what they take at that rate."""
        began = next(each for each in self.noted if each[1] >= APART)
        return began[0] - self.noted[0][0] - began[1] / self.rate()


def by_predict(models: Models, images: Path, output: Path) -> Clock:
    """In this process."""
    estimator = models.load().estimator
    clock = Clock()
    boxes = estimator.detector
    predict_files(
        estimator, [images], output, boxes=boxes, outputs=Outputs(draw_above=None), progress=clock
    )
    return clock


def by_bulk(models: Models, images: Path, output: Path, readers: int | None) -> Clock:
    """Over Ray."""
    job = plan_job(Wanted([str(images)], str(output)), models)
    with (
        ray_engine(models, Cluster(readers=readers)) as engine,
        opened_store(str(output)) as store,
    ):
        clock = Clock()
        run_job(job, store, engine, progress=clock)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--detector", help="as of predict; without it, an image is one person")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="of images, in place of drawn ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", type=int)
    asked = parser.parse_args()
    models = Models(
        asked.checkpoint, asked.checkpoint, model_sha256(asked.checkpoint), asked.detector
    )
    table = Table(title="images a second, start-up apart")
    for column in ("round", "predict", "bulk", "share", "start-up of bulk", "load before, after"):
        table.add_column(column, justify="right")
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = asked.folder
        if images is None:
            synthesize(place / "drawn", images=asked.images, seed=0)
            images = place / "drawn" / "images"
        for number in range(asked.rounds):
            before = os.getloadavg()[0]
            first = by_predict(models, images, place / f"predict{number}")
            second = by_bulk(models, images, place / f"bulk{number}", asked.readers)
            shares.append(second.rate() / first.rate())
            loads = f"{before:.1f}, {os.getloadavg()[0]:.1f}"
            row = [f"{first.rate():.1f}", f"{second.rate():.1f}", f"{shares[-1]:.0%}"]
            table.add_row(str(number + 1), *row, f"{second.start_up():.0f} s", loads)
    console.print(table)
    console.print(f"median share: {median(shares):.0%}")


if __name__ == "__main__":
    main()
