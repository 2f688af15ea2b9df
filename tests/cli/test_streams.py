"""A terminal that closes takes nothing with it but what it would have shown."""

from __future__ import annotations

import errno
import io
import sys

import pytest

from pose_hrnet.cli.console import errors, print_error, say
from pose_hrnet.cli.streams import ERRORS, OUTPUT


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


def test_a_closed_pipe_still_is(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        ERRORS.write("text")


@pytest.mark.parametrize("print_it", [say, print_error])
def test_names_command_no_terminal(capsys, print_it):
    print_it("a\x1b[31m\u202eb\udce9 [bold]é")
    shown = "".join(capsys.readouterr())
    assert r"a\x1b[31m\u202eb\xe9 [bold]é" in shown
