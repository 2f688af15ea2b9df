"""Standard output and error that outlive the terminal, the pipe and the disk that take them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

_NOBODY = frozenset({errno.EIO, errno.EPIPE})
"""A terminal that closed; a reader that ended, such as a tee that Ctrl-C reached first."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Lasting:
    """A standard stream as it is at the time; what it cannot take is lost.

    Nothing else is to be lost with it: a training saves when its terminal closes.

    Attributes:
        full: Why a disk took no more of it; None: it took all.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.full: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)

    def write(self, text: str) -> int:
        """As of any stream; what its encoding lacks is written out."""
        stream = getattr(sys, self._name)
        if stream is None:  # closed before the program began
            return len(text)
        with self._what_is_lost(stream):
            try:
                stream.write(text)
            except UnicodeEncodeError:
                known = text.encode(stream.encoding, "backslashreplace")
                stream.write(known.decode(stream.encoding))
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        stream = getattr(sys, self._name)
        if stream is not None:
            with self._what_is_lost(stream):
                stream.flush()

    @contextmanager
    def _what_is_lost(self, stream: Any) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                self.full = error.strerror
            elif error.errno not in _NOBODY:
                raise
            if error.errno != errno.EIO:
                _lead_nowhere(stream)


def _lead_nowhere(stream: Any) -> None:
    """Or Python would fail at its end, with what it still holds of a stream."""
    with suppress(OSError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


OUTPUT = Lasting("stdout")
ERRORS = Lasting("stderr")


def as_stream(lasting: Lasting) -> IO[str]:
    """The same for who asks for a stream."""
    return cast("IO[str]", lasting)
