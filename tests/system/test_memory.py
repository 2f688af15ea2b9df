"""Peak memory is the highest that is held while a call runs; none of these looks at a clock."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from pose_hrnet.system import memory
from pose_hrnet.system.memory import peak_memory, resident_memory, usable_memory

CPU = torch.device("cpu")
MEGABYTE = 1 << 20
PATIENCE = 60
"""Seconds after which nobody looks any more."""


class Process:
    """Holds what it is told to, and knows what was seen of it."""

    def __init__(self):
        self.held, self.seen, self.looked = 10, [], threading.Condition()

    def resident(self):
        with self.looked:
            self.seen.append(self.held)
            self.looked.notify_all()
            return self.held

    def hold(self, size):
        """Hold so much until somebody has seen it."""
        with self.looked:
            self.held = size
            self.seen.clear()
            assert self.looked.wait_for(lambda: self.seen, PATIENCE)


@pytest.fixture
def process(monkeypatch):
    process = Process()
    monkeypatch.setattr(memory, "resident_memory", process.resident)
    return process


def test_peak_is_the_most_that_is_held_during_the_call(process):
    def call():
        process.hold(90)
        process.hold(20)

    assert peak_memory(call, CPU) == 90


def test_peak_is_that_of_the_call_and_not_of_an_earlier_one(process):
    assert peak_memory(lambda: process.hold(90), CPU) == 90
    process.held = 10
    assert peak_memory(lambda: process.hold(20), CPU) == 20


def test_an_error_of_the_call_ends_the_looking(process):
    before = threading.active_count()
    with pytest.raises(ValueError, match="invalid literal"):
        peak_memory(lambda: int("no number"), CPU)
    assert threading.active_count() == before


def test_where_memory_cannot_be_measured_there_is_no_peak():
    called = []
    assert peak_memory(lambda: called.append(1), torch.device("meta")) is None
    assert usable_memory(torch.device("meta")) is None
    assert called == [1]


def test_the_process_holds_what_it_has_written_to():
    before = resident_memory()
    held = np.ones(512 * MEGABYTE, np.uint8)  # more than an allocator keeps back
    assert resident_memory() - before > 400 * MEGABYTE
    assert usable_memory(CPU) > len(held)
