"""The sound of a video file, copied into another one as it is, or as AAC where MP4 has no such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pose_hrnet.inference.video.frames import Window
from pose_hrnet.system.extras import import_extra

COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")
"""Codecs that an MP4 file holds."""


class Sound:
    """The sound of a file, in the part of it that is taken.

    Args:
        source: The file, opened by PyAV for it alone; it is closed with it.
        window: The part; the copy begins with it.
        start_s: When the file begins by its own clock, seconds.
    """

    def __init__(self, source: Any, window: Window, start_s: float) -> None:
        self._av = import_extra("av", "video")
        self._window, self._start_s = window, start_s
        self._source = source
        self._stream = self._source.streams.best("audio")
        self._pieces: Iterator[tuple[float, list[Any]]] = iter(())
        self._next: tuple[float, list[Any]] | None = None

    def add_to(self, container: Any) -> None:
        """Make a place for it in a file that is being written."""
        stream = self._stream
        if stream is None or stream.codec_context is None:
            return
        self._container = container
        if stream.codec_context.codec.canonical_name in COPIED:
            self._out = container.add_stream_from_template(stream)
            self._pieces = self._copied()
        else:
            context = stream.codec_context
            layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._out = container.add_stream("aac", rate=context.sample_rate, layout=layout)
            self._pieces = self._encoded()

    def copy_until(self, time_s: float | None) -> None:
        """Write what sounds until a time of the copy, seconds; None: what there is."""
        while True:
            if self._next is None:
                with suppress(self._av.FFmpegError):  # a damaged end: the pictures go on
                    self._next = next(self._pieces, None)
            if self._next is None or (time_s is not None and self._next[0] > time_s):
                return
            self._container.mux(self._next[1])
            self._next = None

    def _shifted(self, item: Any) -> float | None:
        """The time of a packet or frame in the copy, to which it is moved; None: not in it."""
        if item.pts is None or not item.time_base:
            return None
        moved = self._start_s + self._window.start_s
        time_s = float(item.pts * item.time_base) - moved
        if time_s < 0 or self._window.is_over(time_s + self._window.start_s):
            return None
        ticks = round(moved / item.time_base)
        item.pts -= ticks
        if item.dts is not None and not isinstance(item, self._av.AudioFrame):
            item.dts -= ticks
        return time_s

    def _copied(self) -> Iterator[tuple[float, list[Any]]]:
        for packet in self._source.demux(self._stream):
            if (time_s := self._shifted(packet)) is not None:
                packet.stream = self._out
                yield time_s, [packet]

    def _encoded(self) -> Iterator[tuple[float, list[Any]]]:
        time_s = 0.0
        context = self._out.codec_context
        to_format = self._av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.sample_rate
        )
        for frame in self._source.decode(self._stream):
            if (at := self._shifted(frame)) is not None:
                time_s = at
                for each in to_format.resample(frame):
                    yield time_s, _from_zero(self._out.encode(each))
        yield time_s, _from_zero(self._out.encode(None))

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()


def _from_zero(packets: Sequence[Any]) -> list[Any]:
    """Without the silence that encoders begin with, which would move the pictures."""
    return [packet for packet in packets if packet.pts is None or packet.pts >= 0]
