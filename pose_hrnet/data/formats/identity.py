"""Which image is meant: by its id, or by what files call it.

A number in a file's name is no id: ``1.jpg, 10.jpg, 2.jpg`` are often images 1, 2 and 3.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pose_hrnet.keypoints.records import ImageId, Images


def one_spelling(name: str) -> str:
    """A file's name as it is compared: slashes, composed umlauts, no ``./`` before it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


class ImageIndex:
    """Finds images by their ids and names.

    Args:
        images: All of them.
    """

    def __init__(self, images: Images) -> None:
        self.images = images
        self._row_of_id: dict[ImageId | None, int] = {
            each: row for row, each in enumerate(images.ids)
        }
        self._row_of_name: dict[str, int] = {}

    def row(self, image_id: ImageId | None, file_name: str | None = None) -> int | None:
        """Row of an image; None if it is not known.

        The id decides. Without a known one the name does: as it is listed or, where only one
        image has them, without folders or the suffix. A text that is neither an id nor a number
        is taken for a name.
        """
        known = self._row_of_id.get(image_id)
        if not file_name and isinstance(image_id, str) and not image_id.isdecimal():
            file_name = image_id
        return self.named(file_name) if known is None and file_name else known

    def named(self, file_name: str) -> int | None:
        """Row of the image of a name; None if there is none, or more than one."""
        if not self._row_of_name:
            self._row_of_name = rows_by_name(self.images.file_names)
        return self._row_of_name.get(one_spelling(file_name))

    def contradicts(self, image_id: ImageId | None, file_name: str | None) -> bool:
        """Whether an id and a name are of two different images."""
        by_id, by_name = self._row_of_id.get(image_id), self.named(file_name or "")
        return by_id is not None and by_name is not None and by_id != by_name

    def at(self, path: Path) -> int | None:
        """Row of the image whose name a path ends with, the longest such name; else None."""
        parts = PurePosixPath(one_spelling(path.as_posix())).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((row for end in ends if (row := self.named(end)) is not None), None)


def rows_by_name(file_names: Sequence[str]) -> dict[str, int]:
    """Row of each file by its name, and by the parts of it that only one has."""
    names = [one_spelling(name) for name in file_names]
    found = {name: row for row, name in enumerate(names)}
    shorter = [(part, row) for row, name in enumerate(names) for part in _parts_of(name)]
    uses = Counter(part for part, _ in shorter)
    return {part: row for part, row in shorter if uses[part] == 1} | found


def _parts_of(name: str) -> set[str]:
    """``a/b/c.jpg`` without the first folders, and without the suffix."""
    path = PurePosixPath(name)
    ends = {"/".join(path.parts[start:]) for start in range(1, len(path.parts))}
    return (ends | {path.stem}) - {name}


def rows_by_number(file_names: Sequence[str]) -> dict[int, int]:
    """Row of each file whose name is a number, as COCO's are, by that number if one has it.

    Only for want of a file that says which image has which id: say that it was done.
    """
    stems = [(PurePosixPath(one_spelling(name)).stem, row) for row, name in enumerate(file_names)]
    # A longer number does not fit the 64 bits of most readers of JSON.
    numbers = [(int(s), row) for s, row in stems if s.isdecimal() and s.isascii() and len(s) <= 18]
    uses = Counter(number for number, _ in numbers)
    return {number: row for number, row in numbers if uses[number] == 1}


__all__ = ["ImageIndex", "one_spelling", "rows_by_name", "rows_by_number"]
