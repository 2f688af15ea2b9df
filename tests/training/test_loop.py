"""What the steps of an epoch sum up to, however often it is looked at."""

from __future__ import annotations

import time

import pytest
import torch

from pose_hrnet.data.crops import CropBatch
from pose_hrnet.system.progress import SILENT
from pose_hrnet.training.loop import READ_EVERY, Epoch
from pose_hrnet.training.run_folder import EpochPart, Progressed


class FakeStep:
    """Its loss is the number of the step; it notes what it is given."""

    def __init__(self) -> None:
        self.model, self.device = torch.nn.Identity(), torch.device("cpu")
        self.given, self.checked = [], []

    def __call__(self, batches, rate):
        self.given.append((len(batches), rate))
        return torch.tensor(float(len(self.given)))

    def check(self, name):
        self.checked.append(name)


def batch(size, readable):
    empty = torch.zeros(size)
    flags = torch.arange(size) < readable
    return CropBatch(torch.zeros(size, 4, 4, 3), empty, empty, empty, empty, flags)


def epoch_of(batches, done, accumulate=2):
    step = FakeStep()
    bar = type(SILENT)()
    return step, Epoch(
        step, batches, lambda n, seconds: n / 10, done, accumulate=accumulate, bar=bar
    )


def test_losses_are_averaged_over_the_persons():
    batches = [batch(4, 4), batch(4, 3), batch(4, 4), batch(1, 0)]
    done = Progressed(epoch=2, step=7)
    step, epoch = epoch_of(batches, done)
    assert list(epoch.steps()) == [None, None]
    assert step.given == [(2, 0.7), (2, 0.8)]
    assert (done.part.steps, done.part.samples) == (2, 13)
    epoch.finish()
    line = done.lines[-1]
    assert line["loss"] == pytest.approx((8 * 1 + 5 * 2) / 13)
    assert (line["epoch"], line["step"], line["lr"], line["unreadable"]) == (3, 9, 0.8, 2)
    assert done.part == EpochPart()


def test_the_loss_is_looked_at_now_and_then_and_before_a_save():
    done = Progressed()
    step, epoch = epoch_of([batch(1, 1)] * 25, done, accumulate=1)
    for _ in epoch.steps():
        if done.part.steps == 13:
            epoch.read()
            assert done.part.loss_sum == sum(range(14))
    assert READ_EVERY == 10
    assert step.checked == [f"epoch 1, step {n}" for n in (10, 13, 23, 25)]
    assert done.part.loss_sum == sum(range(26))


def test_no_more_time_is_waited_than_spent():
    """Also where the step whose loss is looked at has waited longer than all before it."""

    def slow_in_the_end():
        yield from [batch(1, 1)] * (READ_EVERY - 1)
        time.sleep(0.2)
        yield batch(1, 1)

    notes = []
    _, epoch = epoch_of(slow_in_the_end(), Progressed(), accumulate=1)
    epoch.bar.advance = lambda amount, note: notes.append(note)
    list(epoch.steps())
    share = notes[-1].rpartition("waiting for data ")[2]
    assert 50 < int(share.removesuffix("%")) <= 100
