"""``pose-hrnet recipes``: what ships, what it costs, and what it should reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import one_sentence_errors, say, say_columns

if TYPE_CHECKING:
    from pose_hrnet.config.recipe import Config

HEADINGS = ["name", "model", "input", "codec", "GFLOPs", "params", "published", "source"]


@one_sentence_errors
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(help="a recipe, or a YAML file, to print in full", metavar="NAME"),
    ] = None,
) -> None:
    """List the recipes: network, input (height x width), codec, cost, and the published number.

    GFLOPs are counted as by HRNet's official code. Any name goes into `pose-hrnet train`; with a
    name, every setting of that recipe is printed, with its meaning: YAML to keep, and to begin
    your own with.

    Example: `pose-hrnet recipes coco_w32_256x192 > mine.yaml`
    """
    from pose_hrnet.config.files import config_names, load_config
    from pose_hrnet.config.reference import recipe_in_full

    if name is not None:
        say(recipe_in_full(load_config(name)).rstrip("\n"))
        return
    rows = [_row(each, load_config(path)) for each, path in config_names().items()]
    say_columns(HEADINGS, rows)


def _row(name: str, config: Config) -> list[str]:
    """A recipe as a row of text."""
    width, height = config.codec.input_wh
    notes = config.recipe
    published = "" if notes.published is None else f"{notes.published:.1f} {notes.metric}"
    return [
        name,
        config.model.name,
        f"{height}x{width}",
        config.codec.name,
        "" if notes.gflops is None else f"{notes.gflops:6.1f}",
        "" if notes.parameters is None else f"{notes.parameters:5.1f}M",
        published,
        notes.source or notes.note or "",
    ]
