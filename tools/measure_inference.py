"""Time prediction from image files and boxes to keypoints, against one image at a time in fp32.

``python tools/measure_inference.py --annotations person_keypoints_val2017.json --images val2017``
predicts the annotated persons with HRNet-W32 at 256x192 (random weights unless ``--checkpoint``
gives some) and prints crops per second of each backend, how many times as fast as the plain
pipeline that is, how far the keypoints are from it, and the latency of one crop. The plain
pipeline is the official code's order of things: images one by one, fp32, layers as they are,
mirrored crops in a pass of their own, all after one another in one process.

All take turns, round by round, so that other work on the machine falls on all of them; the
fastest round of each counts. Where that is not enough, ``taskset -c 0 python ... --processor``
counts seconds of the processor, on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np
import torch

from pose_hrnet import PoseEstimator
from pose_hrnet.benchmark.model import random_checkpoint
from pose_hrnet.config.files import load_config
from pose_hrnet.data.crops import cut
from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.people import load_people, training_people
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.geometry import CropFrames, xywh_to_xyxy, xyxy_to_xywh
from pose_hrnet.keypoints.records import Float64, Image, People
from pose_hrnet.models.weights.load import LoadedNetwork, load_network
from pose_hrnet.system.choices import Backend, Precision

Job = tuple[Path, Float64]
"""An image file, and the ``(N, 4)`` boxes of its persons as x1, y1, x2, y2."""

Result = TypeVar("Result")

RECIPE = "coco_w32_256x192"

WAYS: tuple[tuple[Backend, Precision], ...] = (
    ("eager", "fp32"), ("eager", "bf16"), ("compile", "fp32"), ("compile", "bf16"),
    ("openvino", "fp32"), ("openvino", "bf16"), ("onnx", "fp32"),
)  # fmt: skip


def jobs_of(people: People, folder: Path, count: int) -> list[Job]:
    """The first images with persons, until there are `count` persons."""
    jobs: list[Job] = []
    for image in np.unique(people.image_index):
        boxes = xywh_to_xyxy(people.boxes_xywh[people.image_index == image])
        jobs.append((folder / people.images.file_names[int(image)], boxes))
        if sum(len(boxes) for _, boxes in jobs) >= count:
            break
    return jobs


@torch.inference_mode()
def plain(loaded: LoadedNetwork, jobs: list[Job], flip_test: bool) -> Float64:
    """Keypoints in image pixels, ``(N, K, 2)``, without any of what makes it fast."""
    card, found = loaded.card, []
    codec = card.codec
    for path, boxes in jobs:
        image = read_rgb(path)
        frames = CropFrames.of_boxes(
            xyxy_to_xywh(boxes), codec.input_wh, codec.alignment, padding=card.box_padding
        )
        crops = np.stack([cut(image, affine, codec.input_wh) for affine in frames.affines])
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()
        heatmaps = loaded.network(images)
        if flip_test:
            mirrored = loaded.network(images.flip(-1))
            heatmaps = (heatmaps + codec.flip_back(mirrored, card.skeleton.flip_index)) / 2
        points_input, _ = codec.decode(heatmaps)
        found.append(frames.to_image(points_input.numpy()))
    return np.concatenate(found)


def fast(model: PoseModel, jobs: list[Job], batch_size: int) -> Float64:
    """The same keypoints from the estimator."""

    def pictures() -> Iterator[tuple[None, Image, Float64]]:
        for path, boxes in jobs:
            yield None, read_rgb(path), boxes

    stream = PoseEstimator(model, batch_size=batch_size).predict_stream(pictures())
    return np.concatenate([poses.keypoints_image for _, _, poses in stream])


def seconds(work: Callable[[], Result], clock: Callable[[], float]) -> tuple[float, Result]:
    """What some work took by a clock, and its result."""
    began = clock()
    result = work()
    return clock() - began, result


def load(
    path: Path, backend: Backend, precision: Precision, flip_test: bool
) -> tuple[PoseModel, float]:
    """The model on the CPU or GPU, and the seconds until its first answer."""
    began = perf_counter()
    model = load_model(path, backend=backend, precision=precision, flip_test=flip_test)
    width, height = model.card.codec.input_wh
    model(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    return model, perf_counter() - began


def main() -> None:
    """Print the table of each flip setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotations", type=Path, required=True, help="COCO keypoint JSON")
    parser.add_argument("--images", type=Path, required=True, help="folder of its file names")
    parser.add_argument("--checkpoint", type=Path, help="instead of random weights")
    parser.add_argument("--exported", type=Path, nargs="*", default=[], help="to time as well")
    parser.add_argument("--persons", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flip", choices=("on", "off", "both"), default="both")
    parser.add_argument("--processor", action="store_true", help="count its seconds instead")
    names = [f"{backend}-{precision}" for backend, precision in WAYS]
    parser.add_argument("--ways", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    people = training_people(load_people(options.annotations))
    jobs = jobs_of(people, options.images, options.persons)
    persons = sum(len(boxes) for _, boxes in jobs)
    with tempfile.TemporaryDirectory() as folder:
        path = options.checkpoint or random_checkpoint(load_config(RECIPE), Path(folder))
        for flip_test in {"on": (True,), "off": (False,), "both": (False, True)}[options.flip]:
            print(f"\n{persons} persons, {len(jobs)} images, flip test {flip_test}")
            report(path, jobs, flip_test, options)


def report(path: Path, jobs: list[Job], flip_test: bool, options: argparse.Namespace) -> None:
    """Load all ways, let them take turns, and print their table."""
    loaded = load_network(path)
    wanted: dict[str, tuple[Path, Backend, Precision]] = {
        **{f"{backend}-{precision}": (path, backend, precision) for backend, precision in WAYS},
        **{file.name: (file, "auto", "auto") for file in options.exported},
    }
    ways: dict[str, tuple[PoseModel, float]] = {}
    for name in (*options.ways, *(file.name for file in options.exported)):
        try:
            ways[name] = load(*wanted[name], flip_test)
        except ValueError as error:
            print(f"{name} is left out: {error}")
    clock = process_time if options.processor else perf_counter
    spent: dict[str, list[float]] = {name: [] for name in ("plain", *ways)}
    errors = {}
    for _ in range(options.rounds):
        took, expected = seconds(partial(plain, loaded, jobs, flip_test), clock)
        spent["plain"].append(took)
        for name, (model, _) in ways.items():
            took, found = seconds(partial(fast, model, jobs, options.batch_size), clock)
            spent[name].append(took)
            errors[name] = float(np.median(np.linalg.norm(found - expected, axis=-1)))
    best = {name: min(times) for name, times in spent.items()}
    print(f"{'':20}  crops/s   ratio   median px   one crop   first answer")
    print(f"{'plain':20} {len(expected) / best['plain']:8.1f} {1:7.2f}")
    for name, (model, first) in ways.items():
        width, height = model.card.codec.input_wh
        crop = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        one = min(seconds(partial(model, crop), clock)[0] for _ in range(5))
        print(
            f"{name:20} {len(expected) / best[name]:8.1f} {best['plain'] / best[name]:7.2f} "
            f"{errors[name]:11.4f} {1000 * one:7.0f} ms {first:12.1f} s"
        )


if __name__ == "__main__":
    main()
