"""``pose-hrnet serve``: poses over HTTP."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli.console import end_incomplete, one_sentence_errors, say
from pose_hrnet.cli.models import (
    DetectorOption,
    DetectorThreshold,
    checkpoint_meant,
    detector_meant,
    loaded_estimator,
)
from pose_hrnet.cli.options import (
    BackendOption,
    Calibrated,
    Card,
    CheckpointToPredict,
    FlipTest,
    Offline,
    PrecisionOption,
    folder_to_write,
)
from pose_hrnet.system.defaults import (
    CROPS_PER_PASS,
    SERVED_AT,
    SERVED_BODY_MB,
    SERVED_IMAGES,
    SERVED_MEGAPIXELS,
    SERVED_PORT,
    SERVED_QUEUE,
    SERVED_WAIT_MS,
)
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)

WAYS = (
    "the two ways on are --detector CARD (docs/detection.md), and --whole-image, which takes each "
    "image that comes without boxes for one person"
)


@one_sentence_errors
def serve(
    checkpoint: CheckpointToPredict = None,
    detector: DetectorOption = None,
    detector_threshold: DetectorThreshold = None,
    whole_image: Annotated[
        bool,
        typer.Option("--whole-image", help="Take images that come without boxes for one person."),
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0: all of this machine.")
    ] = SERVED_AT,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0: any that is free.")
    ] = SERVED_PORT,
    server_name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name that clients call the server by, where a proxy stands before it; may be "
            "repeated. Other names are then refused, as they are where this machine alone is "
            "served.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="POSE_HRNET_TOKEN",
            show_envvar=True,
            help="Asked of clients, as Authorization: Bearer TOKEN; others see what a command "
            "line says, but not the environment.",
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Crops per forward pass, of all requests.")
    ] = CROPS_PER_PASS,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="That a crop waits for others.")
    ] = SERVED_WAIT_MS,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Images that may wait; beyond them the answer is 503.")
    ] = SERVED_QUEUE,
    max_body_mb: Annotated[
        int, typer.Option(min=1, max=900, help="Of a request.")
    ] = SERVED_BODY_MB,
    max_megapixels: Annotated[
        int, typer.Option(min=1, max=170, help="Of an image.")
    ] = SERVED_MEGAPIXELS,
    max_images: Annotated[
        int, typer.Option(min=1, max=1000, help="Of a request, and no more than may wait.")
    ] = SERVED_IMAGES,
    save: Annotated[
        Path | None,
        typer.Option(
            parser=folder_to_write,
            metavar="PATH",
            help="Folder to keep images and answers in; without it nothing is stored.",
        ),
    ] = None,
    flip_test: FlipTest = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps; several with commas between.")
    ] = "auto",
    precision: PrecisionOption = None,
    card: Card = None,
    calibrated: Calibrated = False,
    backend: BackendOption = "auto",
    offline: Offline = False,
) -> None:
    """Serve poses over HTTP, with a page for browsers: POST an image to /v1/poses.

    Crops of all requests are predicted together. Ends by Ctrl-C or SIGTERM, once what has come is
    answered; by a second one at once. docs/serving.md says what is asked and answered.

    Example: `pose-hrnet serve --port 8000`, then `curl --data-binary @photo.jpg
    -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/v1/poses`
    """
    from pose_hrnet.system.extras import import_extra

    for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        import_extra(package, "serve")
    from pose_hrnet.deploy.server.app import PoseServer, ServerSettings
    from pose_hrnet.deploy.server.connection import listen, run
    from pose_hrnet.deploy.server.guard import LOOPBACK
    from pose_hrnet.deploy.server.limits import Limits
    from pose_hrnet.inference.options import ModelOptions
    from pose_hrnet.models.weights.identity import identity_of

    named = checkpoint_meant(checkpoint)
    found_by = detector_meant(None, detector, detector_threshold, whole_image=whole_image)
    _check_token(token)
    names = [name.lower() for name in server_name or ()]
    settings = ServerSettings(
        Limits(
            max_body_bytes=max_body_mb * 10**6,
            max_pixels=max_megapixels * 10**6,
            max_images=min(max_images, max_queue),
            max_queue=max_queue,
        ),
        max_batch=max_batch,
        max_wait_ms=max_wait_ms,
        token=token,
        hosts=(*LOOPBACK, *names) if names or host in LOOPBACK else None,
        save=save,
    )
    with listen(host, port) as listener:
        if host not in LOOPBACK and token is None:
            log.warning(
                "whoever reaches %s may send images, because there is no --token; give one, or "
                "leave --host out to serve this machine alone",
                host,
            )
        estimators = [
            loaded_estimator(
                ModelOptions(
                    named, found_by, detector_threshold, backend, precision or "auto",
                    each, flip_test, card, calibrated, max_batch,
                ),
                ways=WAYS,
            )
            for each in _devices(device)
        ]  # fmt: skip
        server = PoseServer(estimators, identity_of(named), settings)
        name = f"[{host}]" if ":" in host else host
        say(f"listening at http://{name}:{listener.getsockname()[1]}")
        try:
            unanswered = run(server.app, listener, server.drain)
        finally:
            server.close()
    if unanswered:
        say(f"ended; {counted(unanswered, 'request')} had come and had no answer")
    else:
        say("ended; what had come is answered")
    end_incomplete(unanswered)


def _devices(text: str) -> list[str]:
    """Those of ``--device``."""
    devices = [part.strip() for part in text.split(",") if part.strip()]
    if not devices or len(set(devices)) < len(devices):
        raise ValueError(f"--device is {text!r}; name each device once, as in cuda:0,cuda:1")
    return devices


def _check_token(token: str | None) -> None:
    """Refuse a token that no header can hold, or that is none."""
    if token is not None and not re.fullmatch(r"[!-~]{8,}", token):
        raise ValueError(
            "--token must be at least 8 characters of ASCII without spaces, as of "
            "openssl rand -hex 32"
        )
