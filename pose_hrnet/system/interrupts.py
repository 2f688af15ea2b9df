"""SIGINT, SIGTERM, SIGHUP ask a run to stop where nothing is lost; asked again, it stops at once.

SIGHUP comes when a terminal closes, such as that of ssh; not to who was started with nohup.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_BEGUN_IN_C = ("torch", "torchvision", "openvino", "onnxruntime", "cv2")
"""Modules whose beginning calls Python from C++."""


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop by a signal, and did.

    Attributes:
        signal: Which signal it was.
    """

    def __init__(self, number: int, sentence: str = "interrupted") -> None:
        super().__init__(sentence)
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """As a shell reports a program that the signal ended: 130 (SIGINT), 143 (SIGTERM), 129."""
        return exit_code(self.signal)


class Interrupts:
    """While the block runs, the first signal is noted, and the second ends the process.

    Whoever works in the block asks `received` where it can stop. Only the main thread of a
    program gets signals; in others the block changes nothing. The former handlers come back after
    it.

    Attributes:
        received: The signal that asks to stop; None as long as there is none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._abandoning = False
        self._process = os.getpid()
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number in (signal.SIGINT, signal.SIGTERM) or not _is_ignored(number):
                    self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, former in self._former.items():
            # None: it was not set from Python, and cannot be put back from there.
            signal.signal(number, signal.SIG_DFL if former is None else former)

    @contextmanager
    def abandoning(self) -> Iterator[None]:
        """A block of work that may be dropped anywhere: the first signal raises at once.

        Raises:
            Interrupted: In the midst of the block, or before it if there was a signal already.
        """
        self._abandoning = True
        try:
            if self.received is not None:
                raise Interrupted(self.received)
            yield
        finally:
            self._abandoning = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # A loader process that was forked just now, and has no handler of its own yet.
        if self.received is not None:
            _exit_now(number)
        self.received = signal.Signals(number)
        if self._abandoning:
            raise Interrupted(number)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN


def end_at_once_on_interrupt() -> None:
    """Let Ctrl-C end a program that has only begun, in silence and not with a traceback.

    It is undone by `take_interrupts`.
    """
    if threading.current_thread() is threading.main_thread() and not _is_ignored(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def take_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, but where it would be an abort."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # C++ that imports Python cannot hand an exception on.
    for name in _BEGUN_IN_C:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            with suppress(OSError):
                os.write(2, b"interrupted\n")
            os._exit(exit_code(number))
    raise KeyboardInterrupt


def exit_code(number: int) -> int:
    """What a shell reports for a program that a signal ended."""
    return 128 + number


def _exit_now(number: int) -> None:
    """End this process and those it started, without waiting for anything."""
    try:
        for child in multiprocessing.active_children():
            child.kill()
        with suppress(OSError):
            if os.isatty(2):
                os.write(2, b"\x1b[?25h\n")  # the cursor, which a progress bar hides
    finally:
        os._exit(exit_code(number))  # also where PyTorch raises that a loader process was killed
