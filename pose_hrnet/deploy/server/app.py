"""The routes: what is asked, and what is answered; the contract is docs/serving.md."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from pose_hrnet.deploy.server.answers import Answers, json_response
from pose_hrnet.deploy.server.bodies import read_uploads
from pose_hrnet.deploy.server.contract import (
    BODY,
    PICTURE,
    POSES,
    STATES,
    TEXT,
    Model,
    Options,
    State,
    problems,
)
from pose_hrnet.deploy.server.errors import answer_errors
from pose_hrnet.deploy.server.guard import Guard
from pose_hrnet.deploy.server.limits import Admission, Limits, Refused
from pose_hrnet.deploy.server.metrics import MEDIA_TYPE, Metrics
from pose_hrnet.deploy.server.pipeline import Pipeline
from pose_hrnet.deploy.server.saving import Archive
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.models.weights.identity import Identity
from pose_hrnet.system.defaults import CROPS_PER_PASS, SERVED_WAIT_MS
from pose_hrnet.system.extras import __version__
from pose_hrnet.visualize.poses import PERSONS, side_colors

log = logging.getLogger(__name__)

WEB = Path(__file__).parents[1] / "web"
"""The page and what belongs to it."""
_MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_GONE = 499
"""What the count of answers calls a client that went away."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ServerSettings:
    """How a server behaves.

    Attributes:
        limits: What may be asked for.
        max_batch: Crops of a forward pass.
        max_wait_ms: Milliseconds that a crop waits for others.
        token: That clients must show; None: none.
        hosts: Names that the server may be called by; None: any.
        save: Folder to keep images and answers in; None: nothing is stored.
    """

    limits: Limits = field(default_factory=Limits)
    max_batch: int = CROPS_PER_PASS
    max_wait_ms: float = SERVED_WAIT_MS
    token: str | None = None
    hosts: Sequence[str] | None = None
    save: Path | None = None


class PoseServer:
    """An application of ASGI that predicts poses.

    Args:
        estimators: One for each device, of the same model; who has a detector finds persons.
        identity: Which model it is.
        settings: How it behaves.

    Attributes:
        app: For uvicorn.
        draining: Whether it was asked to end.
    """

    def __init__(
        self,
        estimators: Sequence[PoseEstimator],
        identity: Identity,
        settings: ServerSettings | None = None,
    ) -> None:
        self.settings = settings or ServerSettings()
        self.identity = identity
        self.draining = False
        self.admission = Admission(self.settings.limits)
        self.metrics = Metrics(self.admission)
        self.pipeline = Pipeline(
            estimators,
            self.admission,
            self.metrics,
            max_batch=self.settings.max_batch,
            max_wait=self.settings.max_wait_ms / 1000,
        )
        self.estimator = estimators[0]
        self.answers = Answers(
            Model(name=identity.name, hash=identity.sha256), self.estimator.skeleton
        )
        save = self.settings.save
        self.archive = None if save is None else Archive(save, self.answers.model)
        self.app: ASGIApp = Guard(
            self._routes(), self.settings.token, self.settings.hosts, self._count
        )

    def drain(self) -> None:
        """Say that no new requests are wanted; those that came are answered."""
        self.draining = True

    def close(self) -> None:
        """End the threads."""
        self.pipeline.close()
        if self.archive is not None:
            self.archive.close()

    def _count(self, status: int) -> None:
        self.metrics.requests.labels(status).inc()

    def _routes(self) -> FastAPI:
        app = FastAPI(
            title="pose_hrnet",
            version=__version__,
            docs_url=None,  # its page is loaded from elsewhere
            redoc_url=None,
            swagger_ui_oauth2_redirect_url=None,
        )
        answer_errors(app)
        app.post(
            "/v1/poses",
            summary="Poses of the persons in images",
            response_model=POSES,
            responses=PICTURE | problems(408, 413, 415, 422, 503),
            openapi_extra=BODY,
        )(self._poses)
        app.get(
            "/v1/model",
            summary="The model, its keypoints, and the limits",
            response_model=dict[str, Any],
            responses=problems(),
        )(self._model)
        for path, summary, tell in (
            ("/healthz", "Whether it can work", self._health),
            ("/readyz", "Whether it takes requests", self._ready),
        ):
            app.get(path, summary=summary, response_model=State, responses=STATES)(tell)
            app.head(path, include_in_schema=False)(tell)
        app.get(
            "/metrics",
            summary="Counters in Prometheus' text format",
            response_class=PlainTextResponse,
            responses=TEXT | problems(),
        )(self._metrics)
        for path, page in _pages().items():
            app.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)(page)
        return app

    async def _poses(self, request: Request, options: Annotated[Options, Query()]) -> Response:
        """Find the persons of one image or several, and their keypoints.

        The body is an image (JPEG, PNG, WebP), or a form with files named image, and at most one
        field boxes.
        """
        began = monotonic()
        try:
            self.admission.check()
            with self.admission.body() as quota:
                uploads = await read_uploads(request, options.boxes, self.admission.limits, quota)
                drawn, count = options.overlay is not None, len(uploads)
                if drawn and count > 1:
                    raise Refused(400, f"overlay is of one image, and {count} came; send one")
                work = self.pipeline.pose(uploads, options.min_score if drawn else None)
                images = await _while_there(request, work)
                if self.archive is not None:
                    await self.archive.add(uploads, images)
                return await run_in_threadpool(self.answers.of, images, options)
        except ClientDisconnect:
            self.metrics.gone.inc()
            return Response(status_code=_GONE)
        finally:
            self.metrics.seconds.observe(monotonic() - began)

    async def _model(self) -> Response:
        skeleton, limits = self.estimator.skeleton, self.settings.limits
        detector = self.estimator.detector
        own = PERSONS[0]
        return json_response({
            "name": self.identity.name,
            "hash": self.identity.sha256,
            "ap": self.identity.score,
            "metric": self.identity.metric,
            "input_wh": self.estimator.model.decoder.codec.input_wh,
            "flip_test": self.estimator.model.decoder.flip_test,
            "skeleton": skeleton.name,
            "keypoints": skeleton.keypoint_names,
            "limbs": skeleton.links,
            "flip_pairs": skeleton.flip_pairs,
            "colors": {
                "keypoints": [c if c != own else None for c in side_colors(skeleton, own)],
                "persons": PERSONS,
            },
            "detector": None if detector is None else detector.summary,
            "detector_threshold": None if detector is None else detector.threshold,
            "limits": {
                "max_body_bytes": limits.max_body_bytes,
                "max_pixels": limits.max_pixels,
                "max_images": limits.max_images,
                "max_persons": limits.max_persons,
                "max_queue": limits.max_queue,
            },
            "saves": self.settings.save is not None,
            "version": __version__,
        })  # fmt: skip

    async def _health(self) -> Response:
        status = self.pipeline.health()
        return json_response({"status": status}, status=200 if status == "ok" else 503)

    async def _ready(self) -> Response:
        full = self.admission.images >= self.settings.limits.max_queue
        status = "draining" if self.draining else "full" if full else "ready"
        return json_response({"status": status}, status=200 if status == "ready" else 503)

    async def _metrics(self) -> Response:
        return Response(self.metrics.text(), media_type=MEDIA_TYPE)


async def _while_there(request: Request, work: Awaitable[Result]) -> Result:
    """What the work gives; if the client goes away before, the work is dropped.

    Raises:
        ClientDisconnect: If it did.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working


async def _left(request: Request) -> None:
    """Wait until the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _pages() -> dict[str, Callable[[], Awaitable[Response]]]:
    """What is answered at each path of the page: files that are read once, here."""
    pages = {}
    for file in sorted(WEB.iterdir()):
        if file.suffix in _MEDIA_TYPES:
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            pages[path] = _page(file.read_bytes(), _MEDIA_TYPES[file.suffix])
    return pages


def _page(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return page


__all__ = ["PoseServer", "ServerSettings"]
