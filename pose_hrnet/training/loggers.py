"""Where a run tells its numbers besides its folder: TensorBoard, Weights & Biases, MLflow.

Each gets pictures, too, and speaks through its own package, imported where it is used; accounts,
servers and offline modes are that package's business, by its own environment variables. A run that
is resumed goes on in the same remote run: its id is kept in the folder of the run.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pose_hrnet.config.files import dotted_keys
from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.choices import LoggerName
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import write_text
from pose_hrnet.system.folders import naming
from pose_hrnet.system.inputs import read_input

log = logging.getLogger(__name__)


PROJECT = "pose_hrnet"
"""The project (Weights & Biases) or experiment (MLflow), unless the environment names another."""
_IDS = "loggers.json"


class RunLogger(Protocol):
    """Takes what a run tells."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of an epoch."""

    def picture(self, name: str, image: Image, step: int) -> None:
        """An ``(H, W, 3)`` RGB picture."""

    def close(self) -> None:
        """Nothing more will come."""


def check_loggers(names: Sequence[LoggerName], output: Path) -> None:
    """Refuse loggers that lack their package, or ids that are damaged, before all else is done.

    Raises:
        ValueError: Says what to install, or which file is damaged.
    """
    for name in names:
        if not _is_installed(name):
            raise ValueError(
                f"--logger {name} needs the package {name}, which is not installed; "
                f"install it with: pip install 'pose-hrnet[{name}]'"
            )
        if name != "tensorboard":
            _known_ids(output)


def open_loggers(
    names: Sequence[LoggerName] | None,
    output: Path,
    settings: Mapping[str, Any],
    finished_epochs: int,
) -> list[RunLogger]:
    """Open the loggers of a run.

    Args:
        names: Which; None: TensorBoard where it is installed.
        output: Folder of the run.
        settings: The configuration as nested plain values, logged as hyper-parameters.
        finished_epochs: What was logged of later epochs is work that was lost.

    Raises:
        ValueError: If a package is missing, or the ids of the remote runs are damaged.
    """
    if names is None:
        names = ["tensorboard"] if _is_installed("tensorboard") else []
    check_loggers(names, output)
    values = dotted_keys(settings)
    openers: dict[LoggerName, Callable[[], RunLogger]] = {
        "tensorboard": lambda: TensorBoard(output / "tensorboard", values, finished_epochs),
        "wandb": lambda: WeightsAndBiases(output, values),
        "mlflow": lambda: MLflow(output, values),
    }
    return [openers[name]() for name in dict.fromkeys(names)]


class TensorBoard:
    """Event files in a folder.

    Args:
        folder: To write to.
        settings: By dotted name.
        finished_epochs: What the folder has of later epochs is hidden.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], finished_epochs: int) -> None:
        from torch.utils.tensorboard import SummaryWriter, summary

        _quieten_writing_thread()
        with naming(folder):
            writer: Any = SummaryWriter(str(folder), purge_step=finished_epochs + 1)
        self.writer = writer
        if finished_epochs == 0:
            plain = {
                key: value if isinstance(value, bool | int | float) else str(value)
                for key, value in settings.items()
            }
            # Not add_hparams, which would make a second run of it, in a folder of its own.
            hparams: Any = summary.hparams
            for part in hparams(plain, {"AP": 0, "loss": 0}):
                writer.file_writer.add_summary(part)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def picture(self, name: str, image: Image, step: int) -> None:
        self.writer.add_image(name, image, step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of the package wandb.

    Args:
        output: Folder of the run, whose name it gets.
        settings: By dotted name.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        wandb: Any = import_extra("wandb", "wandb")
        self.wandb = wandb
        known = _known_ids(output).get("wandb")
        self.run: Any = wandb.init(
            project=PROJECT if "WANDB_PROJECT" not in os.environ else None,
            name=output.name,
            dir=str(output),
            id=known,
            resume="allow" if known else None,
            config=dict(settings),
        )
        # By epoch, not by the count of calls, which cannot go back when a run is resumed.
        self.run.define_metric("epoch")
        self.run.define_metric("*", step_metric="epoch")
        _keep_id(output, "wandb", self.run.id)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({**values, "epoch": step})

    def picture(self, name: str, image: Image, step: int) -> None:
        self.run.log({name: self.wandb.Image(image), "epoch": step})

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of the package mlflow.

    Args:
        output: Folder of the run, whose name it gets.
        settings: By dotted name.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        import mlflow

        self.mlflow: Any = mlflow
        known = _known_ids(output).get("mlflow")
        if known is None and not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & set(
            os.environ
        ):
            mlflow.set_experiment(PROJECT)
        run = mlflow.start_run(run_id=known, run_name=None if known else output.name)
        self.run_id = str(run.info.run_id)
        if known is None:
            mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})
        _keep_id(output, "mlflow", self.run_id)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        # Its names have no @, which PCKh@0.1 has.
        plain = {re.sub(r"[^\w\-./ ]", "_", name): float(v) for name, v in values.items()}
        self.mlflow.log_metrics(plain, step=step)

    def picture(self, name: str, image: Image, step: int) -> None:
        self.mlflow.log_image(image, f"{name}/{step:04d}.png")

    def close(self) -> None:
        self.mlflow.end_run()


class Loggers:
    """Several loggers as one; a logger that fails is reported and left out, the run goes on.

    Args:
        each: The loggers.
    """

    def __init__(self, each: Sequence[RunLogger]) -> None:
        self.each = list(each)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of an epoch."""
        self._tell(lambda logger: logger.scalars(step, values))

    def picture(self, name: str, image: Image, step: int) -> None:
        """An ``(H, W, 3)`` RGB picture."""
        self._tell(lambda logger: logger.picture(name, image, step))

    def close(self) -> None:
        """Nothing more will come."""
        self._tell(lambda logger: logger.close())

    def _tell(self, call: Callable[[RunLogger], None]) -> None:
        for logger in list(self.each):
            try:
                call(logger)
            # A server that is down, in whatever way it shows, must not end days of work.
            except Exception as error:
                name = type(logger).__name__
                log.warning("%s failed and is left out from here on: %s", name, error)
                self.each.remove(logger)


def _quieten_writing_thread() -> None:
    """No traceback if the thread in which TensorBoard writes fails: its next call raises that."""
    before = threading.excepthook
    if before is not threading.__excepthook__:
        return  # somebody else decides what is shown

    def hook(failed: threading.ExceptHookArgs) -> None:
        if type(failed.thread).__name__ != "_AsyncWriterThread":
            before(failed)

    threading.excepthook = hook


def _is_installed(name: LoggerName) -> bool:
    spec = importlib.util.find_spec(name)
    # Without an origin it is a mere folder of that name, such as wandb leaves behind.
    return spec is not None and spec.origin is not None


def _known_ids(output: Path) -> dict[str, str]:
    """The ids of the remote runs that a folder's run has, by logger."""
    path = output / _IDS
    try:
        return msgspec.json.decode(read_input(path), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{path} is damaged ({error}); expected the ids of remote runs, {{"wandb": "1a2b3c"}} '
            "say: restore it, or remove it, and new remote runs begin"
        ) from None


def _keep_id(output: Path, logger: LoggerName, run_id: str) -> None:
    ids = {**_known_ids(output), logger: run_id}
    write_text(output / _IDS, json.dumps(ids) + "\n")
