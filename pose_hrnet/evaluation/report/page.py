"""Numbers, charts and pictures of a results file, put together as sections of a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_hrnet.evaluation.calibration import Reliability
from pose_hrnet.evaluation.diagnosis.diagnose import mean_precision
from pose_hrnet.evaluation.diagnosis.groups import Group
from pose_hrnet.evaluation.diagnosis.kinds import KINDS
from pose_hrnet.evaluation.diagnosis.scene import LOCALISED
from pose_hrnet.evaluation.report.numbers import PCK_LIMITS, Numbers
from pose_hrnet.evaluation.statistics.bootstrap import Interval
from pose_hrnet.evaluation.statistics.keypoints import is_of_keypoint
from pose_hrnet.visualize import html, svg
from pose_hrnet.visualize.html import Cell, Section

KIND_COLOURS = [f"c-{kind}" for kind in KINDS]
KIND_LEGEND = list(zip(KIND_COLOURS, KINDS, strict=True))
_CORRECTION_COLOURS = {
    "miss": "c-miss", "swap": "c-swap", "inversion": "c-inversion", "jitter": "c-jitter",
    "score": "c-score", "background false positives": "c-background",
    "false negatives": "c-negatives",
}  # fmt: skip
_GROUPS = {
    "size": "By size of the person: area below 32 and 96 pixels squared",
    "visibility": "By visibility of the keypoint",
    "overlap": "By how many other persons' boxes overlap (IoU above 0.1)",
    "labelled": "By how many keypoints of the person are labelled",
}
_SHARE = svg.Axis("", 0, 1)


def interval_cell(interval: Interval, digits: int = 3, *, sign: str = "") -> Cell:
    """A number with the ends of its interval."""
    return Cell(interval.in_words(digits, sign=sign), interval.value)


def numbers_section(numbers: Numbers) -> Section:
    """All numbers with their intervals, and what the intervals are."""
    values = numbers.intervals.values
    names = [name for name in values if not is_of_keypoint(name)]
    rows: list[list[html.Content]] = [[name, *_ends(values[name])] for name in names]
    how = numbers.intervals.in_words().replace("[", "").replace("]", "")
    return Section(
        "Numbers",
        (
            html.table(["number", "value", "from", "to"], rows),
            *([html.paragraph(f"From and to: {how}.", note=True)] if how else []),
            *(html.paragraph(f"{note}.", note=True) for note in numbers.intervals.notes),
        ),
    )


def _ends(interval: Interval) -> list[Cell]:
    return [html.number(each) for each in (interval.value, interval.low, interval.high)]


def errors_section(numbers: Numbers) -> Section:
    """What is wrong, how often, and what that costs."""
    diagnosis = numbers.diagnosis
    corrected, gains = diagnosis.corrected, diagnosis.gains()
    as_is = mean_precision(corrected.as_is)
    steps = [("as it is", 0.0, as_is, "c-as-is")]
    before = as_is
    for name, precision in corrected.cumulated.items():
        after = mean_precision(precision)
        if after > -1:
            steps.append((f"without {name}", before, after, _CORRECTION_COLOURS[name]))
            before = after
    alone = [("as it is", 0.0, as_is, "c-as-is")]
    alone += [
        (f"without {name}", as_is, mean_precision(each), _CORRECTION_COLOURS[name])
        for name, each in corrected.alone.items()
        if mean_precision(each) > -1
    ]
    low = max(0.0, np.floor(10 * as_is - 1) / 10)
    rows: list[list[html.Content]] = [
        [
            name,
            html.number(_known(mean_precision(corrected.alone[name]))),
            html.number(gain if mean_precision(corrected.alone[name]) > -1 else None, sign="+"),
            html.number(_known(mean_precision(corrected.cumulated[name]))),
            html.number(
                more if mean_precision(corrected.cumulated[name]) > -1 else None, sign="+"
            ),
        ]
        for name, (gain, more) in gains.items()
    ]
    keypoints = [group for group in diagnosis.groups if group.by == "keypoint"]
    bars = [("all", _shares(diagnosis.overall))]
    bars += [(group.name.replace("_", " "), _shares(group)) for group in keypoints]
    return Section(
        "What goes wrong",
        (
            html.charts(
                html.figure(
                    svg.steps(alone, low=low, title="AP without each kind of error"),
                    "AP if one kind of error did not occur.",
                ),
                html.figure(
                    svg.steps(steps, low=low, title="AP without kinds of error, one by one"),
                    "AP if the kinds were corrected one after another, from above.",
                ),
            ),
            html.table(
                ["without", "AP alone", "gain alone", "AP cumulated", "gain cumulated"],
                rows,
                caption="Each OKS threshold has false positives and negatives of its own.",
            ),
            html.heading("Kinds of keypoint errors"),
            html.figure(
                svg.stacked_bars(bars, KIND_COLOURS, title="Kinds of errors by keypoint"),
                "Shares in percent of the labelled keypoints of persons who were found.",
                KIND_LEGEND,
            ),
            *_group_blocks(diagnosis.groups),
        ),
    )


def _known(precision: float) -> float | None:
    return precision if precision > -1 else None


def _shares(group: Group) -> list[float]:
    return [group.shares[kind] for kind in KINDS]


def _group_blocks(groups: Sequence[Group]) -> list[str]:
    blocks = []
    for by, title in _GROUPS.items():
        chosen = [group for group in groups if group.by == by]
        if not chosen:
            continue
        bars = [(group.name, _shares(group)) for group in chosen if group.keypoints]
        drawn = ""
        if bars:
            chart = svg.stacked_bars(bars, KIND_COLOURS, title=title)
            drawn = html.figure(chart, "", KIND_LEGEND)
        blocks += [html.heading(title), drawn, groups_table(chosen, by)]
    return blocks


def groups_table(groups: Sequence[Group], first: str) -> str:
    """A row for each group: persons, how many were found, and shares of the kinds."""
    rows: list[list[html.Content]] = []
    for group in groups:
        shares = [
            html.number(100 * group.shares[kind] if group.keypoints else None, 1) for kind in KINDS
        ]
        found = html.number(100 * group.found / group.persons if group.persons else None, 1)
        rows.append([group.name, group.persons, found, group.keypoints, *shares])
    headings = [first, "persons", "found %", "keypoints", *(f"{kind} %" for kind in KINDS)]
    return html.table(headings, rows)


def curves_section(numbers: Numbers) -> Section:
    """Precision by recall, PCK by threshold, and the OKS of persons."""
    thresholds = numbers.diagnosis.corrected.thresholds
    chosen = [int(np.abs(thresholds - t).argmin()) for t in (0.5, 0.75, 0.9)]
    lines = [
        svg.Line(f"OKS {thresholds[t]:g}", numbers.recalls, numbers.precisions[t], f"s-{at}")
        for at, t in enumerate(chosen)
    ]
    mean = svg.Line("mean of all ten", numbers.recalls, numbers.precisions.mean(axis=0), "s-3")
    lines.append(mean)
    known = np.isfinite(numbers.pck)
    every = np.where(known, numbers.pck, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    last = numbers.pck[np.abs(PCK_LIMITS - 0.1).argmin()]
    order = [k for k in np.argsort(np.nan_to_num(last, nan=2)) if np.isfinite(last[k])]
    names = numbers.file.best.names
    pck = [svg.Line("mean of all keypoints", PCK_LIMITS, every, "s-0")]
    if len(order) > 1:
        pck += [
            svg.Line(f"best: {names[order[-1]]}", PCK_LIMITS, numbers.pck[:, order[-1]], "s-2"),
            svg.Line(f"worst: {names[order[0]]}", PCK_LIMITS, numbers.pck[:, order[0]], "s-1"),
        ]
    edges = np.linspace(0, 1, 21)
    counts = np.histogram(numbers.file.best.oks, edges)[0]
    return Section(
        "Curves",
        (
            html.charts(
                html.figure(
                    svg.line_chart(
                        lines,
                        svg.Axis("recall"),
                        svg.Axis("precision"),
                        title="Precision by recall",
                    ),
                    "Precision by recall. AP is the mean height of the last line.",
                    [(line.colour, line.name) for line in lines],
                ),
                html.figure(
                    svg.line_chart(
                        pck,
                        svg.Axis(
                            "distance, longer sides of the box", 0, 0.3,
                            (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3), 2,
                        ),
                        svg.Axis("keypoints within it"),
                        title="PCK by threshold",
                    ),
                    "PCK: share of the labelled keypoints within a distance of their place.",
                    [(line.colour, line.name) for line in pck],
                ),
                html.figure(
                    svg.histogram(
                        edges, counts, svg.Axis("OKS"), svg.counts_axis("persons", counts.max()),
                        colour="s-0", title="Persons by OKS",
                    ),
                    "Persons by the OKS of the best result in their image; 0 where there is none.",
                ),
            ),
        ),
    )  # fmt: skip


def keypoints_section(numbers: Numbers) -> Section:
    """Every keypoint: how near it is found, and how it errs."""
    values = numbers.intervals.values
    groups = {g.name: g for g in numbers.diagnosis.groups if g.by == "keypoint"}
    rows: list[list[html.Content]] = []
    for name in numbers.file.best.names:
        group = groups.get(name)
        shares = [
            html.number(100 * group.shares[kind] if group and group.keypoints else None, 1)
            for kind in KINDS
        ]
        rows.append(
            [
                name,
                group.keypoints if group else 0,
                interval_cell(values[f"OKS {name}"]),
                interval_cell(values[f"PCK@0.1 {name}"]),
                *shares,
            ]
        )
    return Section(
        "Keypoints",
        (
            html.table(
                ["keypoint", "labelled", "similarity", "PCK@0.1", *(f"{k} %" for k in KINDS)],
                rows,
                caption="Similarity and PCK with their intervals are of the best result for each "
                "person, 0 for persons in whose image there is none; labelled and kinds of errors "
                f"are of persons found at OKS {LOCALISED:g}.",
            ),
        ),
    )


def calibration_section(numbers: Numbers) -> Section:
    """Whether scores say how sure a prediction is."""
    keypoint, person = numbers.calibration_errors
    figures = [
        _reliability("keypoints", numbers.keypoint_scores, keypoint, "similarity 0.5"),
        _reliability("persons", numbers.person_scores, person, "OKS 0.5"),
    ]
    blocks = [html.charts(*(figure for figure in figures if figure))]
    outside = [
        f"{100 * each.outside:.0f} % of the scores of {what} are below 0 or above 1: they are no "
        "probabilities, and count as 0 and 1."
        for what, each in (
            ("keypoints", numbers.keypoint_scores),
            ("persons", numbers.person_scores),
        )
        if each.outside >= 0.005
    ]
    blocks += [html.paragraph(words, note=True) for words in outside]
    if not any(figures):
        blocks = [html.paragraph("No result counts, so that no score can be judged.")]
    return Section("Scores", tuple(blocks))


def _reliability(what: str, reliability: Reliability, error: Interval, right: str) -> str:
    bins = reliability.bins
    if not bins:
        return ""
    scores = [each.score for each in bins]
    lines = [
        svg.Line("a probability", [0, 1], [0, 1], "s-grey", dashed=True),
        svg.Line("mean similarity", scores, [b.similarity for b in bins], "s-1", dots=True),
        svg.Line(f"share at {right} or above", scores, [b.right for b in bins], "s-0", dots=True),
    ]
    chart = svg.line_chart(
        lines,
        svg.Axis(f"mean score of {what}"),
        svg.Axis("share, similarity"),
        title=f"Reliability of the scores of {what}",
    )
    return html.figure(
        chart,
        f"Scores of {what}, in ten bins, and what they stand for; expected calibration error "
        f"{error.in_words()} of {reliability.count:,} {what}.",
        [(line.colour, line.name) for line in reversed(lines)],
    )
