"""Where a model fails, as skeletons alone: annotated beside predicted, no pixel of a photograph.

Run: ``python tools/draw_failures.py RESULTS ANNOTATIONS PICTURE``, the results of
``pose-hrnet evaluate`` in the annotated boxes. Draws the persons of the lowest OKS, or those whose
annotation ids are given, with a word on each: ``--persons 12=flies,37=``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pose_hrnet.cli.console import one_sentence_errors, say
from pose_hrnet.keypoints.oks import oks_matrix
from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.inputs import parse_json, read_input
from pose_hrnet.visualize.pictures import add_title, picture_grid, write_image
from pose_hrnet.visualize.poses import draw_poses

SIDE, MARGIN = 230, 0.12
"""Pixels of the longer side of a person's panel, and what of it is left free around the box."""
LABELLED = 8
"""Keypoints that a person needs to be among the worst."""
PAPER, GREY = 245, 160

Pair = tuple[Float64, Float64, float, Float64]
"""Annotated and predicted ``(17, 3)``, their OKS, and the box x, y, w, h; image pixels."""


def main(
    results: Annotated[Path, typer.Argument(help="results.json of `pose-hrnet evaluate`.")],
    annotations: Annotated[Path, typer.Argument(help="COCO's, of which the results are.")],
    picture: Annotated[Path, typer.Argument(help="PNG or JPEG to write.")],
    persons: Annotated[
        str, typer.Option(help="Annotation ids, and a word on each: 12=flies,37=falls.")
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="Persons, without ids.")] = 6,
) -> None:
    """Draw annotated and predicted skeletons side by side, of the lowest OKS unless named."""
    named = words_of(persons)
    pairs = matched(rows_of(results), rows_of(annotations, "annotations"))
    if not pairs:
        raise ValueError(
            f"no result of {results} is in a box of {annotations}; give what pose-hrnet evaluate "
            "wrote of these annotations, without --boxes"
        )
    if unknown := [number for number in named if number not in pairs]:
        raise ValueError(
            f"{results} has no pose of annotation {unknown[0]} of {annotations}; give ids of "
            "persons with keypoints that were predicted"
        )
    if named:
        chosen = [pairs[number] for number in named]
    else:
        shown = [pair for pair in pairs.values() if (pair[0][:, 2] > 0).sum() >= LABELLED]
        chosen = sorted(shown or pairs.values(), key=lambda pair: pair[2])[:count]
    words = list(named.values()) or [""] * len(chosen)
    tiles = [
        add_title(panel(truth, found, box), f"{word}  OKS {oks:.2f}".strip())
        for (truth, found, oks, box), word in zip(chosen, words, strict=True)
    ]
    size = (max(tile.shape[1] for tile in tiles) + 8, max(tile.shape[0] for tile in tiles) + 8)
    write_image(picture, picture_grid(tiles, columns=3, tile_wh=size))
    say(f"{picture}")


def words_of(persons: str) -> dict[int, str]:
    """``12=flies,37=`` as words by annotation id.

    Raises:
        ValueError: If it is not of this form.
    """
    pairs = [pair.partition("=") for pair in persons.split(",") if pair.strip()]
    for number, _, _ in pairs:
        if not number.strip().isdecimal():
            raise ValueError(f"--persons has {number!r}; expected ids and words, as 12=flies")
    return {int(number): word for number, _, word in pairs}


def rows_of(path: Path, key: str | None = None) -> list[dict[str, Any]]:
    """A list of a JSON file: the whole, or what stands under a key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no such list.
    """
    try:
        content = parse_json(read_input(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    found = content.get(key) if isinstance(content, dict) else content if key is None else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        what = f"COCO's annotations, a list under {key!r}" if key else "COCO's results, a list"
        raise ValueError(f"{path} is no file of {what}; give another")
    return found


def matched(results: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[int, Pair]:
    """By annotation id, the persons whose box is among those that were predicted in."""
    pairs: dict[int, Pair] = {}
    size = 3 * COCO17.num_keypoints
    for annotation in annotations:
        whole = {"id", "image_id", "bbox", "area"} <= annotation.keys()
        if not whole or len(annotation.get("keypoints", ())) != size:
            continue
        truth = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
        box = np.array(annotation["bbox"], np.float64)
        found = [
            np.array(result["keypoints"], np.float64).reshape(-1, 3)
            for result in results
            if result.get("image_id") == annotation["image_id"]
            and len(result.get("keypoints", ())) == size
            and "box" in result
            and np.abs(np.array(result["box"]) - box).max() < 2  # cut at the border
        ]
        if found and (truth[:, 2] > 0).any():
            area, labelled = [annotation["area"]], truth[None, :, 2]
            points = truth[None, :, :2], area, found[0][None, :, :2], None
            oks = float(oks_matrix(*points, COCO17.sigmas, labelled)[0, 0])
            pairs[annotation["id"]] = (truth, found[0], oks, box)
    return pairs


def panel(truth: Float64, found: Float64, box: Float64) -> Image:
    """What is annotated, and beside it what was predicted for the annotated keypoints."""
    factor = SIDE / box[2:].max()
    corner = box[:2] - MARGIN * box[2:].max()
    width, height = np.ceil(factor * (box[2:] + 2 * MARGIN * box[2:].max())).astype(int)
    frame = factor * (box[:2] - corner)
    paper = np.full((height, width, 3), PAPER, np.uint8)
    left, top, right, bottom = np.rint([*frame, *(frame + factor * box[2:])]).astype(int)
    paper[[top, bottom - 1], left:right] = paper[top:bottom, [left, right - 1]] = GREY
    scores = (truth[:, 2] > 0).astype(np.float64)
    sides = [
        draw_poses(
            paper,
            [factor * (pose[:, :2] - corner)],
            [scores],
        )
        for pose in (truth, found)
    ]
    return np.concatenate(sides, axis=1)


if __name__ == "__main__":
    typer.run(one_sentence_errors(main))
