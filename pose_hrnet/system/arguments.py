"""What a function is called with, where its types alone would not stop a slip of the pen."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral
from typing import Any, get_args

from pose_hrnet.system.text import shown


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse what is none of the choices.

    Args:
        name: Of the argument.
        value: What was given.
        choices: A Literal of `pose_hrnet.system.choices`.

    Raises:
        ValueError: Names them all, and the nearest one.
    """
    known = get_args(choices)
    if isinstance(value, str) and value in known:
        return
    near = get_close_matches(value, known, n=1) if isinstance(value, str) else []
    meant = f"; did you mean {near[0]}?" if near else ";"
    raise ValueError(f"{name} is {shown(value)}{meant} use one of {', '.join(known)}")


def check_choices(name: str, values: object, choices: Any) -> None:
    """Refuse what is no list of choices: the letters of a text are none.

    Args:
        name: Of the argument.
        values: What was given.
        choices: As of `check_choice`.

    Raises:
        ValueError: Names them all.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        example = get_args(choices)[0]
        raise ValueError(f"{name} is {shown(values)}; expected a list, such as [{example!r}]")
    for value in values:
        check_choice(f"one of {name}", value, choices)


def check_count(name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number, or a smaller one.

    Args:
        name: Of the argument.
        value: What was given.
        least: The smallest that makes sense.

    Raises:
        ValueError: Says what is expected.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise ValueError(f"{name} is {shown(value)}; expected a whole number from {least} on")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False: any text, "no" too, would count as True.

    Args:
        name: Of the argument.
        value: What was given.

    Raises:
        ValueError: Says what is expected.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {shown(value)}; expected True or False")


def check_kind(name: str, value: object, kind: type, advice: str) -> None:
    """Refuse an object of another class, such as the name of what is to be loaded before.

    Args:
        name: Of the argument.
        value: What was given.
        kind: What it must be.
        advice: Where one comes from.

    Raises:
        ValueError: Says what is expected.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {shown(value)}; expected {kind.__name__}: {advice}")
