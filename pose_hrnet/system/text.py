"""Counts, sizes, durations and lists as text, and sizes and times from it."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

_Name = TypeVar("_Name", bound=str)


def counted(count: int, noun: str) -> str:
    """So many things: ``1 person``, ``1,234 persons``, ``2 boxes``, ``0 entries``.

    Args:
        count: How many.
        noun: One of them.
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and not noun.endswith(("ay", "ey", "oy")):
        return f"{count:,} {noun[:-1]}ies"
    hisses = noun.endswith(("s", "x", "ch")) and not noun.endswith("epoch")
    return f"{count:,} {noun}{'es' if hisses else 's'}"


def gigabytes(size: float) -> str:
    """Bytes in words: ``3.4 GB``; under a tenth of that in MB."""
    return f"{size / 1e6:.0f} MB" if size < 1e8 else f"{size / 1e9:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds in words: ``3 h 20 min``, ``4 min``, ``12 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    days, minutes = divmod(minutes, 60 * 24)
    hours, minutes = divmod(minutes, 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes:02d} min"


def clock_seconds(text: str) -> float | None:
    """Seconds of ``12.5``, ``1:02.5`` or ``00:00:03.990``; None: it is no such time."""
    if re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text, re.ASCII) is None:
        return None
    parts = [float(part) for part in text.split(":")]
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def speed(crops_per_second: float) -> str:
    """Crops per second in words: ``834 crops/s``, ``2.4 crops/s``."""
    decimals = 1 if crops_per_second < 10 else 0
    return f"{crops_per_second:,.{decimals}f} crops/s"


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """What went wrong inside a library, as the middle of a sentence.

    Of a long message both ends are kept: some begin, and some end, with what matters.
    """
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit // 3]} ... {text[-2 * limit // 3 :]}"


def printable(text: str) -> str:
    """A text as a terminal may show it: what would command it, or hide, is written out.

    Names of files may hold anything: escape sequences, signs that turn the direction of writing,
    bytes that are no UTF-8. Ends of lines stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else _written_out(c) for c in text)


def in_utf8(name: str) -> str:
    """A name that JSON and CSV can hold: bytes of it that are no UTF-8 are written out."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return printable(name)
    return name


def _written_out(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


class _Short(reprlib.Repr):
    """Of nested values the beginnings, two levels deep; of absurd numbers their length."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 2, 60

    def repr_int(self, x: int, level: int) -> str:
        digits = int(x.bit_length() * 0.30103) + 1
        return repr(x) if digits <= 20 else f"a number of {digits:,} digits"


def shown(value: object, limit: int = 60) -> str:
    """A value for a message, on one line and never longer than that, whatever it is.

    Args:
        value: What a file holds; of text the beginning and the end are kept.
        limit: Characters.
    """
    short = _Short()
    short.maxstring = limit
    text = short.repr(value)
    return text if len(text) <= limit + 2 else f"{text[:limit]}..."


def few(names: Iterable[str]) -> str:
    """Three of the names for a message, and dots for the rest."""
    every = list(names)
    return ", ".join(every[:3]) + (", ..." if len(every) > 3 else "")


def format_size(size_wh: Sequence[int]) -> str:
    """A width and a height as `parse_size` reads them, height first: ``256x192``."""
    width, height = size_wh
    return f"{height}x{width}"


def parse_size(text: str, option: str) -> tuple[int, int]:
    """``256x192``, height first as in the field's file names, as width and height.

    Args:
        text: What was given.
        option: Names it in errors.

    Raises:
        ValueError: If it is not of this form.
    """
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise ValueError(f"{option} is {text!r}; expected HEIGHTxWIDTH, such as 256x192")
    return int(width), int(height)


def parse_names(text: str, option: str, known: tuple[_Name, ...]) -> tuple[_Name, ...]:
    """Some names of a choice, separated by commas, each once and in the order of the choice.

    Args:
        text: What was given.
        option: Names it in errors.
        known: All there are.

    Raises:
        ValueError: If a name is unknown, or there is none.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"{option} has {unknown[0] if unknown else text!r}; "
            f"give one or more of {', '.join(known)}, separated by commas"
        )
    return tuple(name for name in known if name in names)
