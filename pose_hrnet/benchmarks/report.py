"""Measurements as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pose_hrnet
from pose_hrnet.benchmarks.timing import Comparison, Row
from pose_hrnet.data.coco import write_json
from pose_hrnet.files import write_text
from pose_hrnet.machine import describe

REPORT_FORMAT = 1
"""Version of the JSON layout."""

LEGEND = (
    "medians of the rounds in which all variants take turns; ±: half the interquartile range of "
    "the rounds; p95: of single calls; ratio: times as fast as the baseline in the same round; "
    "ready: loading, conversion and the first call"
)


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Headings and cells; what could not be run has dashes."""
    headings = [
        "variant", "ms", "±", "p95 ms", f"{comparison.unit}/s", "ratio", "ready s"
    ]  # fmt: skip
    return headings, [_cells(row, comparison.amount) for row in comparison.rows]


def remarks(comparison: Comparison) -> list[str]:
    """Notes, and the reasons of what could not be run, a sentence each."""
    reasons = [f"{row.variant}: {row.reason}" for row in comparison.rows if row.reason]
    return [f"baseline: {comparison.baseline}", *comparison.notes, *reasons]


def write_report(path: Path, machine: dict[str, Any], found: Sequence[Comparison]) -> None:
    """Write JSON: ``machine`` (see `machine_facts`) and ``comparisons`` (`Comparison.to_dict`)."""
    write_json(
        path,
        {
            "pose_hrnet_benchmark": REPORT_FORMAT,
            "pose_hrnet": pose_hrnet.__version__,
            "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine,
            "comparisons": [comparison.to_dict() for comparison in found],
        },
    )


def write_markdown(path: Path, machine: dict[str, Any], found: Sequence[Comparison]) -> None:
    """Write the tables in Markdown, as `docs/benchmarks.md` holds them."""
    parts = [". ".join(f"{name}: {value}" for name, value in describe(machine)), f"{LEGEND}."]
    for comparison in found:
        headings, rows = table(comparison)
        lines = [headings, ["---"] * len(headings), *rows]
        parts.append(f"### {comparison.section}: {comparison.title}")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts.append("\n".join(f"- {remark}" for remark in remarks(comparison)))
    write_text(path, "\n\n".join(parts) + "\n")


def _cells(row: Row, amount: int) -> list[str]:
    if row.seconds is None:
        return [row.variant, *["-"] * 6]
    return [
        row.variant,
        _number(row.seconds * 1000),
        "-" if row.spread is None else f"{row.spread:.0%}",
        "-" if row.p95_seconds is None else _number(row.p95_seconds * 1000),
        _number(amount / row.seconds),
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        "-" if row.prepare_seconds is None else f"{row.prepare_seconds:.1f}",
    ]


def _number(value: float) -> str:
    """Three digits that count, without exponents."""
    digits = next((d for d, limit in enumerate((100, 10, 1, 0.1)) if value >= limit), 4)
    return f"{value:,.{digits}f}"
