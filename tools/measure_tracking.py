"""How well ids stay and how little keypoints shake, on clips whose truth is known.

Run in the repository: ``python tools/measure_tracking.py`` for drawn persons with the errors of a
model, or ``... --coco FOLDER --model CARD`` for persons cut out of photographs, as a model sees
them: FOLDER holds ``val/`` and ``annotations/person_keypoints_val.json``, with outlines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the clips of the tests

from pose_hrnet.cli.console import say
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.video.tracker import Tracker
from pose_hrnet.keypoints.records import Poses
from tests.helpers.clips import Clip
from tests.helpers.judged import SMOOTHERS, Ids, errors, judge_ids, lag_frames, persons_of, play
from tests.helpers.scenarios import (
    Detections,
    as_photographed,
    crossing,
    crowded,
    drawn_set,
    hidden,
    photographed_set,
    predict,
    separate,
    simulate,
    walker,
)

PosesOf = Callable[[Clip, Sequence[Detections]], list[Poses]]


def main(
    coco: Annotated[Path | None, typer.Option(help="Photographs; without it, drawn.")] = None,
    model: Annotated[Path | None, typer.Option(help="What predicts poses in them.")] = None,
    clips: Annotated[int, typer.Option(help="Of persons who cross.")] = 27,
    picture: Annotated[Path | None, typer.Option(help="Draw drawn persons instead.")] = None,
) -> None:
    """Print two tables, or draw the picture of docs/tracking.md."""
    if picture is not None:
        draw(picture)
        return
    photographs: list[Clip] = []
    if coco is None:
        layers, background = drawn_set()
        poses_of: PosesOf = simulate
    else:
        annotations = coco / "annotations/person_keypoints_val.json"
        layers, background = photographed_set(coco / "val", annotations)
        photographs = as_photographed(coco / "val", annotations, 5)
        if model is None:
            raise typer.BadParameter("photographs need a model that predicts poses in them")
        poses_of = partial(predict, estimator=PoseEstimator(load_model(model, flip_test=False)))

    groups = {
        "separate": separate(layers, background),
        "photographs": photographs,
        "crossing": crossing(layers, background, clips),
        "crossing, 8 frames/s": crossing(layers, background, clips, rate=8),
        "hidden for a second": hidden(layers, background),
        "two behind a third": crowded(layers, background, 9),
    }
    played = {name: play(group, poses_of) for name, group in groups.items() if group}
    say("| clips | switches | IDF1 | HOTA | by boxes alone | IDF1 | HOTA |")
    say("| --- | --- | --- | --- | --- | --- | --- |")
    for name, group in played.items():
        own = [judge_ids(each, Tracker()) for each in group]
        boxes = [judge_ids(each, Tracker(keypoints=False)) for each in group]
        say(f"| {len(group)} {name} | {_cells(own)} | {_cells(boxes)} |")
    still = [*played["separate"], *played.get("photographs", [])]
    persons = [person for each in still for person in persons_of(each)]
    say("\n| smoothing | position, % of height | acceleration, heights/s² | lag, frames |")
    say("| --- | --- | --- | --- |")
    (alone,) = play([walker(layers, background)], poses_of)
    walks = persons_of(alone)[0]
    for name, smoother in SMOOTHERS.items():
        position, shake = errors(persons, smoother)
        lag = lag_frames(walks, smoother)
        say(f"| {name} | {100 * position:.2f} | {shake:.1f} | {lag:.2f} |")


def draw(path: Path) -> None:
    """Frames of two who meet, with their ids, and a wrist that shakes, before and after."""
    layers, background = drawn_set()
    clip = crossing(layers, background, 1)[0]
    (played,) = play([clip], simulate)
    at = ("12", "24", "30", "36", "48")
    figure, axes = plt.subplot_mosaic(
        [[*at], ["wrist"] * 5], figsize=(10, 4.8), layout="constrained", height_ratios=(1, 1.2)
    )
    tracker = Tracker()
    for f, (image, poses) in enumerate(zip(clip.frames(), played.poses, strict=True)):
        tracked = tracker.update(poses, float(clip.times[f]))
        if str(f) not in at:
            continue
        axis = axes[str(f)]
        axis.imshow(image[100:, 60:580])
        axis.set_title(f"{clip.times[f]:.2f} s", fontsize=9)
        axis.axis("off")
        assert tracked.track_ids is not None
        boxes = tracked.boxes_xyxy - np.array((60, 100, 60, 100))
        for box, number in zip(boxes, tracked.track_ids.tolist(), strict=True):
            colour = f"C{number}"
            left, top, right, bottom = box
            axis.plot((left, right, right, left, left), (top, top, bottom, bottom, top), colour)
            axis.text(left, top - 8, str(number), color="w", fontsize=8, backgroundcolor=colour)
    (still,) = play([separate(layers, background)[1]], simulate)
    person, axis = persons_of(still)[1], axes["wrist"]
    axis.axhline(0, color="k", lw=0.8)
    for name, style in (("none", "C7.-"), ("one_euro", "C0"), ("savgol", "C3")):
        off = (SMOOTHERS[name](person) - person.truth)[:, 9, 0]
        label = "as predicted" if name == "none" else name
        axis.plot(person.times, off, style, lw=0.6 if name == "none" else 2, ms=4, label=label)
    axis.set(xlabel="seconds", ylabel="left wrist, pixels off in x")
    axis.legend(ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=90, pil_kwargs={"quality": 88})


def _cells(ids: Sequence[Ids]) -> str:
    count = sum(each.switches for each in ids)
    means = [np.mean([each.idf1 for each in ids]), np.mean([each.hota for each in ids])]
    return f"{count} | " + " | ".join(f"{mean:.3f}" for mean in means)


if __name__ == "__main__":
    typer.run(main)
