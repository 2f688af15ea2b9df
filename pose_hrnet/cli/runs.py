"""``pose-hrnet runs``: training runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import RichProgress, one_sentence_errors, print_table, say
from pose_hrnet.cli.options import file_to_write
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.text import duration, shown

if TYPE_CHECKING:
    from pose_hrnet.training.runs import Run, Runs


@one_sentence_errors
def runs(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of training runs, or folders of such folders.")
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", parser=file_to_write, metavar="PATH", help="Page to write, too."),
    ] = None,
    intervals: Annotated[
        bool,
        typer.Option("--intervals/--no-intervals", help="Of the AP of results that lie there."),
    ] = True,
) -> None:
    """Put training runs side by side: what they came to, what differs in their settings, how long.

    Results that `evaluate` has written to the folder of a run, or to one in it, are scored again
    for their interval. The page shows the curves over one another.

    Example: `pose-hrnet runs runs/ --html runs.html`
    """
    from pose_hrnet.training.runs import read_runs

    found = read_runs(folders, intervals=intervals, progress=RichProgress())
    if html is not None:
        check_not_over(html, *found.files())
    _print(found)
    if html is not None:
        from pose_hrnet.system.files import write_text
        from pose_hrnet.training.runs_page import runs_page

        write_text(html, runs_page(found))
        say(str(html))


def _print(found: Runs) -> None:
    from pose_hrnet.evaluation.statistics.bootstrap import LEVEL_IN_WORDS

    evaluated = f"evaluated [{LEVEL_IN_WORDS}]"
    headings = ["run", "best in training", "epoch", evaluated, "learning", "commit"]
    print_table("runs", headings, [_row(run) for run in found.runs])
    if found.differing:
        rows = [
            [key, *("" if value is None else shown(value, 40).strip("'") for value in values)]
            for key, values in found.differing.items()
        ]
        print_table("settings that differ", ["", *(run.name for run in found.runs)], rows)
    elif len(found.runs) > 1:
        say("no setting differs")
    if len({run.data for run in found.runs}) == 1:
        say(f"data: {found.runs[0].data}")
    for note in found.notes:
        say(f"note: {note}")


def _row(run: Run) -> list[str]:
    from pose_hrnet.training.runs import told_apart

    best = "-" if run.best is None else f"{run.number} {run.best[run.number or '']:.3f}"
    at = "-" if run.best is None else f"{run.best['epoch']} of {run.epochs}"
    evaluated = [f"{each.number} {each.interval.in_words()}" for each in run.evaluated]
    if len(evaluated) > 1:
        names = told_apart([each.folder for each in run.evaluated])
        evaluated = [f"{words} in {name}" for words, name in zip(evaluated, names, strict=True)]
    learning = duration(run.seconds) if run.lines else "-"
    return [run.name, best, at, "\n".join(evaluated) or "-", learning, run.commit or "-"]
