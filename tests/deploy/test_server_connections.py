"""`pose-hrnet serve` over real sockets: slow clients, half requests, the end of a server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import httpx2
import pytest
from uvicorn.server import ServerState

from pose_hrnet.deploy.server import connection
from tests.helpers.serving import (
    JPEG,
    listening,
    picture,
    received,
    request,
    running,
    said,
    serving,
    tiny_estimator,
)

CLOSE = b"Connection: close\r\n"
HEAD = b"POST /v1/poses HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def server():
    with serving(tiny_estimator()) as server:
        yield server


@pytest.fixture(scope="module")
def port(server):
    with listening(server) as port:
        yield port


@pytest.fixture(scope="module")
def hasty(server):
    """Another port of the server, at which it waits for no head for long."""
    with listening(server, seconds=1.0) as port:
        yield port


def status_of(answer):
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return found and int(found[1])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST /v1/poses HT",
        HEAD,
        HEAD + b"Content-Length: 500\r\n\r\n",
        HEAD + b"Content-Length: 500\r\n\r\n" + bytes(100),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
@pytest.mark.parametrize("leaves", [True, False])
def test_half_a_request_is_let_go(hasty, port, data, leaves):
    said(hasty, data, leaves=leaves or b"\r\n\r\n" in data)  # a body may take longer than a head
    assert status_of(said(port, request(picture()))) == 200


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"\x16\x03\x01\x02\x00\x01", (400,)),
        (HEAD + b"Content-Length: -1\r\n\r\n", (400,)),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", (400,)),
        (HEAD + CLOSE + b"Content-Length: 99999999999999999999\r\n\r\n", (400, 413)),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", (400, None)),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n", (400, None)),
        (HEAD + CLOSE + b"X: " + b"y" * 100_000 + b"\r\n\r\n", (400, 431)),
        (b"POST /v1/poses HTTP/1.1\r\n\r\n", (400,)),
        (b"GET http://example.com/ HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (404,)),
    ],
)
def test_what_is_no_request_is_refused(port, data, statuses):
    assert status_of(said(port, data)) in statuses
    assert status_of(said(port, request(picture()))) == 200


def test_a_length_that_lies(port):
    data = picture()
    short = HEAD + b"Content-Length: 100\r\n\r\n" + data
    assert status_of(said(port, short)) in (415, 422)
    long = HEAD + b"Content-Length: 9999999\r\n\r\n" + data
    assert said(port, long, leaves=True) == b""
    assert status_of(said(port, request(data))) == 200


def test_a_client_sees_why_his_large_body_is_refused(port):
    address = f"http://127.0.0.1:{port}/v1/poses"
    answer = httpx2.post(address, content=bytes(40_000_000), headers=JPEG)
    assert answer.status_code == 413

    def pieces():
        for _ in range(400):
            yield bytes(100_000)

    answer = httpx2.post(address, content=pieces(), headers=JPEG)
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body has more than 32 MB, the most that is taken"}


def test_one_connection_takes_several_requests(port):
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert client.post("/v1/poses", content=picture(), headers=JPEG).status_code == 200
            assert client.post("/v1/poses", content=b"none", headers=JPEG).status_code == 415
    both = request(picture(), connection="") + request(picture())
    assert said(port, both).count(b"HTTP/1.1 200") == 2


class Sending:
    """The transport of a connection whose client takes what it likes, and a loop without time."""

    def __init__(self):
        self.left, self.aborted, self.timers = 0, False, []

    def get_write_buffer_size(self):
        return self.left

    def get_extra_info(self, name):
        return None

    def is_closing(self):
        return True

    def abort(self):
        self.aborted = True

    def call_later(self, seconds, function):
        self.timers.append(function)
        return SimpleNamespace(cancel=lambda: None)

    def later(self, left):
        """So many bytes are left once the newest timer fires."""
        self.left = left
        self.timers.pop()()


@pytest.mark.parametrize("ended", [False, True])
def test_a_client_may_take_its_answer_slowly_but_must_take_some_of_it(ended):
    sending = Sending()
    config = connection.config_of(None)
    config.load()
    made = connection.Connection(config, ServerState(), {}, sending)
    made.connection_made(sending)
    made.cycle = SimpleNamespace(response_complete=ended)
    sending.left = 1000
    made.pause_writing()
    if ended:  # nor does the next head have to come before
        made.on_response_complete()
    for left in range(999, 900, -1):
        sending.later(left)
        assert not sending.aborted
    sending.later(901)
    assert sending.aborted


@pytest.mark.slow
def test_an_answer_may_take_longer_than_a_client_may_stand_still():
    size = 8_000_000

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(size)})

    with serving(tiny_estimator()) as server:
        server.app = app
        with listening(server, seconds=1.0) as port:
            client = connection.socket.socket()
            client.setsockopt(connection.socket.SOL_SOCKET, connection.socket.SO_RCVBUF, 65536)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            taken, began = 0, time.monotonic()
            while data := client.recv(100_000):
                taken += len(data)
                time.sleep(0.05)
            client.close()
            assert taken > size
            assert time.monotonic() - began > 3


def test_one_connection_too_many_is_let_go(server, monkeypatch):
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    probe = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with running(server) as (serves, port), ExitStack() as opened:
        for count in (1, 2, 3):
            client = connection.socket.create_connection(("127.0.0.1", port), timeout=60)
            opened.enter_context(client)
            while len(serves.server_state.connections) < count:
                time.sleep(0.001)
        assert said(port, probe) == b""
        client.close()
        while len(serves.server_state.connections) > 2:
            time.sleep(0.001)
        assert status_of(said(port, probe)) == 200


@pytest.mark.parametrize(
    ("signals", "seconds", "unanswered"), [(1, 60, 0), (2, 60, 1), (1, 0.1, 1)]
)
def test_what_is_not_answered_at_the_end_is_counted(
    signals, seconds, unanswered, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "DRAIN_SECONDS", seconds)
    data = request(picture())
    with (
        serving(tiny_estimator()) as server,
        running(server) as (serves, port),
        connection.socket.create_connection(("127.0.0.1", port), timeout=60) as client,
    ):
        client.sendall(data[:-100])
        while not server.admission.body_bytes:
            time.sleep(0.001)
        for _ in range(signals):
            serves.handle_exit(signal.SIGTERM, None)
        if not unanswered:
            client.sendall(data[-100:])
        answer = received(client)
    assert status_of(answer) == (None if unanswered else 200)
    assert serves.unanswered == unanswered
    assert [record for record in caplog.records if record.exc_info] == []


@contextmanager
def command(*options, **environment):
    """`pose-hrnet serve` as a program, and the address that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pose_hrnet", "serve", "--port", "0", "--whole-image",
         "--backend", "eager", "--precision", "fp32", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[-1] for line in lines if line.startswith("listening at"))
        yield process, address
    finally:
        process.kill()
        process.communicate()


def until_it_listens_no_more(port):
    while True:
        try:
            connection.socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(0.01)
        except ConnectionRefusedError:
            return


def test_the_command_serves_and_drains(tmp_path):
    from pose_hrnet.inference.estimator import PoseEstimator

    data = picture((640, 480))
    with command("--save", str(tmp_path / "kept"), "--max-queue", "8") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        answer = httpx2.post(f"{address}/v1/poses", content=data, headers=JPEG)
        estimator = PoseEstimator.from_pretrained(backend="eager", precision="fp32")
        (pose,) = json.loads(estimator(data).to_json())
        (found,) = answer.json()["images"][0]["poses"]
        for name, point in pose["keypoints"].items():
            assert found["keypoints"][name] == pytest.approx(point, abs=0.02)
        assert "text/html" in httpx2.get(address).headers["content-type"]
        model = httpx2.get(f"{address}/v1/model").json()
        assert model["name"] == "default"
        assert model["limits"]["max_images"] == model["limits"]["max_queue"] == 8
        port = int(address.rpartition(":")[2])
        # A body that is under way when the signal comes is answered all the same.
        whole = request(data)
        with connection.socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(whole[:-1000])
            while b"pose_body_bytes 0.0" in httpx2.get(f"{address}/metrics").content:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            until_it_listens_no_more(port)
            client.sendall(whole[-1000:])
            answer = received(client)
        assert status_of(answer) == 200
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out == "ended; what had come is answered\n"
        assert "Traceback" not in err
    assert len(list((tmp_path / "kept").iterdir())) == 4


@pytest.mark.slow
def test_the_command_says_what_a_second_signal_left_unanswered():
    with command() as (process, address):
        port = int(address.rpartition(":")[2])
        with connection.socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(request(picture())[:-100])
            while b"pose_body_bytes 0.0" in httpx2.get(f"{address}/metrics").content:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            until_it_listens_no_more(port)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate()
    assert (process.returncode, out) == (1, "ended; 1 request had come and had no answer\n"), err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_token_may_stand_in_the_environment_and_other_addresses_are_warned_of():
    token = "from-the-environment"
    with command("--host", "0.0.0.0", POSE_HRNET_TOKEN=token) as (process, address):
        local = address.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(f"{local}/v1/model").status_code == 401
        shown = {"authorization": f"Bearer {token}"}
        assert httpx2.get(f"{local}/v1/model", headers=shown).status_code == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "WARNING" not in err
    with command("--host", "0.0.0.0") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert "whoever reaches 0.0.0.0 may send images, because there is no --token" in err
