"""What a function is called with, where its types alone would not stop a slip of the pen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} is {shown(value)}; expected a whole number from {least} on")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False: any text, "no" too, would count as True.

    Args:
        name: Of the argument.
        value: What was given.

    Raises:
        ValueError: Says what is expected.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is {shown(value)}; expected True or False")


def check_number(name: str, value: object, above: float = -math.inf) -> None:
    """Refuse what is no finite number, or not above another one.

    Args:
        name: Of the argument.
        value: What was given.
        above: Itself it is too small.

    Raises:
        ValueError: Says what is expected.
    """
    if not isinstance(value, Real) or not above < float(value) < math.inf:
        least = "finite number" if above == -math.inf else f"number above {above:g}"
        raise ValueError(f"{name} is {shown(value)}; expected a {least}")


def check_shape(name: str, value: object, shape: tuple[int | None, ...]) -> None:
    """Refuse what is no array of a shape.

    Args:
        name: Of the argument.
        value: What was given.
        shape: None: any size.

    Raises:
        ValueError: Says what is expected.
    """
    wanted = str(tuple("any" if size is None else size for size in shape)).replace("'", "")
    if not isinstance(value, np.ndarray):
        kind = type(value).__name__
        raise ValueError(f"{name} is a {kind}; expected an array of shape {wanted}")
    fits = value.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has shape {value.shape}, expected {wanted}")


def array_of(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Numbers as an array of a shape; no rows may come as an empty list.

    Args:
        name: Of the argument.
        value: What was given.
        shape: As of `check_shape`.

    Raises:
        ValueError: If they are no numbers, or of another shape.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {shown(value)}; expected numbers") from None
    if not array.size and not shape[0]:
        array = array.reshape(0, *(size or 0 for size in shape[1:]))
    check_shape(name, array, shape)
    return array


def check_image(image: object) -> None:
    """Refuse what is no ``(H, W, 3)`` uint8 RGB image in memory.

    Args:
        image: What was given.

    Raises:
        ValueError: Says what is expected.
    """
    expected = "expected (H, W, 3) uint8 RGB"
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the image is a {type(image).__name__}; {expected}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"the image has shape {image.shape} and type {image.dtype}; {expected}")


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
