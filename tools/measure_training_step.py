"""Seconds per training step, against a plain fp32, NCHW, eager one of the same network.

Run: ``python tools/measure_training_step.py``, with ``--compile`` for torch.compile as well. All
variants take turns within one run, so that a busy machine slows all of them.

The plain step is the official code's arithmetic: float32 images in NCHW, one loss per keypoint,
`torch.optim.Adam` as it comes, the loss read at every step. Its images are normalised and its
targets drawn beforehand; the other steps do both themselves.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from pose_hrnet.config.files import load_config
from pose_hrnet.data.crops import CropBatch
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.records import Images, People, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import normalised
from pose_hrnet.system.device import pick_device
from pose_hrnet.training.losses import build_loss
from pose_hrnet.training.optimizer import build_optimizer
from pose_hrnet.training.step import TrainingStep

CODEC = HeatmapCodec()
RATE = 1e-4


def random_batch(size: int) -> CropBatch:
    """Noise with keypoints, as the loader gives it."""
    generator = torch.Generator().manual_seed(0)
    width, height = CODEC.input_wh
    return CropBatch(
        torch.randint(0, 256, (size, height, width, 3), dtype=torch.uint8, generator=generator),
        torch.rand(size, 17, 2, generator=generator) * torch.tensor(CODEC.input_wh),
        torch.ones(size, 17),
        torch.zeros(size, 2, 3),
        torch.arange(size),
        torch.ones(size, dtype=torch.bool),
    )


def nobody() -> People:
    """Whom errors would name."""
    return People(
        images=Images((), (), np.zeros((0, 2), np.int32)),
        image_index=np.zeros(0, np.int32),
        ids=object_array([]),
        boxes_xywh=np.zeros((0, 4), np.float32),
        keypoints_image=np.zeros((0, 17, 2), np.float32),
        visibility=np.zeros((0, 17), np.uint8),
        areas=np.zeros(0, np.float32),
        scores=np.zeros(0, np.float32),
        is_crowd=np.zeros(0, np.bool_),
    )


def plain_step(width: int, batch: CropBatch, device: torch.device) -> Callable[[], object]:
    """The step to compare with."""
    model = HRNet(width).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    pixels = batch.pixels.permute(0, 3, 1, 2).to(device)
    images = normalised(pixels, model.mean, model.std, network="HRNet").contiguous()
    targets, weights = CODEC.encode(batch.keypoints_input.to(device), batch.visible.to(device))
    mse = nn.MSELoss()

    def step() -> float:
        heatmaps = model(images)
        loss: Tensor = torch.zeros((), device=device)
        for joint in range(17):
            weight = weights[:, joint, None]
            predicted = heatmaps[:, joint].flatten(1) * weight
            loss = loss + 0.5 * mse(predicted, targets[:, joint].flatten(1) * weight)
        loss = loss / 17
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    return step


def package_step(
    width: int, batch: CropBatch, device: torch.device, *settings: str
) -> TrainingStep:
    """The package's step; memory format and arithmetic as the settings say."""
    size = f"train.batch_size={len(batch.pixels)}"
    config = load_config("coco_w32_256x192", [size, *settings])
    model = HRNet(width).to(device)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    loss = build_loss("mse", COCO17, device=device)
    optimizer = build_optimizer(model, config.optimizer)
    return TrainingStep(model, CODEC, optimizer, loss, config, device, nobody())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes")
    options = parser.parse_args()
    device = pick_device(options.device)
    batch = random_batch(options.batch)
    if device.type == "cuda":
        batch = CropBatch(*(column.pin_memory() for column in batch))
    settings: dict[str, list[str]] = {
        "fp32 NCHW": ["train.precision=fp32", "train.channels_last=false"],
        "fp32": ["train.precision=fp32"],
        "bf16 NCHW": ["train.precision=bf16", "train.channels_last=false"],
        "bf16": ["train.precision=bf16"],
        "bf16, average": ["train.precision=bf16", "train.ema_decay=0.9999"],
    }
    if options.compile:
        settings["bf16, compiled"] = ["train.precision=bf16", "train.compile=true"]
    made = {
        name: package_step(options.width, batch, device, *values)
        for name, values in settings.items()
    }
    steps: dict[str, Callable[[], object]] = {
        "plain": plain_step(options.width, batch, device),
        **{name: partial(step, [batch], RATE) for name, step in made.items()},
    }
    times = measure(steps, options.repeats, device)
    show(times, options.batch, f"HRNet-W{options.width} 256x192 on {device.type}")
    average = made["bf16, average"].average
    assert average is not None
    alone = measure({"average": average.update}, 4 * options.repeats, device)["average"]
    share = statistics.median(alone) / statistics.median(times["bf16"])
    Console().print(f"the average of the weights alone: {share:.1%} of a bf16 step")


def measure(
    steps: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each step, which take turns; the first two rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats + 2):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(time.perf_counter() - began)
    return {name: values[2:] for name, values in times.items()}


def show(times: dict[str, list[float]], batch: int, title: str) -> None:
    """Medians, and the median over the rounds of plain / this."""
    table = Table(title=f"{title}, batch {batch}, {torch.get_num_threads()} threads")
    for heading in ("step", "seconds", "crops/s", "times as fast"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for name, values in times.items():
        ratios = [plain / value for plain, value in zip(times["plain"], values, strict=True)]
        seconds = statistics.median(values)
        cells = (f"{seconds:.3f}", f"{batch / seconds:.1f}", f"{statistics.median(ratios):.2f}")
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
