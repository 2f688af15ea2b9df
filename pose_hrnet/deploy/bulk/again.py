"""What processes died over, tried again in ever smaller pieces, until what kills them is alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from pose_hrnet.deploy.bulk.parts import Boxes, Part, Task, tasks_of
from pose_hrnet.deploy.bulk.rows import Gap


class Pieces:
    """What of the gaps of parts is worth another try; every round has smaller pieces.

    At first a gap as it is, and of an input whose end was not reached how many images it has. Of
    what is left of it then the first image alone, and the rest in halves. An image that was tried
    alone is given up, and so is an input of which not even the number of its images can be read.

    Attributes:
        given_up: Images, and ends of inputs, that the last round left out for that.
    """

    def __init__(self) -> None:
        self._is_first = True
        self._cuts: set[tuple[int, int, int]] = set()
        self._alone: set[tuple[int, int, int]] = set()
        self.given_up = 0

    def round(self, gaps: dict[int, list[Gap]]) -> dict[int, list[Gap]]:
        """What to try now.

        Args:
            gaps: Of each part, by its number.

        Returns:
            Likewise; what is given up is not in it.
        """
        self.given_up = 0
        found = {}
        for part, some in gaps.items():
            pieces = some if self._is_first else [p for gap in some for p in self._cut(part, gap)]
            if new := [piece for piece in pieces if self._is_new(part, piece)]:
                found[part] = new
        self._is_first = False
        return found

    def _cut(self, part: int, gap: Gap) -> list[Gap]:
        """A gap at all places where it was cut before, and what is between them once more."""
        if gap.stop is None:
            self.given_up += 1
            return []
        inside = range(gap.start + 1, gap.stop)
        before = [place for place in inside if (part, gap.item, place) in self._cuts]
        places = [gap.start, *before, gap.stop]
        ends = {gap.stop}
        for start, stop in pairwise(places):
            ends |= {start, start + 1, (start + 1 + stop) // 2}
        self._cuts.update((part, gap.item, end) for end in ends)
        return [Gap(gap.item, start, stop) for start, stop in pairwise(sorted(ends))]

    def _is_new(self, part: int, gap: Gap) -> bool:
        if gap.stop is None or gap.images > 1:
            return True
        key = (part, gap.item, gap.start)
        is_new = key not in self._alone
        self.given_up += not is_new
        self._alone.add(key)
        return is_new


def tasks_again(
    part: Part, gaps: Sequence[Gap], *, boxes: Boxes | None = None, every: int = 1
) -> Iterator[Task]:
    """The tasks that read what is missing of a part, few images in a table.

    Args:
        part: The inputs.
        gaps: What is missing of them.
        boxes: As of `tasks_of`.
        every: As of `tasks_of`.
    """
    for gap in gaps:
        (task,) = tasks_of(part, boxes=boxes, every=every, images_per_task=1, items=[gap.item])
        if part.kind == "image":
            yield task
            continue
        yield replace(task, start=gap.start, stop=gap.stop)
        if gap.stop is None:
            yield replace(task, start=sys.maxsize)  # how many there are


__all__ = ["Pieces", "tasks_again"]
