"""A process that fails is not ended before it has said why, nor takes others' errors for its own.

What several processes do is in tests/behaviour/test_distributed.
"""

from __future__ import annotations

import signal

import pytest

# Private: what torchrun and gloo do to a process cannot be had in one process in any other way.
from pose_hrnet.cli.processes import _is_of_others, _told_to_end
from pose_hrnet.system.distributed import World


def test_a_process_that_failed_is_not_ended_before_it_has_said_why():
    before = signal.getsignal(signal.SIGTERM)
    try:
        with _told_to_end(World(size=2)):
            pass
        assert signal.getsignal(signal.SIGTERM) == before
        with pytest.raises(ValueError, match="full"), _told_to_end(World(size=2)):
            raise ValueError("the disk is full")
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_errors_that_others_are_the_cause_of_are_told_from_own_ones():
    gloo = RuntimeError("[/build/pair.cc:561] Connection closed by peer [127.0.0.1]:1. This is")
    assert _is_of_others(gloo)
    assert not _is_of_others(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
