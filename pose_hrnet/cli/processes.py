"""A command that several processes carry out: from joining to the one sentence if it fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from pose_hrnet.system.distributed import WHAT_NEXT, ProcessLost, World, join_world, leave_world
from pose_hrnet.system.interrupts import Interrupted

if TYPE_CHECKING:  # a PyTorch that is built without it has no such module
    from torch.distributed.distributed_c10d import Store

SENTENCE_WAIT = 8.0
"""Seconds that a process which failed gives the main one to fail alike, and to say it for all."""

BAD_INPUT = (ValueError, OSError, FloatingPointError)
"""What the command line tells in one sentence."""


class _ToldToEnd(BaseException):
    """torchrun's SIGTERM; nothing that reads files or talks to others takes it for its own."""


@contextmanager
def distributed_command(device: str = "auto") -> Iterator[World]:
    """The processes that work on a command, from its beginning to its end.

    An error that all of them have alike, such as bad input, is the main process's to tell: the
    others then end in silence. One that the main process does not have is raised with the rank in
    its sentence.

    Args:
        device: As `join_world` takes it.

    Raises:
        ProcessLost: If another process ended.
    """
    world = join_world(device)
    with _told_to_end(world):
        try:
            yield world
        except Exception as error:
            told = _told(world, error)
            if told is error:
                raise
            raise told from error
        except Interrupted:
            if not world.is_main:
                _let_the_main_one_speak()
            raise
    # After an error the process ends anyway, and NCCL could wait here for those that are gone.
    leave_world()


@contextmanager
def _told_to_end(world: World) -> Iterator[None]:
    """Raise what torchrun tells by SIGTERM: another process failed, or all are to end.

    A process that computes would otherwise end without a word, not having missed the other yet.
    """
    if world.size == 1 or threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a loader process, forked with this handler
            os._exit(128 + number)
        raise _ToldToEnd

    before = signal.signal(signal.SIGTERM, end)
    # One that failed ends by itself, and torchrun must not end it before it has said why.
    after: Any = signal.SIG_IGN
    try:
        yield
        after = before
    except _ToldToEnd:
        raise ProcessLost(
            f"process {world.rank} of {world.size} was told to end (SIGTERM), as torchrun does "
            f"when another one fails or when it is stopped itself; {WHAT_NEXT}"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, after)


def _told(world: World, error: Exception) -> BaseException:
    """The error to raise here: its own, with its rank, or none that is told twice."""
    if world.store is None:
        return error
    if isinstance(error, RuntimeError) and _is_of_others(error):
        error = world.lost(error)
    if not isinstance(error, BAD_INPUT):  # a fault of ours, whose traceback is wanted
        return error
    kind = type(error).__name__ if isinstance(error, ProcessLost) else str(error)
    if world.is_main:
        with suppress(RuntimeError):  # the store may be gone with the process that held it
            world.store.set("sentence", kind)
        return error
    said = _said(world.store)
    if said == kind or (said is not None and isinstance(error, ProcessLost)):
        _let_the_main_one_speak()
        return SystemExit(2)
    if isinstance(error, ProcessLost):
        return error
    return ValueError(f"process {world.rank}: {error}")


def _let_the_main_one_speak() -> None:
    """torchrun ends all when the first ends: that must not be one that has nothing to say."""
    with suppress(_ToldToEnd):
        time.sleep(1)


def _said(store: Store) -> str | None:
    """The main process's sentence; None if it does not come in time."""
    deadline = time.monotonic() + SENTENCE_WAIT
    try:
        while time.monotonic() < deadline:
            if store.check(["sentence"]):
                return store.get("sentence").decode()
            time.sleep(0.1)
    except RuntimeError:  # the store is gone with what held it
        pass
    return None


def _is_of_others(error: RuntimeError) -> bool:
    """Whether PyTorch means by it that another process is gone, as in the backward pass."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Timed out")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)


__all__ = ["distributed_command"]
