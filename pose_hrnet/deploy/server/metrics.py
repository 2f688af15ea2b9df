"""What a server tells of itself, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pose_hrnet.deploy.server.batcher import Lane
from pose_hrnet.deploy.server.limits import Admission

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, in a registry of its own.

    Args:
        admission: Whose images and bytes are told.
    """

    def __init__(self, admission: Admission) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "pose_requests", "Requests answered.", ["status"], registry=registry
        )
        self.seconds = Histogram(
            "pose_request_seconds",
            "Seconds from the head of a request for poses to its answer.",
            registry=registry,
            buckets=_SECONDS,
        )
        self.images = Counter("pose_images", "Images predicted.", registry=registry)
        self.refused_images = Counter(
            "pose_images_refused", "Images with an error.", registry=registry
        )
        self.persons = Counter("pose_persons", "Persons predicted.", registry=registry)
        self._batches = Histogram(
            "pose_batch_size",
            "Crops, or images of the detector, in a pass.",
            ["lane"],
            registry=registry,
            buckets=_SIZES,
        )
        self._busy = Counter(
            "pose_busy_seconds", "Seconds of the device's threads.", ["lane"], registry=registry
        )
        gone = "Requests whose clients went away before their answer."
        self.gone = Counter("pose_clients_gone", gone, registry=registry)
        waiting = Gauge("pose_images_waiting", "Images not answered yet.", registry=registry)
        waiting.set_function(lambda: admission.images)
        bodies = Gauge("pose_body_bytes", "Bodies in memory.", registry=registry)
        bodies.set_function(lambda: admission.body_bytes)
        pixels = Gauge("pose_pixel_bytes", "Memory of decoded images.", registry=registry)
        pixels.set_function(lambda: admission.pixels.taken)

    def batch(self, lane: Lane, count: int, seconds: float) -> None:
        """Note a batch of a lane."""
        self._batches.labels(lane.name).observe(count)
        self._busy.labels(lane.name).inc(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


__all__ = ["MEDIA_TYPE", "Metrics"]
