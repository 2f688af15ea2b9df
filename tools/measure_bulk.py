"""How fast `pose-hrnet bulk` is over Ray on this machine, against `predict`, in turns.

Draws images, and poses them by both, start-up apart: images a second from the first results to
the last ones, and what they cost all processes together, which other work on the machine hardly
changes. `predict` draws no overlays. Without a detector each image is one person.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from pose_hrnet.data.synthetic.dataset import synthesize
from pose_hrnet.deploy.bulk.engines import Cluster, ray_engine
from pose_hrnet.deploy.bulk.job import run_job
from pose_hrnet.deploy.bulk.models import Models
from pose_hrnet.deploy.bulk.plan import Wanted, plan_job
from pose_hrnet.deploy.bulk.store import opened_store
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.models.weights.identity import identity_of

APART = 64
"""Images whose results end the start-up."""
console = Console()


@dataclass(frozen=True)
class Mark:
    """A moment of a run: seconds, images done, seconds of all processors by then."""

    seconds: float
    done: int
    worked: float

    @classmethod
    def now(cls, done: int) -> Mark:
        """With the work of this process and of all that it started."""
        us = psutil.Process()
        worked = 0.0
        for process in (us, *us.children(recursive=True)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                worked += times.user + times.system
        return cls(time.perf_counter(), done, worked)


class Clock:
    """A `Progress` that notes the first results and the last ones."""

    def __init__(self) -> None:
        self.began = self.first = self.last = Mark.now(0)

    @contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Clock]:
        yield self
        self.last = Mark.now(self.last.done)

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.advance_to(self.last.done + amount)

    def advance_to(self, done: int) -> None:
        self.last = replace(self.last, done=done)
        if self.first.done < APART <= done:
            self.first = Mark.now(done)

    @property
    def images(self) -> int:
        """Done after the first results."""
        return self.last.done - self.first.done

    def rate(self) -> float:
        """Images a second, start-up apart."""
        return self.images / (self.last.seconds - self.first.seconds)

    def work(self) -> float:
        """Seconds of a processor for an image, start-up apart."""
        return (self.last.worked - self.first.worked) / self.images

    def start_up(self) -> float:
        """Seconds until the first results, beyond what they take at that rate."""
        return self.first.seconds - self.began.seconds - self.first.done / self.rate()


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
    options = ModelOptions(asked.checkpoint, asked.detector)
    models = Models(options, asked.checkpoint, identity_of(asked.checkpoint).sha256)
    table = Table(title="images a second, and ms of a processor an image; start-up apart")
    headings = ("predict", "bulk", "share", "predict, ms", "bulk, ms", "share", "start-up", "load")
    for heading in headings:
        table.add_column(heading, justify="right")
    rates, works = [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = asked.folder
        if images is None:
            synthesize(place / "drawn", images=asked.images, seed=0)
            images = place / "drawn" / "images"
        for number in range(asked.rounds):
            one = by_predict(models, images, place / f"predict{number}")
            two = by_bulk(models, images, place / f"bulk{number}", asked.readers)
            rates.append(two.rate() / one.rate())
            works.append(one.work() / two.work())
            table.add_row(
                f"{one.rate():.1f}", f"{two.rate():.1f}", f"{rates[-1]:.0%}",
                f"{1e3 * one.work():.1f}", f"{1e3 * two.work():.1f}", f"{works[-1]:.0%}",
                f"{two.start_up():.0f} s", f"{os.getloadavg()[0]:.1f}",
            )  # fmt: skip
    console.print(table)
    console.print(f"medians: {median(rates):.0%} of the images, {median(works):.0%} by the work")


if __name__ == "__main__":
    main()
