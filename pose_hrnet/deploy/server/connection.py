"""Connections that end in time, and a server that drains: what uvicorn leaves to a proxy."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""For the head of a request to come, and for a client to take what it is sent."""
MOST_CONNECTIONS = 500
"""At once: half of the files that a process may usually have open."""
DRAIN_SECONDS = 60
"""For requests to be answered once the server was asked to end."""
_KEPT_SECONDS = 15
"""That a connection stays open between requests."""


class Connection(H11Protocol):
    """A client that sends half a head, or takes no answer, is let go in time."""

    _due: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._due = self._end_in_time()

    def handle_events(self) -> None:
        """Take what came; the wait ends with a head, and with it alone."""
        before = self.cycle
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # what came is no HTTP, and an answer is under way
            self.transport.abort()
            return
        if self.cycle is not before:
            _cancel(self._due)

    def on_response_complete(self) -> None:
        """After an answer the next head has as long; the rest of a refused body comes before it,
        and is thrown away, so that its client sees the answer.
        """
        self._due = self._end_in_time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        super().pause_writing()
        self._stalled = self._end_in_time()

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        _cancel(self._due)
        _cancel(self._stalled)
        super().connection_lost(exc)

    def _end_in_time(self) -> asyncio.TimerHandle:
        return self.loop.call_later(HEAD_SECONDS, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Server(uvicorn.Server):
    """Ends by SIGTERM or SIGINT once what it has taken is answered; by a second one at once.

    Args:
        config: Of uvicorn.
        on_drain: Is called when it was asked to end.
    """

    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_drain = on_drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals, and give none on: an end that was asked for is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former: dict[int, Any] = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; or end now, if that was asked for before."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_drain()


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, before anything is loaded.

    Raises:
        ValueError: If it cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"the server cannot listen at {host} port {port} ({reason}); choose another --host "
            "or --port (0: any that is free)"
        ) from None


def config_of(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves an application."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=_KEPT_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def run(app: ASGIApp, listener: socket.socket, on_drain: Callable[[], None]) -> None:
    """Serve until a signal, and answer what is under way."""
    Server(config_of(app), on_drain).run(sockets=[listener])


__all__ = ["Connection", "Server", "config_of", "listen", "run"]
