"""A training run tried out in under a minute: everything that could stop it later, and how fast.

Each check stands by itself: a fault is a row of the result, and what depends on it is left out.
Nothing is left behind in the output folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.config.recipe import Config
from pose_hrnet.system.choices import LoggerName, Resume
from pose_hrnet.system.device import pick_device
from pose_hrnet.training.memory import is_out_of_memory
from pose_hrnet.training.trial_run import LeftOut, Result, TrialRun


@dataclass(frozen=True)
class Check:
    """What was looked at, and what came of it.

    Attributes:
        name: What was looked at.
        result: ``fault``: training would stop, or learn nothing; ``note``: worth knowing.
        detail: One sentence.
    """

    name: str
    result: Result
    detail: str


def dry_run(
    config: Config,
    output: Path,
    *,
    resume: Resume = "never",
    device: str = "auto",
    loggers: Sequence[LoggerName] = (),
) -> list[Check]:
    """Try out a training run; arguments as of `train`.

    Returns:
        One row for each check.

    Raises:
        ValueError: If there is no such device.
    """
    run = TrialRun(config, output, resume, pick_device(device), tuple(loggers))
    checks = {
        "training data": run.training_data,
        "validation data": run.validation_data,
        "output folder": run.output_folder,
        "earlier run": run.earlier_run,
        "loggers": run.logging_packages,
        "starting weights": run.starting_weights,
        "loading": run.loading,
        "training step": run.training_step,
        "evaluation": run.evaluation,
        "speed": run.speed,
    }
    return [_check(name, call) for name, call in checks.items()]


def _check(name: str, call: Callable[[], tuple[Result, str]]) -> Check:
    try:
        return Check(name, *call())
    except LeftOut as missing:
        return Check(name, "left out", f"needs the {missing}")
    except (ValueError, OSError, FloatingPointError) as error:
        return Check(name, "fault", str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Check(name, "fault", f"memory does not suffice: {str(error).splitlines()[0]}")
