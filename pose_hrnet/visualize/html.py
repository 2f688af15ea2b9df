"""A page of numbers, charts and pictures in one HTML file, which loads nothing from elsewhere.

Light and dark as the reader's system is; for screens from a telephone's on, and for paper. All
text is escaped here.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TypeAlias

import cv2

from pose_hrnet.keypoints.records import Image

NOTHING = "\N{EN DASH}"
"""Stands where there is no number."""
QUALITY = 82
"""Of JPEG."""
_ON_PAPER = 115
"""Letters of a row that A4 takes; broader tables are in small print there, and words broken."""
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""What a browser may load for the page: nothing that is not in it."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is read.
        value: What the column is sorted by; None: there is none, and the row stays last.
    """

    text: str
    value: float | None = None


Content: TypeAlias = "str | int | Cell"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with words below it.

    Attributes:
        image: RGB.
        caption: A line or two.
    """

    image: Image
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading, which the contents list.
        blocks: HTML, of the functions below.
    """

    title: str
    blocks: tuple[str, ...]


def page(title: str, lead: str, top: Iterable[str], sections: Sequence[Section]) -> str:
    """The whole file.

    Args:
        title: Heading, and name of the window.
        lead: A line below it.
        top: Blocks above the first section.
        sections: All others, with a contents line above them.
    """
    resources = files("pose_hrnet.visualize")
    style = resources.joinpath("page.css").read_text("utf-8")
    script = resources.joinpath("page.js").read_text("utf-8")
    contents = "".join(
        f'<a href="#s{at}">{escape(each.title)}</a>' for at, each in enumerate(sections)
    )
    body = "".join(
        f'<section id="s{at}"><h2>{escape(each.title)}</h2>{"".join(each.blocks)}</section>'
        for at, each in enumerate(sections)
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        # An empty icon: browsers ask the server for one otherwise.
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style>'
        f'</head><body><main><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
        f"<nav>{contents}</nav>{''.join(top)}{body}</main><script>{script}</script></body></html>\n"
    )


def number(value: float | None, digits: int = 3, *, sign: str = "") -> Cell:
    """A cell of a number; of None, NaN and infinity a dash.

    Args:
        value: The number.
        digits: Decimals.
        sign: ``+``: positive ones with their sign.
    """
    if value is None or not math.isfinite(value):
        return Cell(NOTHING)
    return Cell(f"{value:{sign}.{digits}f}", value)


def table(headings: Sequence[str], rows: Sequence[Sequence[Content]], *, caption: str = "") -> str:
    """A table that a click on a heading sorts.

    Args:
        headings: Of the columns.
        rows: Cells; text in the first column, and numbers, or text, in the others.
        caption: Below it.
    """
    numeric = [
        any(not isinstance(row[at], str) for row in rows) and at > 0 for at in range(len(headings))
    ]
    head = "".join(
        f'<th scope="col" data-numeric="{int(is_numeric)}"><button type="button">'
        f"{escape(name)}</button></th>"
        for name, is_numeric in zip(headings, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(each, at) for at, each in enumerate(row))}</tr>" for row in rows
    )
    said = f'<p class="note">{escape(caption)}</p>' if caption else ""
    kind = " class=broad" if _letters(headings, rows) > _ON_PAPER else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{said}"
    )


def _letters(headings: Sequence[str], rows: Sequence[Sequence[Content]]) -> int:
    """Of the least that a row can take: text is broken between words, numbers are not."""

    def least(content: Content) -> int:
        words = content.split() if isinstance(content, str) else []
        whole = content.text if isinstance(content, Cell) else str(content)
        return max(map(len, words), default=len(whole))

    columns = zip(headings, *rows, strict=True)
    return sum(max(map(least, column)) + 2 for column in columns)


def _cell(content: Content, column: int) -> str:
    if isinstance(content, str):
        return f"<td{' class=words' if column else ''}>{escape(content)}</td>"
    if isinstance(content, int):
        return f'<td data-value="{content}">{content:,}</td>'
    value = "" if content.value is None else f"{content.value:.9g}"
    return f'<td data-value="{value}">{escape(content.text)}</td>'


def figure(chart: str, caption: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    """A chart of `pose_hrnet.visualize.svg`, with its legend and what it shows.

    Args:
        chart: The SVG.
        caption: Below it.
        legend: Class of the colour, and name.
    """
    return (
        f"<figure>{legend_of(legend) if legend else ''}{chart}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def legend_of(entries: Sequence[tuple[str, str]]) -> str:
    """A line of colours and names: class of the colour, and name."""
    inside = "".join(
        f'<span><i class="{colour}"></i>{escape(name)}</span>' for colour, name in entries
    )
    return f'<div class="legend">{inside}</div>'


def charts(*figures: str) -> str:
    """Figures beside one another where there is room."""
    return f'<div class="charts">{"".join(figures)}</div>'


def side_by_side(*blocks: str) -> str:
    """Blocks of text beside one another where there is room."""
    return f'<div class="top">{"".join(f"<div>{block}</div>" for block in blocks)}</div>'


def tiles(entries: Sequence[tuple[str, str, str]]) -> str:
    """The main numbers, large: name, number, and what is said below it."""
    inside = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(words)}</span></div>"
        for name, value, words in entries
    )
    return f'<div class="tiles">{inside}</div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they are."""
    inside = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{inside}</dl>"


def heading(words: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(words)}</h3>"


def paragraph(words: str, *, note: bool = False) -> str:
    """A paragraph; a note is small and grey."""
    return f"<p{' class=note' if note else ''}>{escape(words)}</p>"


def sentences(words: Sequence[str]) -> str:
    """A list of sentences."""
    inside = "".join(f"<li>{escape(each)}</li>" for each in words)
    return f'<ul class="findings">{inside}</ul>'


def gallery(pictures: Sequence[Picture], *, pairs: bool = False) -> str:
    """Pictures beside one another, as JPEG inside the page.

    Args:
        pictures: In order.
        pairs: They are wider than high, of two views side by side.
    """
    inside = "".join(
        f'<figure><img src="{_data_uri(each.image)}" alt="{escape(each.caption, quote=True)}" '
        f'width="{each.image.shape[1]}" height="{each.image.shape[0]}">'
        f"<figcaption>{escape(each.caption)}</figcaption></figure>"
        for each in pictures
    )
    return f'<div class="pictures{" pairs" if pairs else ""}">{inside}</div>'


def _data_uri(image: Image) -> str:
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
