"""Every network at about the same GFLOPs, learnt from the same samples: AP, cost, speed.

Run: ``python tools/measure_networks.py --output runs/networks``. Draws people (or takes your own
data), scales each network to `--gflops`, trains it with each seed, and writes ``table.md`` and
``ap.png`` into the folder. An interrupted run goes on where it was. ``--only unet,hrnet`` measures
some of them; ``--scale-only`` says the sizes and trains nothing.

On a GPU: ``--gflops 8 --input 256x192 --epochs 20`` with the training pack, by
``--train annotations.json images --val annotations.json images``.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pose_hrnet.cli.console import RichProgress, say
from pose_hrnet.config.files import load_config
from pose_hrnet.data.synthetic.dataset import data_set_info, synthesize
from pose_hrnet.models.build import build_network
from pose_hrnet.models.complexity import complexity
from pose_hrnet.system.files import write_json
from pose_hrnet.system.text import format_size, parse_size
from pose_hrnet.training.train import train

app = typer.Typer(help=__doc__)

NETWORKS: dict[str, dict[str, Any]] = {
    "hrnet": {"name": "hrnet"},
    "hrnet_v2": {"name": "hrnet", "head": "v2"},
    "hrnet_psa_p": {"name": "hrnet_psa"},
    "hrnet_psa_s": {"name": "hrnet_psa", "attention": "sequential"},
    "hrnet_ocr": {"name": "hrnet_ocr"},
    "lite_hrnet": {"name": "lite_hrnet", "depth": 18},
    "hourglass_1": {"name": "hourglass", "stacks": 1},
    "hourglass_2": {"name": "hourglass", "stacks": 2},
    "hourglass_8": {"name": "hourglass", "stacks": 8},
    "fcn_32s": {"name": "fcn", "variant": "32s"},
    "fcn_16s": {"name": "fcn", "variant": "16s"},
    "fcn_8s": {"name": "fcn", "variant": "8s"},
    "fcn_resnet": {"name": "fcn_resnet", "depth": 50, "variant": "8s"},
    "unet": {"name": "unet"},
    "unet_valid": {"name": "unet", "padding": "valid"},
    "deconvnet": {"name": "deconvnet"},
    "segnet": {"name": "segnet"},
    "fc_densenet": {"name": "fc_densenet", "depth": 56},
    "dilated_net": {"name": "dilated_net"},
    "deeplab_v1": {"name": "deeplab_v1"},
    "deeplab_v2": {"name": "deeplab_v2", "depth": 50},
    "deeplab_v3": {"name": "deeplab_v3", "depth": 50},
    "deeplab_v3plus": {"name": "deeplab_v3plus", "depth": 50},
    "pspnet": {"name": "pspnet", "depth": 50},
    "vitpose": {"name": "vitpose", "depth": 12},
}
"""What is scaled by its width (FC-DenseNet: its growth); SimpleBaseline has none to scale."""

Paths = tuple[Path, Path] | None


@dataclass(frozen=True)
class Row:
    """What is known of a network.

    Attributes:
        network: Its name in `NETWORKS`.
        parameters: In millions.
        gflops: 1e-9 multiply-adds of a crop.
        forward: Crops a second, in eval mode.
        training: Crops a second, forward and backward.
        memory_mb: Of the GPU in training, 64 crops at once; not a number without one.
        scores: Of each seed: AP, AP50, AP75 and so on.
    """

    network: str
    parameters: float
    gflops: float
    forward: float
    training: float
    memory_mb: float
    scores: list[dict[str, float]]

    @property
    def memory(self) -> str:
        """MB, or nothing."""
        return "" if math.isnan(self.memory_mb) else f"{self.memory_mb:.0f}"

    def cell(self, name: str) -> str:
        """Mean of a number over the seeds, and what 95 in 100 means of as many lie within."""
        values = [score[name] for score in self.scores]
        if len(values) < 2:
            return f"{statistics.mean(values):.3f}"
        # Student's t for 0.975, by degrees of freedom.
        student = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78}.get(len(values) - 1, 2.4)
        half = student * statistics.stdev(values) / len(values) ** 0.5
        return f"{statistics.mean(values):.3f} ± {half:.3f}"


def sized(network: Mapping[str, Any], width: int) -> dict[str, Any]:
    """A network's architecture at a width; its stem and context go with it."""
    if network["name"] == "fc_densenet":
        return {**network, "growth": width}
    sizes: dict[str, Any] = {"width": width}
    if network["name"].startswith("hrnet"):
        sizes["stem_width"] = 2 * width
    if network["name"] == "hrnet_ocr":
        sizes["context_width"] = 16 * width
    if network["name"] == "vitpose":
        sizes["heads"] = 4
    return {**network, **sizes}


def scaled(network: Mapping[str, Any], gflops: float, input_wh: tuple[int, int]) -> dict[str, Any]:
    """The width whose multiply-adds come nearest to a number, of multiples of 4 (growth: of 1)."""
    step = 1 if network["name"] == "fc_densenet" else 4

    def cost(width: int) -> float:
        return complexity(sized(network, width * step), input_wh).multiply_adds / 1e9

    width, known = 4, dict[int, float]()
    while width not in known:  # costs grow about as the square of the width
        known[width] = cost(width)
        width = max(1, min(512 // step, round(width * (gflops / known[width]) ** 0.5)))
    nearest = min(known, key=lambda width: abs(known[width] - gflops))
    return sized(network, nearest * step)


def speeds(
    architecture: Mapping[str, Any], input_wh: tuple[int, int]
) -> tuple[float, float, float]:
    """Crops a second forward and in training, and what training takes of memory in MB."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_network({**architecture, "num_keypoints": 17}).to(device)
    count = 64 if device.type == "cuda" else 4
    width, height = input_wh
    crops = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, device=device)

    def rate(run: Callable[[], object]) -> float:
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        return count / statistics.median(seconds[1:])

    def forward() -> object:
        with torch.inference_mode():
            return network.eval()(crops)

    def learn() -> None:
        network.train()(crops).square().mean().backward()

    forward_rate = rate(forward)
    if (
        device.type != "cuda"
    ):  # a process's peak does not fall again: it would be the largest one's
        return forward_rate, rate(learn), math.nan
    torch.cuda.reset_peak_memory_stats(device)
    return forward_rate, rate(learn), torch.cuda.max_memory_allocated(device) / 2**20


def learnt(
    folder: Path,
    architecture: Mapping[str, Any],
    input_wh: tuple[int, int],
    data: Mapping[str, tuple[Path, Path]],
    epochs: int,
    seed: int,
) -> dict[str, float]:
    """The scores of one training, on its last weights; what is finished is taken."""
    sigma = 1.0 if input_wh[1] < 192 else 2.0
    model = {**architecture, "pretrained": None}
    overrides = [
        *(
            f"data.{part}.{key}={json.dumps(str(path))}"
            for part, paths in data.items()
            for key, path in zip(("annotations", "images"), paths, strict=True)
        ),
        f"model={json.dumps(model)}",
        f"codec.input_wh={json.dumps(list(input_wh))}",
        f"codec.sigma={sigma}",
        f"train.seed={seed}",
        f"train.epochs={epochs}",
        f"train.evaluate_every={epochs}",
    ]
    train(load_config("demo", overrides), folder, resume="auto", progress=RichProgress())
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    values = json.loads(lines[-1])
    return {name: float(values[name]) for name in ("AP", "AP50", "AP75", "AR")}


def write_report(output: Path, rows: list[Row]) -> None:
    """``table.md`` and ``ap.png``, the best network first."""
    rows = sorted(rows, key=lambda row: -statistics.mean(score["AP"] for score in row.scores))
    lines = [
        "| network | AP | AP75 | M parameters | GFLOPs | crops/s forward | training | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.network} | {row.cell('AP')} | {row.cell('AP75')} | {row.parameters:.2f} | "
        f"{row.gflops:.2f} | {row.forward:.0f} | {row.training:.0f} | {row.memory} |"
        for row in rows
    ]
    (output / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        values = [score["AP"] for score in row.scores]
        mean = statistics.mean(values)
        around = [[mean - min(values)], [max(values) - mean]]
        axes.errorbar(row.gflops, mean, yerr=around, fmt="o")
        axes.annotate(row.network, (row.gflops, mean), textcoords="offset points", xytext=(5, 3))
    axes.set(
        xlabel="GFLOPs (multiply-adds of a crop)", ylabel="AP", title="mean and range of seeds"
    )
    figure.savefig(output / "ap.png", dpi=120)


@app.command()
def main(
    output: Annotated[Path, typer.Option(help="Folder of data, runs, table and plot.")],
    gflops: float = 0.3,
    input_size: Annotated[str, typer.Option("--input", help="HEIGHTxWIDTH.")] = "128x96",
    images: Annotated[int, typer.Option(help="Drawn training images.")] = 1000,
    epochs: int = 6,
    seeds: int = 3,
    only: Annotated[str, typer.Option(help="Names, with commas.")] = "",
    scale_only: Annotated[bool, typer.Option(help="Train nothing.")] = False,
    train_data: Annotated[Paths, typer.Option("--train", help="Annotations and images.")] = None,
    val_data: Annotated[Paths, typer.Option("--val", help="As --train, to score on.")] = None,
) -> None:
    """Measure."""
    input_wh = parse_size(input_size, "--input")
    names = only.split(",") if only else list(NETWORKS)
    strange = [name for name in names if name not in NETWORKS]
    if strange or (train_data is None) is not (val_data is None):
        raise typer.BadParameter(
            f"no network {', '.join(strange)}; there are {', '.join(NETWORKS)}"
            if strange
            else "give --train and --val, or neither"
        )
    data = {"train": train_data, "val": val_data}
    for part, count, seed in (("train", images, 11), ("val", max(images // 4, 8), 12)):
        if data[part] is None and not scale_only:
            folder = output / "data" / part
            path = folder / "annotations.json"
            wanted = data_set_info(count, seed)
            if not path.exists() or json.loads(path.read_bytes())["info"] != wanted:
                synthesize(folder, images=count, seed=seed)
            data[part] = (path, folder / "images")
    rows = []
    for name in names:
        architecture = scaled(NETWORKS[name], gflops, input_wh)
        cost = complexity(architecture, input_wh)
        millions, used = cost.parameters / 1e6, cost.multiply_adds / 1e9
        say(f"{name} {format_size(input_wh)}: {architecture}, {millions:.2f} M, {used:.2f} GFLOPs")
        if scale_only:
            continue
        there = {part: paths for part, paths in data.items() if paths is not None}
        scores = [
            learnt(output / name / f"seed{seed}", architecture, input_wh, there, epochs, seed)
            for seed in range(seeds)
        ]
        forward, training, memory = speeds(architecture, input_wh)
        rows.append(Row(name, millions, used, forward, training, memory, scores))
        write_json(output / "rows.json", [asdict(row) for row in rows])
        write_report(output, rows)
    if rows:
        say((output / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    app()
