"""Training runs of a few seconds, stopped where a test wants it, and compared."""

from __future__ import annotations

import itertools

import torch

from pose_hrnet.training.report import read_metrics
from tests.helpers.builders import make_people, write_annotations, write_images

NETWORK = [
    "model.pretrained=null", "model.width=8", "model.stem_width=8", "model.stem_blocks=1",
    "model.stage_modules=[1, 1, 1]", "model.branch_blocks=1",
]  # fmt: skip
"""Overrides that make the demo's network a tiny one, without weights."""

TINY = [
    *NETWORK, "codec.input_wh=[32, 64]", "codec.sigma=1", "train.batch_size=4", "train.epochs=3",
    "train.evaluate_every=2", "train.report=false", "train.precision=fp32", "data.workers=0",
    "optimizer.warmup_steps=2",
]  # fmt: skip


def data_settings(annotations, images):
    """Overrides that learn from and validate on the same data set."""
    return [
        f"data.{part}.{key}={value}"
        for part in ("train", "val")
        for key, value in (("annotations", annotations), ("images", images))
    ]


def tiny_settings(folder, persons=10):
    """Overrides that make the demo's recipe tiny, on made-up persons."""
    people = make_people(persons)
    images = write_images(people, folder / "images")
    return [*data_settings(write_annotations(people, folder / "people.json"), images), *TINY]


def weights(folder):
    """Of the model and of the optimiser's moments, in the last state of a run."""
    state = torch.load(folder / "last.pt", weights_only=True)
    return state["model"], state["optimizer"]["state"]


def assert_same_run(a, b):
    """Weights, moments, random numbers and metrics of two run folders, to the last bit."""
    (model_a, state_a), (model_b, state_b) = weights(a), weights(b)
    for name, value in model_a.items():
        assert torch.equal(value, model_b[name]), name
    for key, moments in state_a.items():
        for name, value in moments.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(state_b[key][name]))
    random = [torch.load(folder / "last.pt", weights_only=True)["rng"] for folder in (a, b)]
    assert torch.equal(*random)
    keep = ("epoch", "step", "loss", "lr", "AP", "unreadable")
    lines = [
        [{k: line.get(k) for k in keep} for line in read_metrics(folder / "metrics.jsonl")]
        for folder in (a, b)
    ]
    assert lines[0] == lines[1]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def dies_at(call, function):
    """The function, but for one call, which kills the run."""
    calls = itertools.count()

    def dies(*arguments, **settings):
        if next(calls) == call:
            raise Killed
        return function(*arguments, **settings)

    return dies
