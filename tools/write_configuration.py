"""Writes docs/configuration.md from the docstrings of the settings: `make docs`."""

from __future__ import annotations

from pathlib import Path

from pose_hrnet.config.reference import configuration_page

PAGE = Path(__file__).resolve().parents[1] / "docs/configuration.md"

if __name__ == "__main__":
    PAGE.write_text(configuration_page(), encoding="utf-8")
