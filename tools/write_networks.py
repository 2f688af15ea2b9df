"""Write the table of docs/networks.md: every network's recipe, cost, stride, receptive field, AP.

Run: ``python tools/write_networks.py``. Receptive fields are measured, which takes some minutes of
a core.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import typer

from pose_hrnet.config.files import config_names, load_config
from pose_hrnet.models.build import build_network
from pose_hrnet.models.complexity import complexity
from pose_hrnet.models.receptive_field import BREADTH, receptive_field

PAGE = Path(__file__).resolve().parents[1] / "docs/networks.md"
BEGIN, END = "<!-- networks: tools/write_networks.py -->\n", "<!-- end -->\n"
HEADINGS = (
    "network", "recipe", "M parameters", "GFLOPs", "G multiply-adds", "stride", "receptive field",
    "COCO AP", "source",
)  # fmt: skip
SMALL: dict[str, Any] = {"width": 4, "stem_width": 4, "growth": 2, "context_width": 8}
"""Sizes that decide nothing of the receptive field."""


def rows() -> list[tuple[str, ...]]:
    """A row for every recipe of COCO, the receptive field left open: empty."""
    found: list[tuple[str, ...]] = []
    for name in config_names():
        config = load_config(name)
        if not name.startswith("coco_"):
            continue
        architecture = config.model.architecture(17)
        with torch.device("meta"):
            network = build_network(architecture)
        products = complexity(architecture, config.codec.input_wh).multiply_adds / 1e9
        notes = config.recipe
        source = (notes.source or "").partition(", arXiv")[0]
        found.append(
            (
                network.label, f"`{name}`", f"{notes.parameters:.1f}", f"{notes.gflops:.1f}",
                f"{products:.{1 if products >= 1 else 2}f}", str(network.stride), "",
                "" if notes.published is None else f"{notes.published}", source,
            )
        )  # fmt: skip
    return found


def seen(name: str) -> str:
    """What a cell of a recipe's network sees, in pixels."""
    architecture = load_config(name).model.architecture(1)
    small = {key: SMALL.get(key, value) for key, value in architecture.items()}
    if architecture["name"] == "vitpose":
        small["width"] = architecture["heads"]
    if architecture["name"] == "lite_hrnet":
        small["width"] = 8
    valid = architecture.get("padding") == "valid"
    pixels = receptive_field(small, breadth=96 if valid else BREADTH)
    return "all" if pixels is None else f"{pixels:,}"


def table() -> str:
    """The table, measured."""
    lines: list[tuple[str, ...]] = [HEADINGS, tuple("---" for _ in HEADINGS)]
    measured: dict[str, str] = {}
    for row in rows():
        label = row[0]
        measured[label] = measured.get(label) or seen(row[1].strip("`"))
        lines.append((*row[:6], measured[label], *row[7:]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Measure every network, and put the table where docs/networks.md has it."""
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
    written = table()
    PAGE.write_text(pattern.sub(lambda _: written, text), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
