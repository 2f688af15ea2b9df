"""Batches over requests; whose error is whose; what a client that went away costs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import wait
from dataclasses import fields

import pytest

from pose_hrnet.deploy.server.batcher import Batcher, Lane
from pose_hrnet.deploy.server.limits import Limits
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.model import PoseModel
from tests.helpers.serving import picture, serving, tiny_estimator

PATIENT = 60  # seconds: longer than any machine takes


class Gate:
    """Something that runs batches, and waits before each until it is let.

    Attributes:
        batches: What it was given.
    """

    def __init__(self, run=lambda batch: batch):
        self.run, self.batches = run, []
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, batch):
        self.batches.append(list(batch))
        self.entered.release()
        assert self.open.acquire(timeout=PATIENT)
        return self.run(batch)

    def let(self, count=1):
        for _ in range(count):
            self.open.release()

    def wait_for_batch(self):
        assert self.entered.acquire(timeout=PATIENT)


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
    gate.wait_for_batch()  # the well one has one of them, whichever it is
    gate.let(PATIENT)
    wait(futures, PATIENT)
    assert len(sick.batches) == 3
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


class Client:
    """A client of an ASGI application, who can send piece by piece, and go away."""

    def __init__(self, app, *pieces, headers=(), path="/v1/poses", ends=True):
        self.sent, self.taken, self.gone = [], 0, asyncio.Event()
        self.pieces, self.ends = list(pieces), ends
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "scheme": "http", "http_version": "1.1", "root_path": "",
            "headers": [(b"content-type", b"image/jpeg"), *headers], "server": ("here", 80),
            "client": ("there", 1),
        }  # fmt: skip
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))

    async def receive(self):
        if self.pieces:
            self.taken += 1
            more = len(self.pieces) > 1 or not self.ends
            return {"type": "http.request", "body": self.pieces.pop(0), "more_body": more}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]


class Runs(PoseModel):
    """A model whose passes go through a function."""

    def __call__(self, crops):
        return self.network(crops)


def running(estimator, function):
    """The estimator, with a function in place of its model's passes."""
    values = {field.name: getattr(estimator.model, field.name) for field in fields(PoseModel)}
    return PoseEstimator(Runs(**values | {"network": function}))


async def until(condition):
    """Let others work until something is so."""
    while not condition():
        await asyncio.sleep(0.001)


def test_crops_of_many_requests_share_a_pass_and_a_client_that_left_costs_none():
    estimator = tiny_estimator()
    model = Gate(estimator.model)

    async def scenario(server):
        first = Client(server.app, picture())
        await until(lambda: model.batches)
        others = [Client(server.app, picture(seed=n)) for n in range(3)]
        gone = Client(server.app, picture(seed=9))
        waiting = server.pipeline.batcher.waiting
        await until(lambda: waiting("pose") == 4)
        gone.gone.set()
        await gone.task
        model.let(PATIENT)
        await asyncio.gather(first.task, *(client.task for client in others))
        assert [client.status for client in (first, *others)] == [200] * 4
        assert [len(batch) for batch in model.batches] == [1, 3]
        now = server.admission
        assert now.images == now.pixels.taken == now.body_bytes == now.crops.taken == 0
        assert b"pose_clients_gone_total 1.0" in server.metrics.text()

    with serving(running(estimator, model)) as server:
        asyncio.run(scenario(server))


def test_the_rest_of_a_body_that_is_too_large_is_not_read():
    async def scenario(server):
        client = Client(server.app, *[bytes(1000)] * 100)
        await client.task
        assert client.status == 413
        assert client.taken == 11
        declared = Client(server.app, bytes(1000), headers=[(b"content-length", b"99999999")])
        await declared.task
        assert (declared.status, declared.taken) == (413, 0)

    with serving(tiny_estimator(), limits=Limits(max_body_bytes=10_000)) as server:
        asyncio.run(scenario(server))


def test_a_body_that_does_not_come_is_not_waited_for():
    async def scenario(server):
        client = Client(server.app, picture()[:10], ends=False)
        await client.task
        assert client.status == 408

    with serving(tiny_estimator(), limits=Limits(body_seconds=0.01)) as server:
        asyncio.run(scenario(server))


def test_someone_who_leaves_in_the_middle_of_his_body_is_no_error():
    async def scenario(server):
        client = Client(server.app, picture()[:10], ends=False)
        client.gone.set()
        await client.task
        assert server.admission.body_bytes == 0

    with serving(tiny_estimator()) as server:
        asyncio.run(scenario(server))


def test_a_decoder_that_hangs_is_counted_and_holds_its_memory_when_its_client_has_left(
    monkeypatch,
):
    let = threading.Event()
    real = "pose_hrnet.deploy.server.pipeline.decode"

    async def scenario(server):
        decoders, pixels = server.pipeline.decoders, server.admission.pixels
        hanging = threading.Semaphore(0)
        monkeypatch.setattr(real, lambda *_: hanging.release() or let.wait(PATIENT))
        stuck = [Client(server.app, picture()) for _ in range(decoders.count)]
        for _ in stuck:
            await asyncio.to_thread(hanging.acquire, timeout=PATIENT)
        held = pixels.taken
        for client in stuck:
            client.gone.set()
            await client.task
        assert server.admission.images == 0
        assert pixels.taken == held > 0
        assert server.pipeline.health() == "ok"
        decoders.seconds = 0.0  # they are over their time
        assert server.pipeline.health() == "stuck"
        late = Client(server.app, picture())
        await late.task
        assert late.status == 503
        decoders.seconds = PATIENT
        monkeypatch.undo()
        let.set()
        await until(lambda: not pixels.taken)
        well = Client(server.app, picture())
        await well.task
        assert well.status == 200

    with serving(tiny_estimator()) as server:
        asyncio.run(scenario(server))


def test_a_model_that_fails_is_told_to_its_operator_and_not_to_clients(caplog):
    def broken(crops):
        raise RuntimeError("/secret/place: CUDA error")

    async def scenario(server):
        assert server.pipeline.health() == "ok"
        for _ in range(3):
            client = Client(server.app, picture())
            await client.task
        assert server.pipeline.health() == "failing"
        assert client.status == 500
        assert b"secret" not in client.sent[1]["body"]
        assert b"Traceback" not in client.sent[1]["body"]

    with serving(running(tiny_estimator(), broken)) as server:
        asyncio.run(scenario(server))
    assert "/secret/place" in caplog.text
