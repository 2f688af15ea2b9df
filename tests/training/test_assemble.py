"""The parts of a training are made once, and a dry run tries the ones that are run."""

from __future__ import annotations

import math

import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.system.distributed import World
from pose_hrnet.training.assemble import Assembly
from pose_hrnet.training.dry_run import dry_run
from pose_hrnet.training.step import TrainingStep
from pose_hrnet.training.train import train
from tests.helpers.training_runs import tiny_settings

CPU = torch.device("cpu")
PARTS = ("model", "card", "loss", "data", "loader", "held_out", "showcase", "step", "rate")


@pytest.fixture
def settings(tmp_path):
    return tiny_settings(tmp_path)


def test_each_part_is_made_once(settings):
    parts = Assembly(load_config("demo", settings), CPU)
    assert not [name for name in PARTS if name in vars(parts)]
    assert all(getattr(parts, name) is getattr(parts, name) for name in PARTS)
    assert parts.step.network is parts.model
    assert parts.step.people is parts.data.people


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_process_has_as_many_batches_as_the_steps_need(settings, processes, accumulate):
    config = load_config("demo", [*settings, f"train.accumulate={accumulate}"])
    for rank in range(processes):
        parts = Assembly(config, CPU, World(rank, processes))
        assert parts.crops_per_step == 4 * accumulate * processes
        assert parts.steps_per_epoch == math.ceil(len(parts.loader) / accumulate)


def test_the_rate_is_that_of_the_crops_of_a_step(settings):
    scaled = ["optimizer.lr=0.01", "optimizer.lr_batch=32", "optimizer.warmup_steps=0"]
    parts = Assembly(load_config("demo", [*settings, *scaled]), CPU, World(0, 2))
    assert parts.base_rate == pytest.approx(0.01 * 8 / 32)
    assert parts.rate(0, 0.0) == parts.base_rate


def test_a_dry_run_tries_the_first_step_of_the_run(settings, tmp_path, monkeypatch):
    """The same weights, crops, loss and learning rate."""
    learn, steps = TrainingStep.__call__, []

    def learn_and_note(self, batches, rate):
        loss = learn(self, batches, rate)
        steps.append((float(loss), rate))
        return loss

    monkeypatch.setattr(TrainingStep, "__call__", learn_and_note)
    config = load_config("demo", [*settings, "optimizer.lr_batch=32", "train.epochs=1"])
    dry_run(config, tmp_path / "run", device="cpu")
    (tried,) = [step for step in steps if step[1] > 0]  # the others look at black crops
    steps.clear()
    train(config, tmp_path / "run", device="cpu")
    assert tried == steps[0]
