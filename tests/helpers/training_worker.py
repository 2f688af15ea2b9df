"""The command line, for `test_distributed_training`: a process notes what it learns from.

In the folder TRACE: of each step the persons and the loss, signals that came, and at the end the
parameters and the numbers of all epochs. At the end of step HOLD, if there is one, a process waits
until TRACE holds the file `go`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch

from pose_hrnet.cli.app import main
from pose_hrnet.system.interrupts import Interrupts
from pose_hrnet.training.loop import TrainingRun
from pose_hrnet.training.step import TrainingStep

TRACE, RANK, HOLD = Path(os.environ["TRACE"]), os.environ["RANK"], int(os.environ["HOLD"])
learn, go_on, handle = TrainingStep.__call__, TrainingRun.to_the_end, Interrupts._handle


def learn_and_note(self, batches, rate):
    loss = learn(self, batches, rate)
    rows = [int(row) for batch in batches for row in batch.rows]
    steps = TRACE / f"{RANK}.steps"
    with steps.open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "rows": rows, "loss": loss.item()}) + "\n")
    while len(steps.read_text().splitlines()) == HOLD and not (TRACE / "go").exists():
        time.sleep(0.01)
    return loss


def handle_and_note(self, number, frame):
    handle(self, number, frame)
    (TRACE / f"{RANK}.signal").touch()


def go_on_and_note(self):
    go_on(self)
    parameters = {name: value.detach() for name, value in self.parts.model.named_parameters()}
    torch.save({"parameters": parameters, "lines": self.done.lines}, TRACE / f"{RANK}.end")


TrainingStep.__call__, TrainingRun.to_the_end = learn_and_note, go_on_and_note
# Private: nothing else says that it was called.
Interrupts._handle = handle_and_note
main()
