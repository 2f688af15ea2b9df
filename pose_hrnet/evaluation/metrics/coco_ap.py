"""The ten COCO keypoint numbers, exactly pycocotools', with what is odd about the data in words.

pycocotools does the scoring, but for its slow loop, which `coco_matching` replaces with the same
outcome. It is handed an in-memory copy of annotations and results, so that input on which it
would fail, or silently go wrong, is either mended and told of in a note or refused in one
sentence; what needs no mending scores bit for bit as the files themselves would.
The rules are COCO's (https://cocodataset.org/#keypoints-eval): OKS thresholds 0.50 to 0.95, the
best 20 results of each image, medium and large persons split at 96^2 square pixels.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.formats.identity import ImageIndex
from pose_hrnet.data.formats.results import Results, malformed_result, read_results
from pose_hrnet.data.formats.rows import find_twin
from pose_hrnet.evaluation.metrics.coco_matching import Found, Persons, match_images
from pose_hrnet.evaluation.metrics.coco_truth import Truth, in_order
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.keypoints.records import Float64, ImageId, Poses
from pose_hrnet.system.choices import Evaluator
from pose_hrnet.system.files import few_digits
from pose_hrnet.system.text import counted

COCO_METRICS: tuple[str, ...] = (
    "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"
)  # fmt: skip
"""Names of the ten numbers, in pycocotools' order."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Results matched with the persons of their images: what the ten numbers are counted from.

    Attributes:
        truth: The ground truth.
        found: The results, with its numbers for their images and categories.
        images: Numbers of the images that count, rising.
        sigmas: ``(K,)`` OKS standard deviations.
        evaluation: pycocotools', evaluated, accumulated and summarised.
        evaluator: What matched.
        notes: What was mended or does not count, one sentence each.
    """

    truth: Truth
    found: Found
    images: list[int]
    sigmas: Float64
    evaluation: COCOeval
    evaluator: str
    notes: tuple[str, ...]


def match_results(
    annotations: Path | Truth,
    results: Path | list[dict[str, Any]] | Results,
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[ImageId] | None = None,
    evaluator: Evaluator = "fast",
) -> Matched:
    """Match results with annotated persons; takes and raises what `score_results` does."""
    oks_sigmas = _sigmas(sigmas)
    count = len(oks_sigmas)
    truth = annotations
    if not isinstance(truth, Truth):
        truth = Truth.of(read_coco(truth), count)
    notes = list(truth.notes)
    if not isinstance(results, Results):
        results = read_results(results, count)
    found = number_results(results, truth, count, notes)
    images = _choose_images(truth, image_ids)
    evaluation, told = _evaluate(truth, found, images, oks_sigmas, evaluator)
    return Matched(truth, found, images, oks_sigmas, evaluation, told, tuple(notes))


def score_results(
    annotations: Path | Truth,
    results: Path | list[dict[str, Any]] | Results,
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[ImageId] | None = None,
    evaluator: Evaluator = "fast",
    metrics: Sequence[str] = COCO_METRICS,
) -> Scores:
    """Score results against annotations with pycocotools.

    Args:
        annotations: COCO keypoint annotations, JSON; or the truth that was read of them.
        results: COCO keypoint results ``{image_id, category_id, keypoints, score}``, `keypoints`
            being x, y, score of each keypoint in image pixels: a JSON file, the list itself, or
            their columns.
            pycocotools takes a result's area from its ``bbox`` where there is one, else from its
            keypoints; a result that matches no person counts in the size range of that area.
        sigmas: K OKS standard deviations; default COCO's 17.
        image_ids: Images to evaluate; default all of the annotations. Results on other images of
            the annotations do not count.
        evaluator: See `Evaluator`; both give the same.
        metrics: Those of `COCO_METRICS` that are wanted; nothing is noted on the others.

    Returns:
        The numbers of `COCO_METRICS`, in that order, or those asked for; counts are ``images``
        evaluated, ``persons`` in them with keypoints (crowds left out), ``results`` on them, and
        ``images_with_results``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, a result is malformed, stands
            on an image that the annotations lack or has another number of keypoints than there
            are sigmas, or no result has a category of the annotations.
    """
    matched = match_results(
        annotations, results, sigmas=sigmas, image_ids=image_ids, evaluator=evaluator
    )
    found, persons, images = matched.found, matched.truth.persons, matched.images
    numbers = dict(zip(COCO_METRICS, map(float, matched.evaluation.stats), strict=True))
    values = {name: numbers[name] for name in metrics}
    scored = (persons.num_keypoints > 0) & ~persons.is_crowd
    with_results = found.image_numbers[np.isin(found.image_numbers, images)]
    counts = {
        "images": len(images),
        "persons": int(np.isin(persons.image_numbers[scored], images).sum()),
        "results": len(with_results),
        "images_with_results": len(np.unique(with_results)),
    }
    notes = (*matched.notes, *_explain_missing(values))
    return Scores(values, counts, notes, matched.evaluator)


def score_poses(
    annotations: Path | Truth,
    poses: Poses,
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[ImageId] | None = None,
    evaluator: Evaluator = "fast",
) -> Scores:
    """Score poses as `score_results` does the results that `Poses.to_coco` makes of them.

    Args:
        annotations: As `score_results` takes them.
        poses: Predicted poses with their final scores.
        sigmas: K OKS standard deviations; default COCO's 17.
        image_ids: Images to evaluate; default all of the annotations.
        evaluator: See `Evaluator`; both give the same.

    Returns:
        The ten numbers, counts, and notes.

    Raises:
        FileNotFoundError: If there are no annotations.
        ValueError: As `score_results` does.
    """
    return score_results(
        annotations,
        results_of_poses(poses),
        sigmas=sigmas,
        image_ids=image_ids,
        evaluator=evaluator,
    )


def results_of_poses(poses: Poses) -> Results:
    """The results that `Poses.to_coco` makes of N poses, as columns and without making them."""
    return Results(
        "the poses",
        poses.image_ids.tolist(),
        poses.category_ids.tolist(),
        poses.flat_keypoints,
        few_digits(poses.scores),
        np.full(len(poses), np.nan),
    )


def number_results(results: Results, truth: Truth, num_keypoints: int, notes: list[str]) -> Found:
    """Check values and ids, and replace ids by the numbers of the ground truth.

    Args:
        results: As they are stated.
        truth: What they are scored against.
        num_keypoints: K.
        notes: What does not count is appended, one sentence each.

    Raises:
        ValueError: If a result is not finite, has another number of keypoints or an image
            that `truth` lacks, or if none has a category of `truth`.
    """
    length = results.keypoints.shape[1]
    if len(results.image_ids) and length != 3 * num_keypoints:
        raise malformed_result(0, results.image_ids[0], length, num_keypoints, results.name)
    finite = np.isfinite(results.keypoints).all(axis=1) & np.isfinite(results.scores)
    for at in np.flatnonzero(~finite)[:1].tolist():
        fault = " or a score that are not all finite"
        raise malformed_result(
            at, results.image_ids[at], length, num_keypoints, results.name, fault
        )
    image_ids = _ids_of_names(results, truth, notes)
    _check_images(image_ids, truth, results.name)
    _check_categories(results, truth, notes)
    numbers = truth.category_numbers  # pycocotools passes category 0 over, and so does ours
    return Found(
        np.array([truth.image_numbers[i] for i in image_ids], np.intp),
        np.array([numbers.get(i, 0) for i in results.category_ids], np.intp),
        results.keypoints,
        results.scores,
        _areas(results, notes),
    )


def _ids_of_names(results: Results, truth: Truth, notes: list[str]) -> list[ImageId]:
    """The image ids of results, those of the annotations in place of file names."""
    strays = [each for each in {*results.image_ids} if each not in truth.image_numbers]
    if not strays:
        return results.image_ids
    index, known = ImageIndex(truth.images), dict[ImageId, ImageId]()
    for name in strays:
        if (row := index.row(name)) is not None:
            known[name] = truth.images.ids[row]
    if known:
        notes.append(
            f"{results.name} has file names for image ids; those that {truth.name} gives "
            f"{counted(len(known), 'image')} were taken"
        )
    return [known.get(image_id, image_id) for image_id in results.image_ids]


def _check_images(image_ids: Sequence[ImageId], truth: Truth, owner: str) -> None:
    """Refuse image ids that the annotations lack, where pycocotools would only assert.

    Raises:
        ValueError: If there are any.
    """
    unknown = [image_id for image_id in image_ids if image_id not in truth.image_numbers]
    if not unknown:
        return
    different = list(dict.fromkeys(unknown))
    hint = "give the annotations of the same images"
    if twins := find_twin(different, truth.image_numbers):
        hint = f"write {twins[0]!r} as {twins[1]!r}, as the annotations do, and so the others"
    raise ValueError(
        f"{len(unknown)} of {counted(len(image_ids), 'entry')} of {owner} with "
        f"{counted(len(different), 'image id')} that {truth.name} does not list, such as "
        f"{', '.join(map(repr, different[:3]))}; {hint}"
    )


def _check_categories(results: Results, truth: Truth, notes: list[str]) -> None:
    strays = [each for each in results.category_ids if each not in truth.category_numbers]
    if not strays:
        return
    entries = counted(len(results.image_ids), "entry")
    found = f"{len(strays)} of {entries} of {results.name} with category"
    found = f"{found} {in_order(strays)}, but {truth.name} lists {list(truth.category_numbers)}"
    if len(strays) == len(results.image_ids):
        raise ValueError(f"{found}; write one of the latter as category_id")
    notes.append(f"{found}; they do not count")


def _areas(results: Results, notes: list[str]) -> Float64:
    """Areas of the boxes if all results have one, else of the keypoints' extents (`loadRes`)."""
    boxed = int(np.isfinite(results.box_areas).sum())
    if boxed and boxed == len(results.image_ids):
        return results.box_areas
    if boxed:
        entries = counted(len(results.image_ids), "entry")
        notes.append(
            f"only {boxed} of {entries} of {results.name} with a bbox; "
            "the area of all was taken from their keypoints"
        )
    x, y = results.keypoints[:, 0::3], results.keypoints[:, 1::3]
    with np.errstate(over="ignore"):  # of coordinates that no image has
        extents: Float64 = np.ptp(x, axis=1) * np.ptp(y, axis=1)
    return extents


def _sigmas(sigmas: Sequence[float] | None) -> Float64:
    """Use pycocotools' own array for COCO's sigmas: 0.26 / 10 is not 0.026 in the last bit."""
    coco: Float64 = Params("keypoints").kpt_oks_sigmas
    given = coco if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    is_coco = given.shape == coco.shape and np.allclose(given, coco, rtol=1e-12, atol=0)
    return coco if is_coco else given


def _choose_images(truth: Truth, image_ids: Iterable[ImageId] | None) -> list[int]:
    chosen = list(truth.image_numbers if image_ids is None else image_ids)
    if not chosen:
        raise ValueError("image_ids is empty; name at least one image, or give None for all")
    _check_images(chosen, truth, "image_ids")
    return sorted({truth.image_numbers[image_id] for image_id in chosen})


def _evaluate(
    truth: Truth,
    found: Found,
    images: list[int],
    sigmas: Float64,
    evaluator: Evaluator,
) -> tuple[Any, str]:
    """Run pycocotools without its printing; say how it matched."""
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.imgIds = images
    evaluation.params.catIds = list(truth.category_numbers.values())
    evaluation.params.kpt_oks_sigmas = sigmas
    told = f"pycocotools {version('pycocotools')}"
    matches = None
    if evaluator == "fast":
        matches = match_images(truth.persons, found, evaluation.params)
    with redirect_stdout(io.StringIO()):
        if matches is None:
            evaluation.cocoGt = _index(truth, _person_rows(truth.persons))
            evaluation.cocoDt = _index(truth, _result_rows(found))
            evaluation.evaluate()
        else:
            told += ", all images matched at once"
            # As `evaluate` leaves them.
            evaluation.evalImgs = matches
            evaluation._paramsEval = copy.deepcopy(evaluation.params)
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation, told


def _index(truth: Truth, annotations: list[dict[str, Any]]) -> COCO:
    side = COCO()
    side.dataset = {
        "images": [{"id": number} for number in truth.image_numbers.values()],
        "categories": [{"id": number} for number in truth.category_numbers.values()],
        "annotations": annotations,
    }
    side.createIndex()
    return side


def _person_rows(persons: Persons) -> list[dict[str, Any]]:
    return _rows(
        image_id=persons.image_numbers.tolist(),
        category_id=persons.category_numbers.tolist(),
        keypoints=map(np.ravel, persons.keypoints),
        num_keypoints=persons.num_keypoints.tolist(),
        bbox=persons.boxes_xywh.tolist(),
        area=persons.areas.tolist(),
        iscrowd=persons.is_crowd.astype(int).tolist(),
    )


def _result_rows(found: Found) -> list[dict[str, Any]]:
    return _rows(
        image_id=found.image_numbers.tolist(),
        category_id=found.category_numbers.tolist(),
        keypoints=found.keypoints,
        score=found.scores.tolist(),
        area=found.areas.tolist(),
    )


def _rows(**columns: Iterable[Any]) -> list[dict[str, Any]]:
    """Columns as pycocotools' rows, which have ids from 1."""
    rows = zip(*columns.values(), strict=True)
    return [{"id": i, **dict(zip(columns, row, strict=True))} for i, row in enumerate(rows, 1)]


def _explain_missing(values: dict[str, float]) -> list[str]:
    missing = "no person with keypoints, crowds aside, stands in the evaluated images"
    if values["AP"] == -1:
        count = "ten" if len(values) == len(COCO_METRICS) else len(values)
        return [f"all {count} numbers are -1: {missing}"]
    sizes = {"M": "between 32^2 and 96^2", "L": "above 96^2"}
    return [
        f"AP{size} and AR{size} are -1: {missing} with an area {limits} square pixels"
        for size, limits in sizes.items()
        if values.get(f"AP{size}") == -1
    ]
