"""What the numbers say, in sentences; each can be checked in the tables below them."""

from __future__ import annotations

from collections.abc import Sequence

from pose_hrnet.evaluation.diagnosis.diagnose import mean_precision
from pose_hrnet.evaluation.diagnosis.groups import Group
from pose_hrnet.evaluation.diagnosis.kinds import KINDS
from pose_hrnet.evaluation.diagnosis.scene import LOCALISED
from pose_hrnet.evaluation.report.numbers import Numbers
from pose_hrnet.evaluation.statistics.bootstrap import LEVEL_IN_WORDS
from pose_hrnet.system.text import counted

WITHOUT = {
    "miss": "keypoints far from every place that they could be taken for (miss)",
    "swap": "keypoints on other persons (swap)",
    "inversion": "keypoints on the other side of the body (inversion)",
    "jitter": "keypoints a little beside their place (jitter)",
    "score": "scores that rank a worse pose above a better one (score)",
    "background false positives": "results that reach nobody at an OKS threshold (background)",
    "false negatives": "persons whom no result reaches at an OKS threshold (false negatives)",
}
"""What is corrected, in words."""
PLURAL = {
    "jitter": "jitter", "inversion": "inversions", "swap": "swaps", "miss": "misses",
}  # fmt: skip
"""Several of a kind."""
FEWEST_TO_TELL = 30
"""Keypoints of a group that is spoken of, at least."""


def findings(numbers: Numbers) -> list[str]:
    """The main ones, a sentence each."""
    said = [_of_ap(numbers), _of_persons(numbers)]
    overall = numbers.diagnosis.overall
    if overall.keypoints:
        shares = ", ".join(
            f"{100 * overall.shares[kind]:.1f} % {PLURAL[kind]}" for kind in KINDS[1:]
        )
        said.append(
            f"Of the {counted(overall.keypoints, 'labelled keypoint')} of persons who were found, "
            f"{100 * overall.shares['good']:.1f} % are good, {shares}."
        )
    said += _of_gains(numbers)
    said += _of_groups(numbers.diagnosis.groups)
    said += _of_scores(numbers)
    return said


def _of_ap(numbers: Numbers) -> str:
    interval = numbers.intervals.values["AP"]
    words = f"AP is {numbers.ap:.3f}"
    if interval.low is not None and interval.high is not None:
        words += f", {LEVEL_IN_WORDS} interval {interval.low:.3f} to {interval.high:.3f}"
    return f"{words}."


def _of_persons(numbers: Numbers) -> str:
    overall, scene = numbers.diagnosis.overall, numbers.diagnosis.scene
    missed = overall.persons - overall.found
    background = background_rows(numbers)
    nobody = "every result that counts finds one"
    if not overall.found:
        nobody = "there is no result" if not len(scene.found) else "no result counts"
    if len(background):
        finds = "finds" if len(background) == 1 else "find"
        nobody = f"{counted(len(background), 'result')} of {len(scene.found):,} {finds} nobody"
    return (
        f"{overall.found} of {counted(overall.persons, 'person')} "
        f"{'is' if overall.found == 1 else 'are'} found at OKS {LOCALISED:g}, {missed} "
        f"{'is' if missed == 1 else 'are'} not; {nobody}."
    )


def background_rows(numbers: Numbers) -> list[int]:
    """Rows of the scene's results that count and are of nobody, the highest score first."""
    rows = numbers.diagnosis.errors.background
    scores = numbers.diagnosis.scene.found.scores
    return sorted(rows.tolist(), key=lambda row: -scores[row])


def _of_gains(numbers: Numbers) -> list[str]:
    gains = numbers.diagnosis.gains()
    alone = numbers.diagnosis.corrected.alone
    keypoints = ["miss", "swap", "inversion", "jitter"]
    best = max(keypoints, key=lambda name: gains[name][0])
    said = []
    if gains[best][0] >= 0.0005:
        after = mean_precision(alone[best])
        said.append(
            f"Of the errors of keypoints, {WITHOUT[best]} cost most: without them AP would be "
            f"{after:.3f}, {gains[best][0]:.3f} more."
        )
    others = [name for name in gains if name not in keypoints and gains[name][0] >= 0.0005]
    said += [
        f"Without {WITHOUT[name]} AP would be {mean_precision(alone[name]):.3f}, "
        f"{gains[name][0]:.3f} more."
        for name in others
        if mean_precision(alone[name]) > -1
    ]
    return said


def _of_groups(groups: Sequence[Group]) -> list[str]:
    said = []
    keypoints = [g for g in groups if g.by == "keypoint" and g.keypoints >= FEWEST_TO_TELL]
    if len(keypoints) > 1:
        worst = min(keypoints, key=lambda g: g.shares["good"])
        best = max(keypoints, key=lambda g: g.shares["good"])
        kind = max(KINDS[1:], key=lambda name: worst.counts[name])
        said.append(
            f"The keypoint that is wrong most often is {worst.name}: "
            f"{100 * worst.shares['good']:.1f} % are good, and most errors are {PLURAL[kind]}; "
            f"the best is {best.name} with {100 * best.shares['good']:.1f} % good."
        )
    for by, what in (("size", "{} persons"), ("overlap", "persons that overlap with {} others")):
        chosen = [g for g in groups if g.by == by and g.keypoints >= FEWEST_TO_TELL]
        if len(chosen) > 1:
            low = min(chosen, key=lambda g: g.shares["good"])
            high = max(chosen, key=lambda g: g.shares["good"])
            names = {group.name: "no" if group.name == "0" else group.name for group in chosen}
            least, most = (what.format(names[group.name]) for group in (low, high))
            said.append(
                f"Keypoints of {least} are good least often, in {100 * low.shares['good']:.1f} %, "
                f"those of {most} most often, in {100 * high.shares['good']:.1f} %."
            )
    return said


def _of_scores(numbers: Numbers) -> list[str]:
    said = []
    pairs = (
        ("keypoints", numbers.keypoint_scores, "keypoints with similarity 0.5 or above"),
        ("results", numbers.person_scores, "results with OKS 0.5 or above"),
    )
    for (what, reliability, right), error in zip(pairs, numbers.calibration_errors, strict=True):
        if error.value is None:
            continue
        mean = reliability.scores.sum() / reliability.count
        share = reliability.right.sum() / reliability.count
        said.append(
            f"Scores of {what} are {mean:.2f} in the mean, and {100 * share:.1f} % of them are of "
            f"{right}: as probabilities, the scores are off by {error.value:.3f} in the mean "
            "(expected calibration error)."
        )
    return said
