"""Scores and comparisons as tables, for the commands that measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pose_hrnet.cli.console import print_rows, print_table, say
from pose_hrnet.system.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pose_hrnet.evaluation.evaluate import Evaluation
    from pose_hrnet.evaluation.metrics.scores import Scores
    from pose_hrnet.evaluation.settings import Comparison
    from pose_hrnet.evaluation.statistics.results import DrawnFile
    from pose_hrnet.system.choices import AnnotationKind
    from pose_hrnet.training.dry_run import Check
    from pose_hrnet.training.summary import Facts

NOISE = 0.005
"""AP by which combinations differ without a meaning on thousands of persons; on fewer, more."""


def print_scores(scores: Scores, metric: AnnotationKind = "coco") -> None:
    """Print the numbers of a metric, and the notes on them."""
    from pose_hrnet.evaluation.scorer import METRICS

    names = list(scores.values)
    # Plain columns: ten framed ones do not fit into 80 characters.
    widths = [max(6, len(name)) for name in names]
    say(METRICS[metric].title)
    say(" ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True)))
    values = [f"{scores.values[name]:.3f}" for name in names]
    say(" ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True)))
    for note in scores.notes:
        say(f"note: {note}")


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the numbers, and in short what produced them."""
    print_scores(evaluation.scores, evaluation.metric)
    print_keypoint_metrics(evaluation.keypoint_metrics)
    print_rows("what produced them", evaluation.in_words())


def print_intervals(drawn: DrawnFile, said: Sequence[str] = ()) -> None:
    """Print numbers with their intervals; those of each keypoint are in the report.

    Args:
        drawn: The numbers.
        said: Notes that stand above already.
    """
    from pose_hrnet.evaluation.statistics.keypoints import is_of_keypoint

    found = drawn.intervals
    rows = [
        [name, interval.in_words()]
        for name, interval in found.values.items()
        if not is_of_keypoint(name)
    ]
    print_table("", ["", f"number [{100 * found.level:g} % interval]"], rows)
    if words := found.in_words():
        say(words)
    for note in (*drawn.file.notes, *found.notes):
        if note not in said:
            say(f"note: {note}")


def print_comparison(comparison: Comparison) -> None:
    """Print every combination, the best first and in bold, and what may be wrong."""
    numbers = ["AP", "AP50", "AP75", "AR"]
    rows = []
    for place, row in enumerate(comparison.rows):
        choice = row.combination
        mark = "best" if place == 0 else ""
        if choice == comparison.own_combination:
            mark = "both" if mark else "own"
        flip = f"shift {choice.flip_shift}" if choice.flip_test else "off"
        scores = [f"{row.scores.values[name]:.3f}" for name in numbers]
        rows.append([mark, flip, choice.codec, choice.nms, *scores])
    print_table("compared, best first", ["", "flip", "codec", "nms", *numbers], rows, bold=0)
    best, *others = (row.scores.values["AP"] for row in comparison.rows)
    near = sum(best - score < NOISE for score in others)
    if near:
        say(
            f"within {NOISE} AP of the best, which other images may as well put the other way "
            f"round: {counted(near, 'combination')}"
        )
    say("own: as the checkpoint and the options say; both: own and best")
    say(
        f"the network saw {counted(comparison.network_crops, 'crop')}; crop alignments, each with "
        f"a run of its own: {', '.join(comparison.alignments)}"
    )
    if comparison.hint:
        say(f"hint: {comparison.hint}")


def print_keypoint_metrics(values: dict[str, Any]) -> None:
    """Print PCK, AUC and EPE, or why there are none."""
    if "left_out" in values:
        say(f"note: {values['left_out']}")
        return
    names = [name for name in values if name != "per_keypoint"]
    row = [f"{values[name]:.3f}" for name in names]
    print_table("keypoints in annotated boxes (EPE: pixels)", names, [row])


def print_facts(facts: Facts) -> None:
    """Print a title, and facts in two columns."""
    print_rows(facts.title, facts.rows)


def print_checks(checks: Sequence[Check]) -> None:
    """Print what was checked, faults in red."""
    styles = {"OK": "green", "note": "yellow", "fault": "bold red", "left out": "dim"}
    rows = [(check.name, check.result, check.detail) for check in checks]
    print_rows("dry run", rows, [("", styles[check.result], "") for check in checks])


def print_quantisation(facts: dict[str, Any]) -> None:
    """Print what INT8 cost, and what was done about it; `facts` as in the card of an export."""
    metric, sizes = facts["metric"], [f"{size / 1e6:.1f}" for size in facts["bytes"]]
    rows = [
        [metric, f"{facts['before']:.4f}", f"{facts['after']:.4f}"],
        ["MB", *sizes],
    ]
    print_table("quantisation", ["", "floating point", "INT8"], rows)
    calibration, difference = facts["calibration"], facts["difference"]
    say(
        f"calibrated on {calibration['crops']} crops of {calibration['annotations']}; {metric} on "
        f"{facts['scored']['annotations']}, {facts['scored_images']}"
    )
    say(
        f"keypoints of {difference['crops']} crops move by {difference['keypoints_median']:.2g} "
        f"input pixels in the median, and by {difference['keypoints_largest']:.2g} at most"
    )
    kept = facts["layers_in_floating_point"]
    named = ", ".join(kept[:8]) + (f" and {len(kept) - 8} more" if len(kept) > 8 else "")
    say(
        f"convolutions in floating point: {len(kept)} of {facts['layers']}"
        + (f" ({named})" if kept else "")
    )
