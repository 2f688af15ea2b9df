"""Top-down human pose estimation with HRNet: crop, regress heatmaps, decode, score by OKS.

Twelve rooms, each of which imports only rooms before it: `system`, `keypoints`, `config` and
`visualize`, `data` and `models`, `inference`, `evaluation`, `training`, `deploy`, `benchmark`,
`cli`.

The public names are imported when they are first used, so that ``import pose_hrnet`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_hrnet.config.files import load_config
    from pose_hrnet.inference.estimator import PoseEstimator
    from pose_hrnet.inference.load import load_model
    from pose_hrnet.keypoints.records import People, Poses
    from pose_hrnet.keypoints.skeleton import COCO17
    from pose_hrnet.models.hrnet import HRNet

try:
    __version__ = version("pose-hrnet")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+source"

_HOME = {
    "COCO17": "pose_hrnet.keypoints.skeleton",
    "HRNet": "pose_hrnet.models.hrnet",
    "People": "pose_hrnet.keypoints.records",
    "PoseEstimator": "pose_hrnet.inference.estimator",
    "Poses": "pose_hrnet.keypoints.records",
    "load_config": "pose_hrnet.config.files",
    "load_model": "pose_hrnet.inference.load",
}

__all__ = [
    "COCO17",
    "HRNet",
    "People",
    "PoseEstimator",
    "Poses",
    "__version__",
    "load_config",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pose_hrnet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
