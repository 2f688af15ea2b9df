"""Draws people and writes them as a COCO keypoint data set: a whole pipeline without a download.

Labels come from the pixels: every person is painted with a number and body parts on a code map,
and boxes, areas, outlines and visibility are read off that map. Keypoints follow the package's
pixel rule (an integer coordinate is the centre of a pixel); boxes and outlines are COCO's, where
pixel (0, 0) covers the square from 0 to 1.

Visibility is what an annotator would say: 2 seen, 1 hidden but near seen parts of the person, so
that its place can be told, 0 (with coordinates 0, 0) outside the image, far from everything that
is seen, or on the averted side of the head.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.formats.rows import read_json
from pose_hrnet.data.formats.skeletons import category_row
from pose_hrnet.data.synthetic.backdrops import draw_background, photograph
from pose_hrnet.data.synthetic.canvas import CODES_PER_PERSON, Part
from pose_hrnet.data.synthetic.figures import Figure
from pose_hrnet.data.synthetic.scenes import Cast, paint_cast, person_mask, sample_cast
from pose_hrnet.keypoints.records import PERSON, Float64, Image
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.files import replace_file, write_text
from pose_hrnet.system.folders import check_room, owned, remove_temporaries

#: Raised when the same seed gives other pictures than before.
GENERATOR_VERSION = "1.1"

_SIZES_WH = ((320, 240), (400, 300), (480, 360), (360, 480), (512, 384), (640, 480), (480, 640))

# A person of whom less is seen gets a box and an outline but no keypoints, as in COCO.
_MIN_SEEN_PIXELS, _MIN_SEEN_SHARE = 40, 0.10
# A hidden keypoint farther than this from all that is seen of the person is not labelled.
_GUESS_DISTANCE = 0.10
# Of the others this share is labelled, so that as many of the labelled keypoints are hidden as in
# COCO: one in ten.
_LABELLED_HIDDEN_SHARE = 0.4


def _seen_on() -> NDArray[np.bool_]:
    """``(K, CODES_PER_PERSON)``: the parts on which a keypoint, when covered by them, is seen."""
    table = np.zeros((COCO17.num_keypoints, CODES_PER_PERSON), dtype=bool)
    table[0:5, Part.HEAD] = True
    parts = {
        "shoulder": (Part.TRUNK, Part.UPPER_ARM),
        "elbow": (Part.UPPER_ARM, Part.FOREARM),
        "wrist": (Part.FOREARM, Part.HAND),
        "hip": (Part.TRUNK, Part.PELVIS, Part.THIGH),
        "knee": (Part.PELVIS, Part.THIGH, Part.SHANK),
        "ankle": (Part.SHANK, Part.FOOT),
    }
    for k, name in enumerate(COCO17.keypoint_names[5:], start=5):
        for part in parts[name.split("_")[1]]:
            paired = part not in (Part.TRUNK, Part.PELVIS)
            table[k, part + (paired and name.startswith("right"))] = True
    return table


_SEEN_ON = _seen_on()


def _turned_away(figure: Figure) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``(K,)`` keypoints on the side of the body that the viewer does not see.

    Returns:
        Those that are hidden, and those among them that nobody would label.
    """
    facing = np.ones(COCO17.num_keypoints)
    facing[:5] = figure.face_normals[:, 2]
    facing[5:7] = figure.chest[2, 0] * np.array((1, -1)) + 0.75
    facing[11:13] = figure.pelvis[2, 0] * np.array((1, -1)) + 0.75
    lost = facing < -0.45
    lost[5:] = False
    return facing < 0.0, lost


def _label_keypoints(
    rng: np.random.Generator, person: Cast, codes: NDArray[np.uint16]
) -> tuple[Float64, NDArray[np.int64]]:
    """``(K, 2)`` image pixels and ``(K,)`` visibility; both 0 where not labelled."""
    height, width = codes.shape
    points = person.figure.keypoints[:, :2]
    keypoints = np.array(person.origin) + person.scale * points * np.array([1.0, -1.0])
    x, y = np.rint(keypoints).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    code = codes[y, x]
    away, lost = _turned_away(person.figure)
    own = code // CODES_PER_PERSON == person.number
    seen = own & _SEEN_ON[np.arange(len(code)), code % CODES_PER_PERSON] & ~away

    mask, (left, top) = person_mask(codes, person.number, person.window)
    reach = 2 * round(_GUESS_DISTANCE * person.scale) + 1
    near = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
    rows, columns = (y - top).clip(0, len(near) - 1), (x - left).clip(0, near.shape[1] - 1)
    guessed = rng.random(len(code)) < _LABELLED_HIDDEN_SHARE
    labelled = inside & ~lost & (near[rows, columns] > 0) & (seen | guessed)
    visibility = np.where(labelled, 1 + seen, 0)
    clipped = keypoints.clip(0, (width - 1, height - 1)).round(1)
    return clipped * labelled[:, None], visibility


def _outlines(mask: NDArray[np.uint8], left: float, top: float) -> list[list[float]]:
    """Polygons around the pixels of a mask, in COCO's corner-based coordinates.

    A polygon has no holes, so a mask with a hole is cut in two through it.

    Args:
        mask: ``(h, w)`` 0 or 1.
        left: Image column of the mask's first column.
        top: Image row of the mask's first row.
    """
    # Twice as large, the outline runs around the pixels' centres instead of through them.
    large = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [
        c
        for c, node in zip(contours, [] if tree is None else tree[0], strict=True)
        if node[3] >= 0
    ]
    if holes:
        cut = int(np.median(max(holes, key=len)[:, 0, 0])) // 2
        return _outlines(mask[:, :cut], left, top) + _outlines(mask[:, cut:], left + cut, top)
    polygons = []
    for contour in contours:
        simple = cv2.approxPolyDP(contour, 1.1, True)
        points = (simple if len(simple) > 2 else contour)[:, 0] * 0.5 + (0.25 + left, 0.25 + top)
        polygons.append([float(v) for v in points.ravel().round(2)])
    return [polygon for polygon in polygons if len(polygon) >= 6]


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of an image-sized mask, column by column."""
    flat = np.concatenate(([False], mask.ravel(order="F")))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], edges, [mask.size])))
    return {"counts": counts.tolist(), "size": list(mask.shape)}


def _annotate(
    rng: np.random.Generator, person: Cast, painted: int, codes: NDArray[np.uint16]
) -> dict[str, Any] | None:
    """One COCO annotation without ids, or None for a person of whom nothing is seen."""
    crowd = person.kind == "crowd"
    window = (0, 0, codes.shape[1], codes.shape[0]) if crowd else person.window
    mask, (left, top) = person_mask(codes, person.number, window)
    area = int(np.count_nonzero(mask))
    if not area:
        return None
    x, y, wide, tall = cv2.boundingRect(mask)
    keypoints = np.zeros((COCO17.num_keypoints, 2))
    visibility = np.zeros(COCO17.num_keypoints, dtype=np.int64)
    if person.kind == "person" and area >= max(_MIN_SEEN_PIXELS, _MIN_SEEN_SHARE * painted):
        keypoints, visibility = _label_keypoints(rng, person, codes)
    triples = np.concatenate((keypoints, visibility[:, None]), axis=1).ravel()
    return {
        "category_id": 1,
        "bbox": [left + x, top + y, wide, tall],
        "area": area,
        "segmentation": _run_lengths(mask > 0) if crowd else _outlines(mask, left, top),
        "keypoints": [int(v) if v == int(v) else float(v) for v in triples.round(1)],
        "num_keypoints": int(np.count_nonzero(visibility)),
        "iscrowd": int(crowd),
    }


def draw_scene(seed: int, index: int) -> tuple[Image, list[dict[str, Any]]]:
    """Draw one image with its annotations; the same numbers give the same image.

    Args:
        seed: The data set's seed, not negative.
        index: Number of the image in the data set, from 0.

    Returns:
        ``(H, W, 3)`` uint8 RGB, and COCO annotations without ``id`` and ``image_id``.
    """
    rng = np.random.default_rng((seed, index))
    width, height = _SIZES_WH[rng.integers(len(_SIZES_WH))]
    canvas = draw_background(rng, width, height)
    cast = sample_cast(rng, width, height)
    painted = zip(cast, paint_cast(rng, canvas, cast), strict=True)
    by_number = {person.number: (person, pixels) for person, pixels in painted}
    found = [_annotate(rng, *shown, canvas.codes) for shown in by_number.values()]
    return photograph(rng, canvas.image), [a for a in found if a is not None]


def _write_scene(index: int, folder: Path, seed: int) -> tuple[list[int], list[dict[str, Any]]]:
    """Draw image `index` into `folder`; returns its size (width, height) and annotations."""
    image, annotations = draw_scene(seed, index)
    quality = int(np.random.default_rng((seed, index, 1)).integers(80, 96))
    _, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    with replace_file(folder / _file_name(index)) as temporary:
        temporary.write_bytes(jpeg.tobytes())
    return [image.shape[1], image.shape[0]], annotations


def _file_name(index: int) -> str:
    return f"{index + 1:012d}.jpg"


def _limit_threads() -> None:
    cv2.setNumThreads(1)  # one process per core already


def _scenes(
    folder: Path, images: int, seed: int, workers: int
) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Write all images and hand out their sizes and annotations, in order."""
    write = partial(_write_scene, folder=folder, seed=seed)
    if workers == 1:
        yield from map(write, range(images))
        return
    # Spawned, as forking a process that runs torch threads can hang. An executor, as it gives up
    # where a pool starts new workers forever if the main module cannot be imported in them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_limit_threads) as pool:
        yield from pool.map(write, range(images), chunksize=4)


_DESCRIPTION = "pose_hrnet drawn data: people who never lived, with exact labels"


def data_set_info(images: int, seed: int) -> dict[str, Any]:
    """The ``info`` entry of a drawn data set; equal entries mean equal files."""
    return {
        "description": _DESCRIPTION,
        "version": GENERATOR_VERSION,
        "seed": seed,
        "images": images,
    }


def synthesize(
    output: Path,
    *,
    images: int,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a data set: ``output/images/*.jpg`` and ``output/annotations.json``.

    The same seed gives the same files, byte for byte, whatever the number of workers; the first
    images of a larger data set are those of a smaller one. An earlier ``annotations.json`` of the
    folder goes first, so that labels never stand beside images that they do not fit; so do the
    images that an earlier drawn set had beyond this one.

    Args:
        output: Folder to write into; made if absent.
        images: How many images.
        seed: Not negative; another seed gives other people.
        workers: Processes that draw; by default one per core, and a single one for few images.
            More than one needs the usual ``if __name__ == "__main__"`` guard in a script.
        progress: Called with the number of finished images after each.

    Returns:
        Path of the annotation file, written last.

    Raises:
        FolderBusy: If another process works in the folder.
        OSError: If the folder cannot be written to, or the disk is full.
        ValueError: If `images` or `workers` is not positive, or `seed` is negative, or the folder
            holds the annotations of another data set.
    """
    for name, value, least in (("images", images, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}, expected {least} or more; give a larger number")
    check_room(output)
    with owned(output):
        return _synthesize(output, images, seed, workers, progress)


def _synthesize(
    output: Path,
    images: int,
    seed: int,
    workers: int | None,
    progress: Callable[[int], None] | None,
) -> Path:
    """`synthesize`, in a folder that is this process's own."""
    folder, path = output / "images", output / "annotations.json"
    _clear(path, folder, images)
    folder.mkdir(exist_ok=True)
    remove_temporaries(folder)
    workers = min(workers or os.cpu_count() or 1, -(-images // 32) if workers is None else images)
    image_entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, ((width, height), found) in enumerate(_scenes(folder, images, seed, workers)):
        image_id = index + 1
        name = _file_name(index)
        image_entries.append({"id": image_id, "file_name": name, "width": width, "height": height})
        first = len(annotations) + 1
        annotations += [{"id": first + i, "image_id": image_id, **a} for i, a in enumerate(found)]
        if progress is not None:
            progress(image_id)
    return _write_json(path, seed, image_entries, annotations)


class _Info(msgspec.Struct):
    description: str = ""
    images: int = 0


class _Head(msgspec.Struct):
    info: _Info


def _clear(annotations: Path, folder: Path, images: int) -> None:
    """Remove earlier labels, and what an earlier drawn set has beyond the first `images`."""
    if not annotations.exists():
        return
    try:
        info = read_json(annotations, _Head, "annotations").info
    except ValueError:
        info = _Info()
    if info.description != _DESCRIPTION:
        raise ValueError(
            f"{annotations} is not of a drawn data set, and would be overwritten; "
            "choose another --output"
        )
    annotations.unlink()
    for index in range(images, info.images):
        (folder / _file_name(index)).unlink(missing_ok=True)


def _write_json(
    path: Path, seed: int, images: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> Path:
    content = {
        "info": data_set_info(len(images), seed),
        "licenses": [],
        "categories": [category_row(PERSON, "person", COCO17.keypoint_names, COCO17.links)],
        "images": images,
        "annotations": annotations,
    }
    write_text(path, json.dumps(content, separators=(",", ":")))
    return path
