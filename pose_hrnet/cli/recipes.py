"""``pose-hrnet recipes``: what ships, what it costs, and what it should reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_hrnet.cli.console import one_sentence_errors, say

if TYPE_CHECKING:
    from pose_hrnet.config.recipe import Config
    from pose_hrnet.models.complexity import Complexity

HEADINGS = ["name", "model", "input", "codec", "GFLOPs", "params", "published", "source"]


@one_sentence_errors
def recipes() -> None:
    """List the recipes: network, input (height x width), codec, cost, and the published number.

    GFLOPs are counted as the papers do. Any name goes into `pose-hrnet train`; what to know
    before comparing with the published number stands in the recipe's note.

    Example: `pose-hrnet recipes`
    """
    from pose_hrnet.config.files import config_names, load_config

    costs: dict[str, Complexity] = {}
    rows = [_row(name, load_config(path), costs) for name, path in config_names().items()]
    # Not a framed table: eight columns would fold at 80 characters; these lines can be grepped.
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        say("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def _row(name: str, config: Config, costs: dict[str, Complexity]) -> list[str]:
    """A recipe as a row of text; `costs` keeps what is counted for the recipes that follow."""
    from pose_hrnet.keypoints.skeleton import COCO17
    from pose_hrnet.models.complexity import complexity

    architecture = config.model.architecture(COCO17.num_keypoints)
    width, height = config.codec.input_wh
    key = f"{architecture} {height}x{width}"
    if key not in costs:
        costs[key] = complexity(architecture, config.codec.input_wh)
    cost = costs[key]
    notes = config.recipe
    published = "" if notes.published is None else f"{notes.published:.1f} {notes.metric}"
    return [
        name,
        cost.label,
        f"{height}x{width}",
        config.codec.name,
        f"{cost.published_gflops:6.1f}",
        f"{cost.parameters / 1e6:5.1f}M",
        published,
        notes.source or notes.note or "",
    ]
