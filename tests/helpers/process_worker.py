"""What `test_distributed` lets two processes do: ``torchrun process_worker.py NAME FOLDER``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
import typer

from pose_hrnet.cli.console import one_sentence_errors_of_all
from pose_hrnet.cli.processes import distributed_command
from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.evaluation.settings import compare_settings
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.models.build import build_network
from pose_hrnet.models.weights.load import load_network
from pose_hrnet.system.distributed import keep_gradients, unwrap, wrap
from pose_hrnet.training.losses import weighted_mse

CPU = torch.device("cpu")


def network():
    """A small HRNet; batch norm as in evaluation, whose statistics are not those of a batch."""
    torch.manual_seed(0)
    architecture = {
        "name": "hrnet", "head": "v1", "width": 8, "num_keypoints": 17, "stem_width": 8,
        "stem_blocks": 1, "stage_modules": [1, 1, 1], "branch_blocks": 1,
    }  # fmt: skip
    return build_network(architecture).eval()


def samples():
    """Eight crops, targets and weights."""
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (8, 3, 64, 32), generator=rng, dtype=torch.uint8)
    return images, torch.rand(8, 17, 16, 8, generator=rng), torch.ones(8, 17)


def gradients(model, rows_of_batches):
    """Of one optimiser step on these batches, as the training step has it."""
    model.zero_grad(set_to_none=True)
    batches = [[part[rows] for part in samples()] for rows in rows_of_batches]
    for images, targets, weights in batches[:-1]:
        with keep_gradients(model):
            (weighted_mse(model(images), targets, weights) / len(batches)).backward()
    images, targets, weights = batches[-1]
    (weighted_mse(model(images), targets, weights) / len(batches)).backward()
    return {name: p.grad.clone() for name, p in unwrap(model).named_parameters()}


def talks(world):
    """What comes back from the others."""
    found = {
        "gather": world.gather({"rank": world.rank}),
        "mean": world.mean(torch.tensor([1.0, 10.0]) * (world.rank + 1)),
        "any": [world.any(world.rank == 1), world.any(False)],
        "on_main": world.on_main(lambda: f"made by {world.rank}"),
    }
    try:
        world.on_main(lambda: int("no number"))
    except ValueError as error:
        found["error"] = str(error)
    layer = torch.nn.BatchNorm1d(3)
    torch.nn.init.constant_(layer.running_mean, world.rank + 5)
    world.copy_from_main(layer)
    found["copied"] = layer.running_mean
    try:
        world.device("cuda:1")
    except ValueError as error:
        found["device"] = str(error)
    try:
        wrap(network(), world, sync_batchnorm=True)
    except ValueError as error:
        found["sync"] = str(error)
    return found


def learns(world):
    """Gradients in 1 batch and in 2 of half the size; and running statistics."""
    model = wrap(network(), world)
    first = 4 * world.rank
    found = {"one": gradients(model, [slice(first, first + 4)])}
    halves = [slice(2 * world.rank + i, 2 * world.rank + i + 2) for i in (0, 4)]
    found["accumulated"] = gradients(model, halves)
    model.zero_grad(set_to_none=True)
    images, targets, weights = (part[first : first + 4] for part in samples())
    with keep_gradients(model):
        weighted_mse(model(images), targets, weights).backward()
    found["kept"] = {name: p.grad.clone() for name, p in unwrap(model).named_parameters()}
    model.train()
    gradients(model, [slice(first, first + 4)])
    found["own statistics"] = unwrap(model).bn1.running_mean.clone()
    gradients(model, [slice(0, 4)])
    found["next statistics"] = unwrap(model).bn1.running_mean.clone()
    return found


def compares(world, folder):
    """`compare_settings`, of a few choices; the last image cannot be read."""
    loaded = load_network(folder / "model.safetensors")
    data = DataSet(annotations=folder / "people.json", images=folder / "images")
    comparison = compare_settings(
        PoseModel(loaded.network, loaded.card, Decoder.of(loaded.card), CPU),
        data,
        EvaluateConfig(batch_size=4),
        ["flip", "codec"],
        world=world,
    )
    return comparison.to_dict()


def checks(world, folder):
    found = {"talks": talks(world), "learns": learns(world), "compares": compares(world, folder)}
    torch.save(found, folder / f"rank{world.rank}.pt")


def dies(world, folder):
    """Process 1 ends while process 0 waits for it."""
    world.barrier()
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    world.gather("never")


def dies_unnoticed(world, folder):
    """Process 0 ends while process 1 computes; torchrun tells it."""
    world.barrier()
    if world.rank == 0:
        world.store.wait(["has left the barrier"])
        os.kill(os.getpid(), signal.SIGKILL)
    world.store.set("has left the barrier", "1")
    time.sleep(100)


def fails_alone(world, folder):
    """Process 1 has an error that process 0 has not."""
    if world.rank == 1:
        raise ValueError("disk 1 is full")
    world.gather("never")


@one_sentence_errors_of_all
def main(name: str, folder: Path) -> None:
    work = {f.__name__: f for f in (checks, dies, dies_unnoticed, fails_alone)}[name]
    with distributed_command("cpu") as world:
        work(world, folder)


if __name__ == "__main__":
    typer.run(main)
