"""What a training run tells its reader.

At the start what it is about to do, early on how long that takes, a line for each epoch, at the
end what came of it; ``metrics.jsonl``, the curve and pictures of predictions in its folder; and
the same numbers and pictures to the loggers.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.evaluation.evaluate import REPORT_FILE, EvaluationSet
from pose_hrnet.evaluation.metrics.pckh import MpiiTruth
from pose_hrnet.evaluation.report.write import write_report
from pose_hrnet.evaluation.scorer import CURVE_SCORES, FileTruth, main_number
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.files import write_text
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.progress import Bar, Progress
from pose_hrnet.system.text import duration, one_line, speed
from pose_hrnet.training.loggers import Loggers, RunLogger
from pose_hrnet.training.summary import Facts, Tell, epoch_in_words, log_facts, result_facts
from pose_hrnet.visualize.pictures import draw_training_curve, write_image

log = logging.getLogger(__name__)

WARM_UP_STEPS, TIMED_STEPS = 3, 20
"""The first steps of a run are slower than the rest; so many after them tell its speed."""
TIMED_SECONDS = 120.0
"""Slow steps tell it sooner: after so long, if there were two."""
METRICS, CURVE = "metrics.jsonl", "curve.png"
KEPT_PICTURES = ("best_predictions", "worst_predictions")
"""Pictures that are kept in the folder, too: those of the last evaluation."""


class Report:
    """Tells the reader about a run, from its start to its end.

    Args:
        output: Folder of the run.
        finished_epochs: Epochs that an earlier part of the run has finished.
        epochs: Epochs of the whole run.
        minutes: Of learning, if they end the run where the epochs do not sooner.
        loggers: Take numbers and pictures, too; they are closed with the report.
        tell: Takes the summaries of start and end.
    """

    def __init__(
        self,
        output: Path,
        finished_epochs: int,
        *,
        epochs: int,
        minutes: float | None = None,
        loggers: Sequence[RunLogger] = (),
        tell: Tell = log_facts,
    ) -> None:
        self.output = output
        self.epochs, self.minutes = epochs, minutes
        self.loggers = Loggers(loggers)
        self.tell = tell
        self.finished_before = finished_epochs
        self.began = time.perf_counter()
        self.has_told_speed = False

    def start(self, summary: Facts) -> None:
        """Say what the run is about to do; call it right before the first epoch."""
        self.tell(summary)
        self.began = time.perf_counter()

    def timed(self, bar: Bar, crops: int, epoch: int) -> Bar:
        """The bar of an epoch, which also tells after its first steps how long the run will take.

        Args:
            bar: Is advanced once for each step.
            crops: Crops in an epoch.
            epoch: Epochs that are finished.
        """
        if self.has_told_speed or self.minutes is not None:  # which tell how long it takes
            return bar
        self.has_told_speed = True
        return _TimedBar(bar, crops * (self.epochs - epoch))

    def show(self, lines: list[dict[str, Any]]) -> None:
        """Write all lines, and say the last one.

        Args:
            lines: One per finished epoch.
        """
        line = lines[-1]
        write_text(self.output / METRICS, "".join(json.dumps(each) + "\n" for each in lines))
        if main_number(line) is not None:
            draw_training_curve(lines, self.output / CURVE, CURVE_SCORES)
        self.loggers.scalars(line["epoch"], line)
        log.info("%s", epoch_in_words(line, self.epochs, self._seconds_left(lines)))

    def pictures(self, pictures: Mapping[str, Image], epoch: int) -> None:
        """Keep the pictures of an evaluation.

        Args:
            pictures: RGB, by name; those of `KEPT_PICTURES` are written to the folder.
            epoch: That was evaluated.
        """
        for name, picture in pictures.items():
            if name in KEPT_PICTURES:
                write_image(self.output / f"{name}.png", picture)
            self.loggers.picture(name, picture, epoch)

    def page(self, held_out: EvaluationSet, progress: Progress) -> None:
        """Write the report on the evaluation of the best weights; a fault of it ends no run.

        Args:
            held_out: What was evaluated.
            progress: Watches.

        Raises:
            OSError: If the disk is full.
        """
        scorer, results = held_out.scorer, self.output / RESULTS_FILE
        if isinstance(scorer.truth, MpiiTruth) or not results.exists():
            return
        truth = FileTruth(scorer.metric, scorer.truth, scorer.skeleton)
        images = held_out.data.images
        try:
            write_report(
                results, truth, self.output / REPORT_FILE, images=images, progress=progress
            )
        except ValueError as error:
            log.warning("no %s: %s", REPORT_FILE, one_line(error))

    def finish(self, lines: list[dict[str, Any]], best: Path) -> None:
        """Say what came of the run, and where its pictures are.

        Args:
            lines: One per epoch.
            best: The weights that were kept.
        """
        facts = result_facts(lines, best)
        names = ["curve", *KEPT_PICTURES]
        kept = [f"{name}.png" for name in names if (self.output / f"{name}.png").exists()]
        rows = [*facts.rows, ("pictures", ", ".join(kept))]
        if (self.output / REPORT_FILE).exists():
            rows.append(("report", REPORT_FILE))
        self.tell(Facts(facts.title, tuple(rows)))

    def close(self) -> None:
        """Finish what the loggers write."""
        self.loggers.close()

    def _seconds_left(self, lines: list[dict[str, Any]]) -> float | None:
        """Until the epochs are over, by what this part of the run took, or the time is."""
        epoch = int(lines[-1]["epoch"])
        done = epoch - self.finished_before
        left = []
        if done >= 1:  # evaluations included
            left.append((time.perf_counter() - self.began) / done * (self.epochs - epoch))
        if self.minutes is not None:
            learned = sum(float(line["seconds"]) for line in lines)
            left.append(max(0.0, 60 * self.minutes - learned))
        return min(left, default=None)


class _TimedBar:
    """Passes on to a bar, and tells the speed once it has seen enough steps."""

    def __init__(self, bar: Bar, crops_left: int) -> None:
        self.bar = bar
        self.crops_left = crops_left
        self.steps = self.crops = 0
        self.began = 0.0
        self.has_told = False

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.bar.advance(amount, note)
        self.crops_left -= amount
        self.steps += 1
        if self.steps == WARM_UP_STEPS:
            self.began = time.perf_counter()
        elif self.steps > WARM_UP_STEPS and not self.has_told:
            self.crops += amount
            seconds, timed = time.perf_counter() - self.began, self.steps - WARM_UP_STEPS
            if timed >= TIMED_STEPS or (timed >= 2 and seconds > TIMED_SECONDS):
                self.has_told = True
                rate = self.crops / seconds
                log.info(
                    "about %s of learning left at %s, evaluations apart",
                    *(duration(self.crops_left / rate), speed(rate)),
                )

    def advance_to(self, done: int) -> None:
        """Of an epoch that was begun before: the crops that it need not see again."""
        self.bar.advance_to(done)
        self.crops_left -= done


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; empty if there is no such file."""
    if not path.exists():
        return []
    lines = read_input(path).splitlines()
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({one_line(error)}); expected a line of JSON for each epoch: "
            "restore it, or choose another --output"
        ) from None
