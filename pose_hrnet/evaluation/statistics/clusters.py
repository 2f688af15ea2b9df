"""Which images belong together: those of a video, a subject, a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pose_hrnet.data.formats.broken_json import UNDECODABLE
from pose_hrnet.data.formats.rows import lenient, read_json
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.keypoints.records import ImageId
from pose_hrnet.system.text import counted, one_line, shown

FOLDER = "folder"
"""The key that stands for the folder of an image's file name."""


class _Lists(msgspec.Struct):
    images: list[msgspec.Raw] = []
    annotations: list[msgspec.Raw] = []


def cluster_labels(annotations: Path, truth: FileTruth, key: str) -> list[object]:
    """The cluster of each image, as `bootstrap` takes them.

    A key that the images have, such as ``video_id``, names their clusters. One that their
    annotations have, such as ``subject``, joins all images in which the same one is seen.

    Args:
        annotations: The file.
        truth: What was read of it.
        key: A field of its images, or else of its annotations; ``folder``: the folder of the
            image's file name.

    Raises:
        ValueError: If an image has no such field, or there is but one cluster.
    """
    ids = list(truth.coco.image_numbers)
    if key == FOLDER:
        images = truth.coco.images
        folders = {
            image_id: name.replace("\\", "/").rpartition("/")[0]
            for image_id, name in zip(images.ids, images.file_names, strict=True)
        }
        labels: list[object] = [folders[image_id] for image_id in ids]
    else:
        labels = _labelled(annotations, ids, key)
    if len(set(labels)) < 2:
        raise ValueError(
            f"all images of {annotations} have the same {key}, {shown(labels[0])}, so that there "
            "is nothing to draw from; give a key that tells them apart, or none"
        )
    return labels


def _labelled(annotations: Path, ids: list[ImageId], key: str) -> list[object]:
    lists = read_json(annotations, _Lists, "a COCO annotation file")
    is_name = key.isprintable() and not {*key} & {*'"\\'}  # others cannot be asked for
    of_image = dict(_fields(lists.images, "id", key)) if is_name else {}
    if of_image:
        if missing := sum(image_id not in of_image for image_id in ids):
            raise ValueError(
                f"{missing} of {counted(len(ids), 'image')} of {annotations} have no {key!r}; "
                "give a key that all have, or none"
            )
        return [of_image[image_id] for image_id in ids]
    pairs = list(_fields(lists.annotations, "image_id", key)) if is_name else []
    row = {image_id: at for at, image_id in enumerate(ids)}
    pairs = [(image_id, label) for image_id, label in pairs if image_id in row]
    if not pairs:
        names = sorted({*_names(lists.images), *_names(lists.annotations)})
        raise ValueError(
            f"neither the images nor the annotations of {annotations} have a field {key!r}; give "
            f"one of {one_line(', '.join(names))}, or folder for the folders of their files"
        )
    # Images that share a label belong together, and so on; one without any stands alone.
    numbers: dict[object, int] = {}
    columns = [numbers.setdefault(label, len(numbers)) for _, label in pairs]
    rows = [row[image_id] for image_id, _ in pairs]
    count = len(ids) + len(numbers)
    edges = (np.ones(len(pairs)), (rows, np.add(columns, len(ids))))
    _, component = connected_components(coo_array(edges, shape=(count, count)), directed=False)
    return list(component[: len(ids)].tolist())


def _names(raws: list[msgspec.Raw]) -> Iterator[str]:
    """Names of the fields of the first row."""
    for raw in raws[:1]:
        with suppress(*UNDECODABLE):
            yield from msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _fields(
    raws: Iterable[msgspec.Raw], id_name: str, key: str
) -> Iterator[tuple[ImageId, object]]:
    """Id and field of the rows that have both."""
    fields = [("id", ImageId | None, msgspec.field(default=None, name=id_name))]
    if key != id_name:
        fields.append(("label", Any, msgspec.field(default=None, name=key)))
    decode = lenient(msgspec.defstruct("Row", fields))
    for raw in raws:
        try:
            found: Any = decode(raw)
        except UNDECODABLE:
            continue
        label = found.id if key == id_name else found.label
        if found.id is not None and label is not None:
            yield found.id, msgspec.json.encode(label) if isinstance(label, list | dict) else label
