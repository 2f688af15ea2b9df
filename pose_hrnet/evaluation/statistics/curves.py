"""COCO's AP and AR of weighted images: matched once, accumulated for any number of draws.

A draw in which an image comes three times is scored as pycocotools scores files with that image
written out three times, one after the other. A result of it then stands three times in the list
that is sorted by score, and adds three to the running sums. Precision is read off at recall
thresholds, where it is the highest at this recall or a higher one; it rises along the copies of a
right result and falls along those of a wrong one, so that of each right result only the last copy
matters, and running sums of counts give the same numbers. One case is different: results of one
image with equal scores, of which some are right and some wrong. Their copies alternate, image by
image, and are written out here, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.evaluation.metrics.coco_ap import COCO_METRICS, Matched
from pose_hrnet.evaluation.metrics.coco_matching import Bools, Rows
from pose_hrnet.keypoints.records import Float64

Place: TypeAlias = tuple[int, int]
"""Row of pycocotools' `areaRng` for keypoints (all, medium, large), and of its OKS thresholds."""
_EVERY = range(10)
PLACES: Mapping[str, tuple[Place, ...]] = {
    "": tuple((0, t) for t in _EVERY),
    "50": ((0, 0),),
    "75": ((0, 5),),
    "M": tuple((1, t) for t in _EVERY),
    "L": tuple((2, t) for t in _EVERY),
}
"""What a number is the mean of, by what follows AP or AR in its name."""
_ZERO = np.spacing(1)  # keeps 0 results from dividing by 0, as pycocotools does


@dataclass(frozen=True, eq=False)
class Ranking:
    """The results of a category, by falling score, as one list for all images.

    Attributes:
        images: ``(D,)`` column of the weights that says how often each result counts.
        scores: ``(D,)``, falling.
        right: ``(A, T, D)`` whether it has found a person, for each size range and OKS threshold.
        wrong: ``(A, T, D)`` whether it has not; neither: it is passed over.
        persons: ``(A, I)`` how many there are to be found.
        ties: ``(D,)`` number of the group of equal scores within an image, of which some are
            right and some wrong; -1 in no such group.
    """

    images: Rows
    scores: Float64
    right: Bools
    wrong: Bools
    persons: NDArray[np.int64]
    ties: Rows

    @classmethod
    def of(
        cls, images: Rows, scores: Float64, right: Bools, wrong: Bools, persons: NDArray[np.int64]
    ) -> Ranking:
        """Sort ``(D,)`` results, given image by image, by score; equal ones keep their order."""
        order = np.argsort(-scores, kind="mergesort")
        images, scores = images[order], scores[order]
        right, wrong = right[..., order], wrong[..., order]
        starts = np.ones(len(order), np.bool_)
        starts[1:] = (scores[1:] != scores[:-1]) | (images[1:] != images[:-1])
        group = np.cumsum(starts) - 1
        at = np.flatnonzero(starts)
        mixed: Bools = np.zeros(len(at), np.bool_)
        if len(at):
            some_right, some_wrong = (np.maximum.reduceat(x, at, axis=2) for x in (right, wrong))
            mixed = np.asarray((some_right & some_wrong).any(axis=(0, 1)))
        return cls(images, scores, right, wrong, persons, np.where(mixed[group], group, -1))

    @classmethod
    def empty(cls, areas: int, thresholds: int, images: int) -> Ranking:
        """Of a category without persons and results."""
        none, nothing = np.zeros(0, np.intp), np.zeros((areas, thresholds, 0), np.bool_)
        return cls(none, np.zeros(0), nothing, nothing, np.zeros((areas, images), np.int64), none)

    @classmethod
    def joined(cls, rankings: Sequence[Ranking]) -> Ranking:
        """The results of F files in one list.

        The weights have F * I columns: image i of file f is column ``f * I + i``. Equal scores
        stand in the order of their images, and those of an image in the order of the files.
        """
        count = rankings[0].persons.shape[1]
        image = np.concatenate([each.images for each in rankings])
        file = np.repeat(np.arange(len(rankings)), [len(each.images) for each in rankings])
        order = np.lexsort((file, image))
        return cls.of(
            (file * count + image)[order],
            np.concatenate([each.scores for each in rankings])[order],
            np.concatenate([each.right for each in rankings], axis=2)[..., order],
            np.concatenate([each.wrong for each in rankings], axis=2)[..., order],
            np.concatenate([each.persons for each in rankings], axis=1),
        )

    def copied(self, most: int) -> tuple[Rows, Rows]:
        """``(E,)`` rows, those of ties `most` times; ``(E,)`` which copy it is, -1: all."""
        tied = self.ties >= 0
        if most < 2 or not tied.any():
            rows = np.arange(len(self.images))
            return rows, np.full(len(rows), -1)
        times = np.where(tied, most, 1)
        rows = np.repeat(np.arange(len(times)), times)
        copy = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
        first = np.arange(len(times))
        # A group stands where its first result does; in it copy by copy.
        groups, starts = np.unique(self.ties, return_index=True)
        first[tied] = starts[np.searchsorted(groups, self.ties[tied])]
        order = np.lexsort((rows, copy, first[rows]))
        copy[~tied[rows]] = -1
        return rows[order], copy[order]


@dataclass(frozen=True, eq=False)
class Curves:
    """COCO's numbers of one results file, as a `Statistic` of its images.

    Attributes:
        names: Of `COCO_METRICS`, those that are wanted.
        categories: What each category ranks.
        recalls: ``(S,)`` recall thresholds.
        images: I, in the order of their ids.
    """

    names: tuple[str, ...]
    categories: tuple[Ranking, ...]
    recalls: Float64
    images: int

    @classmethod
    def of(cls, matched: Matched, names: Sequence[str] = COCO_METRICS) -> Curves:
        """What pycocotools has matched, in the order in which it accumulates."""
        params, entries = matched.evaluation.params, matched.evaluation.evalImgs
        count, areas = len(params.imgIds), len(params.areaRng)
        of_category = [
            entries[i : i + count * areas] for i in range(0, len(entries), count * areas)
        ]
        rankings = []
        for every in of_category:
            by_area = [every[i : i + count] for i in range(0, count * areas, count)]
            there = [i for i, entry in enumerate(by_area[0]) if entry is not None]
            if not there:  # nor anything in another size range
                rankings.append(Ranking.empty(areas, len(params.iouThrs), count))
                continue
            columns = [[area[i] for i in there] for area in by_area]
            matches, passed = (
                np.stack([np.concatenate([e[key] for e in es], axis=1) > 0 for es in columns])
                for key in ("dtMatches", "dtIgnore")
            )
            persons = np.zeros((areas, count), np.int64)
            for area, found in enumerate(columns):
                persons[area, there] = [np.count_nonzero(e["gtIgnore"] == 0) for e in found]
            lengths = [len(e["dtScores"]) for e in columns[0]]
            rankings.append(
                Ranking.of(
                    np.repeat(there, lengths).astype(np.intp),
                    np.concatenate([e["dtScores"] for e in columns[0]]),
                    matches & ~passed,
                    ~matches & ~passed,
                    persons,
                )
            )
        return cls(tuple(names), tuple(rankings), np.asarray(params.recThrs), count)

    @classmethod
    def joined(cls, files: Sequence[Curves]) -> Curves:
        """The curves of F files on the same images as one, as `Ranking.joined` does."""
        by_category = zip(*(each.categories for each in files), strict=True)
        rankings = tuple(Ranking.joined(each) for each in by_category)
        return replace(files[0], categories=rankings, images=len(files) * files[0].images)

    def weighted(self, weights: NDArray[np.integer]) -> Float64:
        """As `Statistic.weighted`; each number is pycocotools', but for rounding."""
        wanted = [(name[:2], PLACES[name[2:]]) for name in self.names]
        places = sorted({place for _, every in wanted for place in every})
        most = int(weights.max(initial=0))
        ranked = [_Ranked.of(each, places, most) for each in self.categories]
        values = np.full((len(weights), len(self.names)), np.nan)
        for row, counts in enumerate(weights):
            ap: dict[Place, list[float]] = {place: [] for place in places}
            ar: dict[Place, list[float]] = {place: [] for place in places}
            for each in ranked:
                for place, precision, recall in each.accumulated(counts, self.recalls):
                    ap[place].append(precision)
                    ar[place].append(recall)
            for column, (kind, every) in enumerate(wanted):
                found = ap if kind == "AP" else ar
                if parts := [value for place in every for value in found[place]]:
                    values[row, column] = sum(parts) / len(parts)
        return values


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A ranking, made ready to be accumulated with many weights.

    Attributes:
        ranking: What is ranked.
        rows: ``(E,)`` its results, those of ties as often as needed.
        copy: ``(E,)`` which copy of a tied one; -1: all copies.
        places: For each place the rows that count, where among them, and at which of all rows, a
            person is found.
    """

    ranking: Ranking
    rows: Rows
    copy: Rows
    places: Mapping[Place, tuple[Rows, Rows, Rows]]

    @classmethod
    def of(cls, ranking: Ranking, places: Sequence[Place], most: int) -> _Ranked:
        rows, copy = ranking.copied(most)
        prepared = {}
        for area, t in places:
            right = ranking.right[area, t][rows]
            counted = np.flatnonzero(right | ranking.wrong[area, t][rows])
            hits = np.flatnonzero(right[counted])
            prepared[area, t] = counted, hits, counted[hits]
        return cls(ranking, rows, copy, prepared)

    def accumulated(
        self, counts: NDArray[np.integer], recalls: Float64
    ) -> Iterator[tuple[Place, float, float]]:
        """AP and AR at each place where there is a person to be found.

        Args:
            counts: ``(I,)`` how often each image is there.
            recalls: ``(S,)`` thresholds.
        """
        weights = counts.astype(np.float64)[self.ranking.images[self.rows]]
        tied = self.copy >= 0
        weights[tied] = weights[tied] > self.copy[tied]
        persons = self.ranking.persons @ counts
        for (area, t), (counted, hits, found) in self.places.items():
            if persons[area] == 0:
                continue
            right = np.cumsum(weights[found])
            if not len(right):
                yield (area, t), 0.0, 0.0
                continue
            precision = right / (np.cumsum(weights[counted])[hits] + _ZERO)
            recall = right / persons[area]
            at = np.searchsorted(recall, recalls)
            at = at[at < len(recall)]
            highest = np.maximum.reduceat(precision, at) if len(at) else precision[:0]
            best = np.maximum.accumulate(highest[::-1])
            yield (area, t), float(best.sum()) / len(recalls), float(recall[-1])
