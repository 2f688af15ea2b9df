"""Ultralytics' YOLO-pose, written: the labels of `pose_hrnet.data.convert.yolo`.

Coordinates have as many digits as give the pixels back exactly, and at least six.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pose_hrnet.data.convert.labelled import (
    PIXEL_DECIMALS,
    LabelledImage,
    LabelledSet,
    box_around,
    told,
)
from pose_hrnet.data.convert.yolo import box_start
from pose_hrnet.system.text import counted, few


def yolo_text(image: LabelledImage, left_out: Counter[str]) -> str:
    """The labels of an image, whose size is known, a line a person.

    Args:
        image: The image.
        left_out: Counts what no label can say: keypoints out of the image, persons without a box.
    """
    assert image.size_wh is not None
    width, height = image.size_wh
    lines = []
    for person in image.persons:
        box = person.box_xywh or box_around(person.keypoints, image.size_wh)
        if box is None:
            left_out["persons without a box and keypoints"] += 1
            continue
        left, top, wide, high = box
        if not (0 <= left + wide / 2 <= width and 0 <= top + high / 2 <= height):
            left_out["persons outside of their image"] += 1
            continue
        said = [
            str(person.kind),
            _part(left, width, wide),
            _part(top, height, high),
            _part(wide, width),
            _part(high, height),
        ]
        for x, y, seen in person.keypoints.tolist():
            if not (0 <= x <= width and 0 <= y <= height):
                left_out["keypoints out of their images"] += seen > 0
                x = y = seen = 0
            said += [_part(x, width), _part(y, height), str(int(seen))]
        lines.append(" ".join(said))
    return "".join(f"{line}\n" for line in lines)


def _part(start: float, length: int, size: float = 0.0) -> str:
    """A part of the image's length, in the fewest digits, from six on, that give the pixels back.

    Args:
        start: Pixels: of a point, of a size, or where a box begins.
        length: Of the image.
        size: Of the box, whose middle is written; 0: what `start` says.
    """
    part, wanted = (start + size / 2) / length, round(start, PIXEL_DECIMALS)
    texts = (f"{part:.{digits}f}" for digits in range(6, 18))
    exact = (text for text in texts if box_start(float(text), size, length) == wanted)
    return next(exact, f"{part:.17f}")


def yolo_data(labelled: LabelledSet, splits: list[str]) -> dict[str, Any]:
    """The content of data.yaml."""
    names = labelled.keypoint_names
    index = list(range(len(names)))
    for a, b in labelled.flip_pairs or ():
        index[a], index[b] = b, a
    kinds = dict(enumerate(labelled.kinds))
    return {
        **{split: f"images/{split}" for split in splits},
        **({} if "val" in splits else {"val": f"images/{splits[0]}"}),
        **({} if "train" in splits else {"train": f"images/{splits[0]}"}),
        "kpt_shape": [len(names), 3],
        "flip_idx": index,
        "names": kinds,
        "kpt_names": {kind: list(names) for kind in kinds},
    }


def yolo_texts(labelled: LabelledSet, owner: Path) -> dict[str, str]:
    """The label files of a set: path below ``labels/SPLIT``, and content.

    Raises:
        ValueError: If the size of an image is not known, or two images would share a file.
    """
    unknown = [image.file_name for image in labelled.images if image.size_wh is None]
    if unknown:
        raise ValueError(
            f"{owner} does not say the size of {counted(len(unknown), 'image')}, such as "
            f"{few(unknown)}; give the folder of the images (--images)"
        )
    left_out: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for image in labelled.images:
        name = Path(image.file_name).with_suffix(".txt").as_posix()
        if name in texts:
            raise ValueError(
                f"{owner} has two images that differ in the suffix alone, such as "
                f"{image.file_name}; their labels would be one file: rename one"
            )
        texts[name] = yolo_text(image, left_out)
    told(+left_out, owner)
    return texts
