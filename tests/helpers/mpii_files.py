"""Small MPII files that the tests write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

JOINTS = np.stack([np.arange(16) * 5.0 + 10, np.arange(16) * 3.0 + 20], axis=1)
"""Of every person, in pixels from 1."""


def row(image: str = "a.png", **changes: Any) -> dict[str, Any]:
    """A person of 0.5 scales, 100 pixels; a change to None takes the field away."""
    person = {
        "image": image,
        "center": [50.0, 60.0],
        "scale": 0.5,
        "joints": JOINTS.tolist(),
        "joints_vis": [1] * 16,
        "head_box": [10, 10, 40, 50],  # diagonal 50, so the head's size is 30
    } | changes
    return {key: value for key, value in person.items() if value is not None}


def write(path: Path, *rows: Any) -> Path:
    path.write_text(json.dumps(list(rows)))
    return path


def write_mat(path: Path, joints: Any, missing: Any, diagonals: Any) -> Path:
    """A ``gt_valid.mat``: joints (N, 16, 2) from 1, missing (N, 16), head box diagonals (N,)."""
    count = len(joints)
    boxes = np.zeros((2, 2, count))
    boxes[0] = 7
    boxes[1, 0], boxes[1, 1] = 7 + 0.6 * np.array(diagonals), 7 + 0.8 * np.array(diagonals)
    content = {
        "pos_gt_src": np.asarray(joints, float).transpose(1, 2, 0),
        "jnt_missing": np.asarray(missing).T,
        "headboxes_src": boxes,
    }
    savemat(path, content)
    return path
