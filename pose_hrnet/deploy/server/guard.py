"""In front of everything: who may ask, and what browsers may do with the answers."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pose_hrnet.deploy.server.answers import problem
from pose_hrnet.deploy.server.limits import Refused

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: nothing is loaded from elsewhere, and no other page may hold or read it."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""
_OPEN = ("/", "/healthz", "/readyz")
_OPEN_FOLDER = "/static/"


@dataclass(frozen=True)
class Guard:
    """Lets requests in, as middleware of ASGI.

    Attributes:
        app: What is guarded.
        token: That clients must show for all but the page and the probes; None: none.
        hosts: Names that the server may be called by; None: any. A page of another site could
            else have its own name lead here.
        count: Is told the status of every answer.
    """

    app: ASGIApp
    token: str | None
    hosts: Sequence[str] | None
    count: Callable[[int], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                self.count(message["status"])
            await send(message)

        refused = self._refused(scope)
        app: ASGIApp = self.app if refused is None else problem(refused)
        await app(scope, receive, send_safely)

    def _refused(self, scope: Scope) -> Refused | None:
        headers, path = Headers(scope=scope), scope["path"]
        if self.hosts is not None and _host_name(headers) not in self.hosts:
            return Refused(421, f"this server is called {', '.join(self.hosts)}; use one of them")
        origin = headers.get("origin")
        if origin is not None and _place(origin) != headers.get("host", "").lower():
            return Refused(403, "pages of other sites may not ask here")
        if self.token is None or path in _OPEN or path.startswith(_OPEN_FOLDER):
            return None
        kind, _, shown = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(shown.strip().encode(), self.token.encode())
        if kind.lower() == "bearer" and same:
            return None
        return Refused(401, "give the server's token: Authorization: Bearer TOKEN")


def _host_name(headers: Headers) -> str | None:
    """The name in the Host header, without a port."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return None


def _place(origin: str) -> str:
    """Host and port of an origin; ``null`` of pages that have none."""
    return origin.partition("://")[2].lower() or origin


__all__ = ["LOOPBACK", "SECURITY_HEADERS", "Guard"]
