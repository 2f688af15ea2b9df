"""The command line, as a program of its own or in this process."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from typer.testing import CliRunner

from pose_hrnet.cli.app import app


def run(*arguments, code=0):
    """Run ``python -m pose_hrnet`` and return standard output and error."""
    done = subprocess.run(
        [sys.executable, "-m", "pose_hrnet", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, " ".join(done.stderr.split())


def run_here(*arguments, code=0):
    """As `run`, in this process: without the seconds that importing torch takes."""
    with logging_of_a_program():
        done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return done.stdout, " ".join(done.stderr.split())


@contextmanager
def logging_of_a_program() -> Iterator[None]:
    """The root logger as a new program finds it; commands write to it what pytest would catch."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = before


def set_options(*settings):
    """Settings as a command takes them: ``--set=train.epochs=2``."""
    return [f"--set={setting}" for setting in settings]
