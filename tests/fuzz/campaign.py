"""Inputs by seed: a good one of `tests.fuzz.kit`, a change, and a command that reads it."""

from __future__ import annotations

import gc
import importlib
import json
import pkgutil
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pose_hrnet
from tests.fuzz.children import command_line, end_of, faults
from tests.fuzz.commands import commands, others
from tests.fuzz.mutators import (
    mutate_arguments,
    mutate_bytes,
    mutate_json,
    mutate_text,
    mutate_values,
    mutate_yaml,
)

Mutator = Callable[[random.Random, bytes], bytes]

KINDS: dict[str, tuple[int, tuple[str, ...], Mutator]] = {
    "annotations": (5, ("people.json", "dots.json"), mutate_json),
    "mpii": (1, ("mpii.json", "gt_valid.mat"), mutate_bytes),
    "crowdpose": (1, ("crowdpose.json", "crowdpose_results.json"), mutate_json),
    "detections": (4, ("boxes.json",), mutate_json),
    "results": (4, ("results.json",), mutate_json),
    "images": (4, ("pictures/*",), mutate_bytes),
    "checkpoints": (
        2,
        ("model.pth", "pose_hrnet_w8_256x192.pth", "model.safetensors"),
        mutate_bytes,
    ),
    "cards": (4, ("model.safetensors", "exported.onnx.json", "other.yaml"), mutate_yaml),
    "exports": (1, ("other.onnx", "exported.onnx"), mutate_bytes),
    "indexes": (3, ("shards/index.json",), mutate_json),
    "shards": (1, ("shards/*.tar",), mutate_bytes),
    "foreign": (
        4,
        ("foreign/*", "yolo/data.yaml", "yolo/labels/train/*", "lsp/joints.mat"),
        mutate_text,
    ),
    "box files": (3, ("box_files/*",), mutate_text),
    "detectors": (2, ("detector.yaml",), mutate_yaml),
    "recordings": (3, ("videos/*", "images/*"), mutate_bytes),
    "runs": (3, ("runs/*/*.json*", "runs/*/*.yaml", "runs/*/val/*.json"), mutate_text),
    "states": (2, ("trained/*.pt", "trained/*.json*", "trained/config.yaml"), mutate_bytes),
    "recipes": (4, ("recipe.yaml", "skeleton.yaml"), mutate_yaml),
    "arguments": (4, (), mutate_bytes),
}
"""Weight, files and how they change, by kind."""


@dataclass(frozen=True)
class Tried:
    """What became of one input.

    Attributes:
        seed: It is made of.
        kind: See `KINDS`.
        arguments: Of the command.
        faults: See `children.faults`; none if all is well.
        said: What the command printed.
    """

    seed: int
    kind: str
    arguments: list[str]
    faults: list[str]
    said: str


def import_all() -> None:
    """Everything that a command imports, once for all children."""
    for module in pkgutil.walk_packages(pose_hrnet.__path__, "pose_hrnet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("matplotlib.pyplot", "onnxruntime", "scipy.io", "torchvision.transforms.v2"):
        importlib.import_module(name)
    command_line()
    gc.collect()
    gc.freeze()  # or each child that collects its garbage would go through all that, and copy it


def try_seed(seed: int, kit: Path, folder: Path) -> Tried:
    """Make an input, run its command, judge it.

    Args:
        seed: Of all that is random.
        kit: See `tests.fuzz.kit`.
        folder: To work in; made, and removed.
    """
    rng = random.Random(seed)
    kind = rng.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])[0]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kit, folder)
    arguments = _mutated(rng, kind, folder)
    code, said = end_of(arguments, folder / "log")
    found = faults(code, said, folder / "out")
    for name in ("best.safetensors", "x.safetensors", "out.png", "out.json", "calibrated.yaml"):
        found += faults(0, "", folder / name)
    shutil.rmtree(folder)
    return Tried(seed, kind, arguments, found, said)


def good_commands(kit: Path) -> list[list[str]]:
    """Every command line of the campaign, each once, for files as they are."""
    found: dict[tuple[str, ...], None] = {}
    for kind, (_, patterns, _) in KINDS.items():
        for name in [p.relative_to(kit).as_posix() for q in patterns for p in kit.glob(q)]:
            found.update(dict.fromkeys(map(tuple, commands(kind, name))))
    return [list(command) for command in found]


def _mutated(rng: random.Random, kind: str, folder: Path) -> list[str]:
    """Change the input of a kind; returns the command."""
    if kind == "arguments":
        every = [*others(), *(each for name in KINDS for each in commands(name, "recipe.yaml"))]
        files = [
            "people.json",
            "boxes.json",
            "model.pth",
            "images",
            "pictures/a.jpg",
            "shards",
            "new",
            "runs",
            "videos/clip.mp4",
        ]
        # Without its --dry-run, bulk would begin a cluster.
        without_bulk = [each for each in every if each[0] != "bulk"]
        return mutate_arguments(rng, rng.choice(without_bulk), files)
    _, patterns, mutate = KINDS[kind]
    names = sorted(p.relative_to(folder).as_posix() for q in patterns for p in folder.glob(q))
    name = rng.choice(names)
    path = folder / name
    data = path.read_bytes()
    if kind == "cards" and name == "model.safetensors":
        path.write_bytes(mutate_safetensors_card(rng, data))
    elif name.endswith(".json"):
        path.write_bytes(mutate_json(rng, data))
    elif name.endswith(".yaml"):
        path.write_bytes(mutate_yaml(rng, data))
    elif name.endswith((".mat", ".safetensors")):
        path.write_bytes(mutate_bytes(rng, data))
    else:
        path.write_bytes(mutate(rng, data))
    return rng.choice(commands(kind, name))


def mutate_safetensors_card(rng: random.Random, data: bytes) -> bytes:
    """The header's JSON with other values, most often within the card."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    said = header["__metadata__"]
    name = rng.choice(list(said))
    if rng.random() < 0.1:
        header = mutate_values(rng, header)
    else:
        try:
            said[name] = json.dumps(mutate_values(rng, json.loads(said[name])))
        except ValueError:
            said[name] = "x"
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
