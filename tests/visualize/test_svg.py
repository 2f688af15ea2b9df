"""Charts are well-formed, in their frame, and escape what they are given."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from pose_hrnet.visualize.svg import (
    Axis,
    Line,
    counts_axis,
    histogram,
    line_chart,
    round_axis,
    stacked_bars,
    steps,
)

EVIL = '<script>alert("x")</script>&'


def parsed(chart):
    tree = ElementTree.fromstring(chart)
    width, height = map(float, tree.get("viewBox").split()[2:])
    for rect in tree.iter("rect"):
        left, top, wide, high = (float(rect.get(n)) for n in ("x", "y", "width", "height"))
        assert -0.1 <= left <= left + wide <= width + 0.1
        assert -0.1 <= top <= top + high <= height + 0.1
    assert tree.find("title").text
    return tree


def test_lines_go_from_corner_to_corner():
    line = Line("a", [0, 0.5, 1, 2], [0, 0.5, 1, 2], "s-0", dots=True)
    tree = parsed(line_chart([line], Axis("x"), Axis("y"), title=EVIL))
    points = [tuple(map(float, p.split(","))) for p in tree.find("polyline").get("points").split()]
    (x0, y0), (x1, y1), (x2, y2), beyond = points
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.1)
    assert x0 < x2
    assert y0 > y2
    assert beyond == (x2, y2)  # what is off the axis stays at its end
    assert len(list(tree.iter("circle"))) == 4
    assert tree.find("title").text == EVIL


def test_a_single_point_is_seen_though_it_makes_no_line():
    lines = [
        Line("a", [0.5], [0.5], "s-0"),
        Line("b", [0, 1], [0, 1], "s-1"),
        Line("c", [], [], "s"),
    ]
    tree = parsed(line_chart(lines, Axis("x"), Axis("y"), title="loss"))
    assert [dot.get("class") for dot in tree.iter("circle")] == ["dot s-0"]


def test_bars_are_as_long_as_their_shares():
    tree = parsed(stacked_bars([("a", [0.5, 0.25, 0.25]), (EVIL, [0, 0, 1])], "xyz", title="t"))
    widths = [float(rect.get("width")) for rect in tree.iter("rect")]
    assert widths == pytest.approx([widths[3] / 2, widths[3] / 4, widths[3] / 4, widths[3]])
    assert parsed(stacked_bars([], "x", title="none")) is not None


def test_steps_begin_where_the_one_before_ends():
    tree = parsed(steps([("a", 0, 0.5, "c"), ("b", 0.5, 0.75, "c")], low=0.0, title="t"))
    first, second = tree.iter("rect")
    end = float(first.get("x")) + float(first.get("width"))
    assert float(second.get("x")) == pytest.approx(end, abs=0.2)
    assert float(second.get("width")) == pytest.approx(float(first.get("width")) / 2, abs=0.2)


def test_a_histogram_has_a_bar_for_each_count():
    counts = np.array([0, 3, 12])
    axis = counts_axis("persons", counts.max())
    tree = parsed(histogram([0, 1, 2, 3], counts, Axis("x", 0, 3), axis, colour="c", title="t"))
    heights = [float(rect.get("height")) for rect in tree.iter("rect")]
    assert heights == pytest.approx([0, heights[2] / 4, heights[2]], abs=0.2)


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(0, (0, 1)), (1, (0, 1)), (4, (0, 1, 2, 3, 4)), (95, (0, 20, 40, 60, 80, 100)),
     (1234, (0, 500, 1000, 1500)), (6e12, (0, 2e12, 4e12, 6e12)), (np.nan, (0, 1)),
     (np.inf, (0, 1)), (-3, (0, 1))],
)  # fmt: skip
def test_counts_have_round_ticks(most, ticks):
    axis = counts_axis("n", most)
    assert axis.ticks == ticks
    assert axis.high == ticks[-1]


@pytest.mark.parametrize(
    ("most", "ticks", "digits"),
    [(0.1, (0, 0.02, 0.04, 0.06, 0.08, 0.1), 2), (0.003, (0, 0.001, 0.002, 0.003), 3),
     (3, (0, 1, 2, 3), 0), (2.2, (0, 0.5, 1, 1.5, 2, 2.5), 1), (0, (0, 0.2, 0.4, 0.6, 0.8, 1), 1)],
)  # fmt: skip
def test_values_have_round_ticks_with_as_many_digits_as_they_need(most, ticks, digits):
    axis = round_axis("hours", most)
    assert (axis.ticks, axis.digits) == (ticks, digits)
