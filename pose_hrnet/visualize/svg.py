"""Charts as SVG: lines, stacked bars, steps; drawn in the colours of the page that holds them.

A chart is a string with a view box and no size of its own, so that it fits the column it stands
in. Its letters are as large as the page's where it has the width of its view box. Colours are
classes (``c-jitter``, ``s-0``), for which the page's style sheet has values in light and in dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 360, 260
"""Of a chart with two axes."""
BARS_WIDTH = 440
"""Of horizontal bars."""
_RIGHT, _TOP, _BOTTOM = 18, 10, 44
_LETTER = 8.0
"""Width of a letter of the ticks at most."""
_BAR, _GAP = 15, 6
"""Pixels of a horizontal bar, and between two."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
        label: Its quantity, and the unit.
        low: Value at its beginning.
        high: Value at its end.
        ticks: Values that are written.
        digits: Decimals of those.
        words: What is written at the ticks instead, if there is anything.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    ticks: tuple[float, ...] = (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    digits: int = 1
    words: tuple[str, ...] = ()

    @property
    def written(self) -> tuple[str, ...]:
        """What stands at the ticks."""
        return self.words or tuple(f"{tick:.{self.digits}f}" for tick in self.ticks)

    def along(self, values: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """``(...)`` values as parts of the axis, 0 to 1."""
        parts = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        return np.asarray(parts.clip(0, 1))


@dataclass(frozen=True, eq=False)
class Line:
    """A line of a chart.

    Attributes:
        name: In the legend.
        x: ``(N,)``.
        y: ``(N,)``.
        colour: Class of its colour.
        dots: Draw the points, too, as of a single one, which is no line.
        dashed: Draw it dashed.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    colour: str
    dots: bool = False
    dashed: bool = False


def round_axis(label: str, most: float, *, least_step: float = 0.0) -> Axis:
    """An axis from 0 to a round number above the largest value, in steps of 1, 2 or 5 tens.

    Args:
        label: Its quantity, and the unit.
        most: The largest value; what is none, or not above 0, counts as 1.
        least_step: Between two ticks.
    """
    most = most if 1e-300 < most < 1e300 else 1.0
    power = math.floor(math.log10(most)) - 1
    fitting = (
        Decimal(each).scaleb(power + more)
        for more in range(3)
        for each in (1, 2, 5)
        if most <= 5 * each * 10.0 ** (power + more)
    )
    step = max(next(fitting), Decimal(least_step))
    count = max(1, math.ceil(round(most / float(step), 9)))
    ticks = tuple(float(step * at) for at in range(count + 1))
    return Axis(label, 0.0, ticks[-1], ticks, max(0, -step.adjusted()))


def counts_axis(label: str, most: float) -> Axis:
    """An axis from 0 to a round number above the largest count."""
    return round_axis(label, most, least_step=1.0)


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, *, title: str) -> str:
    """Lines over a grid.

    Args:
        lines: What is drawn, the last on top.
        x: Along.
        y: Up.
        title: What the chart shows, for those who cannot see it.
    """
    parts = [_open(WIDTH, HEIGHT, title, "chart"), _grid(x, y)]
    for line in lines:
        across, up = _x(x.along(line.x), y), _y(y.along(line.y))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
        style = ' stroke-dasharray="5 4"' if line.dashed else ""
        parts.append(f'<polyline class="line {line.colour}" points="{path}"{style}/>')
        if line.dots or len(across) == 1:
            parts += [
                f'<circle class="dot {line.colour}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>'
                for a, b in zip(across, up, strict=True)
            ]
    return "".join([*parts, "</svg>"])


def histogram(
    edges: ArrayLike, counts: ArrayLike, x: Axis, y: Axis, *, colour: str, title: str
) -> str:
    """Bars side by side.

    Args:
        edges: ``(B + 1,)``.
        counts: ``(B,)`` heights.
        x: Along.
        y: Up.
        colour: Class of the bars' colour.
        title: As of `line_chart`.
    """
    parts = [_open(WIDTH, HEIGHT, title, "chart"), _grid(x, y)]
    ends, heights = _x(x.along(edges), y), _y(y.along(counts))
    bottom = HEIGHT - _BOTTOM
    for left, right, top in zip(ends[:-1], ends[1:], heights, strict=True):
        parts.append(
            f'<rect class="fill {colour}" x="{left + 1:.1f}" y="{top:.1f}" '
            f'width="{max(right - left - 2, 1):.1f}" height="{bottom - top:.1f}"/>'
        )
    return "".join([*parts, "</svg>"])


def stacked_bars(
    rows: Sequence[tuple[str, Sequence[float]]], colours: Sequence[str], *, title: str
) -> str:
    """Horizontal bars of parts that add up to 1, one below another.

    Args:
        rows: Name and P parts of each.
        colours: P classes.
        title: As of `line_chart`.
    """
    left = _beside([name for name, _ in rows])
    room = BARS_WIDTH - left - _RIGHT
    height = len(rows) * (_BAR + _GAP) + _GAP
    parts = [_open(BARS_WIDTH, height, title)]
    for at, (name, shares) in enumerate(rows):
        top = _GAP + at * (_BAR + _GAP)
        parts.append(_text(left - 6, top + 12, name, "end"))
        start = left
        for share, colour in zip(shares, colours, strict=True):
            width = room * share
            if width > 0:
                said = f"<title>{100 * share:.1f} %</title>"
                parts.append(
                    f'<rect class="fill {colour}" x="{start:.1f}" y="{top}" '
                    f'width="{width:.2f}" height="{_BAR}">{said}</rect>'
                )
            if width > 30:
                parts.append(
                    _text(start + width / 2, top + 11.5, f"{100 * share:.0f}", "middle", "on")
                )
            start += width
    return "".join([*parts, "</svg>"])


def steps(
    rows: Sequence[tuple[str, float, float, str]], *, low: float, digits: int = 3, title: str
) -> str:
    """Horizontal bars from one value to the next, each where the one before it ends.

    Args:
        rows: Name, value from, value to, and class of the colour.
        low: Where the axis begins; it ends at 1.
        digits: Decimals of the values.
        title: As of `line_chart`.
    """
    left, right = _beside([name for name, *_ in rows]), 48
    room = BARS_WIDTH - left - right
    height = len(rows) * (_BAR + _GAP) + _GAP
    parts = [_open(BARS_WIDTH, height, title)]

    def place(value: float) -> float:
        return left + room * float(np.clip((value - low) / (1 - low), 0, 1))

    for at, (name, start, end, colour) in enumerate(rows):
        top = _GAP + at * (_BAR + _GAP)
        a, b = sorted((place(start), place(end)))
        parts.append(_text(left - 6, top + 12, name, "end"))
        parts.append(
            f'<line class="grid" x1="{left:.1f}" x2="{left + room:.1f}" y1="{top + _BAR / 2}" '
            f'y2="{top + _BAR / 2}"/>'
        )
        parts.append(
            f'<rect class="fill {colour}" x="{a:.1f}" y="{top}" width="{max(b - a, 1.5):.1f}" '
            f'height="{_BAR}"/>'
        )
        parts.append(
            _text(BARS_WIDTH - right + 6, top + 12, f"{end:.{digits}f}", "start", "value")
        )
    return "".join([*parts, "</svg>"])


def _beside(names: Sequence[str]) -> float:
    """Room for the names on the left."""
    return 16 + 6.8 * max(map(len, names), default=0)


def _open(width: float, height: float, title: str, kind: str = "bars") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><title>{escape(title)}</title>'
    )


def _grid(x: Axis, y: Axis) -> str:
    """Grid, ticks and labels of both axes."""
    parts = []
    left, bottom = _left(y), HEIGHT - _BOTTOM
    for words, at in zip(x.written, _x(x.along(x.ticks), y), strict=True):
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(_text(at, bottom + 16, words, "middle"))
    for words, at in zip(y.written, _y(y.along(y.ticks)), strict=True):
        parts.append(
            f'<line class="grid" x1="{left}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(_text(left - 6, at + 4, words, "end"))
    parts.append(_text((left + WIDTH - _RIGHT) / 2, HEIGHT - 8, x.label, "middle", "label"))
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text class="label" x="12" y="{middle:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle:.0f})">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _left(y: Axis) -> float:
    """Room for what is written on the left."""
    return 26 + _LETTER * max(map(len, y.written), default=0)


def _x(parts: np.ndarray[tuple[int, ...], np.dtype[np.float64]], y: Axis) -> list[float]:
    left = _left(y)
    return [float(each) for each in left + (WIDTH - left - _RIGHT) * parts]


def _y(parts: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
    bottom = HEIGHT - _BOTTOM
    return [float(each) for each in bottom - (bottom - _TOP) * parts]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


__all__ = [
    "Axis",
    "Line",
    "counts_axis",
    "histogram",
    "line_chart",
    "round_axis",
    "stacked_bars",
    "steps",
]
