"""The command line, for `test_distributed_training`: a process notes what it learns from.

In the folder TRACE: of each step the persons and the loss, and at the end the parameters and the
numbers of all epochs. Steps take STEP_SECONDS longer.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch

from pose_hrnet.cli.app import main
from pose_hrnet.training.loop import TrainingRun
from pose_hrnet.training.step import TrainingStep

TRACE, RANK = Path(os.environ["TRACE"]), os.environ["RANK"]
learn, go_on = TrainingStep.__call__, TrainingRun.to_the_end


def learn_and_note(self, batches, rate):
    loss = learn(self, batches, rate)
    rows = [int(row) for batch in batches for row in batch.rows]
    with (TRACE / f"{RANK}.steps").open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "rows": rows, "loss": loss.item()}) + "\n")
    time.sleep(float(os.environ["STEP_SECONDS"]))
    return loss


def go_on_and_note(self, interrupts, checkpoints):
    go_on(self, interrupts, checkpoints)
    parameters = {name: value.detach() for name, value in self.model.named_parameters()}
    torch.save({"parameters": parameters, "lines": self.done.lines}, TRACE / f"{RANK}.end")


TrainingStep.__call__, TrainingRun.to_the_end = learn_and_note, go_on_and_note
main()
