"""Persons and results of the images that count, in their order, and who takes whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from pose_hrnet.evaluation.metrics.coco_ap import Matched
from pose_hrnet.evaluation.metrics.coco_matching import (
    Bools,
    Found,
    Pairs,
    Persons,
    Rows,
    best_results,
    match_pairs,
    outside,
    pair_up,
    pairs_within_images,
)
from pose_hrnet.keypoints.records import Float64

LOCALISED = 0.1
"""OKS from which on a result is of a person, however badly placed: the paper's."""


_Columns = TypeVar("_Columns", Persons, Found)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is diagnosed; an image with persons of two categories counts as two.

    Attributes:
        persons: G persons, image by image.
        person_rows: ``(G,)`` their rows of ``Truth.persons``.
        found: D results, image by image, in the order of their file.
        result_rows: ``(D,)`` their rows of ``Matched.found``.
        sigmas: ``(K,)`` OKS standard deviations.
        flip_index: ``(K,)`` the keypoint that each one is in the mirror.
        areas: Least and largest area of the persons that count, square pixels.
        most: Results of an image that count.
        thresholds: ``(T,)`` OKS of AP.
        recalls: ``(R,)`` recalls at which precision is read off.
    """

    persons: Persons
    person_rows: Rows
    found: Found
    result_rows: Rows
    sigmas: Float64
    flip_index: Rows
    areas: tuple[float, float]
    most: int
    thresholds: Float64
    recalls: Float64

    @classmethod
    def of(
        cls, matched: Matched, flip_index: tuple[int, ...], areas: tuple[float, float] | None
    ) -> Scene:
        """The scene of results that were matched.

        Args:
            matched: Truth and results.
            flip_index: K indices, of the skeleton.
            areas: Of the persons that count; None: those of COCO's AP.

        Raises:
            ValueError: If a sigma is not above 0.
        """
        if not (matched.sigmas > 0).all():
            raise ValueError(
                f"the skeleton has an OKS sigma of {matched.sigmas.min():g}; errors of keypoints "
                "are told apart by sigmas above 0"
            )
        params = matched.evaluation.params
        persons, found = matched.truth.persons, matched.found
        person_rows = _rows(persons, matched.images)
        result_rows = _rows(found, matched.images)
        result_rows = result_rows[found.category_numbers[result_rows] > 0]
        return cls(
            _split(persons[person_rows], len(matched.truth.images)),
            person_rows,
            _split(found[result_rows], len(matched.truth.images)),
            result_rows,
            matched.sigmas,
            np.array(flip_index, np.intp),
            tuple(params.areaRng[0]) if areas is None else areas,
            params.maxDets[-1],
            np.asarray(params.iouThrs, np.float64),
            np.asarray(params.recThrs, np.float64),
        )

    @property
    def counts(self) -> Bools:
        """``(G,)`` whether a person has to be found."""
        return np.asarray(~(self.persons.never_count | self._outside(self.persons)))

    def _outside(self, rows: Persons | Found) -> Bools:
        return np.asarray(outside(rows.areas, [self.areas])[:, 0])

    def take(self, found: Found, thresholds: Float64) -> Taken:
        """Let the best results of each image take their persons by COCO's greedy rule.

        Args:
            found: Results in the order of `self.found`.
            thresholds: ``(T,)`` least OKS.
        """
        rows, ranks = best_results(found, self.most)
        best = found[rows]
        pairs = pair_up(self.persons, best, self.sigmas)
        ignored = ~self.counts
        persons = match_pairs(pairs, ranks, ignored[:, None], self.persons.is_crowd, thresholds)
        taken = persons[:, 0]
        matched = taken >= 0
        passed_over = np.where(
            matched,
            ignored[taken] if len(ignored) else False,
            self._outside(best)[:, None],
        )
        return Taken(rows, best, taken, np.asarray(passed_over, np.bool_))

    def pairs(self, found: Found) -> Pairs:
        """All results of `found` with all persons of their images."""
        return pair_up(self.persons, found, self.sigmas)

    def neighbours(self) -> tuple[Rows, Rows]:
        """Rows ``(P,)`` of all two persons in the same image, each with itself, too."""
        return pairs_within_images(self.persons.image_numbers, self.persons.image_numbers)


@dataclass(frozen=True, eq=False)
class Taken:
    """Which person each of the results that count takes.

    Attributes:
        rows: ``(D,)`` the results that count, rows of the scene's.
        found: They.
        person: ``(D, T)`` row of the person; -1: of nobody.
        passed_over: ``(D, T)`` whether the result does not count: its person is one to be
            ignored, or it has none and is not of the size that is asked for.
    """

    rows: Rows
    found: Found
    person: Rows
    passed_over: Bools


def _rows(rows: Persons | Found, images: list[int]) -> Rows:
    """Those that stand in the images, image by image and category by category."""
    there = np.flatnonzero(np.isin(rows.image_numbers, images))
    numbers, categories = rows.image_numbers[there], rows.category_numbers[there]
    return np.asarray(there[np.lexsort((numbers, categories))])


def _split(rows: _Columns, images: int) -> _Columns:
    """The same with a number for each image and category."""
    return replace(rows, image_numbers=rows.category_numbers * (images + 1) + rows.image_numbers)
