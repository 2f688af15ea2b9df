"""The one number of each metric by which checkpoints are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAIN_NUMBERS = ("AP", "PCKh")
"""Of COCO and CrowdPose, and of MPII."""


def main_number(values: Mapping[str, Any]) -> str | None:
    """Name of the number that says how good a model is; None if there is none among the values."""
    return next((name for name in MAIN_NUMBERS if name in values), None)
