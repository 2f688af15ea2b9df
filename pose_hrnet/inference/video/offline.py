"""Keypoints without jitter, where the whole recording is known: no lag at all.

A track is cut where its person was away for longer than the stated time; each piece is smoothed by
itself. Of a piece, keypoint by keypoint:

1. What is missing is filled by straight lines: frames without the person, and keypoints that
   are not seen (`SEEN_SCORE`) between those that are.
2. What stands out of its neighbours by more than three standard deviations is replaced by their
   median (Hampel's identifier; Davies and Gather, JASA 1993).
3. The rest is filtered on even times, forwards and backwards alike: Savitzky and Golay's moving
   parabola (Anal. Chem. 1964), or Butterworth's low-pass filter run both ways (zero phase;
   Winter, Biomechanics and Motor Control, 2009, has 6 Hz for people who walk).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, savgol_filter, sosfiltfilt

from pose_hrnet.keypoints.records import SEEN_SCORE, Float64
from pose_hrnet.system.choices import OfflineFilter

_MEDIAN_S = 0.25
"""Of the median that outliers are told by: to each side half of it, one frame at least."""
_DEVIATIONS = 3.0
_LEAST_DEVIATION = 0.004
"""Heights: who stands still has no deviation at all, and no outliers for that."""
_TO_DEVIATION = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""


@dataclass(frozen=True)
class Offline:
    """How a whole track is smoothed.

    Attributes:
        name: ``savgol`` or ``butterworth``.
        window_s: Seconds that Savitzky and Golay's parabola spans.
        cutoff_hz: Of Butterworth's filter.
        max_gap: Seconds up to which a person may be away, or a keypoint unseen, and is filled in.

    Raises:
        ValueError: If a number is not above 0; `max_gap` may be 0.
    """

    name: OfflineFilter = "savgol"
    window_s: float = 0.36
    cutoff_hz: float = 5.0
    max_gap: float = 0.2

    def __post_init__(self) -> None:
        if not (self.window_s > 0 and self.cutoff_hz > 0 and self.max_gap >= 0):
            raise ValueError(
                f"an offline filter got window_s {self.window_s}, cutoff_hz {self.cutoff_hz} and "
                f"max_gap {self.max_gap}; expected numbers above 0"
            )

    @property
    def description(self) -> str:
        """The filter and its numbers, for the file."""
        if self.name == "savgol":
            numbers = f"window_s={self.window_s:g} order=2"
        else:
            numbers = f"cutoff_hz={self.cutoff_hz:g} order=4"
        return f"{self.name} {numbers} hampel={_DEVIATIONS:g} max_gap_s={self.max_gap:g}"

    def pieces(self, times: Float64) -> list[slice]:
        """Where a track is cut.

        Args:
            times: ``(F,)`` seconds at which its person is there.
        """
        steps = np.diff(times)
        longest = max(self.max_gap, 1.5 * float(np.median(steps))) if len(steps) else 0.0
        ends = [0, *(np.flatnonzero(steps > longest + 1e-9) + 1).tolist(), len(times)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def smooth(
        self, times: Float64, points: Float64, scores: Float64, heights: Float64
    ) -> Float64:
        """Smooth one piece.

        Args:
            times: ``(F,)`` seconds, ascending.
            points: ``(F, K, 2)`` predicted keypoints, pixels.
            scores: ``(F, K)``.
            heights: ``(F,)`` of the person, pixels.

        Returns:
            ``(F, K, 2)``; pieces of less than three frames are as they were.
        """
        if len(times) < 3:
            return points
        flat = points.reshape(len(times), -1)
        seen = np.repeat(scores >= SEEN_SCORE, 2, axis=1)
        filled = _filled(times, flat, seen, self.max_gap)
        step = float(np.median(np.diff(times)))
        grid = np.linspace(times[0], times[-1], round((times[-1] - times[0]) / step) + 1)
        even = _interpolated(grid, times, filled)
        height = np.interp(grid, times, heights)
        even = without_outliers(even, height, max(round(_MEDIAN_S / step / 2), 1))
        return _interpolated(times, grid, self._filtered(even, 1 / step)).reshape(points.shape)

    def _filtered(self, values: Float64, rate: float) -> Float64:
        """``(F, C)`` evenly spaced values, `rate` in a second."""
        count = len(values)
        if self.name == "savgol":
            window = min(2 * round(self.window_s * rate / 2) + 1, count - 1 + count % 2)
            if window < 5:  # a parabola through three points is the points
                return values
            return np.asarray(savgol_filter(values, window, 2, axis=0, mode="interp"))
        if rate <= 2.2 * self.cutoff_hz:  # nothing above the cutoff is there to be removed
            return values
        # Two passes of order 2 are 3 dB down at the cutoff if each one's is higher (Winter 2009);
        # by the tangent, as the bilinear transform bends frequencies.
        bent = np.tan(np.pi * self.cutoff_hz / rate) / (2**0.5 - 1) ** 0.25
        of_each_pass = rate / np.pi * np.arctan(bent)
        sections = butter(2, of_each_pass, fs=rate, output="sos")
        reach = min(count - 1, round(rate))
        return np.asarray(sosfiltfilt(sections, values, axis=0, padlen=reach))


def without_outliers(values: Float64, heights: Float64, reach: int) -> Float64:
    """Values that stand out of their neighbours, replaced by the median of them.

    Args:
        values: ``(F, C)`` evenly spaced.
        heights: ``(F,)`` in whose unit deviations are small or not.
        reach: Neighbours to each side.
    """
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    medians = np.median(windows, axis=-1)
    deviation = _TO_DEVIATION * np.median(abs(windows - medians[..., None]), axis=-1)
    allowed = _DEVIATIONS * np.maximum(deviation, _LEAST_DEVIATION * heights[:, None])
    return np.asarray(np.where(abs(values - medians) > allowed, medians, values), np.float64)


def fill_times(times: Float64, all_times: Float64, max_gap: float) -> Float64:
    """Times of frames between, in which a person is away no longer than stated.

    Args:
        times: ``(F,)`` seconds at which the person is there.
        all_times: Of all frames.
        max_gap: Seconds.
    """
    inside = all_times[(all_times > times[0]) & (all_times < times[-1])]
    missing = np.setdiff1d(inside, times)
    after = np.searchsorted(times, missing)
    short = times[after] - times[after - 1] <= max_gap + 1e-9
    return np.asarray(missing[short])


def _filled(times: Float64, values: Float64, seen: NDArray[np.bool_], max_gap: float) -> Float64:
    """``(F, C)`` with what is not seen, for no longer than stated, on straight lines between."""
    filled: Float64 = values.copy()
    for column in np.flatnonzero(~seen.all(axis=0)):
        known = np.flatnonzero(seen[:, column])
        lost = np.flatnonzero(~seen[:, column])
        if not len(known):
            continue
        lost = lost[(lost > known[0]) & (lost < known[-1])]
        after = np.searchsorted(known, lost)
        short = times[known[after]] - times[known[after - 1]] <= max_gap + 1e-9
        lost = lost[short]
        filled[lost, column] = np.interp(times[lost], times[known], values[known, column])
    return filled


def _interpolated(at: Float64, times: Float64, values: Float64) -> Float64:
    """``(F, C)`` values at other times, on straight lines between."""
    if len(at) == len(times) and np.allclose(at, times, atol=1e-6):
        return values
    columns: list[Float64] = [np.interp(at, times, column) for column in values.T]
    return np.stack(columns, axis=1)
