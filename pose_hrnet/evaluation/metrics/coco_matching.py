"""COCO's matching of results to persons, all images at once, bit for bit as pycocotools matches.

pycocotools goes through images, size ranges, OKS thresholds, results and persons in Python loops.
Here the loop runs over ranks alone: the best result of every image chooses its person, then the
second best of every image, and so on to the 20th, at all thresholds and size ranges together. The
rules are pycocotools' own: a result takes the person of highest OKS, at or above the threshold,
that no better result has taken; of equal ones the last; an ignored person only where no other
fits; and a crowd any number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import Params

from pose_hrnet.keypoints.records import Float64

Bools: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.intp]

_CHUNK = 1 << 12  # pairs whose keypoint distances are held at once: arrays that stay in the cache


@dataclass(frozen=True, eq=False)
class Persons:
    """G persons to be found, with the numbers that a `Truth` gives their images and categories.

    Attributes:
        image_numbers: ``(G,)``.
        category_numbers: ``(G,)``.
        keypoints: ``(G, K, 3)`` float64 x, y (image pixels) and visibility, without NaN.
        num_keypoints: ``(G,)`` float64; a person with 0 is ignored.
        boxes_xywh: ``(G, 4)`` float64 image pixels.
        areas: ``(G,)`` float64 square pixels.
        is_crowd: ``(G,)`` bool.
    """

    image_numbers: NDArray[np.intp]
    category_numbers: NDArray[np.intp]
    keypoints: Float64
    num_keypoints: Float64
    boxes_xywh: Float64
    areas: Float64
    is_crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.areas)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Persons:
        return Persons(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Found:
    """N keypoint results, with the numbers that a `Truth` gives their images and categories.

    Attributes:
        image_numbers: ``(N,)``.
        category_numbers: ``(N,)``; 0, none of the ground truth's, where its category is unknown.
        keypoints: ``(N, 3 * K)`` float64: x, y (image pixels) and score of each keypoint.
        scores: ``(N,)`` float64.
        areas: ``(N,)`` float64 square pixels, those that pycocotools' `loadRes` gives.
    """

    image_numbers: NDArray[np.intp]
    category_numbers: NDArray[np.intp]
    keypoints: Float64
    scores: Float64
    areas: Float64

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Found:
        return Found(*(getattr(self, field.name)[rows] for field in fields(self)))


def match_images(
    persons: Persons, results: Found, params: Params
) -> list[dict[str, Any] | None] | None:
    """Do what `COCOeval.evaluate` does.

    Args:
        persons: `Truth.persons`.
        results: The results to match.
        params: pycocotools' parameters for keypoints, `imgIds` and `catIds` sorted.

    Returns:
        What `COCOeval.accumulate` reads of `evalImgs`, for each category, size range and image, in
        this order: of D results, best score first, and G persons ``dtScores`` ``(D,)``,
        ``dtMatches`` and ``dtIgnore`` ``(T, D)``, and ``gtIgnore`` ``(G,)``. ``None`` in place of
        all if an OKS is not a number (a sigma of 0): what that matches depends on the order of
        pycocotools' loop.
    """
    entries: list[dict[str, Any] | None] = []
    for category in params.catIds:
        truth = _persons_of(persons, category, params.imgIds)
        found, ranks = _best_results(results, category, params)
        result, person = _pairs(found.image_numbers, truth.image_numbers)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            oks = _oks(truth, found, person, result, params.kpt_oks_sigmas)
        if np.isnan(oks).any():
            return None
        ignored = (truth.is_crowd | (truth.num_keypoints == 0))[:, None] | _outside(
            truth.areas, params
        )
        matched, ignored_match = _match(
            oks, result, person, ranks, ignored, truth.is_crowd, params
        )
        passed_over = ignored_match | ~matched & _outside(found.areas, params)[..., None]
        entries += _by_image(truth, found, ignored, matched, passed_over, params.imgIds)
    return entries


def _persons_of(persons: Persons, category: int, images: Sequence[int]) -> Persons:
    """The persons of a category, in the order of their images."""
    wanted = (persons.category_numbers == category) & np.isin(persons.image_numbers, images)
    rows = np.flatnonzero(wanted)
    return persons[rows[np.argsort(persons.image_numbers[rows], kind="stable")]]


def _best_results(results: Found, category: int, params: Params) -> tuple[Found, Rows]:
    """The results of a category that count, by image and falling score; their ranks there."""
    rows = np.flatnonzero(results.category_numbers == category)
    # Stable like pycocotools' merge sort: equal scores stay in the order of the file.
    rows = rows[np.lexsort((-results.scores[rows], results.image_numbers[rows]))]
    images = results.image_numbers[rows]
    ranks = np.arange(len(rows)) - np.searchsorted(images, images)
    best = ranks < params.maxDets[-1]
    return results[rows[best]], ranks[best]


def _pairs(result_images: Rows, person_images: Rows) -> tuple[Rows, Rows]:
    """Rows ``(P,)`` of result and person of all pairs that stand in the same image."""
    first = np.searchsorted(person_images, result_images)
    counts = np.searchsorted(person_images, result_images, side="right") - first
    result = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return result, np.arange(len(result)) + np.repeat(first - starts, counts)


def _oks(truth: Persons, found: Found, person: Rows, result: Rows, sigmas: Float64) -> Float64:
    """OKS of each pair ``(P,)``, by the operations, and in the order, of `COCOeval.computeOks`."""
    variances = (sigmas * 2) ** 2
    visible = truth.keypoints[..., 2] > 0
    found_xy = np.stack([found.keypoints[:, 0::3], found.keypoints[:, 1::3]])
    truth_xy = np.moveaxis(truth.keypoints[..., :2], 2, 0).copy()
    low = truth.boxes_xywh[:, :2] - truth.boxes_xywh[:, 2:]
    high = truth.boxes_xywh[:, :2] + truth.boxes_xywh[:, 2:] * 2
    oks = np.empty(len(person))
    for count, pairs in _equally_visible(visible.sum(axis=1), person):
        g, points = person[pairs], found_xy[:, result[pairs]]
        if count:
            dx, dy = points - truth_xy[:, g]
        else:  # no keypoint to compare with: the distance to the box, doubled in size
            x0, y0, x1, y1 = np.hstack([low, high])[g].T[..., None]
            dx = np.maximum(0, x0 - points[0]) + np.maximum(0, points[0] - x1)
            dy = np.maximum(0, y0 - points[1]) + np.maximum(0, points[1] - y1)
        exponents = (dx**2 + dy**2) / variances / (truth.areas[g] + np.spacing(1))[:, None] / 2
        if count:
            exponents = exponents[visible[g]].reshape(-1, count)
        oks[pairs] = np.exp(-exponents).sum(axis=1) / exponents.shape[1]
    return oks


def _equally_visible(counts: Rows, person: Rows) -> Iterator[tuple[int, Rows]]:
    """Chunks of pairs whose persons have equally many visible keypoints, and that number.

    Rounding depends on how many numbers a sum has: adding zeros for the others would change it.
    """
    pair_counts = counts[person]
    for count in np.unique(pair_counts).tolist():
        pairs = np.flatnonzero(pair_counts == count)
        yield from ((count, pairs[i : i + _CHUNK]) for i in range(0, len(pairs), _CHUNK))


def _outside(areas: Float64, params: Params) -> Bools:
    """Whether an area lies outside of each of A size ranges, ``(N, A)``."""
    low, high = np.array(params.areaRng, np.float64).T
    outside: Bools = (areas[:, None] < low) | (areas[:, None] > high)
    return outside


def _match(
    oks: Float64,
    result: Rows,
    person: Rows,
    ranks: Rows,
    ignored: Bools,
    is_crowd: Bools,
    params: Params,
) -> tuple[Bools, Bools]:
    """Whether each result has a person, and one that is ignored there: two ``(D, A, T)``."""
    thresholds = params.iouThrs
    shape = ignored.shape[1], len(thresholds)
    matched, ignored_match = np.zeros((2, len(ranks), *shape), np.bool_)
    taken = np.zeros((len(ignored), *shape), np.bool_)
    near = np.flatnonzero(oks >= thresholds.min())
    # By rank and result; the best person of a result, and of equal ones the last, stands last.
    near = near[np.lexsort((person[near], oks[near], result[near], ranks[result[near]]))]
    limits = np.searchsorted(ranks[result[near]], np.arange(params.maxDets[-1] + 1))
    for start, stop in pairwise(limits.tolist()):
        if start == stop:
            continue
        pairs = near[start:stop]
        g = person[pairs]
        free = (oks[pairs, None, None] >= thresholds) & ~taken[g]
        # Counted from 1, so that 0 is nobody; persons that count stand above the ignored ones.
        places = np.arange(1, len(pairs) + 1)[:, None] + len(pairs) * ~ignored[g]
        d, starts = np.unique(result[pairs], return_index=True)
        best = np.maximum.reduceat(np.where(free, places[..., None], 0), starts, axis=0)
        at, area, threshold = np.nonzero(best)
        chosen = g[(best[at, area, threshold] - 1) % len(pairs)]
        matched[d[at], area, threshold] = True
        ignored_match[d[at], area, threshold] = ignored[chosen, area]
        taken[chosen, area, threshold] = ~is_crowd[chosen]
    return matched, ignored_match


def _by_image(
    truth: Persons,
    found: Found,
    ignored: Bools,
    matched: Bools,
    passed_over: Bools,
    images: list[int],
) -> Iterator[dict[str, Any] | None]:
    """An entry for each size range and image; ``None`` for an image with nothing in it."""
    limits = np.add.outer(images, [0, 1])  # of its rows: before it, before the next
    persons = np.searchsorted(truth.image_numbers, limits).tolist()
    results = np.searchsorted(found.image_numbers, limits).tolist()
    for area in range(ignored.shape[1]):
        matches, ignores = matched[:, area].T, passed_over[:, area].T
        for (g0, g1), (d0, d1) in zip(persons, results, strict=True):
            empty = g0 == g1 and d0 == d1
            yield (
                None
                if empty
                else {
                    "dtScores": found.scores[d0:d1],
                    "dtMatches": matches[:, d0:d1],
                    "dtIgnore": ignores[:, d0:d1],
                    "gtIgnore": ignored[g0:g1, area],
                }
            )


__all__ = ["match_images"]
