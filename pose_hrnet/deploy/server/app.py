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
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from pose_hrnet.deploy.server import metrics as told
from pose_hrnet.deploy.server.answers import Answer, Answers, Model, Options, Problem, problem
from pose_hrnet.deploy.server.bodies import IMAGE_TYPES, MULTIPART, Upload, discard, read_uploads
from pose_hrnet.deploy.server.guard import Guard
from pose_hrnet.deploy.server.limits import House, Limits, Refused
from pose_hrnet.deploy.server.metrics import Metrics
from pose_hrnet.deploy.server.pipeline import Pipeline, Posed
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.models.weights.identity import Identity
from pose_hrnet.system.defaults import CROPS_PER_PASS, SERVED_WAIT_MS
from pose_hrnet.system.extras import __version__
from pose_hrnet.system.files import encode_json
from pose_hrnet.visualize.poses import PERSONS, side_colors

log = logging.getLogger(__name__)

WEB = Path(__file__).parents[1] / "web"
"""The page and what belongs to it."""
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
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
        keep: Is given what came and what was answered, for `--save`; None: nothing is stored.
    """

    limits: Limits = field(default_factory=Limits)
    max_batch: int = CROPS_PER_PASS
    max_wait_ms: float = SERVED_WAIT_MS
    token: str | None = None
    hosts: Sequence[str] | None = None
    keep: Callable[[Sequence[Upload], Sequence[Posed]], None] | None = None


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
        self.house = House(self.settings.limits)
        self.metrics = Metrics(self.house)
        self.pipeline = Pipeline(
            estimators,
            self.house,
            self.metrics,
            max_batch=self.settings.max_batch,
            max_wait=self.settings.max_wait_ms / 1000,
        )
        self.estimator = estimators[0]
        self.answers = Answers(
            Model(name=identity.name, hash=identity.sha256), self.estimator.skeleton
        )
        self.app: ASGIApp = Guard(
            self._routes(), self.settings.token, self.settings.hosts, self._count
        )

    def drain(self) -> None:
        """Say that no new requests are wanted; those that came are answered."""
        self.draining = True

    def close(self) -> None:
        """End the threads."""
        self.pipeline.close()

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
        app.add_exception_handler(Refused, _refused)
        app.add_exception_handler(HTTPException, _http_error)
        app.add_exception_handler(RequestValidationError, _bad_query)
        app.add_exception_handler(Exception, _broken)
        app.post(
            "/v1/poses",
            summary="Poses of the persons in images",
            response_model=Answer,
            responses=_PROBLEMS,
            openapi_extra=_BODY,
        )(self._poses)
        app.get("/v1/model", summary="The model, its keypoints, and the limits")(self._model)
        app.get("/healthz", summary="Whether it runs")(self._health)
        app.get("/readyz", summary="Whether it takes requests")(self._ready)
        app.get("/metrics", summary="Counters in Prometheus' text format")(self._metrics)
        for path, page in _pages().items():
            app.get(path, include_in_schema=False)(page)
        return app

    async def _poses(self, request: Request, options: Annotated[Options, Query()]) -> Response:
        """Find the persons of one image or several, and their keypoints.

        The body is an image (JPEG, PNG, WebP), or a form with files named image, and at most one
        field boxes.
        """
        began = monotonic()
        try:
            self.house.check_room()
            with self.house.holding() as held:
                uploads = await read_uploads(request, options.boxes, self.house.limits, held)
                images = await _while_there(request, self.pipeline.pose(uploads, held))
                if self.settings.keep is not None:
                    await self.pipeline.decoders.run(self.settings.keep, uploads, images)
                if options.overlay is None:
                    return self.answers.of(images, options)
                return await self.pipeline.decoders.run(self.answers.of, images, options)
        except ClientDisconnect:
            self.metrics.gone.inc()
            return Response(status_code=_GONE)
        finally:
            self.metrics.seconds.observe(monotonic() - began)

    async def _model(self) -> Response:
        skeleton, limits = self.estimator.skeleton, self.settings.limits
        detector = self.estimator.detector
        own = PERSONS[0]
        return _json({
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
            "version": __version__,
        })  # fmt: skip

    async def _health(self) -> Response:
        alive = not self.pipeline.decoders.all_stuck
        return _json({"status": "ok" if alive else "stuck"}, 200 if alive else 503)

    async def _ready(self) -> Response:
        full = self.house.images >= self.settings.limits.max_queue
        status = "draining" if self.draining else "full" if full else "ready"
        return _json({"status": status}, 200 if status == "ready" else 503)

    async def _metrics(self) -> Response:
        return Response(self.metrics.text(), media_type=told.MEDIA_TYPE)


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        403: "A page of another site asks.",
        408: "The body came too slowly.",
        413: "The body or its image is too large.",
        415: "The body is no image that is taken.",
        421: "The server is not called so.",
        422: "The image is damaged, or an option is not one.",
        503: "Too much waits already; Retry-After says when to try again.",
    }.items()
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES},
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        },
                        "boxes": {
                            "type": "string",
                            "description": "JSON: for each image a list of "
                            "[left, top, right, bottom], or null.",
                        },
                    },
                }
            },
        },
    }
}


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


def _json(content: Any, status: int = 200) -> Response:
    return Response(encode_json(content), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if error.unread:
        await discard(request.receive, request.headers, 10**8)
    return problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "this method is not taken here"}
    said = words.get(error.status_code, "the request cannot be read")
    response = problem(Refused(error.status_code, said))
    response.headers.update(error.headers or {})
    return response


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(Refused(422, f"option {where[:60]!r}: {first['msg'][:200]}"))


async def _broken(request: Request, error: Exception) -> Response:
    return problem(Refused(500, "something is wrong here; the server's log says what"))


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
