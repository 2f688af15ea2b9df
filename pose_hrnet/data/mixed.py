"""Persons of several sources learned as one data set: folders of shards, and annotated images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.pictures import Picture, Pictures
from pose_hrnet.keypoints.records import People


@dataclass(frozen=True, eq=False)
class Source:
    """Persons, and where their pixels come from.

    Attributes:
        people: N persons.
        pictures: Of the rows of their `Images`.
        counts: ``(S,)`` persons of each shard, in the order of the persons; empty for images of
            their own.
        repeat: How many times each person counts.
    """

    people: People
    pictures: Pictures
    counts: NDArray[np.int64]
    repeat: int = 1

    @property
    def repeated(self) -> People:
        """Every person so many times, shard after shard each time."""
        return self.people[np.tile(np.arange(len(self.people)), self.repeat)]


class MixedPictures:
    """The pictures of several sources, under the rows of their joined `Images`.

    Args:
        sources: In the order in which their images were joined.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.parts = [source.pictures for source in sources]
        self.ends = np.cumsum([len(source.people.images) for source in sources])
        self.reduces = any(part.reduces for part in self.parts)

    def read(self, row: int, reduction: float) -> Picture:
        """As `Pictures.read`."""
        part = int(np.searchsorted(self.ends, row, side="right"))
        first = int(self.ends[part - 1]) if part else 0
        return self.parts[part].read(row - first, reduction)


def mix(sources: Sequence[Source]) -> tuple[Source, int]:
    """Several sources as one, shards first.

    Returns:
        The one, and how many of its persons, the last ones, are of no shard.

    Raises:
        ValueError: If their numbers of keypoints differ.
    """
    ordered = sorted(sources, key=lambda source: not len(source.counts))
    loose = sum(len(s.people) * s.repeat for s in ordered if not len(s.counts))
    people = People.concatenate([source.repeated for source in ordered])
    counts = np.concatenate([np.tile(source.counts, source.repeat) for source in ordered])
    return Source(people, MixedPictures(ordered), counts.astype(np.int64)), loose


__all__ = ["MixedPictures", "Source", "mix"]
