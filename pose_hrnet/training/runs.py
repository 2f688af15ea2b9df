"""Training runs side by side: what each came to, and what is different about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pose_hrnet.config.files import dotted_keys
from pose_hrnet.config.recipe import Config, RecipeNotes
from pose_hrnet.data.formats.results import RESULTS_FILE
from pose_hrnet.evaluation.evaluate import METRICS_FILE
from pose_hrnet.evaluation.scorer import FileTruth, main_number
from pose_hrnet.evaluation.statistics.bootstrap import Interval, bootstrap
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.system.inputs import values_beside
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.training.origin import ORIGIN, read_origin
from pose_hrnet.training.report import METRICS, read_metrics
from pose_hrnet.training.run_folder import CONFIG

DEEPEST = 3
"""Folders below the given one in which runs are looked for."""
MOST = 1e15
"""A larger number of a ``metrics.jsonl`` is damage: no sum of those below it overflows."""
NOT_SETTINGS = frozenset(f"recipe.{note}" for note in RecipeNotes.model_fields)
"""Keys of a configuration that decide nothing."""


@dataclass(frozen=True)
class Evaluated:
    """What a results file of a run's weights was scored with.

    Attributes:
        folder: Where it lies.
        annotations: What it was scored against.
        number: Name of the main number.
        interval: The number, and its interval if it could be computed.
        why_none: Why there is no interval; None if there is one.
    """

    folder: Path
    annotations: str
    number: str
    interval: Interval
    why_none: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """A run's folder.

    Attributes:
        name: What tells it from the others.
        folder: Its folder.
        settings: By dotted key, defaults filled in; empty if they are not there.
        lines: Of ``metrics.jsonl``.
        number: Name of the main number; None before it is first evaluated.
        best: The line of the best epoch; None likewise.
        evaluated: Results files of `evaluate` that lie in the folder.
        origin: The facts of each part of the run.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    lines: list[dict[str, Any]]
    number: str | None
    best: dict[str, Any] | None
    evaluated: tuple[Evaluated, ...]
    origin: list[dict[str, Any]]

    @property
    def epochs(self) -> int:
        """That are finished."""
        return len(self.lines)

    @property
    def seconds(self) -> float:
        """Of learning, evaluations apart."""
        return sum(_finite(line.get("seconds")) for line in self.lines)

    @property
    def commit(self) -> str | None:
        """Commit of the last part, or the version where there is none; None: not known."""
        last = self.origin[-1] if self.origin else {}
        found = last.get("commit") or last.get("version")
        return None if found is None else str(found)

    @property
    def data(self) -> str:
        """What it learned from, and was evaluated on: the ends of the paths."""
        train = [
            _end_of(value)
            for key, value in self.settings.items()
            if key.startswith("data.train.")
            and key.endswith((".annotations", ".shards"))
            and value
        ]
        val = self.settings.get("data.val.annotations")
        return f"{', '.join(train) or '?'}; {'?' if val is None else _end_of(val)}"


@dataclass(frozen=True, eq=False)
class Runs:
    """Several runs.

    Attributes:
        runs: In the order of their folders.
        differing: Settings that not all of them have alike: key, and each run's value.
        notes: What could not be read, one sentence each.
        left_out: Folders of runs that could not be read.
    """

    runs: tuple[Run, ...]
    differing: dict[str, tuple[Any, ...]]
    notes: tuple[str, ...]
    left_out: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        """Everything that was read of them, and what results were scored against."""
        folders = [*(run.folder for run in self.runs), *self.left_out]
        files = [folder / name for folder in folders for name in (METRICS, CONFIG, ORIGIN)]
        for run in self.runs:
            files += [
                each / name
                for each in _around(run.folder)
                for name in (RESULTS_FILE, METRICS_FILE)
            ]
            files += [Path(each.annotations) for each in run.evaluated]
        return files


def read_runs(
    folders: Sequence[Path], *, intervals: bool = True, progress: Progress = SILENT
) -> Runs:
    """Read the runs in folders, and in the folders below them.

    Args:
        folders: Of runs, or of folders of runs.
        intervals: Whether to compute those of results files.
        progress: Watches.

    Raises:
        FileNotFoundError: If a folder is not there.
        ValueError: If there is no run in one of them, or none can be read.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder of runs; check the path")
        here = list(_runs_below(folder, DEEPEST))
        if not here:
            raise ValueError(
                f"{folder} holds no training run; give the --output of pose-hrnet train, or a "
                "folder of several"
            )
        found |= {each.resolve(): each for each in here}
    places = list(found.values())
    names = told_apart(places)
    runs, left_out, notes = [], list[Path](), list[str]()
    with progress.task("read", len(places), "runs") as bar:
        for name, folder in zip(names, places, strict=True):
            try:
                runs.append(_read(folder, name, notes, intervals=intervals))
            except (ValueError, OSError) as error:
                left_out.append(folder)
                notes.append(f"{name} is left out: {error}")
            bar.advance()
    if not runs:
        raise ValueError(f"no run can be read: {notes[0]}")
    return Runs(tuple(runs), differing_settings(runs), tuple(notes), tuple(left_out))


def differing_settings(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Settings that not all runs have alike; those of a run without any do not count."""
    known = [run.settings for run in runs if run.settings]
    keys = sorted({key for settings in known for key in settings} - NOT_SETTINGS)
    return {
        key: tuple(run.settings.get(key) for run in runs)
        for key in keys
        if any(settings.get(key) != known[0].get(key) for settings in known)
    }


def told_apart(places: Sequence[Path]) -> list[str]:
    """Short names of paths: without what all of them begin and end with."""
    parts = [place.resolve().parts for place in places]
    if len(parts) == 1:
        return [places[0].resolve().name or str(places[0])]
    shortest = min(map(len, parts))
    start = 0
    while start < shortest - 1 and len({each[start] for each in parts}) == 1:
        start += 1
    end = 0
    while end < shortest - start - 1 and len({each[-1 - end] for each in parts}) == 1:
        end += 1
    return ["/".join(each[start : len(each) - end]) for each in parts]


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / METRICS).is_file():
        yield folder
    elif depth:
        for below in sorted(folder.iterdir()):
            if below.is_dir() and not below.is_symlink():
                yield from _runs_below(below, depth - 1)


def _read(folder: Path, name: str, notes: list[str], *, intervals: bool) -> Run:
    lines = [line for line in read_metrics(folder / METRICS) if is_number(line.get("epoch"))]
    scored = [line for line in lines if is_number(line.get(main_number(line) or ""))]
    number = main_number(scored[-1]) if scored else None
    best = max(scored, key=lambda line: _finite(line.get(number or ""))) if scored else None
    settings: dict[str, Any] = {}
    try:
        settings = _settings(folder / CONFIG)
    except (ValueError, OSError) as error:
        notes.append(f"the settings of {name} are not known: {error}")
    evaluated = [
        found
        for each in _around(folder)
        if (each / RESULTS_FILE).is_file()
        and (found := _evaluated(each, folder, intervals=intervals)) is not None
    ]
    for each in evaluated:
        if each.why_none is not None:
            notes.append(f"no interval for {each.folder / RESULTS_FILE}: {each.why_none}")
    return Run(name, folder, settings, lines, number, best, tuple(evaluated), read_origin(folder))


def _around(folder: Path) -> list[Path]:
    """Where results of a run may lie; the last is where `demo` evaluates its training."""
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir()), folder.parent]


def _settings(path: Path) -> dict[str, Any]:
    """Of a run, defaults filled in; of another version as they stand there."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} has no settings; expected those of a run")
    with suppress(ValidationError):
        values = Config.model_validate(values).model_dump(mode="json")
    return dotted_keys(values)


def _evaluated(folder: Path, run: Path, *, intervals: bool) -> Evaluated | None:
    """What `evaluate` left in a folder; None if it was not of this run's weights."""
    try:
        metrics = values_beside(folder / METRICS_FILE)
        annotations = str(metrics["evaluated"]["annotations"])
        checkpoint = Path(metrics["evaluated"]["checkpoint"])
        number = main_number(metrics)
        if number is None or not _is_of(checkpoint, run):
            return None
        value = float(metrics[number])
    except (ValueError, LookupError, TypeError):
        return None
    plain = Interval(value if math.isfinite(value) and value >= 0 else None)
    if not intervals:
        return Evaluated(folder, annotations, number, plain)
    if number != "AP":
        why = f"there are none of {number}, for which results files do not suffice"
        return Evaluated(folder, annotations, number, plain, why)
    try:
        file = MatchedFile.of(FileTruth.of(Path(annotations)), folder / RESULTS_FILE)
        interval = bootstrap(file.ap).intervals().values["AP"]
    except (ValueError, OSError) as error:
        return Evaluated(folder, annotations, number, plain, str(error))
    if interval.value is None or plain.value is None or abs(interval.value - value) > 1e-6:
        why = f"its AP against {annotations} is not that of the metrics.json beside it"
        return Evaluated(folder, annotations, number, plain, why)
    return Evaluated(folder, annotations, number, interval)


def _is_of(checkpoint: Path, run: Path) -> bool:
    """Whether weights are those of a run; a relative path is from wherever `evaluate` ran."""
    if checkpoint.is_absolute():
        return checkpoint.parent.resolve() == run.resolve()
    here = (run.resolve() / checkpoint.name).parts
    return (run / checkpoint.name).exists() and here[-len(checkpoint.parts) :] == checkpoint.parts


def _end_of(path: object) -> str:
    return "/".join(Path(str(path)).parts[-2:])


def _finite(value: Any) -> float:
    """A number of a line; 0 for what is none."""
    return float(value) if is_number(value) else 0.0


def is_number(value: object) -> bool:
    """Whether a value of a line is one: no text, NaN or infinity, nor beyond `MOST`."""
    return isinstance(value, int | float) and -MOST <= value <= MOST
