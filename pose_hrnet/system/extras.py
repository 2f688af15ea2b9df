"""What is installed: this package and others; optional ones, or what installs them."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """Import a package that only some installations have.

    Raises:
        ValueError: If it is missing, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{module} cannot be imported ({error}), which is needed here; "
            f"install it with: pip install 'pose-hrnet[{extra}]'"
        ) from None


def installed_version(package: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


__version__ = installed_version("pose-hrnet") or "0+source"
"""Of this package; the latter in a source tree that is not installed."""
