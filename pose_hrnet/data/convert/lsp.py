"""Leeds Sports Pose: ``joints.mat`` (Johnson and Everingham, BMVC 2010; CVPR 2011).

``joints`` is ``(3, 14, N)``, x, y and whether the joint is hidden, in LSP, whose images are
``im0001.jpg`` and so on; in the extended set (LSPET) it is ``(14, 3, N)``, x, y and whether the
joint is labelled at all, of ``im00001.jpg``. Coordinates are taken as they are written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose_hrnet.data.convert.labelled import LabelledImage, LabelledSet, Person
from pose_hrnet.data.formats.mat import read_matrices
from pose_hrnet.data.formats.rows import LARGEST

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip
"""In the order of the file."""
LIMBS = (
    (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 12), (12, 9), (9, 10), (10, 11),
    (12, 13), (2, 8), (3, 9),
)  # fmt: skip
FLIP_PAIRS = ((5, 0), (4, 1), (3, 2), (11, 6), (10, 7), (9, 8))


def read_lsp(path: Path) -> LabelledSet:
    """One person an image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not LSP's.
    """
    expected = "LSP's joints.mat, which has joints (3, 14, N) or (14, 3, N)"
    joints = read_matrices(path, ["joints"], expected)["joints"]
    extended = joints.shape[:2] == (14, 3)
    if joints.ndim != 3 or not (extended or joints.shape[:2] == (3, 14)):
        raise ValueError(
            f"{path}: joints has the shape {joints.shape}; expected (3, 14, N) as LSP has it, or "
            "(14, 3, N) as LSPET"
        )
    triples = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
    flags = triples[..., 2]
    if not ((np.abs(triples) <= LARGEST).all() and np.isin(flags, (0, 1)).all()):
        raise ValueError(
            f"{path}: joints has numbers that are not of a size as images have, or flags beside 0 "
            "and 1"
        )
    visibility = 2 * flags if extended else 2 - flags
    keypoints = np.concatenate([triples[..., :2], visibility[..., None]], axis=2)
    keypoints[visibility == 0] = 0
    digits = 5 if extended else 4
    images = tuple(
        LabelledImage(f"im{number:0{digits}d}.jpg", (Person(each),))
        for number, each in enumerate(keypoints, start=1)
    )
    return LabelledSet("annotations", JOINTS, images, ("person",), LIMBS, FLIP_PAIRS)
