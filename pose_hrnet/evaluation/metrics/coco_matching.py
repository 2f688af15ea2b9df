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

    @property
    def never_count(self) -> NDArray[np.bool_]:
        """``(G,)`` whether nobody has to find a person: crowds, and those without keypoints."""
        return np.asarray(self.is_crowd | (self.num_keypoints == 0))

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
        found = results[results.category_numbers == category]
        best, ranks = best_results(found, params.maxDets[-1])
        found = found[best]
        pairs = pair_up(truth, found, params.kpt_oks_sigmas)
        if np.isnan(pairs.oks).any():
            return None
        ignored = truth.never_count[:, None] | outside(truth.areas, params.areaRng)
        taken = match_pairs(pairs, ranks, ignored, truth.is_crowd, params.iouThrs)
        matched = taken >= 0
        # Of nobody, -1, it is the last person's; it does not count.
        areas = np.arange(ignored.shape[1])[None, :, None]
        ignored_match = matched & ignored[taken, areas] if len(ignored) else matched
        passed_over = ignored_match | ~matched & outside(found.areas, params.areaRng)[..., None]
        entries += _by_image(truth, found, ignored, matched, passed_over, params.imgIds)
    return entries


def _persons_of(persons: Persons, category: int, images: Sequence[int]) -> Persons:
    """The persons of a category, in the order of their images."""
    wanted = (persons.category_numbers == category) & np.isin(persons.image_numbers, images)
    rows = np.flatnonzero(wanted)
    return persons[rows[np.argsort(persons.image_numbers[rows], kind="stable")]]


def best_results(results: Found, most: int) -> tuple[Rows, Rows]:
    """Rows ``(D,)`` of the best `most` results of each image; their ranks there, from 0.

    By image and falling score; equal scores stay in the order of the file, as in pycocotools'
    merge sort.
    """
    rows = np.lexsort((-results.scores, results.image_numbers))
    images = results.image_numbers[rows]
    ranks = np.arange(len(rows)) - np.searchsorted(images, images)
    best = ranks < most
    return rows[best], ranks[best]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every result with every person of its image, result by result.

    Attributes:
        result: ``(P,)`` row of the result.
        person: ``(P,)`` row of the person.
        oks: ``(P,)`` similarity of the two.
    """

    result: Rows
    person: Rows
    oks: Float64


def pair_up(truth: Persons, found: Found, sigmas: Float64) -> Pairs:
    """Pairs of persons and results, both in the order of their images; `sigmas` are ``(K,)``."""
    result, person = pairs_within_images(found.image_numbers, truth.image_numbers)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return Pairs(result, person, _oks(truth, found, person, result, sigmas))


def pairs_within_images(result_images: Rows, person_images: Rows) -> tuple[Rows, Rows]:
    """Rows ``(P,)`` of result and person of all pairs that stand in the same image.

    Args:
        result_images: ``(D,)`` rising numbers of images.
        person_images: ``(G,)`` the same.
    """
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


def outside(areas: Float64, ranges: Sequence[Sequence[float]]) -> Bools:
    """Whether each of ``(N,)`` areas lies outside of each of A size ranges, ``(N, A)``."""
    low, high = np.array(ranges, np.float64).T
    beyond: Bools = (areas[:, None] < low) | (areas[:, None] > high)
    return beyond


def match_pairs(
    pairs: Pairs, ranks: Rows, ignored: Bools, is_crowd: Bools, thresholds: Float64
) -> Rows:
    """The person that each result takes, by COCO's greedy rule.

    Args:
        pairs: Of D results with G persons.
        ranks: ``(D,)`` of the results in their images, from `best_results`.
        ignored: ``(G, A)`` whether a person does not count, for each of A size ranges.
        is_crowd: ``(G,)`` whether any number of results may take it.
        thresholds: ``(T,)`` least OKS.

    Returns:
        ``(D, A, T)`` rows of persons; -1: of nobody.
    """
    oks, result, person = pairs.oks, pairs.result, pairs.person
    shape = ignored.shape[1], len(thresholds)
    taken_by = np.full((len(ranks), *shape), -1, np.intp)
    taken = np.zeros((len(ignored), *shape), np.bool_)
    near = np.flatnonzero(oks >= thresholds.min())
    # By rank and result; the best person of a result, and of equal ones the last, stands last.
    near = near[np.lexsort((person[near], oks[near], result[near], ranks[result[near]]))]
    limits = np.searchsorted(ranks[result[near]], np.arange(ranks.max(initial=-1) + 2))
    for start, stop in pairwise(limits.tolist()):
        if start == stop:
            continue
        now = near[start:stop]
        g = person[now]
        free = (oks[now, None, None] >= thresholds) & ~taken[g]
        # Counted from 1, so that 0 is nobody; persons that count stand above the ignored ones.
        places = np.arange(1, len(now) + 1)[:, None] + len(now) * ~ignored[g]
        d, starts = np.unique(result[now], return_index=True)
        best = np.maximum.reduceat(np.where(free, places[..., None], 0), starts, axis=0)
        at, area, threshold = np.nonzero(best)
        chosen = g[(best[at, area, threshold] - 1) % len(now)]
        taken_by[d[at], area, threshold] = chosen
        taken[chosen, area, threshold] = ~is_crowd[chosen]
    return taken_by


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


__all__ = [
    "Found", "Pairs", "Persons", "best_results", "match_images", "match_pairs", "outside",
    "pair_up", "pairs_within_images",
]  # fmt: skip
