"""Numbers in other programs' files, and XML without its dangers."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from pose_hrnet.data.formats.rows import LARGEST
from pose_hrnet.system.text import one_line, shown


def number(text: object, where: str) -> float:
    """A finite number of a sane size.

    Args:
        text: As it is written.
        where: Names its place in the error.

    Raises:
        ValueError: If it is none.
    """
    try:
        value = float(text) if isinstance(text, str | int | float) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if isinstance(text, bool) or not abs(value) <= LARGEST:
        raise ValueError(f"{where} is {shown(text)}; expected a number, of a size as images have")
    return value


def whole_number(text: object, where: str) -> int:
    """A whole number, which may be written ``3.0``; raises as `number`."""
    value = number(text, where)
    if value != int(value):
        raise ValueError(f"{where} is {shown(text)}; expected a whole number")
    return int(value)


def length(text: object, where: str) -> int:
    """Pixels of a side of an image, one at least; raises as `number`."""
    value = whole_number(text, where)
    if not 1 <= value < 2**31:
        raise ValueError(f"{where} is {shown(text)}; expected pixels, 1 or more")
    return value


def parse_xml(data: bytes, owner: Path) -> ElementTree.Element:
    """The root of an XML text without a document type, so that no entity is ever expanded.

    Raises:
        ValueError: If it is no XML, or declares a document type.
    """
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(data, True)
        return ElementTree.fromstring(data)
    except _Doctype:
        raise ValueError(
            f"{owner} declares a document type, which no annotations need, and is not read"
        ) from None
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{owner} is not XML ({one_line(error)}); export it again") from None


class _Doctype(Exception):
    pass


def _no_doctype(*_: object) -> None:
    raise _Doctype
