"""A signal is noted, or drops a block; handlers come back, and other threads keep theirs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from pose_hrnet.system.interrupts import SIGNALS, Interrupted, Interrupts, exit_code


@pytest.fixture
def handlers():
    """The handlers before; they are there afterwards, too."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_keep_their_handlers(handlers):
    seen = []

    def work():
        with Interrupts() as interrupts:
            seen.append(interrupts.received)
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None, *handlers]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal on Windows")
def test_who_was_started_with_nohup_outlives_the_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert interrupts.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_is_noted_and_no_block_that_may_be_dropped_is_begun_after_it(handlers):
    with Interrupts() as interrupts:
        assert interrupts.received is None
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received == signal.SIGINT
        with pytest.raises(Interrupted), interrupts.abandoning():
            pytest.fail("the block is begun")


def test_a_signal_drops_a_block_that_may_be_dropped(handlers):
    reached = []

    def work(interrupts):
        with interrupts.abandoning():
            reached.append("before")
            signal.raise_signal(signal.SIGTERM)
            reached.append("after")

    with Interrupts() as interrupts:
        with pytest.raises(Interrupted) as stop:
            work(interrupts)
        assert interrupts.received == signal.SIGTERM
    assert reached == ["before"]
    assert stop.value.exit_code == exit_code(signal.SIGTERM) == 143


BEGIN = """
import os, signal, sys
from pose_hrnet.system.interrupts import end_at_once_on_interrupt, take_interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
end_at_once_on_interrupt()
"""
"""As in the foreground; what runs in the background of a shell inherits that it is ignored."""
SENT = "os.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("code", "ends", "said"),
    [
        (SENT, -2, ""),
        (f"take_interrupts()\n{SENT}", -2, "KeyboardInterrupt"),
        ("take_interrupts()\nimport torch", 130, "interrupted"),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)\ntake_interrupts()\n" + SENT, 0, ""),
    ],
)
def test_an_interrupt_at_the_beginning_is_no_abort(tmp_path, code, ends, said):
    """Torch is a module here that is interrupted while it begins, when C++ calls Python."""
    (tmp_path / "torch.py").write_text(f"import os, signal\n{SENT}")
    begin = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{BEGIN}"
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True)
    assert done.returncode == ends
    assert done.stderr.strip().splitlines()[-1:] == ([said] if said else [])
