"""``pose-hrnet compare``: is one model better than another on the same images."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import RichProgress, one_sentence_errors, print_table, say
from pose_hrnet.cli.options import (
    Annotations,
    CategoryOption,
    ClusterOption,
    MetricOption,
    SkeletonOption,
    file_to_write,
    output_option,
    results_file,
)
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.text import counted

if TYPE_CHECKING:
    from pose_hrnet.evaluation.statistics.comparison import Pair, ResultsComparison

AGAINST = "vs"
"""The word between the files of two models."""
MOST_KEYPOINTS, MOST_IMAGES = 5, 5


@one_sentence_errors
def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            help="COCO keypoint results of each model, of any program, or the folders of "
            "evaluate's. With vs between them, several of a model: those of its training seeds.",
        ),
    ],
    annotations: Annotations,
    cluster: ClusterOption = None,
    replicates: Annotated[
        int, typer.Option(min=20, help="Draws of the images, and permutations.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    output: Annotated[
        Path | None, output_option(file_to_write, "JSON to write everything to.")
    ] = None,
    skeleton: SkeletonOption = None,
    category: CategoryOption = None,
    metric: MetricOption = "auto",
) -> None:
    """Say whether one model is better than another, how sure that is, and what changed.

    All results are scored against the same persons. Images are drawn again for the intervals of
    the differences, and results change places within images for the p value; of more than two
    models all pairs are compared, and p values are adjusted by Holm.

    Settings of one model are compared by `evaluate --compare`.

    Example: `pose-hrnet compare a/results.json b/results.json --annotations val.json`, or with
    three trainings each `pose-hrnet compare a?/results.json vs b?/results.json --annotations
    val.json`
    """
    from pose_hrnet.evaluation.scorer import FileTruth
    from pose_hrnet.evaluation.statistics.clusters import cluster_labels
    from pose_hrnet.evaluation.statistics.comparison import compare_results
    from pose_hrnet.system.files import write_json

    sides = sides_of(results)
    check_not_over(output, annotations, *chain(*sides))
    truth = FileTruth.of(annotations, skeleton=skeleton, category=category, metric=metric)
    found = compare_results(
        sides,
        truth,
        clusters=None if cluster is None else cluster_labels(annotations, truth, cluster),
        unit=cluster or "image",
        replicates=replicates,
        seed=seed,
        progress=RichProgress(),
    )
    _print(found)
    if output is not None:
        write_json(output, found.to_dict())
        say(str(output))


def sides_of(arguments: list[str]) -> list[list[Path]]:
    """The results files of each model: those between ``vs``, or without it each for itself.

    Raises:
        ValueError: If there is nothing beside a ``vs``, there are not two models, or one file is
            given twice.
        FileNotFoundError: If a folder has no results.
    """
    sides: list[list[Path]] = [[]]
    for argument in arguments:
        if argument == AGAINST:
            sides.append([])
        else:
            sides[-1].append(results_file(Path(argument)))
    if AGAINST not in arguments:
        sides = [[path] for path in sides[0]]
    if len(sides) < 2 or not all(sides):
        raise ValueError(
            "compare needs the results of two models or more; give A.json B.json, or A1.json "
            f"A2.json {AGAINST} B1.json B2.json for several trainings of each"
        )
    every = [path.resolve() for side in sides for path in side]
    for path in every:
        if every.count(path) > 1:
            raise ValueError(f"{path} is given twice; give the results of different models")
    return sides


def _print(found: ResultsComparison) -> None:
    """Every side and every pair."""
    from pose_hrnet.evaluation.statistics.keypoints import is_of_keypoint

    counts = ", ".join(counted(n, noun.removesuffix("s")) for noun, n in found.counts.items())
    for side in found.sides:
        first, *more = side.files
        say(
            f"{side.label}  {first}"
            + (f" and {counted(len(more), 'more training')}" if more else "")
        )
    say("; ".join(filter(None, (counts, found.sides[0].values.in_words()))))
    for note in found.notes:
        say(f"note: {note}")
    names = [name for name in found.sides[0].values.values if not is_of_keypoint(name)]
    rows = [
        [name, *(side.values.values[name].in_words() for side in found.sides)] for name in names
    ]
    print_table("", ["", *(side.label for side in found.sides)], rows)
    for pair in found.pairs:
        _print_pair(pair, names)
    if len(found.pairs) > 1:
        say(f"p values are Holm's, of {counted(len(found.pairs), 'pair')} together")
    if any(pair.trainings is None for pair in found.pairs):
        say("one training each: another seed of the same recipe may differ as much")
    for pair in found.pairs:
        say(pair.sentence)


def _print_pair(pair: Pair, names: list[str]) -> None:
    """The differences, and what changed most."""
    differences = pair.differences.values
    title = f"{pair.second} minus {pair.first}"
    rows = [[name, differences[name].in_words(sign="+")] for name in names]
    rows += [
        [f"OKS {name}", interval.in_words(sign="+")]
        for name, interval in pair.keypoints()[:MOST_KEYPOINTS]
    ]
    print_table(title, ["", "difference"], rows)
    if (trainings := pair.trainings) is not None:
        for label, values in ((pair.first, trainings.first), (pair.second, trainings.second)):
            say(f"trainings of {label}: AP {', '.join(f'{value:.3f}' for value in values)}")
        if trainings.difference.low is None:
            say("a side with one training says nothing of other trainings")
    changed = [each for each in pair.images[:MOST_IMAGES] if each.change]
    if changed:
        rows = [
            [
                str(each.image_id if each.file_name is None else each.file_name),
                str(each.persons),
                f"{each.before:.2f}",
                f"{each.after:.2f}",
                f"{each.change:+.2f}",
            ]
            for each in changed
        ]
        headings = ["image", "persons", f"OKS {pair.first}", f"OKS {pair.second}", "change"]
        print_table("images that changed most, OKS of all persons in them", headings, rows)
