"""Errors are one sentence, and a command of one process refuses several."""

from __future__ import annotations

import pytest
import typer

from pose_hrnet.cli import console
from pose_hrnet.system.launch import Place


def test_commands_of_one_process_refuse_several(monkeypatch, capsys):
    monkeypatch.setattr(console, "HERE", Place(size=2))
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


def test_faults_of_the_program_keep_their_traceback():
    @console.one_sentence_errors
    def command():
        raise AssertionError("a fault")

    with pytest.raises(AssertionError, match="a fault"):
        command()
