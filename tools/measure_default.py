"""AP over crops/s: small HRNets of several widths and input sizes, learnt equally long.

Run: ``python tools/measure_default.py train SHARDS VAL_ANNOTATIONS VAL_IMAGES``, then ``speed``.
The first trains every network of `CANDIDATES` on the same crops and says its AP (an interrupted
run goes on where it was); ``inputs`` scores the default model at smaller inputs; the last
times all that was scored in turns on this machine, and plots. ``speed --networks W16,W28`` times
networks with random weights instead, which cost the same.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated, Any, get_args

import torch
import typer

from pose_hrnet import DataSet, evaluate, load_config, load_model, train
from pose_hrnet.benchmark.timing import Work
from pose_hrnet.cli.console import RichProgress, say
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.complexity import complexity
from pose_hrnet.models.weights.load import load_network, save_model
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.text import parse_names

app = typer.Typer(no_args_is_help=True, help=__doc__)

CANDIDATES: dict[str, dict[str, Any]] = {
    "W16": {"width": 16, "stem_width": 32, "stage_modules": [1, 3, 1]},
    "W20": {"width": 20, "stem_width": 32, "stage_modules": [1, 2, 1]},
    "W24": {"width": 24, "stem_width": 48, "stage_modules": [1, 3, 1]},
    "W28": {"width": 28, "stem_width": 48, "stage_modules": [1, 3, 1]},
    "W32": {"width": 32, "stem_width": 48, "stage_modules": [1, 2, 1]},
}
"""All with two blocks in the stem and on every branch, and at most 6 M parameters."""

SIZES = {"128x96": (96, 128), "192x144": (144, 192), "256x192": (192, 256)}
"""Height and width, as they are said, and width and height; the blur at sigma 1, 1.5 and 2."""

BEST = "best.safetensors"
FIRST = "seed0"
"""Of the trainings of a network."""
BLUR = {"128x96": 7, "192x144": 9, "256x192": 11}

Point = tuple[float, list[float]]
"""Crops per second, and AP of each seed."""

Output = Annotated[Path, typer.Option(help="Folder of the runs.")]
Sizes = Annotated[str, typer.Option(help=f"Some of {', '.join(SIZES)}.")]
Start = Annotated[str, typer.Option(help="model.pretrained; null: random weights.")]
OUTPUT = Path("runs/networks")


def architecture(candidate: str) -> dict[str, Any]:
    """What `build_network` takes, for COCO's keypoints."""
    sizes = {"stem_blocks": 2, "branch_blocks": 2, **CANDIDATES[candidate]}
    return {"name": "hrnet", **sizes, "num_keypoints": COCO17.num_keypoints}


def settings(candidate: str, size: str) -> list[str]:
    """Overrides of the recipe ``demo``: a network and its input."""
    network = architecture(candidate)
    del network["num_keypoints"]  # the data say it
    width, height = SIZES[size]
    return [
        *(f"model.{key}={json.dumps(value)}" for key, value in network.items()),
        f"codec.input_wh=[{width}, {height}]",
        f"codec.sigma={height / 128}",
        f"codec.blur_kernel={BLUR[size]}",
    ]


def cost(candidate: str, size: str) -> tuple[float, float]:
    """Millions of parameters, and thousands of millions of multiply-adds of a crop."""
    found = complexity(architecture(candidate), SIZES[size])
    return found.parameters / 1e6, found.multiply_adds / 1e9


@app.command("train")
def train_all(
    shards: Path,
    val_annotations: Path,
    val_images: Path,
    output: Output = OUTPUT,
    networks: Annotated[str, typer.Option(help="Some of them.")] = ",".join(CANDIDATES),
    sizes: Sizes = "128x96",
    start: Start = "null",
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 1,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 1,
) -> None:
    """Train each network at each size on the same crops, and say its AP."""
    data = {"annotations": str(val_annotations), "images": str(val_images)}
    heads = "| network | input | start | seed | M parameters | GMACs | AP | AP50 |"
    say(f"{heads}\n" + "| --- " * 8 + "|")
    chosen_sizes = parse_names(sizes, "--sizes", tuple(SIZES))
    chosen = parse_names(networks, "--networks", tuple(CANDIDATES))
    for seed, size, name in product(range(seeds), chosen_sizes, chosen):
        folder = output / f"{name}_{size}_{Path(start).stem}" / f"seed{seed}"
        overrides = [
            *settings(name, size),
            f"data.train={json.dumps({'shards': str(shards)})}",
            f"data.val={json.dumps(data)}",
            f"model.pretrained={start}",
            f"optimizer.lr={lr}",
            f"train.seed={seed}",
            f"train.epochs={epochs}",
            f"train.evaluate_every={epochs}",
        ]
        train(load_config("demo", overrides), folder, resume="auto", progress=RichProgress())
        scores = last_line(folder)
        size_of = " | ".join(f"{value:.2f}" for value in cost(name, size))
        ap = f"{scores['AP']:.3f} | {scores['AP50']:.3f}"
        say(f"| {name} | {size} | {Path(start).stem} | {seed} | {size_of} | {ap} |")


@app.command()
def inputs(
    val_annotations: Path,
    val_images: Path,
    output: Output = OUTPUT,
    sizes: Sizes = "128x96,192x144,256x192",
) -> None:
    """Score the default model, which learnt at 256x192, at each size, not trained again."""
    data = DataSet(annotations=val_annotations, images=val_images)
    for size in parse_names(sizes, "--sizes", tuple(SIZES)):
        path = output / f"W28_{size}_default" / FIRST / BEST
        network, card, _ = load_network("default", input_wh=SIZES[size])
        save_model(path, network.state_dict(), card)
        scores = evaluate(load_model(path, precision="auto"), data).scores.values
        (path.parent / "metrics.jsonl").write_text(json.dumps(scores))
        say(f"| {size} | {scores['AP']:.3f} | {scores['AP50']:.3f} |")


def last_line(folder: Path) -> dict[str, Any]:
    """The scores at the end of a run."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@app.command()
def speed(
    output: Output = OUTPUT,
    networks: Annotated[str | None, typer.Option(help="Untrained ones, in place of runs.")] = None,
    sizes: Sizes = "256x192",
    backends: Annotated[str, typer.Option(help="What runs them.")] = "openvino,compile",
    precisions: Annotated[str, typer.Option(help="Their arithmetic.")] = "fp32,bf16",
    batch: Annotated[int, typer.Option(help="Crops in a call.")] = 8,
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 7,
    plot: Annotated[Path | None, typer.Option(help="SVG of AP over crops/s.")] = None,
) -> None:
    """Crops per second of all trained networks, in turns, no flip test; and AP over them.

    Or of networks with random weights, by name; their files go with the end.
    """
    if networks is not None:
        if plot is not None:
            raise typer.BadParameter("untrained networks have no AP to plot; leave --plot out")
        with TemporaryDirectory() as folder:
            for size in parse_names(sizes, "--sizes", tuple(SIZES)):
                for name in parse_names(networks, "--networks", tuple(CANDIDATES)):
                    write_untrained(name, size, Path(folder))
            time_runs(Path(folder), backends, precisions, batch, rounds)
        return
    points = time_runs(output, backends, precisions, batch, rounds)
    if plot is not None:
        draw(points, plot)


def write_untrained(name: str, size: str, output: Path) -> None:
    """A network with random weights, as the checkpoint of a run."""
    network = build_network(architecture(name))
    codec = HeatmapCodec("udp", SIZES[size], SIZES[size][1] / 128, blur_kernel=BLUR[size])
    card = ModelCard(network.architecture, COCO17, codec)
    save_model(output / f"{name}_{size}_untrained" / FIRST / BEST, network.state_dict(), card)


def time_runs(
    output: Path, backends: str, precisions: str, batch: int, rounds: int
) -> dict[str, Point]:
    """Print the table of a folder of networks, each with the runs of its seeds.

    Returns:
        Of each the crops per second of its fastest way, and the AP of each run that was scored.
    """
    runs = sorted(path.parents[1] for path in output.glob(f"*/{FIRST}/{BEST}"))
    ways = list(
        product(
            parse_names(backends, "--backends", get_args(Backend)),
            parse_names(precisions, "--precisions", get_args(Precision)),
        )
    )
    works = {(run, way): ready(run, way, batch) for run, way in product(runs, ways)}
    seconds = processor_seconds(works, rounds)
    heads = " | ".join(f"{backend} {precision}" for backend, precision in ways)
    say(f"crops per processor second, batch {batch}; so many cores, so many times as many at most")
    say(f"| run | AP | {heads} |\n" + "| --- " * (2 + len(ways)) + "|")
    points: dict[str, Point] = {}
    for run in runs:
        scored = sorted(path.parent for path in run.glob("seed*/metrics.jsonl"))
        aps = [float(last_line(folder)["AP"]) for folder in scored]
        found = [batch / seconds[run, way] for way in ways]
        cells = " | ".join(f"{value:.1f}" for value in found)
        say(f"| {run.name} | {said(aps)} | {cells} |")
        points[run.name] = (max(found), aps)
    return points


def said(aps: list[float]) -> str:
    """The mean, and from the lowest to the highest; empty of none."""
    if len(aps) < 2:
        return "".join(f"{ap:.3f}" for ap in aps)
    return f"{mean(aps):.3f} ({min(aps):.3f} to {max(aps):.3f})"


def ready(run: Path, way: tuple[Backend, Precision], batch: int) -> Work:
    """A network of a run, and noise that it is to look at."""
    model = load_model(
        run / FIRST / BEST,
        backend=way[0],
        device="cpu",
        precision=way[1],
        flip_test=False,
    )
    width, height = model.card.codec.input_wh
    return partial(model, torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8))


def processor_seconds(works: dict[Any, Work], rounds: int) -> dict[Any, float]:
    """Of a call in the fastest of the rounds, in which all take turns.

    Seconds of the processor, not of the clock, which other work on the machine stretches.
    """
    fastest = dict.fromkeys(works, float("inf"))
    for _ in range(rounds + 1):
        for key, work in works.items():
            began = process_time()
            work()
            fastest[key] = min(fastest[key], process_time() - began)
    return fastest


def shortest(names: list[list[str]]) -> list[str]:
    """Names without the parts that all have in common."""
    differing = [k for k, parts in enumerate(zip(*names, strict=True)) if len({*parts}) > 1]
    return [" ".join(name[k] for k in differing or range(len(name))) for name in names]


def draw(points: dict[str, Point], path: Path) -> None:
    """AP over the crops/s of the fastest way, a panel for each start; SVG.

    Mean and range of the seeds; the line joins those that none beats in both.
    """
    from matplotlib.figure import Figure

    starts = sorted({name.split("_")[-1] for name in points})
    figure = Figure(figsize=(4.5 * len(starts), 3.8), layout="constrained")
    for start, axes in zip(starts, figure.subplots(1, len(starts), squeeze=False)[0], strict=True):
        mine = {name: point for name, point in points.items() if name.endswith(f"_{start}")}
        labels = shortest([name.split("_")[:2] for name in mine])
        best = sorted((rate, mean(aps)) for rate, aps in mine.values())
        front = [(rate, ap) for rate, ap in best if all(ap >= a for r, a in best if r >= rate)]
        axes.plot(*zip(*front, strict=True), alpha=0.5)
        for label, (rate, aps) in zip(labels, mine.values(), strict=True):
            axes.vlines(rate, min(aps), max(aps), alpha=0.5)
            axes.plot(rate, mean(aps), "o", color="C0")
            place = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
            axes.annotate(label, (rate, max(aps)), fontsize=8, **place)
        title = "short trainings" if start == "null" else "the default model as it is"
        axes.set(title=title, xlabel="crops per processor second", ylabel="AP")
        axes.set_ylim(0, 1.15 * max(ap for _, aps in mine.values() for ap in aps))
        axes.margins(x=0.25)
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    app()
