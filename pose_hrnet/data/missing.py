"""Why the images of a data set cannot be read, in words: what is known, and no guess beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pose_hrnet.data.formats.identity import one_spelling
from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.keypoints.records import Images

_LOOKED_AT = 20_000
"""Files of a folder that are looked through at most."""


def why_missing(folder: Path, file_names: Sequence[str]) -> str:
    """Why none of the files lies in a folder.

    Args:
        folder: Of the images.
        file_names: What is not there.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        return f"{folder} {what}; give the folder that the file names are relative to"
    files = [path for path, _ in zip(folder.rglob("*"), range(_LOOKED_AT), strict=False)]
    there = {path.name: path for path in files if path.is_file()}
    if not there:
        return f"no file lies in {folder}"
    names = [PurePosixPath(one_spelling(name)) for name in file_names[:100]]
    by_case = {name.lower(): name for name in there}
    by_stem = {path.stem: name for name, path in there.items()}
    for name in names:
        place = there.get(name.name)
        if place is not None:
            return (
                f"{name.name} lies in {place.parent}, but is called {name}; give the folder that "
                "the file names are relative to"
            )
        if other := by_case.get(name.name.lower()):
            return f"{name.name} is called {other} there; write the names as they are"
        if other := by_stem.get(name.stem):
            return f"{name.name} is called {other} there; correct the suffix"
    found = next(iter(sorted(there)))
    return (
        f"{folder} has other files, such as {found}; is this the folder that the file names are "
        "relative to?"
    )


def why_unreadable(folder: Path, images: Images) -> str:
    """Why the first image of a data set cannot be read, where none can."""
    for row, name in enumerate(images.file_names[:100]):
        width, height = (int(side) for side in images.sizes_wh[row])
        try:
            read_rgb(image_path(folder, name), (width, height))
        except FileNotFoundError:
            continue
        except (ImageError, OSError) as error:
            return str(error)
    return why_missing(folder, images.file_names)


__all__ = ["why_missing", "why_unreadable"]
