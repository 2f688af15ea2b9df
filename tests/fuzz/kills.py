"""``python -m tests.fuzz.kills``: end trainings by kill -9, at random and within saves.

Each run is resumed and killed again, until it comes to its end; then its weights, moments, random
numbers and metrics are those of the run that nobody killed, to the last bit.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from tests.fuzz.campaign import import_all
from tests.fuzz.children import end_of, partial_files
from tests.fuzz.kit import make_kit
from tests.helpers.training_runs import assert_same_run

COMMAND = ["train", "recipe.yaml", "--output=out", "--resume", "--device=cpu",
           "--set=train.epochs=4", "--set=train.save_every=1", "--set=data.workers=0"]  # fmt: skip
MOMENTS = ("any", "half a save", "before it is on the disk", "before it moves", "after it moved")


def kill_campaign(folder: Path, kills: int, seed: int = 0) -> dict[str, int]:
    """Kill so many times; returns how many kills of each of the `MOMENTS` there were.

    Args:
        folder: To work in.
        kills: How many.
        seed: Of the moments.

    Raises:
        AssertionError: If a run comes to another end, or a command to a bad one.
    """
    rng = random.Random(seed)
    kit = make_kit(folder / "kit")
    whole = shutil.copytree(kit, folder / "whole")
    began = time.monotonic()
    code, said = end_of(COMMAND, whole / "log")
    seconds = time.monotonic() - began
    assert code == 0, said
    done = dict.fromkeys(MOMENTS, 0)
    while sum(done.values()) < kills:
        run = shutil.copytree(kit, folder / "run")
        while True:
            moment = rng.choice(MOMENTS) if sum(done.values()) < kills else ""
            delay = rng.uniform(0, seconds) if moment == "any" else None
            dies = None if moment in ("any", "") else _dies(moment, rng.randint(1, 12))
            code, said = end_of(COMMAND, run / "log", dies, kill_after=delay)
            if code == 0:
                break
            assert code == -signal.SIGKILL, f"{moment}: exit code {code}: {said}"
            done[moment] += 1
        assert "Traceback" not in said, said
        assert_same_run(whole / "out", run / "out")
        assert not partial_files(run / "out")
        ours, theirs = ((f / "out/best.safetensors").read_bytes() for f in (run, whole))
        assert ours == theirs, "best.safetensors"
        shutil.rmtree(run)
    return done


def _dies(moment: str, count: int) -> Callable[[], None]:
    """What makes a process kill itself at the n-th such moment."""
    left = [count]

    def now() -> bool:
        left[0] -= 1
        return left[0] == 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def patch() -> None:
        replace, fsync, save = os.replace, os.fsync, torch.save

        def replace_or_die(*names: Any) -> None:
            ends = now()
            if not ends or moment == "after it moved":
                replace(*names)
            if ends:
                die()

        def fsync_or_die(descriptor: int) -> None:
            if now():
                die()
            fsync(descriptor)

        def save_half_and_die(state: Any, file: Any) -> None:
            save(state, file)
            if now():
                file.flush()
                file.truncate(file.tell() // 2)
                die()

        if moment == "half a save":
            torch.save = save_half_and_die
        elif moment == "before it is on the disk":
            os.fsync = fsync_or_die
        else:
            os.replace = replace_or_die

    return patch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    import_all()
    with tempfile.TemporaryDirectory(prefix="kills-") as work:
        print(kill_campaign(Path(work), asked.kills, asked.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
