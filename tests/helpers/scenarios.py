"""What happens in the clips by which tracking and smoothing are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.synthetic.backdrops import draw_background
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.keypoints.geometry import iou_matrix
from pose_hrnet.keypoints.records import Float32, Float64, Image, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.clips import (
    SIZE_WH,
    Camera,
    Clip,
    Layer,
    Path2,
    drawn,
    film,
    photographed,
    pillar,
)

AnyFloat: TypeAlias = Float32 | Float64
RATE = 25
WALKING = 0.8
"""Heights per second: 1.4 m/s of somebody who is 1.75 m tall."""


def steady(seconds: float, rate: float = RATE) -> Float64:
    """``(F,)`` times at one rate."""
    return np.arange(round(seconds * rate)) / rate


def uneven(seconds: float, seed: int = 0) -> Float64:
    """``(F,)`` times of a telephone that drops frames as it likes."""
    steps = np.random.default_rng(seed).choice((1 / 60, 1 / 30, 1 / 15), round(seconds * 40))
    times = np.cumsum(steps) - steps[0]
    return np.asarray(times[times < seconds])


CAMERAS: dict[str, tuple[Camera, Callable[[float], Float64]]] = {
    "still": (lambda t: (0, 0, 1, 0), steady),
    "pan": (lambda t: (70 * np.sin(2.4 * t), 25 * np.sin(2.3 * t), 1, 0), steady),
    "zoom": (lambda t: (0, 0, 1 + 0.25 * np.sin(1.8 * t), 0), steady),
    "roll": (lambda t: (20 * np.sin(2 * t), 0, 1, 12 * np.sin(1.7 * t)), steady),
    "hand-held": (
        lambda t: (
            9 * np.sin(7 * t) + 5 * np.sin(17 * t + 1),
            7 * np.sin(9 * t + 2) + 4 * np.sin(23 * t),
            1 + 0.01 * np.sin(5 * t),
            1.2 * np.sin(6 * t),
        ),
        steady,
    ),
    "uneven rate": (lambda t: (60 * np.sin(2 * t), 20 * np.sin(3 * t), 1, 4 * np.sin(t)), uneven),
}
"""How the camera moves, and when it takes frames."""


def walk(start: float, speed: float, height: float, feet: float = 440) -> Path2:
    """A path on a line: from x `start`, by `speed` heights per second."""
    return lambda t: (start + speed * height * t, feet, height)


def walker(layers: Sequence[Layer], background: Image) -> Clip:
    """Somebody alone, who walks on a line before a camera that stands."""
    path = walk(60, WALKING, 230)
    return film("walk", background, [(layers[0], path)], steady(2.4))


def separate(layers: Sequence[Layer], background: Image) -> list[Clip]:
    """Three persons who never touch, under each of the cameras."""
    clips = []
    for number, (name, (camera, times)) in enumerate(CAMERAS.items()):
        chosen = [layers[(3 * number + i) % len(layers)] for i in range(3)]
        paths = [walk(130, 0.05, 220), walk(320, 0, 240, 430), walk(510, -0.05, 210)]
        clips.append(film(name, background, [*zip(chosen, paths, strict=True)], times(3), camera))
    return clips


def crossing(
    layers: Sequence[Layer], background: Image, count: int, rate: float | None = None
) -> list[Clip]:
    """Two persons, one of them behind the other for a while; at the camera's rate, or another.

    By turns: they walk past each other; they meet and turn back; they walk the same way, one a
    little faster, so that their boxes are much the same for a second.
    """
    clips = []
    for number in range(count):
        rng = np.random.default_rng(number)
        camera, times = CAMERAS[[*CAMERAS][number % len(CAMERAS)]]
        back, front = rng.uniform(215, 235), rng.uniform(230, 250)
        speed = WALKING * rng.uniform(0.7, 1.2)
        pairs: dict[str, tuple[Path2, Path2]] = {
            "pass": (walk(120, speed, back, 430), walk(520, -speed, front, 440)),
            "meet": (_meet(150, 300, back, 430), _meet(490, 340, front, 440)),
            "overtake": (walk(110, 0.5, back, 430), walk(190, 0.28, front, 440)),
        }
        name = [*pairs][number % 3]
        chosen = [layers[(2 * number + i) % len(layers)] for i in range(2)]
        actors = [*zip(chosen, pairs[name], strict=True)]
        when = times(3.2) if rate is None else steady(3.2, rate)
        clips.append(film(f"{name} {number + 1}", background, actors, when, camera))
    return clips


def _meet(start: float, end: float, height: float, feet: float) -> Path2:
    """To a place and back, in 3.2 seconds."""
    return lambda t: (start + (end - start) * np.sin(np.pi * t / 3.2) ** 2, feet, height)


def crowded(layers: Sequence[Layer], background: Image, count: int) -> list[Clip]:
    """Two persons who pass each other behind a third one, who hides both."""
    clips = []
    for number in range(count):
        camera, times = CAMERAS[[*CAMERAS][number % len(CAMERAS)]]
        speed = WALKING * np.random.default_rng(number).uniform(0.6, 1.1, 2)
        paths = [
            walk(90, speed[0], 220, 430), walk(550, -speed[1], 225, 436), walk(330, 0.05, 240, 442)
        ]  # fmt: skip
        chosen = [layers[(3 * number + i) % len(layers)] for i in range(3)]
        actors = [*zip(chosen, paths, strict=True)]
        clips.append(film(f"crowded {number + 1}", background, actors, times(3.2), camera))
    return clips


def hidden(layers: Sequence[Layer], background: Image) -> list[Clip]:
    """Somebody who walks behind a pillar and is not seen for a second, while others go on."""
    thing = pillar(250, 400)
    actors = [
        (layers[0], walk(60, 0.85, 220, 430)),
        (thing, lambda t: (330.0, 450.0, 400.0)),
        (layers[1], walk(600, -0.75, 235, 440)),
    ]
    names = ("still", "pan", "uneven rate")
    return [
        film(f"hidden, {name}", background, actors, CAMERAS[name][1](3.2), CAMERAS[name][0])
        for name in names
    ]


def as_photographed(folder: Path, annotations: Path, count: int) -> list[Clip]:
    """Photographs with their own persons, who do not touch, filmed by each of the cameras."""
    clips: list[Clip] = []
    found = photographed(folder, annotations, least_height=120, least_keypoints=13)
    for name, persons in found.items():
        boxes = [(x, y, x + p.image.shape[1], y + p.image.shape[0]) for p, (x, y) in persons]
        if len(persons) < 2 or (np.triu(iou_matrix(boxes, boxes), 1) > 0.02).any():
            continue
        if len(clips) == count:
            break
        camera_name = list(CAMERAS)[1 + len(clips) % (len(CAMERAS) - 1)]
        camera, times = CAMERAS[camera_name]
        actors = [(layer, _fixed(layer, corner)) for layer, corner in persons]
        image = read_rgb(folder / name)
        clips.append(film(f"photograph, {camera_name}", image, actors, times(2.4), camera))
    return clips


def _fixed(layer: Layer, corner: tuple[int, int]) -> Path2:
    """Where a cut-out is in its photograph."""
    height, width = layer.image.shape[:2]
    return lambda t: (corner[0] + width / 2, corner[1] + height, height)


def drawn_set(seed: int = 0) -> tuple[list[Layer], Image]:
    """Drawn persons and a background: no photograph is needed."""
    rng = np.random.default_rng(seed)
    return drawn(12, seed), draw_background(rng, *SIZE_WH).image


def photographed_set(folder: Path, annotations: Path) -> tuple[list[Layer], Image]:
    """Persons out of photographs, and one photograph, blurred, as background."""
    found = photographed(folder, annotations)
    layers = [layer for persons in found.values() for layer, _ in persons]
    image = cv2.resize(read_rgb(folder / next(iter(found))), SIZE_WH)
    return layers, np.asarray(cv2.GaussianBlur(image, (0, 0), 5), np.uint8)


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector gives in a frame.

    Attributes:
        owners: M persons, numbers of the truth.
        boxes_xyxy: ``(M, 4)`` frame pixels.
        scores: ``(M,)``.
        counted: Persons who are there to be found.
    """

    owners: NDArray[np.intp]
    boxes_xyxy: Float64
    scores: Float64
    counted: NDArray[np.intp]


def detect(clip: Clip, *, jitter: float = 0.05, missed: float = 0.02) -> list[Detections]:
    """Boxes around what is seen of the persons, with the faults that detectors have.

    Edges are off by a share of the size, a few persons are missed, and of two boxes that are much
    the same non-maximum suppression leaves one.
    """
    rng = np.random.default_rng(len(clip.times))
    shares, boxes, _ = clip.seen()
    frames = []
    for share, edges in zip(shares, boxes, strict=True):
        size = np.tile(edges[:, 2:] - edges[:, :2], 2)
        off = edges + rng.normal(0, jitter, edges.shape) * size
        scores = (0.95 * share.clip(0, 1) ** 0.5 - abs(rng.normal(0, 0.03, len(share)))).clip(0, 1)
        found = [n for n in np.argsort(-scores) if share[n] > 0.25 and rng.random() >= missed]
        kept: list[int] = []
        for n in found:
            if not kept or iou_matrix(off[[n]], off[kept]).max() < 0.65:
                kept.append(int(n))
        rng.shuffle(kept)
        owners = np.array(kept, np.intp)
        there = np.flatnonzero(share > 0.25)
        frames.append(Detections(owners, off[owners], scores[owners], there))
    return frames


def simulate(clip: Clip, found: Sequence[Detections]) -> list[Poses]:
    """Poses as of a model that is off as human annotations are, and mixes up who overlap.

    A keypoint that is hidden is where it is for the person in front, or nowhere near.
    """
    rng = np.random.default_rng(len(clip.times))
    truth, (_, _, seen) = clip.keypoints, clip.seen()
    frames = []
    for f, each in enumerate(found):
        noise = rng.normal(0, 0.35, (len(truth[f]), 17, 2)) * clip.heights[f][:, None, None]
        points = truth[f] + noise * np.array(COCO17.sigmas)[:, None]
        scores = np.where(seen[f], rng.uniform(0.6, 0.95, seen[f].shape), 0.0)
        mixed = points.copy()
        for n in range(len(points)):
            others = [m for m in range(len(points)) if m != n]
            hidden = ~seen[f, n]
            if others:
                nearest = min(others, key=lambda m: abs(truth[f, m] - truth[f, n]).sum())
                taken = hidden & (rng.random(17) < 0.5)
                mixed[n, taken] = points[nearest, taken]
            scores[n, hidden] = rng.uniform(0.1, 0.5, hidden.sum())
        frames.append(_poses(f, each, mixed[each.owners], scores[each.owners]))
    return frames


def _poses(frame: int, found: Detections, points: AnyFloat, scores: AnyFloat) -> Poses:
    count = len(found.owners)
    boxes = found.boxes_xyxy.astype(np.float32).reshape(-1, 4)
    return Poses(
        image_ids=object_array([frame] * count),
        keypoints_image=points.astype(np.float32).reshape(-1, 17, 2),
        keypoint_scores=scores.astype(np.float32).reshape(-1, 17),
        boxes_xyxy=boxes,
        scores=(found.scores * scores.mean(axis=1) if count else found.scores).astype(np.float32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        frame_index=np.full(count, frame),
        skeleton=COCO17,
    )


def predict(clip: Clip, found: Sequence[Detections], estimator: PoseEstimator) -> list[Poses]:
    """Poses of a model in the frames of a clip."""

    def pictures() -> Iterator[tuple[int, Image, Float64]]:
        for f, frame in enumerate(clip.frames()):
            yield f, frame, found[f].boxes_xyxy

    return [
        _poses(f, found[f], poses.keypoints_image, poses.keypoint_scores)
        for f, _, poses in estimator.predict_stream(pictures())
    ]
