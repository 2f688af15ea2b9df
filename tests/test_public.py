"""The public names, and what importing them costs: in modules, since seconds depend on the day."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pose_hrnet

NAMES = {
    "load_model", "PoseModel", "PoseEstimator",
    "evaluate", "compare_settings", "score_file", "DataSet",
    "train", "Config", "load_config",
    "export_model",
    "HRNet", "HeatmapCodec", "Skeleton", "COCO17", "MPII16",
    "People", "Poses", "draw_poses",
    "__version__",
}  # fmt: skip
HEAVY = {
    "torch", "torchvision", "torch._dynamo", "cv2", "numpy", "pydantic", "matplotlib", "scipy",
}  # fmt: skip


def test_nineteen_names_and_the_version():
    assert set(pose_hrnet.__all__) == set(dir(pose_hrnet)) == NAMES
    assert all(getattr(pose_hrnet, name) is not None for name in NAMES)
    assert pose_hrnet.__version__[0].isdecimal()
    with pytest.raises(AttributeError, match="nonsense"):
        pose_hrnet.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import pose_hrnet", set()),
        ("from pose_hrnet import __version__", set()),
        ("import pose_hrnet.cli.app", set()),
        ("from pose_hrnet import Skeleton, Poses", {"numpy"}),
        ("from pose_hrnet import load_config", {"numpy", "pydantic"}),
        ("from pose_hrnet import HRNet", {"torch", "numpy"}),
        ("from pose_hrnet import PoseEstimator", {"torch", "numpy", "cv2", "pydantic"}),
    ],
)
def test_an_import_brings_in_only_what_it_needs(statement, allowed):
    """No torchvision to predict, for one: it brings in the compiler of torch, as long and as large
    as torch itself."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) <= allowed
