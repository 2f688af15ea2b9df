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
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pose_hrnet.data.json_rows import find_twin, read_json
from pose_hrnet.metrics.coco_truth import Truth, in_order, read_truth
from pose_hrnet.records import ImageId

COCO_METRICS: tuple[str, ...] = (
    "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"
)  # fmt: skip
"""Names of the ten numbers, in pycocotools' order."""


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


class _Result(msgspec.Struct):
    image_id: ImageId
    category_id: ImageId
    keypoints: list[float]
    score: float
    bbox: list[float] | None = None


def score_results(
    annotations: Path,
    results: Path | list[dict[str, Any]],
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[ImageId] | None = None,
    area_over_box: float | None = None,
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
        area_over_box: Take this many times a person's box area for the area; default the file's.

    Returns:
        The ten numbers, counts, and notes.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, a result is malformed, stands
            on an image that the annotations lack or has another number of keypoints than there
            are sigmas, or no result has a category of the annotations.
    """
    oks_sigmas = _sigmas(sigmas)
    notes: list[str] = []
    truth = read_truth(Path(annotations), len(oks_sigmas), notes, area_over_box=area_over_box)
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


def _choose_images(truth: Truth, image_ids: Iterable[ImageId] | None) -> list[int]:
    chosen = list(truth.image_numbers if image_ids is None else image_ids)
    if not chosen:
        raise ValueError("image_ids is empty; name at least one image, or give None for all")
    _check_known(chosen, truth, "image_ids")
    return sorted({truth.image_numbers[image_id] for image_id in chosen})


def _check_known(image_ids: list[ImageId], truth: Truth, owner: str) -> None:
    """Refuse image ids that the annotations lack, where pycocotools would only assert."""
    unknown = [image_id for image_id in image_ids if image_id not in truth.image_numbers]
    if not unknown:
        return
    different = list(dict.fromkeys(unknown))
    hint = "give the annotations of the same images"
    if twins := find_twin(different, truth.image_numbers):
        hint = f"write {twins[0]!r} as {twins[1]!r}, as the annotations do, and so the others"
    raise ValueError(
        f"{len(unknown)} of {len(image_ids)} entries of {owner} have {len(different)} image ids "
        f"that {truth.name} does not list, such as {', '.join(map(repr, different[:3]))}; {hint}"
    )


def _read_results(source: Path | list[dict[str, Any]], name: str) -> list[_Result]:
    expected = "a list of COCO keypoint results {image_id, category_id, keypoints, score}"
    if not isinstance(source, list):
        return read_json(source, list[_Result], expected)
    try:
        return msgspec.convert(source, list[_Result])
    except msgspec.ValidationError as error:
        raise ValueError(f"{name} is not {expected}: {error}") from error


def _load_results(
    source: Path | list[dict[str, Any]], truth: Truth, num_keypoints: int, notes: list[str]
) -> list[dict[str, Any]]:
    """Check the results and copy them with the area that pycocotools' `loadRes` would add."""
    name = "the list of results" if isinstance(source, list) else str(source)
    rows = _read_results(source, name)
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
            # Category 0 is none of the annotations': pycocotools passes it over.
            "category_id": truth.category_numbers.get(row.category_id, 0),
            "keypoints": keypoints[i],
            "score": row.score,
            "area": areas[i],
        }
        for i, row in enumerate(rows)
    ]


def _check_categories(rows: list[_Result], truth: Truth, name: str, notes: list[str]) -> None:
    strays = [row.category_id for row in rows if row.category_id not in truth.category_numbers]
    found = f"{len(strays)} of {len(rows)} entries of {name} have category {in_order(strays)}"
    listed = f"{truth.name} lists {list(truth.category_numbers)}"
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
    truth: Truth, found: list[dict[str, Any]], images: list[int], sigmas: NDArray[np.float64]
) -> dict[str, float]:
    """Run pycocotools on copies that it may write to, without its printing."""
    sides = []
    with redirect_stdout(io.StringIO()):
        for annotations in (truth.persons, found):
            side = COCO()
            side.dataset = {
                "images": [{"id": number} for number in truth.image_numbers.values()],
                "categories": [{"id": number} for number in truth.category_numbers.values()],
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
