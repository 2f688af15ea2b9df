"""The campaigns, as far as they are quick; all of them: `make fuzz`, `make kill`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.children import faults, partial_files
from tests.fuzz.mutators import (
    mutate_arguments,
    mutate_bytes,
    mutate_json,
    mutate_text,
    mutate_yaml,
)

ROOT = Path(__file__).resolve().parents[2]


def campaign(module, *arguments):
    """Run one in a process of its own, which starts no thread before it forks."""
    if not hasattr(os, "fork") or not sys.platform.startswith("linux"):
        pytest.skip("children are forked, and their limits are Linux's")
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(1200)  # much of a minute on a core of its own
def test_200_bad_inputs_end_in_a_sentence():
    """No traceback, no hang, no partial file."""
    assert "200 inputs, 0 with faults" in campaign("tests.fuzz", "--inputs", "200")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_trainings_are_resumed_to_equal_weights():
    assert "half a save" in campaign("tests.fuzz.kills", "--kills", "10")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_disk_that_fills_up_leaves_nothing_half_written():
    campaign("tests.fuzz.full_disk", "--tries", "12", "--commands", "predict,convert,shard")


@pytest.mark.parametrize(
    "mutate",
    [
        lambda rng: mutate_bytes(rng, bytes(range(200))),
        lambda rng: mutate_json(rng, b'{"a": [1, 2, {"b": "c"}]}'),
        lambda rng: mutate_text(rng, b"a 1 0.5\nb 2 0.25\n"),
        lambda rng: mutate_yaml(rng, b"a: 1\nb: [2]\n"),
        lambda rng: mutate_arguments(rng, ["score", "x", "--annotations=y"], ["z"]),
    ],
)
def test_a_seed_gives_the_same_change_each_time(mutate):
    changes = [mutate(random.Random(seed)) for seed in (1, 1, 2)]
    assert changes[0] == changes[1] != changes[2]


@pytest.mark.parametrize(
    ("code", "said", "fault"),
    [
        (1, "Traceback (most recent call last):\n  x\nKeyError: 1\n", "traceback: KeyError: 1"),
        (2, "", "exit code 2 without a sentence"),
        (-24, "", "hang"),
        (-11, "", "exit code -11"),
        (2, "error: " + "x" * 2000, "a line of 2007 characters"),
        (0, "/a/b.py:3: RuntimeWarning: overflow\n", "a raw warning"),
        (2, "error: \x1b[31m", "a control character"),
    ],
)
def test_what_is_wrong_with_an_end_is_told(code, said, fault, tmp_path):
    assert faults(code, said, tmp_path)[0].startswith(fault)
    assert faults(2, "error: x.json is no list; give one\n", tmp_path) == []


def test_files_that_are_not_whole_are_found(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]")
    assert partial_files(tmp_path) == []
    (tmp_path / "a.json").write_text("[1, ")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    (tmp_path / ".pose_hrnet-0.tmp").touch()
    assert len(partial_files(tmp_path)) == 3
