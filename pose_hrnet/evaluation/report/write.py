"""The report of a results file, in one HTML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pose_hrnet.data.missing import why_unreadable
from pose_hrnet.evaluation.report import page as parts
from pose_hrnet.evaluation.report.changes import Changes, changed_persons, draw_changes
from pose_hrnet.evaluation.report.examples import (
    Pictures,
    draw,
    of_kinds,
    unreadable_in_words,
    worst_typical_best,
)
from pose_hrnet.evaluation.report.findings import findings
from pose_hrnet.evaluation.report.numbers import Numbers, collect
from pose_hrnet.evaluation.scorer import METRICS, FileTruth
from pose_hrnet.evaluation.statistics.bootstrap import REPLICATES
from pose_hrnet.evaluation.statistics.comparison import compare_results
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.system.files import write_text
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.visualize import html
from pose_hrnet.visualize.html import Section

REPORT_FILE = "report.html"
"""What the report in the folder of an evaluation or a run is called."""
TILES = ("AP", "AP50", "AP75", "AR", "PCK@0.1")
MOST_IMAGES = 20
"""Images in the table of those that changed most."""
_SHOWN = {
    "worst": "Found, and worst",
    "typical": "Typical: around the median",
    "best": "Best",
    "miss": "Most misses",
    "swap": "Most swaps with other persons",
    "inversion": "Most keypoints on the other side",
    "jitter": "Most jitter",
    "not found": "Persons whom no result finds, the largest first",
    "background": "Results that find nobody, the surest first",
}
_LEGEND = [
    ("c-truth", "annotated"), ("c-found", "predicted"), ("c-jitter", "jitter"),
    ("c-inversion", "inversion"), ("c-swap", "swap"), ("c-miss", "miss"),
]  # fmt: skip
METHODS = (
    "Persons and results are matched at OKS 0.1 by COCO's greedy rule. A keypoint's similarity to "
    "a place is exp(-d\N{SUPERSCRIPT TWO} / (2 A k\N{SUPERSCRIPT TWO})), A the area of the person "
    "to whom the place belongs, k = 2 sigma. The most similar place decides: the own one (good "
    "above 0.85, jitter from 0.5), the own one of the other side (inversion from 0.5), one of "
    "another person (swap from 0.5); below 0.5 it is a miss (Ronchi and Perona, ICCV 2017).",
    "A corrected keypoint goes to where its similarity is 0.5 (miss), 0.85 (jitter), or what it "
    "was to the wrong place (inversion, swap); corrected scores are the highest OKS with a "
    "person, decayed by soft NMS; then all is matched anew.",
    "Intervals: images drawn again with replacement, matched once, percentiles of the draws "
    "(Efron, 1979). Expected calibration error: ten bins of equal width (Guo et al., ICML 2017).",
)


@dataclass(frozen=True)
class Written:
    """What a report holds.

    Attributes:
        path: The file.
        findings: Its sentences.
        notes: What there is to say about it.
    """

    path: Path
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def write_report(
    results: Path,
    truth: FileTruth,
    output: Path,
    *,
    images: Path | None = None,
    against: Path | None = None,
    replicates: int = REPLICATES,
    progress: Progress = SILENT,
) -> Written:
    """Score results, find their errors, draw them, and write all of it as a page.

    Args:
        results: COCO keypoint results of any program. Beside those of `evaluate` stands what
            produced them, in ``metrics.json``, and is told, too.
        truth: Annotations.
        output: The HTML file.
        images: Folder of the images; None: no pictures.
        against: Results to compare with.
        replicates: Draws of the intervals.
        progress: Watches.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed or of other images, or there is nobody to find.
        OSError: If the file cannot be written.
    """
    file = MatchedFile.of(truth, results)
    with progress.task("report", 4 + 2 * (against is not None), "steps") as bar:
        numbers = collect(file, replicates=replicates)
        bar.advance()
        changes = None
        if against is not None:
            other = collect(MatchedFile.of(truth, against), replicates=replicates)
            comparison = compare_results([[against], [results]], truth, replicates=replicates)
            changes = Changes(other, comparison)
            bar.advance(2)
        pictures = None if images is None else Pictures(numbers, images)
        sections = [parts.numbers_section(numbers), parts.errors_section(numbers)]
        sections += [parts.curves_section(numbers), parts.keypoints_section(numbers)]
        sections.append(parts.calibration_section(numbers))
        if changes is not None:
            sections.insert(0, _changes_section(changes, numbers, pictures))
        bar.advance()
        sections.append(_pictures_section(numbers, pictures))
        bar.advance()
        sections.append(Section("Definitions", tuple(map(html.paragraph, METHODS))))
        notes = _notes(numbers, pictures)
        said = findings(numbers)
        if changes is not None:
            said.insert(0, _verdict(changes))
        content = html.page(
            f"{_name(results)} on {Path(truth.name).name}",
            f"{METRICS[truth.metric].title}. {_counts(numbers)}.",
            [
                _tiles(numbers),
                html.side_by_side(
                    html.sentences(said), html.facts(_facts(numbers, results, against))
                ),
                *(html.paragraph(note, note=True) for note in notes),
            ],
            sections,
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, content)
        bar.advance()
    return Written(output, tuple(said), tuple(notes))


def _name(path: Path) -> str:
    """A results file in a title: of ``results.json`` the folder says more."""
    name = path.name if path.stem != "results" else path.resolve().parent.name
    return name or path.name


def _counts(numbers: Numbers) -> str:
    overall, scene = numbers.diagnosis.overall, numbers.diagnosis.scene
    return (
        f"{len(numbers.file.image_ids):,} images, {overall.persons:,} persons with keypoints, "
        f"{len(scene.found):,} results"
    )


def _tiles(numbers: Numbers) -> str:
    entries = []
    for name in TILES:
        interval = numbers.intervals.values.get(name)
        if interval is not None and interval.value is not None:
            ends = "" if interval.low is None else f"{interval.low:.3f} to {interval.high:.3f}"
            entries.append((name, f"{interval.value:.3f}", ends))
    return html.tiles(entries)


def _facts(numbers: Numbers, results: Path, against: Path | None) -> list[tuple[str, str]]:
    facts = [("results", str(results)), ("annotations", numbers.file.truth.name)]
    if against is not None:
        facts.insert(1, ("compared with", str(against)))
    facts += _provenance(results, numbers.ap)
    facts.append(
        ("scored by", f"{numbers.file.matched.evaluator}; pose_hrnet {version('pose-hrnet')}")
    )
    return facts


def _provenance(results: Path, ap: float) -> list[tuple[str, str]]:
    """What `evaluate` wrote beside the results, if it is of them."""
    path = results.with_name("metrics.json")
    try:
        said: Any = json.loads(path.read_text("utf-8"))
        is_theirs = abs(float(said["AP"]) - ap) < 1e-9
        facts = said["evaluated"].items() if is_theirs else ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    told = ("checkpoint", "weights", "backend", "boxes", "codec", "flip_test", "nms", "precision")
    return [(name.replace("_", " "), _short(value)) for name, value in facts if name in told]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())[:300]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)[:300]


def _notes(numbers: Numbers, pictures: Pictures | None) -> list[str]:
    notes = [f"{note}." for note in numbers.file.matched.notes]
    unreadable = None if pictures is None else unreadable_in_words(pictures)
    return notes + ([unreadable] if unreadable else [])


def _verdict(changes: Changes) -> str:
    first, second = (_name(Path(side.files[0])) for side in changes.comparison.sides)
    sentence = changes.pair.sentence
    return f"A is {first}, B is {second}. {sentence[0].upper()}{sentence[1:]}."


def _pictures_section(numbers: Numbers, pictures: Pictures | None) -> Section:
    title = "Persons"
    if pictures is None:
        words = "No pictures: no folder of images was given. --images names it."
        return Section(title, (html.paragraph(words),))
    blocks = [html.legend_of(_LEGEND)]
    drawn = 0
    for name, examples in {**worst_typical_best(numbers), **of_kinds(numbers)}.items():
        if not examples:
            continue
        found = draw(pictures, examples)
        drawn += len(found)
        if found:
            blocks += [html.heading(_SHOWN[name]), html.gallery(found)]
    if not drawn:
        images = numbers.file.truth.coco.images
        reason = why_unreadable(pictures.folder, images)
        words = f"No pictures: no image could be read from {pictures.folder}: {reason}."
        return Section(title, (html.paragraph(words),))
    blocks.append(
        html.paragraph(
            "Worst, typical and best are of persons with at least 6 labelled keypoints, by OKS; "
            "of each kind of error those with most of it, one of an image.",
            note=True,
        )
    )
    return Section(title, tuple(blocks))


def _changes_section(changes: Changes, numbers: Numbers, pictures: Pictures | None) -> Section:
    pair, other = changes.pair, changes.other
    first, second = (side.values.values for side in changes.comparison.sides)
    names = [n for n in first if not n.startswith(("OKS ", "PCK@0.1 "))]
    differences = pair.differences.values
    rows: list[list[html.Content]] = [
        [
            name,
            html.number(first[name].value),
            html.number(second[name].value),
            parts.interval_cell(differences[name], sign="+"),
        ]
        for name in names
    ]
    keypoints: list[list[html.Content]] = [
        [
            name,
            html.number(first[f"OKS {name}"].value),
            html.number(second[f"OKS {name}"].value),
            parts.interval_cell(differences[f"OKS {name}"], sign="+"),
        ]
        for name in numbers.file.best.names
    ]
    gains = [each.diagnosis.overall.shares for each in (other, numbers)]
    kinds: list[list[html.Content]] = [
        [
            kind,
            html.number(100 * gains[0][kind], 1),
            html.number(100 * gains[1][kind], 1),
            html.number(100 * (gains[1][kind] - gains[0][kind]), 1, sign="+"),
        ]
        for kind in gains[0]
    ]
    images: list[list[html.Content]] = [
        [
            str(each.file_name or each.image_id),
            each.persons,
            html.number(each.before / each.persons),
            html.number(each.after / each.persons),
            html.number(each.change, 2, sign="+"),
        ]
        for each in pair.images[:MOST_IMAGES]
        if each.change
    ]
    blocks = [
        html.paragraph(_verdict(changes)),
        html.paragraph(
            "p: results change places within images. One training of each: another seed of the "
            "same recipe may differ as much.",
            note=True,
        ),
        html.side_by_side(
            html.table(["number", "A", "B", "B minus A"], rows)
            + html.heading("Kinds of keypoint errors, percent")
            + html.table(["kind", "A", "B", "B minus A"], kinds),
            html.heading("Similarity of each keypoint")
            + html.table(["keypoint", "A", "B", "B minus A"], keypoints),
        ),
    ]
    if images:
        blocks += [
            html.heading("Images that changed most"),
            html.table(["image", "persons", "mean OKS A", "mean OKS B", "change, summed"], images),
        ]
    if pictures is not None:
        for better, title in ((True, "Better in B"), (False, "Worse in B")):
            rows_of = changed_persons(numbers, other.file, better=better)
            if found := draw_changes(pictures, other.file, rows_of):
                blocks += [html.heading(title), html.gallery(found, pairs=True)]
    return Section("What changed", tuple(blocks))
