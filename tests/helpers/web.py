"""A web server on the loopback that behaves as badly as it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server answers at one path.

    Attributes:
        data: The file.
        cut_at: Bytes after which it breaks off, once for each entry; then it goes on.
        hangs_at: Byte after which it says nothing more until the server ends.
        status: Of the answer.
        location: Where it leads on to.
        ranges: Whether it understands Range.
        kind: Its Content-Type.
        announces: Whether it gives a Content-Length.
        etag: Tells that the file is the same one.
    """

    data: bytes = b""
    cut_at: list[int] = field(default_factory=list)
    hangs_at: int | None = None
    status: int = 200
    location: str | None = None
    ranges: bool = True
    kind: str = "application/octet-stream"
    announces: bool = True
    etag: str | None = None


@dataclass
class Web:
    """A running server.

    Attributes:
        pages: What it answers, by path without the slash; others are 404.
        asked: Path and Range of every request, in order.
    """

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def put(self, name: str, data: bytes = b"", **options) -> str:
        """Serve a page; its address."""
        self.pages[name] = Page(data, **options)
        return f"{self.url}/{name}"


@contextmanager
def serve() -> Iterator[Web]:
    """A server on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, web)

        def log_message(self, *_) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_) -> None:
            pass  # clients that break off are meant to

    server = Server(("127.0.0.1", 0), Handler)
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request: BaseHTTPRequestHandler, web: Web) -> None:
    name = request.path.lstrip("/")
    wanted = request.headers.get("Range")
    web.asked.append((name, wanted))
    page = web.pages.get(name, Page(status=404))
    start, status, data = 0, page.status, page.data
    same = request.headers.get("If-Range") in (None, page.etag)
    if wanted and page.ranges and status == 200 and same:
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        status = 206 if start < len(data) else 416
    request.send_response(status)
    if page.location:
        request.send_header("Location", page.location)
    if page.etag:
        request.send_header("ETag", page.etag)
    if status == 206:
        request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    body = data[start:] if status in (200, 206) else b""
    request.send_header("Content-Type", page.kind)
    if page.announces:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if page.hangs_at is not None:
        request.wfile.write(body[: page.hangs_at])
        request.wfile.flush()
        web.over.wait(30)
        return
    request.wfile.write(body[: page.cut_at.pop(0)] if page.cut_at and body else body)
