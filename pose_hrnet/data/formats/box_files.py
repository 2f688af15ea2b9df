"""Box files of any form that is common -> rows as COCO has them.

COCO's list of detections is handed on as it is; COCO annotations, ``{"file": [[...]]}``, CSV and
YOLO's text files become such rows: ``{image_id or file_name, category_id, bbox, score}``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from pose_hrnet.data.formats.rows import is_list, read_json
from pose_hrnet.system.choices import BoxFormat
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.text import counted, few

SizeOf: TypeAlias = Callable[[str], tuple[int, int] | None]
"""Width and height in pixels of the image of a name; None where there is no such image."""

FORMS = (
    "a list of COCO detections, COCO annotations, {file: [[x, y, width, height, score], ...]}, a "
    "CSV file with a heading, or a folder of YOLO's .txt files"
)

_COLUMNS = {
    "file_name": ("file_name", "filename", "file", "image", "image_name", "path"),
    "image_id": ("image_id", "id"),
    "score": ("score", "confidence", "conf"),
    "category_id": ("category_id", "category", "class_id", "class", "label"),
}
_BOXES = {
    "xywh": (("x", "y", "w", "h"), ("x", "y", "width", "height")),
    "xyxy": (
        ("x1", "y1", "x2", "y2"),
        ("xmin", "ymin", "xmax", "ymax"),
        ("left", "top", "right", "bottom"),
    ),
}
_DIGITS = 18
"""Of an id that is a number; longer ones are text."""


def read_box_rows(
    path: Path, box_format: BoxFormat = "xywh", size_of: SizeOf | None = None
) -> list[msgspec.Raw]:
    """The rows of a box file in JSON, in the form of COCO's detections.

    Args:
        path: `FORMS`; what a file is, its content tells, or its suffix.
        box_format: What four numbers are where neither key nor heading says it.
        size_of: Needed for YOLO's boxes, which are shares of their image.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it has none of these forms.
    """
    if path.is_dir() or path.suffix.lower() == ".txt":
        return _encoded(_yolo_rows(path, size_of))
    if path.suffix.lower() in (".csv", ".tsv"):
        return _encoded(_csv_rows(path, box_format))
    if is_list(path) or not path.exists():
        rows = read_json(path, list[msgspec.Raw], "a list of detections")
        corners = box_format == "xyxy" or (rows and b'"bbox_xyxy"' in bytes(rows[0]))
        return [_in_xywh(row, box_format) for row in rows] if corners else rows
    content = read_json(path, dict[str, Any], FORMS)
    if isinstance(content.get("annotations"), list):
        return _encoded(_annotation_rows(path, content))
    return _encoded(_rows_by_file(path, content, box_format))


def names_nobody(path: Path) -> bool:
    """Whether a file holds no box at all, as a detector writes that found nobody.

    Of YOLO's labels, which nobody can tell from a folder of others' notes, it is not said.
    """
    return path.is_file() and path.suffix.lower() != ".txt" and not read_box_rows(path)


def _encoded(rows: Iterable[dict[str, Any]]) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(row)) for row in rows]


def _from_corners(box: Any) -> Any:
    """Left, top, right, bottom as x, y, width, height; anything else as it is."""
    if isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box):
        left, top, right, bottom = box
        return [left, top, right - left, bottom - top]
    return box


def _in_xywh(raw: msgspec.Raw, box_format: BoxFormat) -> msgspec.Raw:
    row = msgspec.json.decode(raw)
    if not isinstance(row, dict):
        return raw
    if "bbox_xyxy" in row:
        row["bbox"] = _from_corners(row["bbox_xyxy"])
    elif box_format == "xyxy":
        row["bbox"] = _from_corners(row.get("bbox"))
    return msgspec.Raw(msgspec.json.encode(row))


def _annotation_rows(path: Path, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Annotations that have a box and are no crowd, by the names of their images."""
    images = [each for each in content.get("images") or [] if isinstance(each, dict)]
    names = {str(each.get("id")): each.get("file_name") for each in images}
    for number, row in enumerate(content["annotations"]):
        if not isinstance(row, dict):
            raise ValueError(f"{path}: annotation {number} is no mapping; expected COCO's")
        if row.get("iscrowd") or "bbox" not in row:
            continue
        kept = {
            key: row[key] for key in ("image_id", "category_id", "bbox", "score") if key in row
        }
        name = names.get(str(row.get("image_id")))
        yield {**kept, "file_name": name} if name else kept


def _rows_by_file(
    path: Path, content: dict[str, Any], box_format: BoxFormat
) -> Iterator[dict[str, Any]]:
    """``{"a.jpg": [[x, y, w, h], [x, y, w, h, score]]}``."""
    for name, boxes in content.items():
        if not isinstance(boxes, list):
            raise ValueError(f"{path}: {name[:80]!r} is no list of boxes; expected {FORMS}")
        for box in boxes:
            if not (isinstance(box, list) and len(box) in (4, 5)):
                raise ValueError(
                    f"{path}: {name[:80]!r} has a box that is not four numbers, or five with the "
                    f"score: {str(box)[:80]}"
                )
            four = _from_corners(box[:4]) if box_format == "xyxy" else box[:4]
            yield {"file_name": name, "bbox": four, **({"score": box[4]} if box[4:] else {})}


def _csv_rows(path: Path, box_format: BoxFormat) -> Iterator[dict[str, Any]]:
    text = _text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    if delimiter not in text.partition("\n")[0] and ";" in text.partition("\n")[0]:
        delimiter = ";"
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        lines = [(table.line_num, line) for line in table]  # blank lines count, too
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV ({error}); expected {FORMS}") from None
    columns = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
    form, sides = next(
        ((form, sides) for form in _BOXES for sides in _BOXES[form] if set(sides) <= set(columns)),
        (box_format, ()),
    )
    named = {
        key: next((columns[name] for name in names if name in columns), None)
        for key, names in _COLUMNS.items()
    }
    if not sides or not (named["file_name"] or named["image_id"]):
        raise ValueError(
            f"{path} has the columns {few(columns) or 'none'}; expected file_name or image_id, "
            "x, y, width, height or x1, y1, x2, y2, and if there is one the score"
        )
    for number, line in lines:
        try:
            box = [float(line[columns[side]]) for side in sides]
            score = float(line[named["score"]]) if named["score"] else 1.0
        except (TypeError, ValueError):
            raise ValueError(
                f"{path}: line {number} has a box or score that is no number"
            ) from None
        row: dict[str, Any] = {"bbox": _from_corners(box) if form == "xyxy" else box}
        for key in ("file_name", "image_id", "category_id"):
            value = line[named[key]] if named[key] else None
            if value:
                whole = key != "file_name" and value.isdecimal() and len(value) <= _DIGITS
                row[key] = int(value) if whole else value
        if row.get("category_id") == "person":
            del row["category_id"]
        yield {**row, "score": score}


def _yolo_rows(path: Path, size_of: SizeOf | None) -> Iterator[dict[str, Any]]:
    """``class x y w h [score]`` a line: the middle and the size, as shares of the image."""
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} is a folder without .txt files; expected {FORMS}")
    if size_of is None:
        raise ValueError(f"{path} has shares of images, and their sizes are not known here")
    for file in files:
        size = size_of(file.stem)
        for number, line in enumerate(_text(file).splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            try:
                kind, x, y, w, h, *score = map(float, words)
                wrong = len(score) > 1 or not kind.is_integer()
            except ValueError:
                wrong = True
            if wrong:
                raise ValueError(
                    f"{file}: line {number} has {counted(len(words), 'value')}; expected YOLO's "
                    "class, x, y, width, height and perhaps score, all numbers"
                )
            if kind != 0:  # of COCO's classes as YOLO counts them, 0 is the person
                continue
            if size is None:
                yield {"file_name": file.stem, "bbox": [0, 0, 1, 1]}
                break
            width, height = size
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            yield {"file_name": file.stem, "bbox": box, "score": score[0] if score else 1.0}


def _text(path: Path) -> str:
    try:
        return read_input(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 ({error.reason}); expected {FORMS}"
        ) from None
