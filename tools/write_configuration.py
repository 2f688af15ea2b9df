"""Write docs/configuration.md from the docstrings of the settings: `make docs`."""

from __future__ import annotations

from pathlib import Path

import typer

from pose_hrnet.config.reference import configuration_page

PAGE = Path(__file__).resolve().parents[1] / "docs/configuration.md"


def main() -> None:
    """Write docs/configuration.md from the docstrings of the settings."""
    PAGE.write_text(configuration_page(), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
