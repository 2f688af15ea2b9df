"""A prediction by an HRNet imports little more than torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pose_hrnet.models.weights.load import save_model
from tests.helpers.networks import card_of, tiny

PREDICT = """
import sys
import numpy as np
import pose_hrnet.evaluation.evaluate
from pose_hrnet import PoseEstimator, load_model

estimator = PoseEstimator(load_model(sys.argv[1], device="cpu", backend="eager"))
image = np.zeros((64, 48, 3), np.uint8)
assert len(estimator(image, boxes_xyxy=[[4, 4, 40, 60]])) == 1
print(*sorted({name.partition(".")[0] for name in sys.modules}), sep="\\n")
print("torch._dynamo" in sys.modules)
"""


def test_a_prediction_by_an_hrnet_does_without_torchvision(tmp_path: Path) -> None:
    model = tiny()
    save_model(tmp_path / "tiny.safetensors", model.state_dict(), card_of(model))
    child = [sys.executable, "-c", PREDICT, str(tmp_path / "tiny.safetensors")]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    *imported, dynamo = done.stdout.split()
    assert {"torch", "pose_hrnet"} <= set(imported)
    assert not {"torchvision", "matplotlib", "typer"} & set(imported)
    # Which torchvision imports, and which only compiling and exporting need.
    assert dynamo == "False"
