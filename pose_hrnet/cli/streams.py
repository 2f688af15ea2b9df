"""Standard output and error that outlive the terminal which they were shown on."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast


class _Lasting:
    """A standard stream as it is at the time; what a closed terminal cannot show is lost.

    Nothing else is to be lost with it: a training saves when its terminal closes.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)

    def write(self, text: str) -> int:
        """As of any stream; what its encoding lacks is written out."""
        stream = getattr(sys, self._name)
        with _without_terminal():
            try:
                stream.write(text)
            except UnicodeEncodeError:
                known = text.encode(stream.encoding, "backslashreplace")
                stream.write(known.decode(stream.encoding))
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        with _without_terminal():
            getattr(sys, self._name).flush()


@contextmanager
def _without_terminal() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


OUTPUT = cast("IO[str]", _Lasting("stdout"))
ERRORS = cast("IO[str]", _Lasting("stderr"))
