"""What a run was made with: version, commit, machine; ``origin.json`` in its folder."""

from __future__ import annotations

import logging
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from pose_hrnet.system.extras import __version__
from pose_hrnet.system.files import write_json
from pose_hrnet.system.folders import move_aside
from pose_hrnet.system.inputs import values_beside

log = logging.getLogger(__name__)

ORIGIN = "origin.json"
_PACKAGE = Path(__file__).resolve().parents[1]
_PATIENCE = 5.0  # seconds for git, which may wait for a disk


def origin(device: str) -> dict[str, Any]:
    """Facts about this moment, plain values.

    Args:
        device: Where the run runs.
    """
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": commit_of(_PACKAGE),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": device,
    }


def commit_of(folder: Path) -> str | None:
    """The commit of the checkout that a folder's files belong to, with ``-dirty`` if changed.

    None for files that git does not keep, such as those of an installed package, and without git.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """The first line that git says; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else None


def add_origin(folder: Path, device: str) -> None:
    """Append the facts to those of the earlier parts of the run; a damaged file is moved aside."""
    path = folder / ORIGIN
    if path.exists() and not isinstance(values_beside(path), list):
        log.warning("%s is damaged, and moved to %s", path, move_aside(path))
    write_json(folder / ORIGIN, [*read_origin(folder), origin(device)])


def read_origin(folder: Path) -> list[dict[str, Any]]:
    """The facts of each part of a run, the first one first; empty for runs of earlier versions."""
    parts = values_beside(folder / ORIGIN)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
