"""Connections that end in time, and a server that drains: what uvicorn leaves to a proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""For the head of a request to come, and in which a client must take some of what it is sent."""
MOST_CONNECTIONS = 500
"""At once: half of the files that a process may usually have open."""
_UNSENT_BYTES = 2**17
"""That the system holds of an answer beside what is on its way; the rest stays here, where it is
seen to move."""
DRAIN_SECONDS = 60
"""For requests to be answered once the server was asked to end."""
_KEPT_SECONDS = 15
"""That a connection stays open between requests."""


class _Patience:
    """Ends a connection, once started, unless some of what is to be sent moves in time.

    Args:
        connection: Which one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._handle: asyncio.TimerHandle | None = None
        self._left = 0

    def start(self) -> None:
        """Begin to wait, or begin anew."""
        self.stop()
        self._left = self._connection.transport.get_write_buffer_size()
        self._handle = self._connection.loop.call_later(self._connection.seconds, self._late)

    def stop(self) -> None:
        """Wait no more."""
        if self._handle is not None:
            self._handle.cancel()

    def _late(self) -> None:
        if self._connection.transport.get_write_buffer_size() < self._left:
            self.start()
        else:
            self._connection.transport.abort()


class Connection(H11Protocol):
    """A client that sends half a head, or takes nothing of its answer, is let go in time.

    Attributes:
        seconds: That it has.
    """

    seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head, self._answer = _Patience(self), _Patience(self)

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head; one connection too many is let go."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self.transport.abort()
            return
        self._head.start()

    def handle_events(self) -> None:
        """Take what came; the wait ends with a head, and with it alone."""
        before = self.cycle
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # what came is no HTTP, and an answer is under way
            self.transport.abort()
            return
        if self.cycle is not before:
            self._head.stop()

    def on_response_complete(self) -> None:
        """Once an answer is taken the next head has as long; the rest of a refused body comes
        before it, and is thrown away, so that its client sees the answer.
        """
        self._head.start()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client has much to take."""
        super().pause_writing()
        self._answer.start()

    def resume_writing(self) -> None:
        """It has taken it."""
        super().resume_writing()
        self._answer.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._head.stop()
        self._answer.stop()
        super().connection_lost(exc)

    @property
    def owes(self) -> bool:
        """Whether its client waits for an answer, or for the rest of one."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is None:
            return False
        return not cycle.response_complete or self.transport.get_write_buffer_size() > 0


class Server(uvicorn.Server):
    """Ends by SIGTERM or SIGINT once what it has taken is answered; by a second one at once.

    Args:
        config: Of uvicorn.
        on_drain: Is called when it was asked to end.

    Attributes:
        unanswered: Requests that had come and were not answered when it ended.
    """

    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_drain = on_drain
        self.unanswered = 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has come, as long as that is waited for; count the rest, and let it go."""
        draining = asyncio.ensure_future(super().shutdown(sockets))
        end = monotonic() + DRAIN_SECONDS
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.05)
            self.force_exit |= monotonic() > end
        left = [each for each in self.server_state.connections if isinstance(each, Connection)]
        self.unanswered = sum(each.owes for each in left)
        for each in left:
            each.transport.abort()  # whose requests then end as those of clients that went away
        await draining
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; or end now, if that was asked for before.

        uvicorn would note the signal, and raise it again at the end; but an end that was asked for
        is no failure.
        """
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
        listener = socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"the server cannot listen at {host} port {port} ({reason}); choose another --host "
            "or --port (0: any that is free)"
        ) from None
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections have it from their listener
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    return listener


def config_of(app: ASGIApp, connection: type[Connection] = Connection) -> uvicorn.Config:
    """How uvicorn serves an application."""
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEPT_SECONDS,
    )


def run(app: ASGIApp, listener: socket.socket, on_drain: Callable[[], None]) -> int:
    """Serve until a signal, and answer what is under way.

    Returns:
        Requests that were not answered.
    """
    server = Server(config_of(app), on_drain)
    server.run(sockets=[listener])
    return server.unanswered


__all__ = ["Connection", "Server", "config_of", "listen", "run"]
