"""What the steps of an epoch sum up to, however often it is looked at."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.data.crops import CropBatch
from pose_hrnet.system.interrupts import Interrupts
from pose_hrnet.training import loop
from pose_hrnet.training.assemble import Assembly
from pose_hrnet.training.loop import READ_EVERY, TrainingRun
from pose_hrnet.training.report import Report
from pose_hrnet.training.run_folder import EpochPart, Progressed
from pose_hrnet.training.train import train
from tests.helpers.builders import make_people
from tests.helpers.training_runs import NETWORK


class FakeStep:
    """Its loss is the number of the step; it notes what it is given."""

    def __init__(self):
        self.model = torch.nn.Identity()
        self.given, self.checked = [], []

    def __call__(self, batches, rate):
        self.given.append((len(batches), rate))
        return torch.tensor(float(len(self.given)))

    def check(self, name):
        self.checked.append(name)

    def state_dict(self):
        return {}


class Writer:
    """Keeps what it is told to save."""

    def __init__(self):
        self.saved = []

    def save(self, state, best=None):
        self.saved.append(state["progressed"])


class Watcher:
    """Keeps what a bar is told to show."""

    def __init__(self):
        self.notes = []

    @contextmanager
    def task(self, name, total, unit):
        yield self

    def advance(self, amount=1, note=""):
        self.notes.append(note)

    def advance_to(self, done):
        pass


def batch(size, readable):
    empty = torch.zeros(size)
    flags = torch.arange(size) < readable
    return CropBatch(torch.zeros(size, 4, 4, 3), empty, empty, empty, empty, flags)


class Clock:
    """Shows the time that it is told."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(loop, "perf_counter", lambda: self.now)

    def after(self, seconds, value):
        self.now += seconds
        return value


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def run_of(tmp_path):
    """Makes a run over an epoch's batches whose steps learn nothing."""

    def make(batches, *changes, done=None, rate=lambda step, seconds: step / 10):
        config = load_config("demo", ["data.skeleton=coco17", *NETWORK, *changes])
        parts = Assembly(config, torch.device("cpu"))
        data = SimpleNamespace(people=make_people(4), sampler=SimpleNamespace())
        vars(parts).update(data=data, loader=batches, step=FakeStep(), rate=rate)
        report = Report(tmp_path, 0, epochs=config.train.epochs)
        done, writer = done or Progressed(), Writer()
        return TrainingRun(parts, done, tmp_path, report, Interrupts(), writer, progress=Watcher())

    return make


def test_losses_are_averaged_over_the_persons(run_of, clock):
    batches = (clock.after(1.0, batch(*sizes)) for sizes in [(4, 4), (4, 3), (4, 4), (1, 0)])
    done = Progressed(epoch=2, step=7)
    run = run_of(batches, "train.accumulate=2", done=done)
    run.learn_epoch()
    assert run.step.given == [(2, 0.7), (2, 0.8)]
    assert done.lines == [
        {
            "epoch": 3, "step": 9, "loss": pytest.approx((8 * 1 + 5 * 2) / 13), "lr": 0.8,
            "seconds": 4.0, "samples_per_second": 3.2, "data_wait": 1.0, "unreadable": 2,
        }
    ]  # fmt: skip
    assert done.part == EpochPart()


def test_the_loss_is_looked_at_now_and_then_and_before_a_save(run_of, clock):
    batches = (clock.after(1.0, batch(1, 1)) for _ in range(25))
    run = run_of(batches, "train.save_every=13")
    run.learn_epoch()
    assert READ_EVERY == 10
    assert run.step.checked == [f"epoch 1, step {n}" for n in (10, 13, 23, 25)]
    assert run.writer.saved[0]["part"]["loss_sum"] == sum(range(14))
    assert run.done.lines[0]["loss"] == sum(range(26)) / 25


def test_no_more_time_is_waited_than_spent(run_of, clock):
    """Also where the step whose loss is looked at has waited longer than all before it."""
    waits = [0.0] * (READ_EVERY - 1) + [0.2]
    run = run_of(clock.after(wait, batch(1, 1)) for wait in waits)
    run.learn_epoch()
    assert run.progress.notes[-1].endswith("waiting for data 100%")


def test_an_epoch_ends_when_the_minutes_are_over(run_of, clock):
    """The last losses count, and the rate has seen the seconds of each step."""
    batches = (clock.after(20.0, batch(1, 1)) for _ in range(10))
    run = run_of(batches, "train.minutes=1", rate=lambda step, seconds: seconds)
    run.learn_epoch()
    assert [rate for _, rate in run.step.given] == [0.0, 20.0, 40.0]
    (line,) = run.done.lines
    assert (line["seconds"], line["loss"], line["lr"]) == (60.0, 2.0, 60.0)
    assert run.step.checked == ["epoch 1, step 3"]


@pytest.mark.parametrize(("steps", "told"), [(1, True), (2, False)])
def test_a_run_that_ends_in_its_warm_up_says_so(settings, tmp_path, caplog, steps, told):
    """Here of two steps; by the clock, nobody knows before how many there will be."""
    limits = [f"train.batch_size={10 // steps}", "train.epochs=1"]
    train(load_config("demo", [*settings, *limits]), tmp_path / "run", device="cpu")
    assert ("ended in the warm-up, after 1 of its 2 steps" in caplog.text) == told
