"""Reads matrices of numbers from Matlab's files, which others fill with anything."""

from __future__ import annotations

import math
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import loadmat, whosmat

from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.text import one_line

MOST_NUMBERS = 10_000_000
"""In a matrix; before it is unpacked: a few kilobytes can hold one of any size."""
_NO_NUMBERS = ("cell", "struct", "object", "function", "opaque", "char", "sparse", "unknown")


def read_matrices(path: Path, names: Iterable[str], expected: str) -> dict[str, Float64]:
    """Matrices of a ``.mat``, in the shapes that they have there.

    Args:
        path: The file.
        names: Whose.
        expected: What the file should be, as the end of "... is not".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lacks one of them, or holds something else under its name.
    """
    wanted, data = list(names), read_input(path)
    try:
        held = {name: (shape, kind) for name, shape, kind in whosmat(BytesIO(data))}
        for name in wanted:
            shape, kind = held[name]
            if math.prod(shape) > MOST_NUMBERS or kind in _NO_NUMBERS:
                raise ValueError(f"{name} is of type {kind}, {shape}")
        content = loadmat(BytesIO(data), variable_names=wanted)
        return {name: np.asarray(content[name], np.float64) for name in wanted}
    except Exception as error:  # of a damaged file, loadmat raises whatever it stumbles over
        told = one_line(f"{type(error).__name__}: {error}")
        raise ValueError(f"{path} is not {expected} ({told})") from None


__all__ = ["MOST_NUMBERS", "read_matrices"]
