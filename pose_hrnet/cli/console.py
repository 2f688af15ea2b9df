"""What the command line shares: error sentences, bars, tables. Nothing here imports torch."""

from __future__ import annotations

import functools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from pose_hrnet.cli.streams import ERRORS, OUTPUT, as_stream
from pose_hrnet.system.interrupts import Interrupted, exit_code, take_interrupts
from pose_hrnet.system.launch import Rank
from pose_hrnet.system.progress import SILENT, Bar
from pose_hrnet.system.text import duration, printable, shown

HERE = Rank.from_environment()
UNFOLDED = 10_000
"""Columns where there is no terminal to fold lines for: a row stays a line, for grep and logs."""


def _console(**options: Any) -> Console:
    folded = Console(**options)
    return folded if folded.is_terminal else Console(width=UNFOLDED, **options)


console = _console(quiet=not HERE.is_main, file=as_stream(OUTPUT))
errors = _console(stderr=True, file=as_stream(ERRORS))

INTERRUPTED = exit_code(signal.SIGINT)
INCOMPLETE, BAD_INPUT = 1, 2
SECONDS_BETWEEN_LINES = 30.0

_Command = TypeVar("_Command", bound=Callable[..., Any])


def set_up_logging() -> None:
    """Show the package's log lines, warnings of libraries included, on standard error.

    Of several processes the main one says it all; of the others come warnings, with their number.
    Where standard error is no terminal, a line is a line, however long.
    """
    handler: logging.Handler = _PlainLines()
    if errors.is_terminal:
        handler = RichHandler(console=errors, show_path=False, show_time=False, markup=False)
    line = "%(message)s" if HERE.is_main else f"process {HERE.rank}: %(message)s"
    handler.setFormatter(_Printable(line))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pose_hrnet").setLevel(logging.INFO if HERE.is_main else logging.WARNING)
    logging.getLogger("torch.utils.cpp_extension").addFilter(_matters)


class _Printable(logging.Formatter):
    """Log lines in which names of files command no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """As of any formatter."""
        return printable(super().format(record))


class _PlainLines(logging.Handler):
    """Log lines as they are, for files and for grep."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        _print_plain(f"{record.levelname:8} {self.format(record)}")


def _matters(record: logging.LogRecord) -> bool:
    """Whether a line of PyTorch's tells a user something.

    Quantising and compiling import what would look for CUDA's compiler: where there is one but no
    GPU, it says so, and neither was asked for.
    """
    return not record.getMessage().startswith("No CUDA runtime is found")


def one_sentence_errors(command: _Command) -> _Command:
    """Turn bad input into one sentence and exit code 2, an interrupt into exit code 130 or 143.

    The command is for one process; torchrun's would all do the same.
    """
    return _one_sentence_errors(command, alone=True)


def one_sentence_errors_of_all(command: _Command) -> _Command:
    """`one_sentence_errors` of a command for one process or several, which it lets join."""
    return _one_sentence_errors(command, alone=False)


def _is_folder_there() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _in_words(error: Exception) -> str:
    """The message of an error; of one that the system itself raised, without its number."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{shown(str(error.filename), 200)}: {str(error.strerror).lower()}"
    return str(error)


def _one_sentence_errors(command: _Command, *, alone: bool) -> _Command:
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        set_up_logging()
        if alone and HERE.size > 1:
            refuse_several(command.__name__)
        take_interrupts()
        try:
            if not _is_folder_there():
                raise ValueError("the current folder was removed; go to one that is there")
            done = command(*args, **kwargs)
            if OUTPUT.full is not None:
                raise OSError(
                    f"standard output could not be written ({OUTPUT.full}); files that the "
                    "command names are whole"
                )
            return done
        except (ValueError, OSError, FloatingPointError) as error:
            print_error(_in_words(error))
            raise typer.Exit(BAD_INPUT) from None
        except ImportError as error:
            if "cv2" not in str(error) and "libGL" not in str(error):
                raise
            print_error(
                f"OpenCV cannot be imported ({error}); install the system package libgl1, "
                "or: pip install opencv-python-headless"
            )
            raise typer.Exit(BAD_INPUT) from None
        except RuntimeError as error:
            if "Too many open files" in str(error):  # of PyTorch's, where workers share memory
                print_error(
                    "the system allows this process no more open files; use fewer workers, or "
                    "raise the limit with ulimit -n"
                )
                raise typer.Exit(BAD_INPUT) from None
            # Not "in DataLoader worker process 0", which is about an error that was raised there.
            if "DataLoader worker (pid" not in str(error):
                raise
            reason = str(error).splitlines()[0].rstrip(". ")
            print_error(
                f"a loader process was ended from outside ({reason}), most often because memory "
                "ran out; use fewer workers or smaller batches; a training goes on from its last "
                "save with --resume"
            )
            raise typer.Exit(BAD_INPUT) from None
        except Interrupted as interrupted:
            if HERE.is_main:
                _print_plain(str(interrupted))
            raise typer.Exit(interrupted.exit_code) from None
        except KeyboardInterrupt:
            if HERE.is_main:
                errors.print("interrupted", highlight=False)
            raise typer.Exit(INTERRUPTED) from None

    # Typer reads the signature that functools.wraps kept, which the type checker cannot see.
    return wrapped  # type: ignore[return-value]


def end_incomplete(missing: int) -> None:
    """End with exit code 1 where something could not be read or drawn, and the rest is done.

    Args:
        missing: How much; what and why was said before.

    Raises:
        typer.Exit: If it is not 0.
    """
    if missing:
        raise typer.Exit(INCOMPLETE)


def refuse_several(name: str) -> NoReturn:
    """End all processes of a command that is for one."""
    if HERE.is_main:
        print_error(
            f"{name} works in one process, but torchrun started {HERE.size}; "
            "start it without torchrun"
        )
    else:
        time.sleep(3)  # torchrun ends all when the first ends: the main one is to say it before
    raise typer.Exit(BAD_INPUT)


def say(text: str) -> None:
    """Print a line as it is: no markup, no colours, no wrapping of paths."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def say_columns(headings: list[str], rows: Sequence[list[str]]) -> None:
    """Print rows of text in columns without a frame, which never fold and can be grepped."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        say("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def _print_plain(text: str) -> None:
    """As `say`, on standard error."""
    errors.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def print_error(sentence: str) -> None:
    """Print what was wrong, on standard error."""
    errors.print(
        f"[bold red]error:[/] {escape(printable(sentence))}", highlight=False, soft_wrap=True
    )


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{_rate(speed)} {task.fields['unit']}/s")


def _rate(speed: float) -> str:
    return f"{speed:,.1f}" if speed < 10 else f"{speed:,.0f}"


class _Bar:
    def __init__(self, progress: Progress, task: Any) -> None:
        self.progress, self.task = progress, task

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.progress.update(self.task, advance=amount, note=note)

    def advance_to(self, done: int) -> None:
        self.progress.update(self.task, completed=done)


class _Lines:
    """A line now and then, where a bar cannot be drawn."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.began = self.told = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.told >= SECONDS_BETWEEN_LINES:
            self.told = now
            rate = self.done / max(now - self.began, 1e-9)
            of = "" if self.total is None else f" of {self.total:,}"
            words = f"{self.name}: {self.done:,}{of} {self.unit}, {_rate(rate)}/s"
            if self.total is not None and self.total > self.done > 0:
                words += f", {duration((self.total - self.done) / rate)} left"
            _print_plain(f"{words}, {note}" if note else words)

    def advance_to(self, done: int) -> None:
        self.advance(done - self.done)


class RichProgress:
    """Draws a bar with count, rate, time left and note for each task (see `progress.Progress`).

    Of several processes only the main one draws. Where standard error is no terminal, a line says
    every `SECONDS_BETWEEN_LINES` how far it is.
    """

    @contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Bar]:
        if not HERE.is_main:
            with SILENT.task(name, total, unit) as bar:
                yield bar
            return
        if not errors.is_terminal:
            yield _Lines(name, total, unit)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=errors, transient=True) as progress:
            yield _Bar(progress, progress.add_task(name, total=total, unit=unit, note=""))


def print_table(
    title: str, headings: list[str], rows: list[list[str]], *, bold: int | None = None
) -> None:
    """Print rows of text, row number `bold` in bold; columns of numbers are aligned right."""
    table = Table(title=escape(printable(title)), title_justify="left")
    for column, heading in enumerate(headings):
        numeric = all(row[column][:1] in "-.0123456789" for row in rows if row[column])
        side: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(escape(printable(heading)), justify=side, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(
            *(escape(printable(cell)) for cell in row),
            style="bold green" if number == bold else None,
        )
    console.print(table)


def print_rows(
    title: str,
    rows: Sequence[Sequence[str]],
    styles: Sequence[Sequence[str]] | None = None,
) -> None:
    """Print rows of words without frames: names in front, sentences folded under themselves.

    Args:
        title: In bold above them.
        rows: Cells of text.
        styles: Of each cell; None: none.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for _ in rows[0][2:]:
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        cells = [
            Text(printable(cell), style=styles[number][i] if styles else "")
            for i, cell in enumerate(row)
        ]
        table.add_row(*cells)
    console.print(Text(title, style="bold"))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
