"""Errors are one sentence, a command of one process refuses several, and a log can be grepped."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest
import typer
from rich.console import Console

from pose_hrnet.cli import console
from pose_hrnet.system.launch import Rank


def test_commands_of_one_process_refuse_several(monkeypatch, capsys):
    monkeypatch.setattr(console, "HERE", Rank(size=2))
    with pytest.raises(typer.Exit) as raised:
        console.one_sentence_errors(lambda: None)()
    assert raised.value.exit_code == 2
    assert "works in one process, but torchrun started 2" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, OSError])
def test_bad_input_is_a_sentence_and_no_traceback(error, capsys):
    @console.one_sentence_errors
    def command():
        raise error("people.json holds no persons")

    with pytest.raises(typer.Exit) as raised:
        command()
    assert raised.value.exit_code == 2
    assert " ".join(capsys.readouterr().err.split()) == "error: people.json holds no persons"


def test_an_error_of_the_system_has_no_number_and_no_name_of_many_lines(tmp_path, capsys):
    @console.one_sentence_errors
    def command(path):
        path.open()

    for path, words in (
        (tmp_path / ("a" * 5000), "aaa': file name too long"),
        (tmp_path / "none", "none': no such file or directory"),
    ):
        with pytest.raises(typer.Exit):
            command(path)
        said = " ".join(capsys.readouterr().err.split())
        assert words in said
        assert "Errno" not in said
        assert len(said) < 300


def test_faults_of_the_program_keep_their_traceback():
    @console.one_sentence_errors
    def command():
        raise AssertionError("a fault")

    with pytest.raises(AssertionError, match="a fault"):
        command()


@pytest.fixture
def log_file(monkeypatch):
    """What goes to standard error where that is a file."""
    file = io.StringIO()
    monkeypatch.setattr(console, "errors", Console(file=file, width=80))
    return file


def test_a_line_of_a_log_that_is_a_file_is_one_line(log_file, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    console.set_up_logging()
    words = "loss [0.001] " * 20
    for _ in range(2):
        logging.getLogger("pose_hrnet.training").info(words)
    assert log_file.getvalue() == f"INFO     {words}\n" * 2


def test_a_task_whose_bar_cannot_be_drawn_says_how_far_it_is(log_file, monkeypatch):
    with console.RichProgress().task("predict", total=2000, unit="persons") as bar:
        bar.advance(500)
        assert log_file.getvalue() == ""
        monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0)
        bar.advance_to(1500)
        bar.advance(note="loss 0.1")
    first, second = log_file.getvalue().splitlines()
    assert first.startswith("predict: 1,500 of 2,000 persons, ")
    assert second.startswith("predict: 1,501 of 2,000 persons, ")
    assert "/s, " in second
    assert second.endswith(" left, loss 0.1")


def test_rows_are_lines_where_there_is_no_terminal():
    """So that grep finds them, and a log of CI does not look broken."""
    code = "from pose_hrnet.cli.console import print_rows, print_table\n"
    code += "print_table('t', ['a', 'b'], [['x', 'word ' * 40]])\n"
    code += "print_rows('r', [['x', 'word ' * 40 + 'end']])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = out.stdout.splitlines()
    assert sum("word" in line for line in lines) == 2
    assert all(line.strip() for line in lines)
    assert max(map(len, lines)) < 250
