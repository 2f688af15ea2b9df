"""One command in a forked child with limits of memory and time, and what is wrong with its end.

The parent has imported everything and started no thread: a fork takes milliseconds.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import PIL.Image
import yaml
from safetensors import safe_open
from typer.core import TyperGroup
from typer.main import get_command

from pose_hrnet.cli.app import app

MEMORY = 3 * 2**30
"""Bytes of address space beyond the parent's."""
CPU_SECONDS = 20
WALL_SECONDS = 300
"""Other work may share the machine; a child that waits for ever uses no processor."""
LONGEST_LINE = 1500
_WARNING = re.compile(r"^.*\.py:\d+: \w*Warning: .*$", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x9b]")


@cache
def command_line() -> TyperGroup:
    """The program, whose options are read from its functions once, for all children."""
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def end_of(
    arguments: Sequence[str],
    log: Path,
    before: Callable[[], None] | None = None,
    *,
    kill_after: float | None = None,
) -> tuple[int, str]:
    """Run a command line in a child.

    Args:
        arguments: Of ``pose-hrnet``.
        log: File for what it prints; its folder is where the command runs.
        before: Called in the child before the command.
        kill_after: Seconds until kill -9; None: only if it hangs.

    Returns:
        Its exit code, or the negative number of the signal that ended it, and what it printed.
    """
    child = os.fork()
    if child == 0:
        _be_the_child(arguments, log, before)
    began = time.monotonic()
    deadline = began + WALL_SECONDS
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if kill_after is not None and time.monotonic() > began + kill_after:
            os.kill(child, signal.SIGKILL)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGABRT)  # faulthandler says where it was
            time.sleep(1)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.002)
    # What it started goes with it; a reader that it waited for is no process of ours.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")


def _be_the_child(arguments: Sequence[str], log: Path, before: Callable[[], None] | None) -> None:
    code = 70
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(log.parent)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
        faulthandler.enable(2)
        faulthandler.register(signal.SIGXCPU, file=2, chain=True)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        spent = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_SECONDS, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["POSE_HRNET_OFFLINE"] = "1"
        if before is not None:
            before()
        try:
            command_line()(list(arguments), prog_name="pose-hrnet")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Private: what the parent would do at its end is not for a child.
        os._exit(code)


def faults(code: int, said: str, output: Path) -> list[str]:
    """What is wrong with how a command ended: nothing, if it did its work or refused well.

    Args:
        code: As of `end_of`.
        said: As of `end_of`.
        output: Where it was to write; need not be there.
    """
    found = []
    if "Traceback (most recent call last)" in said:
        last = [line for line in said.splitlines() if line and not line.startswith(" ")]
        found.append(f"traceback: {last[-1][:200] if last else ''}")
    if code == -signal.SIGXCPU or code in (-signal.SIGABRT, -signal.SIGKILL):
        found.append(f"hang: ended by {signal.Signals(-code).name}")
    elif code not in (0, 1, 2):
        found.append(f"exit code {code}")
    if code == 2 and "rror:" not in said and "dry run" not in said:
        found.append("exit code 2 without a sentence")
    if long := [line for line in said.splitlines() if len(line) > LONGEST_LINE]:
        found.append(f"a line of {len(long[0])} characters: {long[0][:100]}")
    if warning := _WARNING.search(said):
        found.append(f"a raw warning: {warning[0][:200]}")
    if control := _CONTROL.search(said):
        found.append(f"a control character: {control[0]!r}")
    found += [f"a partial file: {each}" for each in partial_files(output)]
    return found


def partial_files(output: Path) -> list[str]:
    """Files of a folder, or the file itself, that are not whole, or were left over."""
    if not os.path.lexists(output):
        return []
    files = [output] if output.is_file() else [p for p in output.rglob("*") if p.is_file()]
    left = [str(p) for p in output.rglob(".pose_hrnet-*")] if output.is_dir() else []
    return left + [f"{p.name}: {why}" for p in files if (why := _not_whole(p)) is not None]


def _not_whole(path: Path) -> str | None:
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_bytes())
        elif path.suffix in (".png", ".jpg"):
            PIL.Image.open(path).load()
        elif path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                file.keys()
        elif path.suffix == ".pt":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip()
        elif path.suffix == ".tar" and path.stat().st_size % 512:
            return "no whole blocks"
        elif path.name.endswith(".onnx") and path.stat().st_size == 0:
            return "empty"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None
