"""DeepLabCut's labels: ``CollectedData_<scorer>.csv``.

Rows of the header: ``scorer``, perhaps ``individuals``, ``bodyparts``, ``coords`` (x and y); then
an image a row: its path, in one column or in three (``labeled-data``, video, image), and the
coordinates in pixels, empty where a part is not labelled.
"""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np

from pose_hrnet.data.convert.labelled import (
    LabelledImage,
    LabelledSet,
    Person,
    check_names,
    safe_name,
)
from pose_hrnet.data.convert.text import number
from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.text import shown

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")


def read_deeplabcut(path: Path) -> LabelledSet:
    """The persons, or animals, of each image; visible where they are labelled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not DeepLabCut's.
    """
    lines = _lines(path)
    rows = [row for _, row in lines]
    header = {row[0]: row for row in rows[:4] if row[0] in _HEADERS}
    if not {"scorer", "bodyparts", "coords"} <= {*header}:
        raise ValueError(
            f"{path} is not DeepLabCut's CollectedData CSV: its first rows begin with "
            f"{shown(', '.join(row[0] for row in rows[:4]))}; expected scorer, (individuals,) "
            "bodyparts, coords"
        )
    coords = header["coords"]
    first = next((at for at, value in enumerate(coords[1:], start=1) if value), len(coords))
    if first not in (1, 3) or {*coords[first:]} != {"x", "y"}:
        said = ", ".join(dict.fromkeys(coords[first:]))
        raise ValueError(
            f"{path}: the columns are {shown(said)}; expected x and y, as labels have them "
            "(likelihood is of predictions)"
        )
    parts = header["bodyparts"]
    individuals = header.get("individuals", [""] * len(coords))
    owners = list(dict.fromkeys(individuals[first:]))
    names = tuple(dict.fromkeys(parts[first:]))
    columns = {
        (individuals[at], parts[at], coords[at]): at
        for at in range(first, min(len(coords), len(parts), len(individuals)))
    }
    images = []
    for line, row in lines[len(header) :]:
        if len(row) != len(coords):
            raise ValueError(
                f"{path}, line {line} has {len(row)} columns; the header has {len(coords)}"
            )
        persons = []
        for owner in owners:
            keypoints = np.zeros((len(names), 3))
            for k, name in enumerate(names):
                at = [columns.get((owner, name, axis)) for axis in ("x", "y")]
                _place(keypoints[k], row, at, f"{path}, line {line}, {name}")
            if keypoints[:, 2].any():
                persons.append(Person(keypoints))
        name = safe_name("/".join(part for part in row[:first] if part), path)
        images.append(LabelledImage(name, tuple(persons)))
    check_names(images, path)
    return LabelledSet("annotations", names, tuple(images))


def _place(keypoint: Float64, row: list[str], at: list[int | None], where: str) -> None:
    """Fill x, y and visibility of a keypoint ``(3,)``, if the row labels it."""
    said = ["" if each is None else row[each].strip() for each in at]
    said = ["" if text.lower() == "nan" else text for text in said]
    if not any(said):
        return
    if not all(said):
        raise ValueError(f"{where} has one coordinate of two; give both, or none")
    keypoint[:] = number(said[0], f"{where}, x"), number(said[1], f"{where}, y"), 2


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, and the line of the file where each ends."""
    try:
        text = read_input(path).decode("utf-8-sig")
        reader = csv.reader(StringIO(text, newline=""))
        rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV in UTF-8 ({error}); export it again") from None
    if not rows:
        raise ValueError(f"{path} is empty; expected DeepLabCut's CollectedData CSV")
    return rows
