"""Defaults that functions and the options of commands share, each written once.

A help text shows them without importing what works with them, and torch with it. Imports nothing
but the choices. Defaults of a run's settings stand in `pose_hrnet.config`.
"""

from __future__ import annotations

from typing import get_args

from pose_hrnet.system.choices import Backend, Precision


class ListedName(str):
    """A name of the list of weights that we chose, because none was given.

    A name that a user gives is a file first, if there is one of that name in the current folder;
    this one never is (`pose_hrnet.models.weights.fetch.entry_meant`).
    """

    __slots__ = ()


CROPS_PER_PASS = 32
"""Crops per forward pass of a prediction."""
LOWEST_SCORE = 0.2
"""Keypoints of this score and above are drawn, and are labels for other programs."""
DETECTOR = ListedName("yolox_s")
"""The detector that is taken where none is named."""
PICTURES = 0.4
"""Lowest score of a detector's box for pictures."""
SCORING = 0.02
"""Lowest score of a detector's box where AP is scored, which counts what is unsure, too."""

PREVIEW_CROPS = 12
"""Crops in a preview of training."""
DETAIL = 1.0
"""Largest resolution that shards store, in that of the network input."""
QUALITY = 90
"""Of the JPEGs in shards."""
PERSONS_PER_SHARD = 1000
"""At most."""

IMAGES_PER_FILE = 1000
"""Of `bulk`: images whose rows are in one file."""
IMAGES_PER_TASK = 64
"""Likewise, images that are read, and go to a device, at once."""

MAX_DIFFERENCE = 0.1
"""Input pixels by which a keypoint of an export may differ from the checkpoint's."""
MAX_DROP = 0.002
"""AP, or PCKh, that an INT8 export may lose."""
CALIBRATION_CROPS = 300
"""Crops that set the ranges of an INT8 export."""

BENCHMARK_RECIPE = "coco_w32_256x192"
"""Whose network and input size are measured."""
BACKENDS: tuple[Backend, ...] = tuple(name for name in get_args(Backend) if name != "auto")
"""Measured side by side."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
"""Measured side by side."""
BATCHES = (1, 8, 32)
"""Crops per call, measured one after the other."""
LOADER_PROCESSES = (0, 1, 2, 4)
"""Measured one after the other."""
MADE_UP_POSES = 100_000
"""To measure the evaluation on."""
CLIENTS = 32
"""That ask a server at once."""
ROUNDS = 7
"""Turns of each variant."""

SERVED_AT = "127.0.0.1"
"""Address that a server listens at: this machine alone reaches it."""
SERVED_PORT = 8000
SERVED_WAIT_MS = 5.0
"""Milliseconds that a crop waits for others to share its batch."""
SERVED_BODY_MB = 32
"""Of a request."""
SERVED_MEGAPIXELS = 50
"""Of an image."""
SERVED_IMAGES = 16
"""Of a request."""
SERVED_QUEUE = 256
"""Images that may be in a server at once."""

DEFAULT_WEIGHTS = ListedName("default")
"""Those inside the package, which are taken where none are named."""

MOST_WORKERS = 1024
"""Processes or threads that can be asked for."""
MOST_CROPS = 65_536
"""Of a batch."""
