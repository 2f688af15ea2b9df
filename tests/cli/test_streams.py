"""A terminal that closes takes nothing with it but what it would have shown."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest

from pose_hrnet.cli.console import errors, print_error, say
from pose_hrnet.cli.streams import OUTPUT


class Broken:
    """A stream that fails in one way."""

    encoding = "utf-8"

    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, "as if")

    flush = isatty = lambda self: False


def test_a_closed_terminal_is_no_error(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Broken(errno.EIO))
    say("to nobody")
    print_error("to nobody")
    errors.print("to nobody")
    assert OUTPUT.write("text") == 4


def test_what_an_encoding_lacks_is_written_out(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    say("é 人")
    stream.flush()
    assert stream.buffer.getvalue().split() == ["é".encode("cp1252"), rb"\u4eba"]


def ended(command, **streams):
    """Exit code of a command on other streams, and what it says on those that are given here."""
    made = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    done = subprocess.run([sys.executable, "-c", command], text=True, timeout=60, **made)
    return done.returncode, done.stdout, done.stderr


SAY = """
from pose_hrnet.cli.console import one_sentence_errors, print_error, say
import typer
app = typer.Typer()

@app.command()
@one_sentence_errors
def command():
    for number in range(3):
        say("x" * 5000)
        print_error("x" * 5000)
    open("done", "w").write("done")

app([])
"""


def test_a_reader_that_ends_ends_no_work(tmp_path, monkeypatch):
    """`train 2>&1 | tee log`: Ctrl-C reaches tee first."""
    monkeypatch.chdir(tmp_path)
    for name in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        code, out, error = ended(SAY, **{name: write})
        os.close(write)
        assert (code, (tmp_path / "done").read_text()) == (0, "done")
        assert "Error" not in f"{out}{error}"
        (tmp_path / "done").unlink()


def test_streams_that_are_closed_from_the_beginning_are_no_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = f"import os, sys\nsys.stdout = sys.stderr = None\n{SAY}"
    assert ended(command)[0] == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_under_the_output_is_told_when_all_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("/dev/full", "w") as full:
        code, _, error = ended(SAY, stdout=full)
        assert code == 2
        assert "error: standard output could not be written (No space left on device)" in error
        assert (tmp_path / "done").read_text() == "done"
        assert ended(SAY, stderr=full)[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed")
def test_a_folder_that_was_removed_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = ended(f"import os\nos.rmdir({str(tmp_path)!r})\n{SAY}")
    assert code == 2
    assert error == "error: the current folder was removed; go to one that is there\n"


@pytest.mark.parametrize("print_it", [say, print_error])
def test_names_command_no_terminal(capsys, print_it):
    print_it("a\x1b[31m\u202eb\udce9 [bold]é")
    shown = "".join(capsys.readouterr())
    assert r"a\x1b[31m\u202eb\xe9 [bold]é" in shown
