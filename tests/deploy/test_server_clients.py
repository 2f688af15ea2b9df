"""Clients side by side, and those that go away: what they share, and what they cost."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields

from pose_hrnet.deploy.server.limits import Limits
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.model import PoseModel
from tests.helpers.serving import PATIENT, Gate, picture, serving, tiny_estimator


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
