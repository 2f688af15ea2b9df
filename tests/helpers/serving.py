"""Servers of poses for tests: small and random models, in this process; and what asks them."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import PIL.Image

from pose_hrnet.deploy.server.app import PoseServer, ServerSettings
from pose_hrnet.deploy.server.connection import HEAD_SECONDS, Connection, Server, config_of, listen
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.models.weights.identity import Identity
from tests.helpers.networks import card_of, tiny
from tests.helpers.pose_models import pose_model

JPEG = {"content-type": "image/jpeg"}
PATIENT = 60
"""Seconds: longer than any machine takes."""


def tiny_estimator(**options) -> PoseEstimator:
    """With random weights, always the same."""
    network = tiny().eval()
    return PoseEstimator(pose_model(network, card_of(network)), **options)


@contextmanager
def serving(estimator: PoseEstimator, **settings) -> Iterator[PoseServer]:
    """An application, whose threads end with the block; settings as of `ServerSettings`."""
    server = PoseServer(
        [estimator], Identity("tiny", "0" * 64, 0.5, "AP"), ServerSettings(**settings)
    )
    try:
        yield server
    finally:
        server.close()


@contextmanager
def listening(server: PoseServer, port: int = 0, **options) -> Iterator[int]:
    """The port of the loopback at which an application is served while the block runs."""
    with running(server, port, **options) as (_, found):
        yield found


@contextmanager
def running(
    server: PoseServer, port: int = 0, seconds: float = HEAD_SECONDS
) -> Iterator[tuple[Server, int]]:
    """What serves an application while the block runs, and its port.

    Args:
        server: Has the application.
        port: 0: any.
        seconds: That a client has for a head, and to take some of its answer.
    """
    listener = listen("127.0.0.1", port)
    port = listener.getsockname()[1]
    patient = type("Patient", (Connection,), {"seconds": seconds})
    serves = Server(config_of(server.app, patient), server.drain)
    thread = threading.Thread(target=serves.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield serves, port
    finally:
        serves.should_exit = serves.force_exit = True
        thread.join()


def picture(size=(64, 48), kind="JPEG", seed=0, **options) -> bytes:
    """The bytes of an image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def post(client, data, **query):
    """The answer about one image."""
    return client.post("/v1/poses", content=data, headers=JPEG, params=query)


def error_of(answer, status) -> str:
    """The sentence of an answer that has this status, and is no more than a sentence."""
    assert answer.status_code == status, answer.text
    (sentence,) = answer.json().values()
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def request(body: bytes, *, target: str = "/v1/poses", **headers: str) -> bytes:
    """A request for poses, whose connection then ends; whole and honest but for what is given.

    Args:
        body: An image.
        target: Path and query.
        headers: In place of the honest ones; empty: left out.
    """
    told = {
        "host": "localhost",
        "content_type": "image/jpeg",
        "content_length": str(len(body)),
        "connection": "close",
        **headers,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in told.items() if value]
    return "\r\n".join([f"POST {target} HTTP/1.1", *lines, "", ""]).encode() + body


def said(port: int, data: bytes, *, leaves: bool = False) -> bytes:
    """All that a server answers to bytes.

    Args:
        port: Of the loopback.
        data: What is sent.
        leaves: Whether the client then sends no more, which a server takes for its leaving.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(data)
            if leaves:
                connection.shutdown(socket.SHUT_WR)
            return received(connection)
        except ConnectionError:
            return b""


def received(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


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
