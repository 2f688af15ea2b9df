"""What a source of video gives: frames with their number and their time, and what is known of it.

A reader decodes: it gives the time of each frame, and its pixels only where they are asked for. A
source is made of one, and gives `Frame` after `Frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pose_hrnet.keypoints.records import Image
from pose_hrnet.system.arguments import check_count
from pose_hrnet.system.text import counted

USUAL_RATE = 25.0
"""Frames a second where nothing says it."""
FASTEST_RATE = 240.0
"""Of a container; what states more gives the rate of its clock."""
_SAME_S = 1e-6
"""Seconds by which clocks round."""


class VideoError(ValueError):
    """A source that gives no frames; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a source.

    Attributes:
        index: Its number in the source, from 0; what is left out counts, too.
        time_s: Seconds since the beginning of the source, by the clock of its container; of live
            sources, of its arrival since that of the first.
        image: ``(H, W, 3)`` RGB, upright.
    """

    index: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class Facts:
    """What is known of a source before it is read.

    Attributes:
        frames: About how many there are; None: not known, or endless.
        rate: Frames a second, on average.
        duration_s: None: not known, or endless.
        pixel_aspect: Width of a pixel over its height, as a fraction of whole numbers.
    """

    frames: int | None = None
    rate: float = USUAL_RATE
    duration_s: float | None = None
    pixel_aspect: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Window:
    """The part of a source that is taken.

    Attributes:
        start_s: Frames before it are left out.
        end_s: Frames at it and after it likewise; None: none.
        every: Each so many-th frame is taken, by its number.

    Raises:
        ValueError: If there is nothing in it.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        check_count("every", self.every)
        if not self.start_s >= 0:
            raise ValueError(f"a video is read from {self.start_s:g} s; give a start from 0")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise ValueError(
                f"the end, {self.end_s:g} s, is not after the start, {self.start_s:g} s; give a "
                "later one"
            )

    def takes(self, index: int, time_s: float) -> bool:
        """Whether a frame that is before the end is taken."""
        begun = self.start_s <= 0 or time_s >= self.start_s - _SAME_S
        return index % self.every == 0 and begun

    def is_over(self, time_s: float) -> bool:
        """Whether a frame is at the end or behind it."""
        return self.end_s is not None and time_s >= self.end_s - _SAME_S

    def frames_of(self, facts: Facts) -> int | None:
        """About how many of a source are taken, where that is known."""
        rate, lasts = facts.rate, facts.duration_s
        if facts.frames:
            lasts = lasts or facts.frames / rate
            rate = facts.frames / lasts
        elif self.end_s is None:
            return None
        end = min(each for each in (self.end_s, lasts) if each is not None)
        return max(0, round((end - self.start_s) * rate / self.every))


EVERYTHING = Window()

Decoded: TypeAlias = tuple[float | None, Callable[[], Image]]
"""The time of a frame, None where its container does not say it, and what gives its pixels."""


class Reader(Protocol):
    """Decodes a video from its beginning.

    Attributes:
        facts: What is known of it.
        notes: A sentence, without the name of the source, on each thing that was wrong with it.
    """

    facts: Facts
    notes: list[str]

    def __iter__(self) -> Iterator[Decoded]: ...

    def close(self) -> None:
        """Let go of the file."""


class Source(Protocol):
    """Frames of a file, a sequence of images, a camera or a stream.

    Attributes:
        name: What messages call it, without passwords.
        stem: What files are called that are made of it.
        is_live: Whether it goes on while nobody reads.
        facts: What is known of it.
        total: About how many frames it will give; None: not known.
        notes: A sentence on each thing that is missing, complete once it was read.
        remarks: Likewise on what was unusual.
    """

    name: str
    stem: str
    is_live: bool
    facts: Facts
    total: int | None
    notes: list[str]
    remarks: list[str]

    def __iter__(self) -> Iterator[Frame]: ...

    def stop_if(self, asked: Callable[[], object]) -> None:
        """Let it end early, once what is asked between frames is true."""

    def state(self) -> str:
        """What is worth to be seen while it is read: frames dropped, say."""

    def close(self) -> None:
        """End it; who reads in another thread gets no more frames."""


@dataclass
class Recorded:
    """A source that waits: the frames of a reader within a window, each with a time of its own.

    Times increase from frame to frame. Where a container's clock stands, goes back or is silent,
    the frame follows the one before at the usual distance; what was so is noted.

    Args:
        name: As of `Source`, and so is the stem.
        stem: Of files.
        reader: Decodes.
        window: What is taken.
    """

    name: str
    stem: str
    reader: Reader
    window: Window = EVERYTHING
    is_live: bool = field(default=False, init=False)
    notes: list[str] = field(default_factory=list, init=False)
    remarks: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.facts = self.reader.facts
        self.total = self.window.frames_of(self.facts)
        self._asked: Callable[[], object] = bool

    def stop_if(self, asked: Callable[[], object]) -> None:
        """Let it end early, once what is asked between frames is true."""
        self._asked = asked

    def __iter__(self) -> Iterator[Frame]:
        step = 1 / self.facts.rate
        last, shift = -step, 0.0
        count = silent = backward = 0
        for index, (said, pixels) in enumerate(self.reader):
            if self._asked():
                return
            time_s = last + step if said is None else said + shift
            silent += said is None
            if time_s <= last:
                backward += 1
                if last - time_s > 1.0:  # a clock that began anew, as of two recordings in one
                    shift += last + step - time_s
                time_s = last + step
            last = time_s
            if self.window.is_over(time_s):
                break
            if self.window.takes(index, time_s):
                try:
                    image = pixels()
                except (OSError, ValueError) as error:
                    self.notes.append(f"{self.name}: frame {index} is left out: {error}")
                    continue
                count += 1
                yield Frame(index, time_s, image)
        self._conclude(count, silent, backward)

    def _conclude(self, count: int, silent: int, backward: int) -> None:
        if silent:
            self.remarks.append(
                f"{self.name}: {counted(silent, 'frame')} without a time, counted at "
                f"{self.facts.rate:g} a second"
            )
        if backward:
            self.remarks.append(
                f"{self.name}: its clock goes back at {counted(backward, 'frame')}, which follow "
                "the one before at the usual distance"
            )
        self.notes += [f"{self.name}: {note}" for note in self.reader.notes]
        if not count:
            raise VideoError(self._why_none())

    def _why_none(self) -> str:
        window = self.window
        if window == EVERYTHING:
            why = "; ".join(self.reader.notes)
            return f"{self.name} gives no frame" + (f": {why}" if why else "; is it a video?")
        end = "" if window.end_s is None else f" to {window.end_s:g}"
        lasts = self.facts.duration_s
        return f"{self.name} has no frame from {window.start_s:g}{end} s" + (
            f"; it lasts {lasts:.2f} s" if lasts else ""
        )

    def state(self) -> str:
        """Nothing."""
        return ""

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()
