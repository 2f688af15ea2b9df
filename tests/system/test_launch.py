"""A process's rank among several is what torchrun says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pose_hrnet.system.launch import Rank

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def test_the_rank_is_what_torchrun_says(monkeypatch):
    for name, value in zip(NAMES, "5824", strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert Rank.from_environment() == Rank(rank=5, size=8, local_rank=2, local_size=4)
    assert not Rank.from_environment().is_main


@pytest.mark.parametrize("given", [{}, {"RANK": "3"}, {"MASTER_ADDR": "localhost", "RANK": "3"}])
def test_without_all_that_torchrun_says_a_process_is_alone(monkeypatch, given):
    for name in ("MASTER_ADDR", *NAMES):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert Rank.from_environment() == Rank()
    assert Rank.from_environment().is_main


def test_it_needs_no_torch():
    code = "import sys, pose_hrnet.system.launch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
