"""The report of a results file, in one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pose_hrnet.data.missing import why_unreadable
from pose_hrnet.evaluation.evaluate import METRICS_FILE
from pose_hrnet.evaluation.matching import MIN_KEYPOINTS
from pose_hrnet.evaluation.report import page as parts
from pose_hrnet.evaluation.report.changes import Changes, changes_section, short_name
from pose_hrnet.evaluation.report.examples import (
    LEGEND,
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
from pose_hrnet.evaluation.statistics.results import DrawnFile, MatchedFile, check_common_images
from pose_hrnet.keypoints.simcc import codec_of
from pose_hrnet.system.files import write_text
from pose_hrnet.system.inputs import values_beside
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.visualize import html
from pose_hrnet.visualize.html import Section

TILES = ("AP", "AP50", "AP75", "AR", "PCK@0.1")
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
_TOLD = (
    "checkpoint", "weights", "backend", "boxes", "detector", "codec", "flip_test",
    "flip_shift_cells", "nms", "calibrated", "precision",
)  # fmt: skip
"""Of what `evaluate` says of itself."""
METHODS = (
    "AP: precision, mean over recalls and over OKS thresholds from 0.50 to 0.95; AP50, AP75: at "
    "one threshold; AR: highest recall, mean over thresholds. PCK@t: share of the labelled "
    "keypoints nearer to their place than t times the longer side of the person's box, mean over "
    "the keypoints; PCK and similarity are of the result of highest OKS for each person.",
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
        unreadable: How many of the images that were to be shown could not be read.
    """

    path: Path
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    unreadable: int


def write_report(
    results: Path | DrawnFile,
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
        results: COCO keypoint results of any program, or what was drawn of them. Beside those of
            `evaluate` stands what produced them, in ``metrics.json``, and is told, too.
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
    file = results.file if isinstance(results, DrawnFile) else MatchedFile.of(truth, results)
    other = None if against is None else MatchedFile.of(truth, against)
    if other is not None:
        check_common_images([other, file])
    with progress.task("report", 4 + 2 * (other is not None), "steps") as bar:
        if not isinstance(results, DrawnFile):
            results = DrawnFile.of(file, replicates=replicates)
        numbers = collect(results)
        bar.advance()
        changes = None
        if other is not None:
            drawn = DrawnFile.of(other, replicates=replicates)
            changes = Changes.between(collect(drawn), numbers)
            bar.advance(2)
        pictures = None if images is None else Pictures(numbers, images)
        sections = [parts.numbers_section(numbers), parts.errors_section(numbers)]
        sections += [parts.curves_section(numbers), parts.keypoints_section(numbers)]
        sections.append(parts.calibration_section(numbers))
        if changes is not None:
            sections.insert(0, changes_section(changes, pictures))
        bar.advance()
        sections.append(_pictures_section(numbers, pictures))
        bar.advance()
        sections.append(Section("Definitions", tuple(map(html.paragraph, METHODS))))
        notes = _notes(numbers, changes, pictures)
        said = findings(numbers)
        if changes is not None:
            said.insert(0, changes.sentence)
        content = html.page(
            f"{short_name(Path(file.name))} on {Path(truth.name).name}",
            f"{METRICS[truth.metric].title}. {_counts(numbers)}.",
            [
                _tiles(numbers),
                html.side_by_side(
                    html.sentences(said),
                    html.facts(_facts(numbers, changes.other if changes else None)),
                ),
                *(html.paragraph(note, note=True) for note in notes),
            ],
            sections,
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, content)
        bar.advance()
    unreadable = 0 if pictures is None else len(pictures.unreadable)
    return Written(output, tuple(said), tuple(notes), unreadable)


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


def _facts(numbers: Numbers, other: Numbers | None) -> list[tuple[str, str]]:
    facts = [("results", numbers.file.name), ("annotations", numbers.file.truth.name)]
    theirs: dict[str, str] = {}
    if other is not None:
        facts.insert(1, ("compared with", other.file.name))
        theirs = _provenance(other)
    facts += _produced(_provenance(numbers), theirs)
    facts.append(
        ("scored by", f"{numbers.file.matched.evaluator}; pose_hrnet {version('pose-hrnet')}")
    )
    return facts


def _produced(own: dict[str, str], theirs: dict[str, str]) -> list[tuple[str, str]]:
    """What produced the results, and those that they are compared with where that is other."""
    told = []
    for name in _TOLD if own else ():
        words, other = own.get(name, "none"), theirs.get(name, "none")
        if theirs and words != other:
            words += f"; of A {other}"
        if words != "none":
            told.append((name.replace("_", " "), words))
    return told


def _provenance(numbers: Numbers) -> dict[str, str]:
    """What `evaluate` wrote beside the results, if it is of them."""
    said = values_beside(Path(numbers.file.name).with_name(METRICS_FILE))
    try:
        is_theirs = abs(float(said["AP"]) - numbers.ap) < 1e-9
        facts = said["evaluated"].items() if is_theirs else ()
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {name: _short(value) for name, value in facts if name in _TOLD and value is not None}


def _short(value: Any) -> str:
    if isinstance(value, dict):
        try:
            return str(codec_of(value))
        except (ValueError, TypeError, KeyError):
            return ", ".join(f"{key} {each}" for key, each in value.items())[:300]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:300]


def _notes(numbers: Numbers, changes: Changes | None, pictures: Pictures | None) -> list[str]:
    """Sentences on the results; those on the intervals stand beside these."""
    told = numbers.file.notes if changes is None else changes.comparison.notes
    notes = [note + "." * (not note.endswith("?")) for note in told]
    notes = [note for note in notes if note[:-1] not in numbers.intervals.notes]
    unreadable = None if pictures is None else unreadable_in_words(pictures)
    return notes + ([unreadable] if unreadable else [])


def _pictures_section(numbers: Numbers, pictures: Pictures | None) -> Section:
    title = "Persons"
    if pictures is None:
        words = "No pictures: no folder of images was given. --images names it."
        return Section(title, (html.paragraph(words),))
    blocks = [html.legend_of(LEGEND)]
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
            f"Worst, typical and best are of persons with at least {MIN_KEYPOINTS} labelled "
            "keypoints, by OKS; of each kind of error those with most of it, one of an image.",
            note=True,
        )
    )
    return Section(title, tuple(blocks))
