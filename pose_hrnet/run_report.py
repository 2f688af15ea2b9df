"""What a training run tells its reader: ``metrics.jsonl``, the curve, TensorBoard, a log line."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pose_hrnet.draw import draw_training_curve
from pose_hrnet.files import write_text
from pose_hrnet.metrics.main_number import main_number

log = logging.getLogger(__name__)


class Report:
    """Shows the finished epochs: ``metrics.jsonl``, the curve, TensorBoard, a log line.

    Args:
        output: Folder of the run.
        finished_epochs: What TensorBoard has of later epochs is work that was lost, and is hidden.
    """

    def __init__(self, output: Path, finished_epochs: int) -> None:
        self.path = output / "metrics.jsonl"
        self.curve = output / "curve.png"
        self.board = _tensorboard(output, finished_epochs)

    def show(self, lines: list[dict[str, Any]]) -> None:
        """Write all lines, and say the last one.

        Args:
            lines: One per finished epoch.
        """
        line = lines[-1]
        write_text(self.path, "".join(json.dumps(each) + "\n" for each in lines))
        score = main_number(line)
        if score is not None:
            draw_training_curve(lines, self.curve)
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["epoch"])
            self.board.flush()
        ap = "" if score is None else f", {score} {line[score]:.3f}"
        log.info(
            "epoch %d: loss %.3e%s, %.0f samples/s, waiting for data %.0f %%",
            line["epoch"], line["loss"], ap, line["samples_per_second"], 100 * line["data_wait"],
        )  # fmt: skip

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; empty if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _tensorboard(output: Path, finished_epochs: int) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(output / "tensorboard"), purge_step=finished_epochs + 1)
