"""The ten COCO keypoint numbers, exactly pycocotools', with what is odd about the data in words.

pycocotools does the scoring. It is handed an in-memory copy of annotations and results, so that
input on which it would fail, or silently go wrong, is either mended and told of in a note or
refused in one sentence; what needs no mending scores bit for bit as the files themselves would.
The rules are COCO's (https://cocodataset.org/#keypoints-eval): OKS thresholds 0.50 to 0.95, the
best 20 results of each image, medium and large persons split at 96^2 square pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pose_hrnet.records import ImageId

COCO_METRICS: tuple[str, ...] = (
    "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"
)  # fmt: skip
"""Names of the ten numbers, in pycocotools' order."""

_FILLED_IN = {
    "keypoints": "they count as persons without keypoints, which are ignored",
    "num_keypoints": "their labelled keypoints were counted instead",
    "bbox": "the extent of their labelled keypoints stands in",
    "area": "their box area stands in; COCO's segment area is smaller and so gives lower scores",
    "iscrowd": "0 stands in",
    "id": "new ids stand in, since pycocotools takes 0 for unmatched and mixes up repeated ids",
}
"""What stands in for an annotation field that is missing or unusable, as a note tells it."""


@dataclass(frozen=True)
class CocoScores:
    """COCO's verdict on a set of results.

    Attributes:
        values: The ten numbers of `COCO_METRICS`, in that order, 0 to 1; -1 where the ground
            truth has nothing to score.
        counts: ``images`` evaluated, ``persons`` in them with keypoints (crowds left out),
            ``results`` on them, ``images_with_results``.
        notes: What was mended and what a number of -1 means, one sentence each; empty for
            ordinary data.
    """

    values: dict[str, float]
    counts: dict[str, int]
    notes: tuple[str, ...]


class _Image(msgspec.Struct):
    id: ImageId


class _Category(msgspec.Struct):
    id: int


class _Annotation(msgspec.Struct):
    image_id: ImageId
    category_id: int
    id: int | str | None = None
    keypoints: list[float] | None = None
    num_keypoints: int | None = None
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None


class _Annotations(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = []


class _Result(msgspec.Struct):
    image_id: ImageId
    category_id: int
    keypoints: list[float]
    score: float
    bbox: list[float] | None = None


@dataclass(frozen=True)
class _Truth:
    """Annotations as pycocotools wants them: images numbered from 1 in the order of their ids."""

    name: str
    image_numbers: dict[ImageId, int]
    categories: list[int]
    persons: list[dict[str, Any]]


def score_results(
    annotations: Path,
    results: Path | list[dict[str, Any]],
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[ImageId] | None = None,
) -> CocoScores:
    """Score results against annotations with pycocotools.

    Args:
        annotations: COCO keypoint annotations, JSON.
        results: COCO keypoint results ``{image_id, category_id, keypoints, score}``, `keypoints`
            being x, y, score of each keypoint in image pixels: a JSON file, or the list itself.
            pycocotools takes a result's area from its ``bbox`` where there is one, else from its
            keypoints; a result that matches no person counts in the size range of that area.
        sigmas: K OKS standard deviations; default COCO's 17.
        image_ids: Images to evaluate; default all of the annotations. Results on other images of
            the annotations do not count.

    Returns:
        The ten numbers, counts, and notes.

    Raises:
        ValueError: If a file is missing or not what it should be, a result is malformed, stands
            on an image that the annotations lack or has another number of keypoints than there
            are sigmas, or no result has a category of the annotations.
    """
    oks_sigmas = _sigmas(sigmas)
    notes: list[str] = []
    truth = _load_truth(Path(annotations), len(oks_sigmas), notes)
    images = _choose_images(truth, image_ids)
    found = _load_results(results, truth, len(oks_sigmas), notes)
    values = _evaluate(truth, found, images, oks_sigmas)
    notes += _explain_missing(values)
    inside = set(images)
    persons = [p for p in truth.persons if p["num_keypoints"] > 0 and not p["iscrowd"]]
    with_results = [result["image_id"] for result in found if result["image_id"] in inside]
    counts = {
        "images": len(images),
        "persons": sum(person["image_id"] in inside for person in persons),
        "results": len(with_results),
        "images_with_results": len(set(with_results)),
    }
    return CocoScores(values, counts, tuple(notes))


def _sigmas(sigmas: Sequence[float] | None) -> NDArray[np.float64]:
    """Use pycocotools' own array for COCO's sigmas: 0.26 / 10 is not 0.026 in the last bit."""
    coco: NDArray[np.float64] = Params("keypoints").kpt_oks_sigmas
    given = coco if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    is_coco = given.shape == coco.shape and np.allclose(given, coco, rtol=1e-12, atol=0)
    return coco if is_coco else given


_Kind = TypeVar("_Kind")


def _read(source: Path | list[Any], kind: type[_Kind], expected: str) -> _Kind:
    """Decode a JSON file, or check a list that is already in memory."""
    name = "the list of results" if isinstance(source, list) else str(source)
    text = b""
    try:
        if isinstance(source, list):
            return msgspec.convert(source, kind)
        text = Path(source).read_bytes()
        return msgspec.json.decode(text, type=kind)
    except OSError as error:
        raise ValueError(
            f"cannot read {name} ({error.strerror}); give the path of {expected}"
        ) from error
    except msgspec.MsgspecError as error:
        hint = " (JSON has no NaN)" if b"NaN" in text else ""
        raise ValueError(f"{name} is not {expected}: {error}{hint}") from error


def _load_truth(path: Path, num_keypoints: int, notes: list[str]) -> _Truth:
    data = _read(path, _Annotations, "a COCO keypoint annotation file")
    if not data.images:
        raise ValueError(f"{path} lists no images; give annotations with at least one")
    # pycocotools goes through the images in the order of their ids, which settles equal scores.
    ids = sorted({image.id for image in data.images}, key=lambda i: (isinstance(i, str), i))
    numbers = {image_id: number for number, image_id in enumerate(ids, start=1)}
    categories = {category.id for category in data.categories}
    if not categories:
        categories = {annotation.category_id for annotation in data.annotations} or {1}
        notes.append(f"{path} has no categories; those of its annotations stand in")
    counted = [
        annotation
        for annotation in data.annotations
        if annotation.image_id in numbers and annotation.category_id in categories
    ]
    if strays := len(data.annotations) - len(counted):
        notes.append(
            f"{strays} of {len(data.annotations)} annotations of {path} have an image or category "
            "that it does not list; they do not count"
        )
    for annotation in counted:
        if annotation.keypoints and len(annotation.keypoints) != 3 * num_keypoints:
            raise ValueError(
                f"{path} has {len(annotation.keypoints)} keypoint values for a person in image "
                f"{annotation.image_id!r}, but {num_keypoints} OKS sigmas ask for "
                f"{3 * num_keypoints}; give one sigma per keypoint"
            )
    persons = [_person(annotation, num_keypoints) for annotation in counted]
    for number, (person, annotation) in enumerate(zip(persons, counted, strict=True), start=1):
        person |= {"id": number, "image_id": numbers[annotation.image_id]}
    notes += _describe_gaps(counted, persons, path)
    return _Truth(str(path), numbers, sorted(categories), persons)


def _person(annotation: _Annotation, num_keypoints: int) -> dict[str, Any]:
    """Fill in what pycocotools reads; what the annotation states stays as it is."""
    keypoints = np.array(annotation.keypoints or [0.0] * (3 * num_keypoints))
    labelled = keypoints.reshape(-1, 3)[keypoints[2::3] > 0, :2]
    bbox, area, count = annotation.bbox or [], annotation.area, annotation.num_keypoints
    if len(bbox) != 4:
        corner = labelled.min(axis=0) if len(labelled) else np.zeros(2)
        bbox = [*corner, *(labelled - corner).max(axis=0, initial=0.0)]
    return {
        "category_id": annotation.category_id,
        "keypoints": keypoints,
        "num_keypoints": len(labelled) if count is None or not annotation.keypoints else count,
        "bbox": bbox,
        "area": bbox[2] * bbox[3] if area is None else area,
        "iscrowd": int(annotation.iscrowd or 0),
    }


def _describe_gaps(
    annotations: list[_Annotation], persons: list[dict[str, Any]], path: Path
) -> list[str]:
    gaps = {
        name: sum(getattr(annotation, name) in (None, []) for annotation in annotations)
        for name in _FILLED_IN
    }
    gaps["bbox"] = sum(len(annotation.bbox or []) != 4 for annotation in annotations)
    gaps["id"] = len(annotations) - len({annotation.id for annotation in annotations} - {None, 0})
    empty = sum(person["area"] <= 0 < person["num_keypoints"] for person in persons)
    of = f"of {len(annotations)} annotations of {path} have"
    notes = [
        f"{gaps[name]} {of} no usable {name}; {told}"
        for name, told in _FILLED_IN.items()
        if gaps[name]
    ]
    if empty:
        notes.append(f"{empty} {of} keypoints but an area of 0: only an exact result matches")
    return notes


def _choose_images(truth: _Truth, image_ids: Iterable[ImageId] | None) -> list[int]:
    chosen = list(truth.image_numbers if image_ids is None else image_ids)
    if not chosen:
        raise ValueError("image_ids is empty; name at least one image, or give None for all")
    _check_known(chosen, truth, "image_ids")
    return sorted({truth.image_numbers[image_id] for image_id in chosen})


def _check_known(image_ids: list[ImageId], truth: _Truth, owner: str) -> None:
    """Refuse image ids that the annotations lack, where pycocotools would only assert."""
    unknown = [image_id for image_id in image_ids if image_id not in truth.image_numbers]
    if not unknown:
        return
    different = list(dict.fromkeys(unknown))
    hint = "give the annotations of the same images"
    by_text = {str(known).lstrip("0"): known for known in truth.image_numbers}
    for image_id in different:
        if (twin := by_text.get(str(image_id).lstrip("0"))) is not None:
            hint = f"write {image_id!r} as {twin!r}, as the annotations do, and so the others"
            break
    raise ValueError(
        f"{len(unknown)} of {len(image_ids)} entries of {owner} have {len(different)} image ids "
        f"that {truth.name} does not list, such as {', '.join(map(repr, different[:3]))}; {hint}"
    )


def _load_results(
    source: Path | list[dict[str, Any]], truth: _Truth, num_keypoints: int, notes: list[str]
) -> list[dict[str, Any]]:
    """Check the results and copy them with the area that pycocotools' `loadRes` would add."""
    name = "the list of results" if isinstance(source, list) else str(source)
    expected = "a list of COCO keypoint results {image_id, category_id, keypoints, score}"
    rows = _read(source, list[_Result], expected)
    for i, row in enumerate(rows):
        finite = isfinite(sum(row.keypoints, row.score))
        if len(row.keypoints) != 3 * num_keypoints or not finite:
            raise ValueError(
                f"result {i} of {name} (image {row.image_id!r}) has {len(row.keypoints)} keypoint "
                f"values{'' if finite else ' or a score that are not all finite'}; expected x, y "
                f"and score of {num_keypoints} keypoints, one for each OKS sigma, all finite"
            )
    _check_known([row.image_id for row in rows], truth, name)
    _check_categories(rows, truth, name, notes)
    keypoints = np.array([row.keypoints for row in rows]).reshape(len(rows), 3 * num_keypoints)
    areas = _areas(rows, keypoints, name, notes)
    return [
        {
            "id": i + 1,
            "image_id": truth.image_numbers[row.image_id],
            "category_id": row.category_id,
            "keypoints": keypoints[i],
            "score": row.score,
            "area": areas[i],
        }
        for i, row in enumerate(rows)
    ]


def _check_categories(rows: list[_Result], truth: _Truth, name: str, notes: list[str]) -> None:
    strays = [row.category_id for row in rows if row.category_id not in truth.categories]
    found = f"{len(strays)} of {len(rows)} entries of {name} have category {sorted(set(strays))}"
    listed = f"{truth.name} lists {truth.categories}"
    if strays and len(strays) == len(rows):
        raise ValueError(f"{found}, but {listed}; write one of the latter as category_id")
    if strays:
        notes.append(f"{found}, but {listed}; they do not count")


def _areas(
    rows: list[_Result], keypoints: NDArray[np.float64], name: str, notes: list[str]
) -> list[float]:
    """Area of the box if the first result has one, else of the keypoints' extent (`loadRes`)."""
    boxes = [row.bbox for row in rows if row.bbox is not None and len(row.bbox) == 4]
    if rows and rows[0].bbox and len(boxes) == len(rows):
        return [bbox[2] * bbox[3] for bbox in boxes]
    if boxes:
        notes.append(
            f"only {len(boxes)} of {len(rows)} entries of {name} have a bbox; "
            "the area of all was taken from their keypoints"
        )
    areas: list[float] = (
        np.ptp(keypoints[:, 0::3], axis=1) * np.ptp(keypoints[:, 1::3], axis=1)
    ).tolist()
    return areas


def _evaluate(
    truth: _Truth, found: list[dict[str, Any]], images: list[int], sigmas: NDArray[np.float64]
) -> dict[str, float]:
    """Run pycocotools on copies that it may write to, without its printing."""
    sides = []
    with redirect_stdout(io.StringIO()):
        for annotations in (truth.persons, found):
            side = COCO()
            side.dataset = {
                "images": [{"id": number} for number in truth.image_numbers.values()],
                "categories": [{"id": category} for category in truth.categories],
                "annotations": annotations,
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, iouType="keypoints")
        evaluation.params.imgIds = images
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(COCO_METRICS, map(float, evaluation.stats), strict=True))


def _explain_missing(values: dict[str, float]) -> list[str]:
    missing = "no person with keypoints, crowds aside, stands in the evaluated images"
    if values["AP"] == -1:
        return [f"all ten numbers are -1: {missing}"]
    sizes = {"M": "between 32^2 and 96^2", "L": "above 96^2"}
    return [
        f"AP{size} and AR{size} are -1: {missing} with an area {limits} square pixels"
        for size, limits in sizes.items()
        if values[f"AP{size}"] == -1
    ]
