"""The rows of a part as they come, in any order and perhaps twice, until all are there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_hrnet.deploy.bulk.parts import Part
from pose_hrnet.deploy.bulk.tables import PLACES
from pose_hrnet.system.extras import import_extra

SENTENCES = 20
"""Errors of a job that are told one by one."""


@dataclass(frozen=True)
class Gap:
    """Images of an input that are not there.

    Attributes:
        item: Place of the input in its part.
        start: Number of the first one.
        stop: The number behind the last one; None: it is not known how many the input has.
    """

    item: int
    start: int
    stop: int | None

    @property
    def images(self) -> int:
        """How many; 1 if that is not known."""
        return 1 if self.stop is None else self.stop - self.start


@dataclass(frozen=True)
class Counts:
    """How much there is in files of rows.

    Attributes:
        rows: All.
        images: Images and frames, those that failed included.
        persons: Rows of persons.
        empty: Images without any.
        errors: Images that could not be read or posed, and notes on videos.
        failures: The first of their sentences.
    """

    rows: int = 0
    images: int = 0
    persons: int = 0
    empty: int = 0
    errors: int = 0
    failures: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Any) -> Counts:
        """Those of a table of rows."""
        persons = table.column("person").to_pylist()
        errors = table.column("error").to_pylist()
        failures = tuple(error for error in errors if error is not None)
        found = sum(person is not None for person in persons)
        return cls(
            len(persons),
            sum(not person for person in persons),
            found,
            len(persons) - found - len(failures),
            len(failures),
            failures[:SENTENCES],
        )

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            self.rows + other.rows,
            self.images + other.images,
            self.persons + other.persons,
            self.empty + other.empty,
            self.errors + other.errors,
            (*self.failures, *other.failures)[:SENTENCES],
        )


class PartRows:
    """The rows of a part.

    An image is known by the place of its input and its number there; its rows come together.

    Args:
        part: The inputs.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self._tables: list[Any] = []
        self._seen: set[tuple[int, int]] = set()
        self._totals: dict[int, int] = {}
        self._expected = 0

    def add(self, table: Any) -> int:
        """Take the rows of this part in a table; those of images that came before are left out.

        Args:
            table: Of `row_table`.

        Returns:
            How many images are new.
        """
        columns = {name: table.column(name).to_numpy() for name in PLACES}
        pairs = list(zip(columns["item"].tolist(), columns["number"].tolist(), strict=True))
        ours = columns["part"] == self.part.number
        new = np.array([pair not in self._seen for pair in pairs], bool) & ours
        new &= columns["number"] >= 0  # else nothing but how many there are
        before = len(self._seen)
        self._seen.update(pair for pair, is_new in zip(pairs, new.tolist(), strict=True) if is_new)
        for row in np.flatnonzero(ours & (columns["total"] > 0)).tolist():
            item = int(columns["item"][row])
            self._expected += int(columns["total"][row]) - self._totals.get(item, 0)
            self._totals[item] = int(columns["total"][row])
        self._tables.append(table if new.all() else table.filter(new))
        return len(self._seen) - before

    @property
    def is_whole(self) -> bool:
        """Whether all images of all inputs are there."""
        known = len(self._totals) == len(self.part.paths)
        return known and self._expected == len(self._seen)

    def gaps(self) -> list[Gap]:
        """What is not there, in its order."""
        numbers: dict[int, list[int]] = defaultdict(list)
        for item, number in sorted(self._seen):
            numbers[item].append(number)
        found = []
        for item in range(len(self.part.paths)):
            start, usual = 0, 1 if self.part.kind == "image" else None
            for number in numbers[item]:
                if number > start:
                    found.append(Gap(item, start, number))
                start = number + 1
            total = self._totals.get(item, usual)
            if total is None or total > start:
                found.append(Gap(item, start, total))
        return found

    def table(self) -> Any:
        """All rows in the order of the inputs, without what says which image they are of."""
        arrow = import_extra("pyarrow", "ray")
        whole = arrow.concat_tables(self._tables)
        order = [(name, "ascending") for name in ("item", "number", "person")]
        return whole.sort_by(order).drop_columns(list(PLACES)).combine_chunks()


__all__ = ["SENTENCES", "Counts", "Gap", "PartRows"]
