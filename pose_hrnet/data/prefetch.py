"""The next batch travels to a GPU while the present one is learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from pose_hrnet.data.crops import Crop


def on_device(batches: Iterable[Crop], device: torch.device) -> Iterator[Crop]:
    """Batches whose pixels and keypoints lie on the device; the other columns stay on the host.

    On CUDA each batch is copied one ahead of its use, on a stream of its own, from the
    page-locked memory that `crop_loader` gives with ``pin_memory``. Pixels travel as uint8, a
    quarter of their size in float32. Elsewhere the batches pass through.

    Args:
        batches: From a loader.
        device: Where the network is.
    """
    if device.type != "cuda":
        yield from batches
        return
    # PyTorch has not typed it.
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: tuple[Crop, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            sent = _sent(batch, device)
            # An event for each batch: to wait for the stream would be to wait for the next one.
            event = copies.record_event()
        if ahead is not None:
            yield _arrived(*ahead)
        ahead = sent, event
    if ahead is not None:
        yield _arrived(*ahead)


def _sent(batch: Crop, device: torch.device) -> Crop:
    """The batch, with copies under way."""
    return batch._replace(
        pixels=batch.pixels.to(device, non_blocking=True),
        keypoints_input=batch.keypoints_input.to(device, non_blocking=True),
        visible=batch.visible.to(device, non_blocking=True),
    )


def _arrived(batch: Crop, event: torch.cuda.Event) -> Crop:
    """Let the work that is queued from now on, but not this process, wait for the copies."""
    current = torch.cuda.current_stream(batch.pixels.device)
    current.wait_event(event)
    for copy in (batch.pixels, batch.keypoints_input, batch.visible):
        copy.record_stream(current)  # its memory was taken for the other stream
    return batch
