"""Batches of a `Batcher` alone: what is gathered, whose error is whose, and devices that fail."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import wait

import pytest

from pose_hrnet.deploy.server.batcher import Batcher, Lane
from tests.helpers.serving import PATIENT, Gate


def eventually(condition):
    """Wait until something is so."""
    while not condition():
        time.sleep(0.001)


@pytest.fixture
def made():
    """Batchers, ended after the test."""
    batchers = []

    def make(*devices, most=4, lanes=("work",), **options):
        each = [Lane(name, most) for name in lanes]
        runs = [dict.fromkeys(lanes, run) for run in devices]
        batchers.append(Batcher(each, runs, **{"max_wait": 0.0, **options}))
        return batchers[-1]

    yield make
    for batcher in batchers:
        batcher.close()


def test_what_comes_while_one_batch_runs_is_the_next_one(made):
    gate = Gate()
    batcher = made(gate)
    futures = [batcher.submit("work", ["a"])]
    gate.wait_for_batch()
    futures += [batcher.submit("work", list(items)) for items in ("bc", "defg", "h")]
    gate.let(PATIENT)
    assert [future.result(PATIENT) for future in futures] == [["a"], [*"bc"], [*"defg"], ["h"]]
    assert gate.batches == [["a"], [*"bcde"], [*"fgh"]]


def test_a_batch_waits_for_others_but_not_for_ever(made):
    batcher = made(lambda batch: [len(batch)] * len(batch), most=3, max_wait=PATIENT)
    futures = [batcher.submit("work", [n]) for n in range(3)]  # full: nothing is waited for
    assert [future.result(PATIENT / 2) for future in futures] == [[3]] * 3
    batcher = made(lambda batch: [len(batch)] * len(batch), most=3, max_wait=0.001)
    assert batcher.submit("work", [0]).result(PATIENT) == [1]


def test_no_items_have_no_results_at_once(made):
    assert made(Gate()).submit("work", []).result(0) == []


def test_an_error_belongs_to_its_item_alone(made):
    def run(batch):
        if "bad" in batch:
            raise RuntimeError("no memory")
        return [item.upper() for item in batch]

    gate = Gate(run)
    batcher = made(gate, most=8)
    first = batcher.submit("work", ["a"])
    gate.wait_for_batch()
    good, bad, other = (batcher.submit("work", x) for x in (["b", "c"], ["d", "bad"], ["e"]))
    gate.let(PATIENT)
    wait([first, good, bad, other], PATIENT)
    assert (good.result(), other.result()) == (["B", "C"], ["E"])
    with pytest.raises(RuntimeError, match="no memory"):
        bad.result()
    assert batcher.submit("work", ["f"]).result(PATIENT) == ["F"]


def test_what_nobody_waits_for_is_not_run(made):
    gate = Gate()
    batcher = made(gate)
    first = batcher.submit("work", ["a"])
    gate.wait_for_batch()
    gone, there = batcher.submit("work", [*"bcdefgh"]), batcher.submit("work", ["i"])
    gone.cancel()
    gate.let(PATIENT)
    assert (first.result(PATIENT), there.result(PATIENT)) == (["a"], ["i"])
    assert gate.batches == [["a"], ["i"]]
    assert batcher.waiting("work") == 0


def test_someone_may_go_while_his_batch_runs(made):
    gate = Gate()
    batcher = made(gate)
    first = batcher.submit("work", ["a"])
    gate.wait_for_batch()
    first.cancel()
    gate.let(PATIENT)
    assert batcher.submit("work", ["b"]).result(PATIENT) == ["b"]


def test_the_lane_that_comes_first_goes_first_and_each_device_has_a_thread(made):
    gate = Gate()
    batcher = made(gate, lanes=("pose", "detect"))
    futures = [batcher.submit("detect", ["a"])]
    gate.wait_for_batch()
    futures += [batcher.submit("detect", ["b"]), batcher.submit("pose", ["c"])]
    gate.let(PATIENT)
    wait(futures, PATIENT)
    assert gate.batches == [["a"], ["c"], ["b"]]
    both = Gate()
    two = made(both, both)
    futures = [two.submit("work", ["a"])]
    both.wait_for_batch()
    futures.append(two.submit("work", ["b"]))
    both.wait_for_batch()  # while the first still runs
    both.let(2)
    wait(futures, PATIENT)


def test_a_job_of_two_batches_is_for_two_devices(made):
    gate = Gate()
    job = made(gate, gate, most=2).submit("work", [*"abcd"])
    gate.wait_for_batch()
    gate.wait_for_batch()  # while the first still runs
    gate.let(2)
    assert job.result(PATIENT) == [*"abcd"]


def too_few(batch):
    return batch[1:]


def exhausted(batch):
    return next(iter([]))


def ending(batch):
    raise SystemExit


@pytest.mark.parametrize("fault", [too_few, exhausted, ending])
def test_whatever_goes_wrong_is_an_error_and_ends_no_device(made, fault):
    def watch(lane, count, seconds):
        raise KeyError(count)

    async def ask(item):
        future = asyncio.wrap_future(batcher.submit("work", [item]))
        return await asyncio.wait_for(future, PATIENT)

    batcher = made(lambda batch: batch if "bad" not in batch else fault(batch), watch=watch)
    with pytest.raises(RuntimeError):
        asyncio.run(ask("bad"))
    assert batcher.submit("work", ["good"]).result(PATIENT) == ["good"]
    assert batcher.well


def test_a_device_whose_thread_has_ended_is_not_well(made):
    batcher = made(lambda batch: batch)
    assert batcher.well
    batcher.close()
    assert not batcher.well


class Sick:
    """A device that fails as long as its driver does.

    Attributes:
        batches: What it was given.
    """

    def __init__(self):
        self.batches, self.fails = [], True

    def __call__(self, batch):
        self.batches.append(batch)
        if self.fails:
            raise RuntimeError("CUDA error")
        return batch


def test_a_sick_device_rests_beside_a_well_one(made):
    sick, gate = Sick(), Gate()
    batcher = made(sick, gate, most=1, rest=10 * PATIENT)
    futures = [batcher.submit("work", ["a"]) for _ in range(4)]
    gate.wait_for_batch()  # the well one has one of them, whichever it is,
    eventually(lambda: len(sick.batches) == 3)  # until the others have failed
    gate.let(PATIENT)
    wait(futures, PATIENT)
    eventually(lambda: not batcher.well)
    futures = [batcher.submit("work", [n]) for n in range(50)]
    assert [future.result(PATIENT) for future in futures] == [[n] for n in range(50)]
    assert len(sick.batches) == 3


def test_a_sick_device_tries_one_item_and_may_be_well_again(made):
    sick = Sick()
    batcher = made(sick)
    for _ in range(3):
        assert batcher.well
        wait([batcher.submit("work", ["a"])], PATIENT)
    sick.fails = False
    assert batcher.submit("work", [*"abcd"]).result(PATIENT) == [*"abcd"]
    assert sick.batches[3:] == [["a"], ["b", "c", "d"]]
    eventually(lambda: batcher.well)


def test_closing_runs_what_is_there(made):
    batcher = made(lambda batch: batch, max_wait=PATIENT)
    future = batcher.submit("work", ["a"])
    batcher.close()
    assert future.result(0) == ["a"]
    with pytest.raises(RuntimeError):
        batcher.submit("work", ["b"])
