"""`pose-hrnet serve` under many clients, beside `predict` and beside itself without batches.

Clients, servers and `predict` share this machine's processors, so that a server is measured with
what its clients cost. Each request is an image with the boxes of its persons.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from urllib.parse import quote, urlsplit

import numpy as np
import psutil

from pose_hrnet.benchmark.model import ModelChoice
from pose_hrnet.benchmark.prediction import Job, predictor
from pose_hrnet.benchmark.timing import Measurement, Pace, Row, Variant, Work, measure
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.defaults import CROPS_PER_PASS
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted, duration, gigabytes, one_line

PREDICT, SERVE, UNBATCHED = "predict", "serve", "serve --max-batch 1"
REQUESTS_A_CLIENT = 4
"""In a call."""
PARTS = 10
"""Of a long run, whose memory is compared."""
_PATIENCE = 120.0
"""Seconds that a client waits for an answer."""


@dataclass(frozen=True)
class Asked:
    """A request for the poses of an image.

    Attributes:
        target: Path and query.
        body: The image file.
        persons: How many poses are to be answered.
    """

    target: str
    body: bytes
    persons: int

    @classmethod
    def of(cls, job: Job) -> Asked:
        """For an image file with boxes."""
        path, boxes_xywh = job
        boxes = json.dumps(xywh_to_xyxy(boxes_xywh).astype(float).round(3).tolist())
        return cls(f"/v1/poses?boxes={quote(boxes)}", read_input(path), len(boxes_xywh))


@dataclass
class Load:
    """What clients saw.

    Attributes:
        seconds: Of each answer.
        lost: Requests that had no answer, or one without all their poses.
        reason: Of the last of them.
    """

    seconds: list[float] = field(default_factory=list)
    lost: int = 0
    reason: str = ""

    def losses(self) -> str:
        """How many, and why."""
        return f"{self.lost} lost" + (f" ({self.reason})" if self.lost else "")

    def percentiles(self) -> str:
        """50, 95 and 99 of 100 answers were as quick."""
        p50, p95, p99 = 1000 * np.percentile(self.seconds or [0.0], (50, 95, 99))
        return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def ask(address: str, asked: Iterator[Asked], clients: int, load: Load) -> None:
    """Send requests by so many clients, each of which waits for its answer before the next.

    Args:
        address: Of the server.
        asked: The requests, which they share.
        clients: Each is a thread with a connection.
        load: Is added to.
    """
    turn = threading.Lock()

    def client() -> None:
        host = urlsplit(address).netloc
        connection = HTTPConnection(host, timeout=_PATIENCE)
        while True:
            with turn:
                request = next(asked, None)
            if request is None:
                connection.close()
                return
            began = perf_counter()
            try:
                reason = _answer(connection, request)
            except Exception as error:  # whatever it is, the request is lost, and not the client
                connection.close()  # the next request opens another
                reason = one_line(error)
            with turn:
                if reason:
                    load.lost, load.reason = load.lost + 1, reason
                else:
                    load.seconds.append(perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _answer(connection: HTTPConnection, request: Asked) -> str:
    """Why an answer is none; empty: it is one."""
    headers = {"Content-Type": "application/octet-stream"}
    connection.request("POST", request.target, request.body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        return f"{response.status}, {one_line(answer['error'])}"
    (image,) = answer["images"]
    if len(image["poses"]) != request.persons:
        return f"{counted(len(image['poses']), 'pose')} of {request.persons}"
    return ""


@dataclass(frozen=True)
class _How:
    """What a server and `predict` load alike."""

    model: Path
    backend: Backend
    precision: Precision
    choice: ModelChoice

    def options(self) -> list[str]:
        """Of the command."""
        averages = {None: [], True: ["--flip-test"], False: ["--no-flip-test"]}
        return [
            "--checkpoint", str(self.model), "--backend", self.backend,
            "--precision", self.precision, "--device", self.choice.device,
            *averages[self.choice.averages],
        ]  # fmt: skip


@contextmanager
def _server(how: _How, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server as a program of its own: its address, and its process.

    Raises:
        ValueError: If it does not start.
    """
    command = [sys.executable, "-m", "pose_hrnet", "serve", "--whole-image", "--port", "0"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, *how.options(), *options], stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert process.stdout is not None
        try:
            lines = (line.split() for line in process.stdout)
            address = next((line[-1] for line in lines if line[:1] == ["listening"]), None)
            if address is None:
                said.seek(0)
                raise ValueError(f"the server did not start: {one_line(said.read())}")
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            process.kill()
            process.stdout.close()
            process.wait()


def benchmark_serving(
    choice: ModelChoice,
    jobs: Sequence[Job],
    pace: Pace,
    *,
    model_name: str,
    clients: int,
    minutes: float = 0.0,
    progress: Progress = SILENT,
) -> Iterator[Measurement]:
    """Time `predict`, a server and one without batches in turns; then one server for long.

    Args:
        choice: The model; of several backends and precisions the one that is chosen by itself.
        jobs: Images with their persons.
        pace: How long to measure.
        model_name: Said of the model in the results.
        clients: How many ask at once.
        minutes: Of the long run; 0: none.
        progress: Watches.

    Yields:
        The comparison, and the long run.
    """
    path = choice.checkpoint or choice.exported[0]
    backend: Backend = choice.backends[0] if len(choice.backends) == 1 else "auto"
    precision: Precision = choice.precisions[0] if len(choice.precisions) == 1 else "auto"
    how = _How(path, backend, precision, choice)
    called = list(islice(cycle(jobs), clients * REQUESTS_A_CLIENT))
    asked = [Asked.of(job) for job in called]
    loads = {SERVE: Load(), UNBATCHED: Load()}
    with ExitStack() as running:

        def prepare(name: str, *options: str) -> Work:
            address, _ = running.enter_context(_server(how, *options))
            return lambda: ask(address, iter(asked), clients, loads[name])

        variants = [
            Variant(PREDICT, partial(_predict, how, called)),
            Variant(SERVE, partial(prepare, SERVE)),
            Variant(UNBATCHED, partial(prepare, UNBATCHED, "--max-batch", "1")),
        ]
        rows = measure(variants, PREDICT, pace, name="serve", progress=progress)
    rows = tuple(_unless_lost(row, loads.get(row.variant)) for row in rows)
    yield Measurement(
        "serve",
        f"{model_name}: {counted(len(asked), 'request')} by {counted(clients, 'client')} on the "
        "loopback, an image with its boxes each",
        "crop",
        sum(each.persons for each in asked),
        PREDICT,
        rows,
        {"model": model_name, "clients": clients, "requests": len(asked)},
        _remarks(rows, loads),
    )
    if minutes:
        yield _long_run(how, asked, clients, minutes, model_name, progress)


def _predict(how: _How, jobs: Sequence[Job]) -> Work:
    predict = predictor(how.choice, how.model, how.backend, how.precision, CROPS_PER_PASS)
    return lambda: predict(jobs)


def _unless_lost(row: Row, load: Load | None) -> Row:
    """The row, which has no times if answers are missing in them: to lose one is quick."""
    if row.reason or load is None or not load.lost:
        return row
    return Row(row.variant, reason=load.losses())


def _remarks(rows: Sequence[Row], loads: dict[str, Load]) -> tuple[str, ...]:
    said = [
        f"{name}: {load.percentiles()} of {counted(len(load.seconds), 'answer')}, {load.losses()}"
        for name, load in loads.items()
        if load.seconds or load.lost
    ]
    seconds = {row.variant: row.round_seconds for row in rows}
    if seconds[SERVE] and seconds[UNBATCHED]:
        pairs = zip(seconds[UNBATCHED], seconds[SERVE], strict=True)
        gain = float(np.median([slow / fast for slow, fast in pairs]))
        said.append(f"with batches a server is {gain:.2f} times as fast as without")
    return tuple(said)


def _long_run(
    how: _How,
    asked: Sequence[Asked],
    clients: int,
    minutes: float,
    model_name: str,
    progress: Progress,
) -> Measurement:
    """So many minutes of requests in `PARTS`, and what the server holds after each."""
    persons = sum(each.persons for each in asked)
    load, seconds, held = Load(), [], []
    with (
        _server(how) as (address, process),
        progress.task("serve for long", PARTS, "parts") as bar,
    ):
        ask(address, iter(asked), clients, Load())  # it grows until it has seen its work
        for _ in range(PARTS):
            before, began = len(load.seconds), perf_counter()
            ask(address, _for_seconds(cycle(asked), 60 * minutes / PARTS), clients, load)
            each = (perf_counter() - began) / max(1, len(load.seconds) - before)
            seconds.append(each * len(asked))
            held.append(process.memory_info().rss)
            bar.advance()
    growth = held[-1] / held[0] - 1
    memory = ", ".join(gigabytes(size) for size in held)
    return Measurement(
        "serve",
        f"{model_name}: {duration(60 * minutes)} of requests by {counted(clients, 'client')}",
        "crop",
        persons,
        SERVE,
        (_unless_lost(Row(SERVE, tuple(seconds), calls=PARTS, ratio=1.0), load),),
        {"model": model_name, "clients": clients, "minutes": minutes, "resident_bytes": held},
        (
            f"{counted(len(load.seconds), 'answer')}, {load.losses()}; {load.percentiles()}",
            f"resident memory after each part: {memory}; {growth:+.1%} from the first to the last",
        ),
    )


def _for_seconds(items: Iterator[Asked], seconds: float) -> Iterator[Asked]:
    """Items as long as the time lasts."""
    end = perf_counter() + seconds
    for item in items:
        if perf_counter() >= end:
            return
        yield item


__all__ = ["Asked", "Load", "ask", "benchmark_serving"]
