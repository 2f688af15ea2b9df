"""What starting from the default model is worth on a small data set of other keypoints.

Run: ``python tools/measure_fine_tuning.py ANNOTATIONS IMAGES VAL_ANNOTATIONS VAL_IMAGES``, COCO's.
Takes 100 persons and 8 of their keypoints under names that the model does not know, trains the
default model's network on them from its weights and from nothing, equally long, and prints AP; an
interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from pose_hrnet import load_config, train
from pose_hrnet.cli.console import RichProgress, say

PARTS = {"shoulder": "collar", "elbow": "bend", "wrist": "grip", "hip": "belt"}
STARTS = {"the default model": "default", "nothing": "null"}
SETTINGS = ("optimizer.lr=1e-3", "train.save_every=null")
"""What is other than in the recipe; the rate is that of the numbers in docs/default_model.md."""


def renamed(source: Path, target: Path, persons: int | None) -> Path:
    """Write the first persons' 8 keypoints, under their new names.

    Args:
        source: COCO annotations.
        target: Where to.
        persons: How many with at least one of the keypoints; all if None.
    """
    content = json.loads(source.read_bytes())
    (category,) = (c for c in content["categories"] if "keypoints" in c)
    old = [name for name in category["keypoints"] if name.split("_")[-1] in PARTS]
    rows = [category["keypoints"].index(name) for name in old]
    names = ["_".join((name.split("_")[0], PARTS[name.split("_")[1]])) for name in old]
    chosen: list[dict[str, Any]] = []
    for annotation in content["annotations"]:
        points = [annotation["keypoints"][3 * row : 3 * row + 3] for row in rows]
        labelled = sum(visibility > 0 for _, _, visibility in points)
        if annotation["iscrowd"] or not labelled or len(chosen) == persons:
            continue
        flat = [value for point in points for value in point]
        chosen.append({**annotation, "keypoints": flat, "num_keypoints": labelled})
    seen = {annotation["image_id"] for annotation in chosen}
    category = {**category, "keypoints": names, "skeleton": []}
    images = [image for image in content["images"] if image["id"] in seen]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        json.dumps({"images": images, "annotations": chosen, "categories": [category]})
    )
    return target


def main(
    annotations: Path,
    images: Path,
    val_annotations: Path,
    val_images: Path,
    output: Annotated[Path, typer.Option(help="Folder of the data and the runs.")] = Path(
        "runs/fine_tuning"
    ),
    persons: Annotated[int, typer.Option(help="Persons to learn from.")] = 100,
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 8,
    seeds: Annotated[int, typer.Option(help="Trainings from each start.")] = 3,
) -> None:
    """What starting from the default model is worth on a small data set of other keypoints."""
    learnt = renamed(annotations, output / "train.json", persons)
    scored = renamed(val_annotations, output / "val.json", None)
    data = {
        "train": {"annotations": str(learnt), "images": str(images)},
        "val": {"annotations": str(scored), "images": str(val_images)},
    }
    say("| start from | AP, mean | each seed |\n| --- | --- | --- |")
    for name, weights in STARTS.items():
        scores = []
        for seed in range(seeds):
            folder = output / f"{weights}_seed{seed}"
            overrides = [
                *SETTINGS,
                *(f"data.{part}={json.dumps(files)}" for part, files in data.items()),
                f"model.pretrained={weights}",
                f"train.seed={seed}",
                f"train.epochs={epochs}",
                f"train.evaluate_every={epochs}",
            ]
            train(
                load_config("finetune", overrides), folder, resume="auto", progress=RichProgress()
            )
            last = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1]
            scores.append(float(json.loads(last)["AP"]))
        each = ", ".join(f"{score:.3f}" for score in scores)
        say(f"| {name} | {statistics.mean(scores):.3f} | {each} |")


if __name__ == "__main__":
    typer.run(main)
