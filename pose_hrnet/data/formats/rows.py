"""Reads JSON lists row by row: a bad row becomes a `Problem`, the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from pose_hrnet.data.formats.broken_json import UNDECODABLE, fault_of, mended, why
from pose_hrnet.keypoints.records import ImageId, Images
from pose_hrnet.system.inputs import UnreadableFile, open_input, read_input
from pose_hrnet.system.text import counted

_T = TypeVar("_T")
_DRAWN = Path("runs/demo/data")
"""Where the recipe demo, and what is made from it, has its data."""
LARGEST = 1e9
"""No coordinate in any image is larger, and its square is a number in single precision."""
MALFORMED = "malformed"
"""How the kinds of problems begin whose sentences say more than the kind."""


_BOM = b"\xef\xbb\xbf"
"""What programs of Windows write before UTF-8."""
_NOT_TEXT = {
    b"\xff\xfe": "it is in UTF-16; save it in UTF-8",
    b"\xfe\xff": "it is in UTF-16; save it in UTF-8",
    b"\x1f\x8b": "it is compressed with gzip; unpack it",
    b"PK\x03\x04": "it is a zip archive; unpack it",
}


@dataclass(frozen=True)
class Problem:
    """A row that was left out.

    Attributes:
        kind: What is wrong, the same text for all rows with this fault.
        id: Id of the annotation or image; ``"#3"`` is the fourth row of its list, where there is
            no id.
        sentence: What was found, and what was expected.
        stray_image_id: The image of the row, where it is one that the file does not list.
    """

    kind: str
    id: ImageId
    sentence: str
    stray_image_id: ImageId | None = None


def read_json(path: Path, kind: type[_T], expected: str) -> _T:
    """Decode a JSON file into a msgspec type; Python's NaN and Infinity become null.

    A byte order mark before it is passed over.

    Args:
        path: The file.
        kind: What it holds; a `msgspec.Raw` within stays undecoded.
        expected: The kind in words, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or of another form.
    """
    try:
        data = read_input(path)
    except FileNotFoundError:
        advice = f"give the path of {expected}"
        if _DRAWN in Path(path).parents:
            advice = "`pose-hrnet demo`, started in this folder, draws it"
        raise FileNotFoundError(f"{path} does not exist; {advice}") from None
    except UnreadableFile as error:
        raise OSError(f"{path} cannot be read ({error.reason}); expected {expected}") from None
    data = data.removeprefix(_BOM)
    for begin, reason in _NOT_TEXT.items():
        if data.startswith(begin):
            raise ValueError(f"{path} is not {expected}: {reason}")
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path} is not {expected}: {error}") from error
    except UNDECODABLE:
        pass
    try:
        # Perhaps Python wrote it: its NaN and Infinity are no JSON. Or some rows are broken.
        data = mended(data)
        return msgspec.json.decode(data, type=kind, strict=False)
    except msgspec.ValidationError as error:
        hint = " (JSON has no NaN; it was read as null)" if b"null" in data else ""
        raise ValueError(f"{path} is not {expected}: {error}{hint}") from error
    except UNDECODABLE as error:
        raise ValueError(f"{path} is not {expected}: it is not JSON ({why(error)})") from error


def is_list(path: Path) -> bool:
    """Whether a JSON file holds a list, as MPII's do, by its first sign; False without a file."""
    try:
        with open_input(path) as file:
            return file.read(64).removeprefix(_BOM).lstrip(b" \t\r\n").startswith(b"[")
    except OSError:
        return False  # whoever reads it says what is wrong


def decode_rows(
    raws: Iterable[msgspec.Raw], kind: type[_T], noun: str, problems: list[Problem]
) -> Iterator[_T]:
    """Decode row by row; a row with fields of the wrong type becomes a problem.

    Numbers may be text and whole numbers floats, as pandas, NumPy and JavaScript write them:
    pycocotools takes ``1.0`` and ``1`` for the same id, too.
    """
    decode = lenient(kind)
    for position, raw in enumerate(raws):
        try:
            row = decode(raw)
        except UNDECODABLE as error:
            found, reason = fault_of(raw, error)
            row_id = f"#{position}" if found is None else found
            sentence = f"{noun} {row_id!r} cannot be read: {reason}"
            problems.append(Problem(f"{MALFORMED} {noun}", row_id, sentence))
        else:
            yield row


def lenient(kind: type[_T]) -> Callable[[msgspec.Raw], _T]:
    """A decoder of one row, for which ``1.0`` and ``1`` are the same id."""
    return msgspec.json.Decoder(kind, strict=False).decode


def summarise(problems: Sequence[Problem], examples: int = 3) -> str:
    """Count by kind with the first ids: ``2 rows left out: box is empty (2: 7, 9)``.

    What is malformed has its reason beside it.
    """
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    told = [
        f"{kind} ({len(of)}: {', '.join(repr(each.id) for each in of[:examples])}"
        + (", ...)" if len(of) > examples else ")")
        + (f" ({of[0].sentence})" if kind.startswith(MALFORMED) else "")
        for kind, of in kinds.items()
    ]
    return f"{counted(len(problems), 'row')} left out: {', '.join(told)}" if problems else ""


def find_twin(
    strays: Iterable[ImageId], known: Iterable[ImageId]
) -> tuple[ImageId, ImageId] | None:
    """The first stray id that a known id equals but for its type or leading zeros, and that id."""
    by_text = {str(image_id).lstrip("0"): image_id for image_id in known}
    twins = ((stray, by_text.get(str(stray).lstrip("0"))) for stray in strays)
    return next(((stray, twin) for stray, twin in twins if twin is not None), None)


def explain_strays(problems: Sequence[Problem], images: Images) -> str:
    """Say why rows name images that the file does not list, if the reason is clear; else empty."""
    strays = [(p.id, p.stray_image_id) for p in problems if p.stray_image_id is not None]
    if twins := find_twin((stray for _, stray in strays), images.ids):
        stray, known = twins
        return (
            f"image_id is {stray!r} ({type(stray).__name__}) where the image has the id "
            f"{known!r} ({type(known).__name__}): write both in one way"
        )
    known_ids = set(images.ids)
    if 2 * sum(row_id in known_ids for row_id, _ in strays) > len(strays):
        return "id and image_id of the annotations look exchanged"
    return ""


__all__ = [
    "Problem",
    "decode_rows",
    "explain_strays",
    "find_twin",
    "lenient",
    "read_json",
    "summarise",
]
