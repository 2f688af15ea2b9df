"""Measurements as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pose_hrnet.benchmark.machine import describe
from pose_hrnet.benchmark.timing import Measurement, Row
from pose_hrnet.system.extras import installed_version
from pose_hrnet.system.files import write_json, write_text

REPORT_FORMAT = 1
"""Version of the JSON layout."""

LEGEND = (
    "medians of the rounds in which all variants take turns; ±: half the interquartile range of "
    "the rounds; p95: of single calls; ratio: times as fast as the baseline in the same round; "
    "ready: loading, conversion and the first call"
)


def table(measurement: Measurement) -> tuple[list[str], list[list[str]]]:
    """Headings and cells; what could not be run has dashes."""
    unit = measurement.unit
    speed = f"ms/{unit}" if measurement.shows_each else f"{unit}s/s"
    headings = ["variant", "ms", "±", "p95 ms", speed, "ratio", "ready s"]
    return headings, [_cells(row, measurement) for row in measurement.rows]


def remarks(measurement: Measurement) -> list[str]:
    """The baseline, notes, and the reasons of what could not be run, a sentence each."""
    reasons: dict[str, list[str]] = {}
    for row in measurement.rows:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row.variant)
    names = [row.variant for row in measurement.rows]
    baseline = f"baseline: {measurement.baseline}"
    return [
        baseline if measurement.baseline in names else "no baseline: give a checkpoint for one",
        *measurement.notes,
        *(f"{', '.join(variants)}: {reason}" for reason, variants in reasons.items()),
    ]


def write_report(path: Path, machine: dict[str, Any], found: Sequence[Measurement]) -> None:
    """Write JSON: ``machine`` of `machine_facts`, ``measurements`` of `Measurement.to_dict`."""
    write_json(
        path,
        {
            "pose_hrnet_benchmark": REPORT_FORMAT,
            "pose_hrnet": installed_version("pose-hrnet"),
            "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine,
            "measurements": [measurement.to_dict() for measurement in found],
        },
    )


def write_markdown(path: Path, machine: dict[str, Any], found: Sequence[Measurement]) -> None:
    """Write the tables in Markdown, as `docs/benchmarks.md` holds them."""
    parts = [". ".join(f"{name}: {value}" for name, value in describe(machine)), f"{LEGEND}."]
    for measurement in found:
        headings, rows = table(measurement)
        lines = [headings, ["---"] * len(headings), *rows]
        parts.append(f"### {measurement.section}: {measurement.title}")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts.append("\n".join(f"- {remark}" for remark in remarks(measurement)))
    write_text(path, "\n\n".join(parts) + "\n")


def _cells(row: Row, measurement: Measurement) -> list[str]:
    if row.seconds is None:
        return [row.variant, *["-"] * 6]
    each = row.seconds / measurement.amount
    return [
        row.variant,
        _number(row.seconds * 1000),
        "-" if row.spread is None else f"{row.spread:.0%}",
        "-" if row.p95_seconds is None else _number(row.p95_seconds * 1000),
        _number(each * 1000 if measurement.shows_each else 1 / each),
        "-" if row.ratio is None else _number(row.ratio),
        "-" if row.prepare_seconds is None else f"{row.prepare_seconds:.1f}",
    ]


def _number(value: float) -> str:
    """Three digits that count, without exponents."""
    digits = next((d for d, limit in enumerate((100, 10, 1, 0.1)) if value >= limit), 4)
    return f"{value:,.{digits}f}"
