"""Training runs as a page: their curves over one another, and sortable tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pose_hrnet.evaluation.statistics.bootstrap import LEVEL_IN_WORDS
from pose_hrnet.system.text import counted, shown
from pose_hrnet.training.runs import Run, Runs, is_number
from pose_hrnet.visualize import html, svg

_MOST_TICKS = 8
COLOURS = tuple(f"s-{at}" for at in range(8))
"""Classes of the page's style sheet."""


def runs_page(found: Runs) -> str:
    """The whole file, which loads nothing from elsewhere.

    Args:
        found: As `read_runs` gives them.
    """
    runs = found.runs
    numbers = ", ".join(sorted({run.number for run in runs if run.number is not None}))
    lead = f"{counted(len(runs), 'training run')}; {numbers or 'none evaluated yet'}"
    sections = [
        html.Section("Runs", (_overview(runs),)),
        html.Section("Curves", _curves(runs)),
        html.Section("Settings that differ", (_settings(found),)),
    ]
    if found.notes:
        sections.append(html.Section("Notes", (html.sentences(found.notes),)))
    return html.page("Training runs", lead, (), sections)


def _overview(runs: Sequence[Run]) -> str:
    rows: list[list[html.Content]] = []
    for run in runs:
        best = None if run.best is None else float(run.best[run.number or ""])
        scored = run.evaluated[0] if run.evaluated else None
        evaluated = html.number(None)
        if scored is not None:
            words = f"{scored.number} {scored.interval.in_words()}"
            evaluated = html.Cell(words, scored.interval.value)
        rows.append(
            [
                run.name,
                run.number or html.NOTHING,
                html.number(best),
                html.number(None if run.best is None else run.best["epoch"], 0),
                run.epochs,
                evaluated,
                html.number(run.seconds / 3600 if run.lines else None, 2),
                run.commit or html.NOTHING,
                run.data,
            ]
        )
    headings = [
        "run", "number", "best in training", "in epoch", "of",
        f"evaluated [{LEVEL_IN_WORDS} interval]", "hours of learning", "commit",
        "learned from; validated on",
    ]  # fmt: skip
    note = (
        "Best in training: the highest of the evaluations during training, on its validation "
        "data. Evaluated: a results file in the run's folder, with its interval over images."
    )
    return html.table(headings, rows, caption=note)


def _curves(runs: Sequence[Run]) -> tuple[str, ...]:
    """One legend for all charts."""
    legend = [
        (COLOURS[at % len(COLOURS)], run.name + " (dashed)" * (at >= len(COLOURS)))
        for at, run in enumerate(runs)
        if run.lines
    ]
    if not legend:
        return (html.paragraph("No run has finished an epoch."),)
    return html.legend_of(legend), html.charts(*_charts(runs))


def _charts(runs: Sequence[Run]) -> list[str]:
    """Main number by epochs and by hours, loss and learning rate by epochs."""
    epochs = svg.counts_axis("epoch", max((run.epochs for run in runs), default=1))
    hours = max((run.seconds for run in runs), default=0.0) / 3600
    time = svg.round_axis("hours of learning", hours)
    charts = []
    for number in sorted({run.number for run in runs if run.number is not None}):

        def score(line: dict[str, Any], name: str = number) -> float:
            return _number(line, name)

        charts += [
            _figure(runs, score, svg.Axis(number), x, f"{number} by {x.label}", dots=True, by=by)
            for x, by in ((epochs, _epoch), (time, _hours))
        ]

    def loss(line: dict[str, Any]) -> float:
        return _log(line, "loss")

    def rate(line: dict[str, Any]) -> float:
        return _log(line, "lr")

    for value, words in ((loss, "training loss"), (rate, "learning rate")):
        found = [value(line) for run in runs for line in run.lines]
        known = [each for each in found if math.isfinite(each)]
        if known:
            y = _powers(words, min(known), max(known))
            charts.append(_figure(runs, value, y, epochs, f"{words} by epoch", by=_epoch))
    return charts


def _figure(
    runs: Sequence[Run],
    value: Callable[[dict[str, Any]], float],
    y: svg.Axis,
    x: svg.Axis,
    title: str,
    *,
    by: Callable[[Run], list[float]],
    dots: bool = False,
) -> str:
    """A chart with a line for each run that has such values."""
    lines = []
    for at, run in enumerate(runs):
        heights = np.array([value(line) for line in run.lines])
        known = np.isfinite(heights)
        if known.any():
            colour, again = COLOURS[at % len(COLOURS)], at >= len(COLOURS)
            along = np.array(by(run))[known]
            lines.append(svg.Line(run.name, along, heights[known], colour, dots, again))
    chart = svg.line_chart(lines, x, y, title=title)
    return html.figure(chart, title[0].upper() + title[1:])


def _settings(found: Runs) -> str:
    if not found.differing:
        return html.paragraph("No setting differs.")
    rows = [
        [key, *(html.NOTHING if v is None else shown(v, 80).strip("'") for v in values)]
        for key, values in found.differing.items()
    ]
    return html.table(["setting", *(run.name for run in found.runs)], rows)


def _epoch(run: Run) -> list[float]:
    return [float(line["epoch"]) for line in run.lines]


def _hours(run: Run) -> list[float]:
    seconds = [_number(line, "seconds") for line in run.lines]
    return [float(each) / 3600 for each in np.cumsum(np.nan_to_num(seconds))]


def _number(line: dict[str, Any], name: str) -> float:
    value: Any = line.get(name)
    return float(value) if is_number(value) else math.nan


def _log(line: dict[str, Any], name: str) -> float:
    value = _number(line, name)
    return math.log10(value) if value > 0 else math.nan


def _powers(label: str, low: float, high: float) -> svg.Axis:
    """An axis of logarithms, from one to another of 1, 2 and 5 times a power of ten."""
    steps = [
        (math.log10(each) + power, f"{each}e{power}")
        for power in range(math.floor(low), math.ceil(high) + 1)
        for each in (1, 2, 5)
    ]
    first = max((at for at, (place, _) in enumerate(steps) if place <= low + 1e-9), default=0)
    last = next(at for at, (place, _) in enumerate(steps) if place >= high - 1e-9 and at > first)
    between = written = steps[first : last + 1]
    if len(written) > _MOST_TICKS:
        tens = [each for each in between if each[1].startswith("1")]
        written = tens[:: -(-len(tens) // _MOST_TICKS)]
    words = tuple(f"{float(each):g}" for _, each in written)
    places = tuple(place for place, _ in written)
    return svg.Axis(label, between[0][0], between[-1][0], places, words=words)
