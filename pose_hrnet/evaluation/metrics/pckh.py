"""PCKh, the metric of MPII (Andriluka et al., CVPR 2014), as the official HRNet code computes it.

A joint is correct if its error is at most half the head's size, which is 0.6 times the diagonal of
the head box. Pelvis and thorax count in no mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.data.formats.mat import read_matrices
from pose_hrnet.data.formats.mpii import FIRST_PIXEL, MpiiFile
from pose_hrnet.evaluation.metrics.pck import keypoint_errors, share
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.keypoints.records import Float64, Poses
from pose_hrnet.keypoints.skeleton import MPII16
from pose_hrnet.system.text import counted

HEAD_SIZE_FACTOR = 0.6
"""Official ``SC_BIAS``: head size over the diagonal of the head box."""
PARTS: dict[str, tuple[str, ...]] = {
    "Head": ("head_top",),
    "Shoulder": ("left_shoulder", "right_shoulder"),
    "Elbow": ("left_elbow", "right_elbow"),
    "Wrist": ("left_wrist", "right_wrist"),
    "Hip": ("left_hip", "right_hip"),
    "Knee": ("left_knee", "right_knee"),
    "Ankle": ("left_ankle", "right_ankle"),
}
"""Columns of the official table."""
LEFT_OUT = ("pelvis", "thorax")
"""Joints that count in no mean."""


@dataclass(frozen=True, eq=False)
class MpiiTruth:
    """What PCKh compares with; rows are those of the annotation file.

    Attributes:
        joints: ``(N, 16, 2)`` float64 image pixels from 0.
        labelled: ``(N, 16)`` bool.
        head_sizes: ``(N,)`` float64 pixels; 0 where unknown: such a person is not scored.
    """

    joints: Float64
    labelled: NDArray[np.bool_]
    head_sizes: Float64

    @classmethod
    def of(cls, file: MpiiFile, head_sizes: Path | None = None) -> MpiiTruth:
        """Joints and head sizes of a file's persons.

        Args:
            file: The MPII file that is predicted.
            head_sizes: The official ``gt_valid.mat``, whose joints and visibility are then the
                truth, too. None: the file's own joints and ``head_box``.

        Raises:
            FileNotFoundError: If there is no such ``gt_valid.mat``.
            ValueError: If it is malformed or of another length, or no head has a size.
        """
        return _read_mat(head_sizes, file) if head_sizes else _own_truth(file)


def score_mpii(truth: MpiiTruth, poses: Poses, rows: ArrayLike) -> Scores:
    """Score the poses of an MPII file's persons.

    Args:
        truth: Of that file.
        poses: One pose for each of the `rows`, 16 joints in image pixels from 0.
        rows: ``(N,)`` row of the file that each pose is of; persons without a pose count as wrong.

    Returns:
        ``PCKh`` (official ``Mean``), the `PARTS`, ``PCKh@0.1``, and ``Mean@0.1`` as the official
        code prints it, whose threshold is in fact 0.11; PCKh@0.5 and @0.1 of each of the 16
        joints. Counts are ``persons`` and ``labelled_joints`` scored, and ``not_predicted``
        persons among them.
    """
    found = np.full(truth.joints.shape, np.nan)
    found[np.asarray(rows, np.intp)] = poses.keypoints_image
    scored = truth.head_sizes > 0
    errors = keypoint_errors(found, truth.joints, truth.labelled & scored[:, None])
    errors /= np.where(scored, truth.head_sizes, 1)[:, None]
    without = int((truth.labelled.any(axis=1) & ~scored).sum())
    notes = [f"{counted(without, 'person')} without a head size, not scored"] if without else []
    predicted = np.isin(np.flatnonzero(scored), np.asarray(rows))
    counts = {
        "persons": int(scored.sum()),
        "labelled_joints": int((~np.isnan(errors)).sum()),
        "not_predicted": int((~predicted).sum()),
    }
    return Scores(_summarise(errors), counts, tuple(notes), per_joint=_per_joint(errors))


def _summarise(errors: Float64) -> dict[str, float]:
    """The official table from ``(N, 16)`` errors in head sizes, NaN where not labelled."""
    names = MPII16.keypoint_names
    half = _pckh(errors, 0.5)
    parts = {
        part: float(np.mean([half[names.index(joint)] for joint in joints]))
        for part, joints in PARTS.items()
    }
    means = {
        "PCKh": _mean(errors, 0.5), "PCKh@0.1": _mean(errors, 0.1), "Mean@0.1": _mean(errors, 0.11)
    }  # fmt: skip
    values = {"PCKh": means["PCKh"], **parts, **means}
    return {name: -1.0 if np.isnan(value) else value for name, value in values.items()}


def _per_joint(errors: Float64) -> dict[str, dict[str, float]]:
    half, tenth = (np.nan_to_num(_pckh(errors, limit), nan=-1.0) for limit in (0.5, 0.1))
    return {
        name: {"PCKh@0.5": float(half[k]), "PCKh@0.1": float(tenth[k])}
        for k, name in enumerate(MPII16.keypoint_names)
    }


def _pckh(errors: Float64, threshold: float) -> Float64:
    return share(errors <= threshold, ~np.isnan(errors))


def _mean(errors: Float64, threshold: float) -> float:
    """Weighted by how often each joint is labelled, that is, over all labelled joints."""
    kept = [k for k, name in enumerate(MPII16.keypoint_names) if name not in LEFT_OUT]
    errors = errors[:, kept].reshape(-1, 1)
    return float(_pckh(errors, threshold)[0])


def _own_truth(file: MpiiFile) -> MpiiTruth:
    shape = (file.rows, MPII16.num_keypoints)
    joints, labelled = np.zeros((*shape, 2)), np.zeros(shape, np.bool_)
    sizes = np.zeros(file.rows)
    place = file.people.ids.astype(np.intp)
    joints[place] = file.people.keypoints_image
    labelled[place] = file.people.visibility > 0
    heads = file.head_boxes
    diagonals = np.hypot(heads[:, 2] - heads[:, 0], heads[:, 3] - heads[:, 1])
    sizes[place] = HEAD_SIZE_FACTOR * np.nan_to_num(diagonals)
    if not (sizes > 0).any():
        raise ValueError(
            f"{file} has no head_box, and PCKh is measured in head sizes; give the official "
            "gt_valid.mat as head_sizes, or a head_box [x1, y1, x2, y2] for each person"
        )
    return MpiiTruth(joints, labelled, sizes)


def _read_mat(path: Path, file: MpiiFile) -> MpiiTruth:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the path of MPII's gt_valid.mat")
    found = _load_mat(path)
    persons = found["pos_gt_src"].shape[-1]
    if persons != file.rows:
        raise ValueError(
            f"{path} has {counted(persons, 'person')}, but the annotations have "
            f"{counted(file.rows, 'row')}; "
            "give the ground truth of the same rows"
        )
    joints = found["pos_gt_src"].transpose(2, 0, 1)
    missing = found["jnt_missing"].T > 0
    corners = found["headboxes_src"]
    sizes = HEAD_SIZE_FACTOR * np.linalg.norm(corners[1] - corners[0], axis=0)
    return MpiiTruth(joints - FIRST_PIXEL, ~missing, sizes)


def _load_mat(path: Path) -> dict[str, Float64]:
    """The arrays of a ``gt_valid.mat``, in their shapes."""
    count = MPII16.num_keypoints
    shapes = {"pos_gt_src": (count, 2), "jnt_missing": (count,), "headboxes_src": (2, 2)}
    wanted = ", ".join(f"{name} {(*shape, 'N')}" for name, shape in shapes.items())
    wanted = wanted.replace("'", "")
    found = read_matrices(path, shapes, f"MPII's gt_valid.mat, with {wanted}")
    persons = found["pos_gt_src"].shape[-1:]
    for name, shape in shapes.items():
        if found[name].shape != (*shape, *persons):
            raise ValueError(
                f"{path} is not MPII's gt_valid.mat: {name} has the shape {found[name].shape}; "
                f"expected {wanted}"
            )
    return found


__all__ = ["MpiiTruth", "score_mpii"]
