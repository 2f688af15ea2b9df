"""Every network at about the same cost, learnt from the same samples: AP, cost, speed.

Run: ``python tools/measure_networks.py --output runs/networks``. Draws people (or takes your own
data), scales each network to `--gmacs`, trains it with each seed, and writes ``table.md``,
``ap.svg`` and ``rows.json`` into the folder after every training. An interrupted run goes on where
it was, and a later one with more seeds or networks adds to it. ``--only unet,hrnet`` measures some
of them; ``--processes 2`` trains two at once, each on its share of the cores, which on CPUs is
faster than one on all; ``--scale-only`` says the sizes and trains nothing.

On a GPU: ``--gmacs 8 --input 256x192 --epochs 20 --workers 14 --shards pack``, with
``--val annotations.json images``.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer
from scaled_networks import NETWORKS, Size, Speed, size_of, speed_of
from scipy.stats import t as student

from pose_hrnet.cli.console import one_sentence_errors, say
from pose_hrnet.config.files import load_config
from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.data.synthetic.dataset import data_set_info, synthesize
from pose_hrnet.evaluation.diagnosis.diagnose import diagnose
from pose_hrnet.evaluation.diagnosis.kinds import KINDS
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.system.device import usable_cores
from pose_hrnet.system.files import write_json, write_text
from pose_hrnet.system.text import format_size, parse_names, parse_size
from pose_hrnet.training.train import train

app = typer.Typer()

RATES = {"vitpose": 5e-4}
"""Highest learning rates other than `LR`: a transformer's published one, no more is stable."""
LR = 4e-3

SCORES_FILE = "scores.json"
HEADINGS = [
    "network", "AP", "AP50", "AP75", *(f"% {kind}" for kind in KINDS),
    "M parameters", "G multiply-adds", "crops/s forward", "training", "MB", "seeds",
]  # fmt: skip
COLOURS = dict(zip(KINDS, ("#3a9b6c", "#e69f00", "#c55a90", "#2f7fc1", "#999999"), strict=True))

Paths = tuple[Path, Path] | None


@dataclass(frozen=True)
class Training:
    """One training: of what, with which seed, how, where."""

    folder: Path
    size: Size
    seed: int
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A network with what is known of it.

    Attributes:
        size: Its costs.
        scores: Of each seed that came to its end: AP, AP75 and so on, and the shares of keypoints
            by kind of error.
        diverged: The seeds whose loss was no number.
        speed: None: not measured yet.
    """

    size: Size
    scores: list[dict[str, float]]
    diverged: list[int]
    speed: Speed | None

    def mean(self, name: str) -> float:
        """Of a number over the seeds; not a number without any."""
        values = [score[name] for score in self.scores]
        return statistics.mean(values) if values else math.nan

    def interval(self, name: str) -> float:
        """Half of the 95 % interval of the mean by Student's t; not a number of one seed."""
        values = [score[name] for score in self.scores]
        if len(values) < 2:
            return math.nan
        wide = float(student.ppf(0.975, len(values) - 1))
        return wide * statistics.stdev(values) / math.sqrt(len(values))

    def cells(self) -> list[str]:
        """Of the table."""
        size, speed, half = self.size, self.speed, self.interval("AP")
        taken = [speed.forward, speed.training, speed.memory_mb] if speed else []
        lost = f", {len(self.diverged)} diverged" if self.diverged else ""
        return [
            size.network,
            f"{self.mean('AP'):.3f}" + ("" if math.isnan(half) else f" ± {half:.3f}"),
            *(f"{self.mean(name):.3f}" for name in ("AP50", "AP75")),
            *(f"{100 * self.mean(name):.0f}" for name in KINDS),
            f"{size.parameters:.2f}",
            f"{size.gmacs:.2f}",
            *(f"{value:.0f}" for value in taken or [math.nan] * 3),
            f"{len(self.scores)}{lost}",
        ]


def learnt(training: Training) -> dict[str, float]:
    """The scores of one training, on its last weights; what is finished is taken."""
    path = training.folder / SCORES_FILE
    settings = {"architecture": training.size.architecture, "overrides": list(training.overrides)}
    if path.exists():
        known = json.loads(path.read_bytes())
        if known["settings"] == settings:
            return dict(known["scores"])
    config = load_config("demo", training.overrides)
    train(config, training.folder, resume="auto", loggers=[])
    lines = (training.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    values = json.loads(lines[-1])
    scores = {name: float(values[name]) for name in ("AP", "AP50", "AP75", "AR")}
    truth = FileTruth.of(config.data.val.annotations)
    matched = MatchedFile.of(truth, training.folder / RESULTS_FILE).matched
    scores |= diagnose(matched, truth.skeleton).overall.shares
    write_json(path, {"settings": settings, "scores": scores})
    return scores


def trainings(
    output: Path, sizes: Sequence[Size], seeds: int, epochs: int, overrides: Sequence[str]
) -> list[Training]:
    """All trainings, first the first seed of every network."""
    found = []
    for seed in range(seeds):
        for size in sizes:
            sigma = 1.0 if size.input_wh[1] < 192 else 2.0
            model = {**size.architecture, "pretrained": None}
            own = (
                f"model={json.dumps(model)}",
                f"codec.input_wh={json.dumps(size.input_wh)}",
                f"codec.sigma={sigma}",
                f"optimizer.lr={RATES.get(size.network, LR)}",
                f"train.seed={seed}",
                f"train.epochs={epochs}",
                f"train.evaluate_every={epochs}",
                "train.report=false",
            )
            folder = output / size.network / f"seed{seed}"
            found.append(Training(folder, size, seed, (*overrides, *own)))
    return found


def in_processes(processes: int) -> ProcessPoolExecutor:
    """Workers that each have their share of the cores."""
    threads = max(usable_cores() // processes, 1)
    return ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    )


def write_report(output: Path, rows: Sequence[Row]) -> None:
    """``table.md``, ``ap.svg`` and ``rows.json``, the best network first."""
    rows = sorted(rows, key=lambda row: (not row.scores, -row.mean("AP")))
    lines = ["| " + " | ".join(HEADINGS) + " |", "| " + " | ".join("---" for _ in HEADINGS) + " |"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    write_text(output / "table.md", "\n".join(lines) + "\n")
    write_json(output / "rows.json", [asdict(row) for row in rows])
    plot(output / "ap.svg", [row for row in rows if row.scores])


def plot(path: Path, rows: Sequence[Row]) -> None:
    """AP over cost and over crops a second, mean and range of the seeds; where keypoints are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 7), layout="constrained")
    cost, speed, kinds = figure.subplots(1, 3, width_ratios=(2, 2, 3))
    for axes, label, values in (
        (cost, "G multiply-adds of a crop", [row.size.gmacs for row in rows]),
        (speed, "crops/s forward", [row.speed.forward if row.speed else math.nan for row in rows]),
    ):
        known = [(row, x) for row, x in zip(rows, values, strict=True) if not math.isnan(x)]
        means = [row.mean("AP") for row, _ in known]
        for (row, value), mean, height in zip(known, means, spread(means), strict=True):
            found, colour = [score["AP"] for score in row.scores], f"C{rows.index(row) % 10}"
            around = [[mean - min(found)], [max(found) - mean]]
            axes.errorbar(value, mean, yerr=around, fmt="o", markersize=4, color=colour)
            axes.annotate(
                row.size.network,
                (value, mean),
                xytext=(1.04, height),
                textcoords="axes fraction",
                fontsize=7,
                va="center",
                arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": colour, "alpha": 0.6},
            )
        axes.set(xlabel=label, ylabel="AP")
    places, start = list(range(len(rows))), [0.0] * len(rows)
    for kind in KINDS:
        shares = [100 * row.mean(kind) for row in rows[::-1]]
        kinds.barh(places, shares, left=start, label=kind, color=COLOURS[kind])
        start = [a + b for a, b in zip(start, shares, strict=True)]
    names = [row.size.network for row in rows][::-1]
    kinds.set(xlabel="% of the keypoints", yticks=places, yticklabels=names, xlim=(0, 100))
    figure.legend(*kinds.get_legend_handles_labels(), loc="outside upper right", ncols=len(KINDS))
    figure.savefig(path)


def spread(values: Sequence[float]) -> list[float]:
    """Heights of labels beside points: 0 to 1, in the order of the values, none over another."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    gap = min(0.03, 1 / max(len(values) - 1, 1))
    order = sorted(range(len(values)), key=values.__getitem__)
    heights, least = [0.0] * len(values), 0.0
    for place in order:
        heights[place] = max((values[place] - low) / ((high - low) or 1.0), least)
        least = heights[place] + gap
    most = 1.0
    for place in reversed(order):
        heights[place] = min(heights[place], most)
        most = heights[place] - gap
    return heights


def train_all(
    output: Path, planned: Sequence[Training], processes: int, speeds: Mapping[str, Speed]
) -> None:
    """Train what is not finished, some at once, and report after each."""
    rows: dict[str, Row] = {}
    with in_processes(processes) as pool:
        waiting = {pool.submit(learnt, training): training for training in planned}
        for future in as_completed(waiting):
            training = waiting[future]
            size, seed = training.size, training.seed
            row = rows.setdefault(size.network, Row(size, [], [], speeds.get(size.network)))
            try:
                scores = future.result()
            except FloatingPointError as error:
                say(f"{training.folder}: {error}")
                row.diverged.append(seed)
            else:
                say(f"{training.folder}: AP {scores['AP']:.3f}")
                row.scores.append({"seed": seed, **scores})
            write_report(output, list(rows.values()))


def measured_speeds(output: Path, sizes: Sequence[Size]) -> dict[str, Speed]:
    """Of each network, one after the other; what is known of the same sizes is taken."""
    path = output / "speeds.json"
    known = json.loads(path.read_bytes()) if path.exists() else {}
    speeds = {}
    for size in sizes:
        key = json.dumps([size.architecture, size.input_wh])
        if key not in known:
            with in_processes(1) as pool:
                known[key] = asdict(pool.submit(speed_of, size).result())
            write_json(path, known)
        speeds[size.network] = Speed(**known[key])
    return speeds


@app.command(help=__doc__)
@one_sentence_errors
def main(
    output: Annotated[
        Path | None, typer.Option(help="Folder of data, runs, table and plot.")
    ] = None,
    gmacs: Annotated[float, typer.Option(help="1e-9 multiply-adds of a crop.")] = 0.3,
    input_size: Annotated[str, typer.Option("--input", help="HEIGHTxWIDTH.")] = "128x96",
    images: Annotated[int, typer.Option(min=1, help="Drawn training images.")] = 1000,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 6,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 3,
    only: Annotated[str, typer.Option(help="Names, with commas.")] = ",".join(NETWORKS),
    processes: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of each.")] = 0,
    scale_only: Annotated[bool, typer.Option(help="Train nothing.")] = False,
    speed: Annotated[bool, typer.Option(help="Measure crops a second, too.")] = True,
    train_data: Annotated[Paths, typer.Option("--train", help="Annotations and images.")] = None,
    shards: Annotated[Path | None, typer.Option(help="In place of --train.")] = None,
    val_data: Annotated[Paths, typer.Option("--val", help="As --train, to score on.")] = None,
) -> None:
    input_wh = parse_size(input_size, "--input")
    names = parse_names(only, "--only", tuple(NETWORKS))
    if not 0 < gmacs < math.inf:
        raise ValueError(f"--gmacs is {gmacs:g}; expected a number above 0")
    if output is None and not scale_only:
        raise ValueError("--output is missing; name a folder, or give --scale-only")
    check_sizes(names, input_wh)
    if (train_data and shards) or (bool(train_data or shards) is not bool(val_data)):
        raise ValueError("give --train or --shards with --val, or none of them")
    sizes = [size_of(name, gmacs, input_wh) for name in names]
    for size in sizes:
        cost = f"{size.parameters:.2f} M parameters, {size.gmacs:.2f} G multiply-adds"
        say(f"{size.network}: {size.architecture}, {cost}")
    if scale_only or output is None:
        return
    learn_from: object = {"shards": str(shards)} if shards else data_set(train_data)
    if train_data is None and shards is None:
        learn_from = data_set(drawn(output / "data/train", images, 11))
        val_data = drawn(output / "data/val", max(images // 4, 8), 12)
    overrides = [
        f"data.train={json.dumps(learn_from)}",
        f"data.val={json.dumps(data_set(val_data))}",
        f"data.workers={workers}",
    ]
    planned = trainings(output, sizes, seeds, epochs, overrides)
    train_all(output, planned, processes, measured_speeds(output, sizes) if speed else {})
    say((output / "table.md").read_text(encoding="utf-8"))


def check_sizes(names: Sequence[str], input_wh: tuple[int, int]) -> None:
    """Refuse crops that a network does not take, before any is scaled.

    Raises:
        ValueError: Names the network.
    """
    for name in names:
        model = {**NETWORKS[name], "pretrained": None}
        try:
            load_config("demo", [f"model={json.dumps(model)}", f"codec.input_wh={[*input_wh]}"])
        except ValueError as error:
            fault = str(error).rpartition(": ")[2]
            raise ValueError(f"--input {format_size(input_wh)} for {name}: {fault}") from None


def data_set(paths: Paths) -> dict[str, str]:
    """A data set of the configuration."""
    return dict(zip(("annotations", "images"), map(str, paths or ()), strict=False))


def drawn(folder: Path, images: int, seed: int) -> tuple[Path, Path]:
    """Annotations and images of drawn people; those that are there are taken."""
    path = folder / "annotations.json"
    if not path.exists() or json.loads(path.read_bytes())["info"] != data_set_info(images, seed):
        synthesize(folder, images=images, seed=seed)
    return path, folder / "images"


if __name__ == "__main__":
    app()
