"""Predict the poses in a video: results as JSON and CSV, files for other programs, an overlay."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from pose_hrnet.inference.video.container import ContainerReader, has_pyav
from pose_hrnet.inference.video.frames import Recorded, Source
from pose_hrnet.inference.video.overlay import Overlay, Viewer
from pose_hrnet.inference.video.results import VideoFiles, result_paths
from pose_hrnet.inference.video.sound import Sound
from pose_hrnet.inference.video.stream import USUALLY, Following, PosedFrame, Poser, pose_frames
from pose_hrnet.inference.video.writer import open_writer, suffix
from pose_hrnet.system.choices import VideoFormat
from pose_hrnet.system.defaults import LOWEST_SCORE
from pose_hrnet.system.folders import check_room, owned
from pose_hrnet.system.interrupts import Interrupted, Interrupts
from pose_hrnet.system.progress import SILENT, Bar, Progress

log = logging.getLogger(__name__)

OPENPOSE_FILES = "*_keypoints.json"
LOCK = ".videos.lock"
"""Keeps two predictions of videos out of one folder."""


@dataclass(frozen=True)
class VideoOutputs:
    """What is written of a video, and shown.

    Attributes:
        draw_above: Keypoints of this score and above are drawn; None: no overlay.
        formats: Files for other programs.
        overwrite: Whether files of an earlier run are replaced.
        show: Whether a window shows the overlay.
    """

    draw_above: float | None = LOWEST_SCORE
    formats: tuple[VideoFormat, ...] = ()
    overwrite: bool = False
    show: bool = False


USUAL_VIDEO = VideoOutputs()


@dataclass(frozen=True)
class VideoPredictions:
    """What `predict_video` did.

    Attributes:
        frames: Frames that were predicted.
        persons: Poses in them.
        tracks: Persons who got an id.
        seconds: How long it took.
        files: What was written.
        notes: A sentence on each thing that is missing, of the source or the overlay.
        remarks: Likewise on what was unusual.
    """

    frames: int
    persons: int
    tracks: int
    seconds: float
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...]


def predict_video(
    estimator: Poser,
    source: Source,
    output: Path,
    *,
    how: Following = USUALLY,
    outputs: VideoOutputs = USUAL_VIDEO,
    stem: str | None = None,
    progress: Progress = SILENT,
) -> VideoPredictions:
    """Predict a video, a camera or a stream; write what was found frame by frame.

    ``NAME.poses.json`` is a list of COCO results with ``frame_index``, ``time_s`` and
    ``track_id``, at least one for each frame; ``NAME.poses.csv`` is the same as a table; and
    ``NAME.poses.mp4`` has the poses drawn, at the times and with the sound of the source (see
    `open_writer`). They are there frame by frame, and stay whatever happens.

    Args:
        estimator: Poses, and its detector finds, the persons.
        source: From `open_source`; it is read to its end, and closed.
        output: Folder to write to.
        how: How persons are followed.
        outputs: What is written and shown.
        stem: NAME; None: the source's.
        progress: Watches.

    Raises:
        FileExistsError: If a file of an earlier run is there, and is not to be replaced.
        Interrupted: If a signal asked to stop; what was done is there.
        NotWritten: If the disk is full; likewise.
        VideoError: If the source gives no frame.
    """
    stem = stem or source.stem
    drawn = output / f"{stem}.poses{suffix()}"
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        check_room(output)
        stack.enter_context(owned(output, LOCK))
        paths = files_of(output, stem, outputs)
        files = VideoFiles(output, stem, _file_name(source), estimator.skeleton, outputs.formats)
        viewer = Viewer(source.name) if outputs.show else None
        run = _Run(files, viewer, source, partial(remove_earlier, paths))
        began = monotonic()
        try:
            run.through(estimator, how, outputs, drawn, progress)
        except BaseException:
            files.abandon()
            raise
        finally:
            if viewer is not None:
                viewer.close()
        files.finish()
    seconds = monotonic() - began
    if run.stopped is not None:
        raise Interrupted(
            run.stopped,
            f"interrupted after {run.frames:,} frames; what was done is in {output}",
        )
    notes = [*source.notes, *([run.failure] if run.failure else [])]
    written = tuple(path for path in paths if path.exists())
    return VideoPredictions(
        run.frames,
        files.persons,
        len(files.tracks),
        seconds,
        written,
        tuple(notes),
        tuple(source.remarks),
    )


class _Run:
    """Frames on their way to the files.

    Attributes:
        frames: How many there were.
        stopped: The signal that ended it, if one did.
        failure: What is missing of the overlay.
    """

    def __init__(
        self,
        files: VideoFiles,
        viewer: Viewer | None,
        source: Source,
        make_free: Callable[[], None],
    ) -> None:
        self.files, self.viewer, self.source = files, viewer, source
        self.make_free = make_free
        self.frames, self.failure = 0, ""
        self.stopped: signal.Signals | None = None

    def through(
        self,
        estimator: Poser,
        how: Following,
        outputs: VideoOutputs,
        drawn: Path,
        progress: Progress,
    ) -> None:
        source = self.source
        with ExitStack() as stack:
            asked = stack.enter_context(Interrupts())
            source.stop_if(lambda: asked.received)
            overlay = None
            if outputs.draw_above is not None or self.viewer is not None:
                overlay = stack.enter_context(_overlay(source, estimator, outputs, drawn))
            bar = stack.enter_context(progress.task(source.stem, source.total, "frames"))
            posed = stack.enter_context(closing(pose_frames(estimator, source, how)))
            for frame in posed:
                self._take(frame, overlay, bar)
                closed = (
                    self.viewer is not None
                    and overlay is not None
                    and (not self.viewer.show(overlay.latest))
                )
                if asked.received is not None or closed:
                    break
            self.stopped = asked.received
        self.failure = "" if overlay is None else overlay.failure

    def _take(self, frame: PosedFrame, overlay: Overlay | None, bar: Bar) -> None:
        if not self.frames:
            self.make_free()
        self.files.add(frame)
        if overlay is not None:
            overlay.add(frame)
        self.frames += 1
        bar.advance(1, note=self.source.state())


def _overlay(source: Source, estimator: Poser, outputs: VideoOutputs, path: Path) -> Overlay:
    writer = None
    if outputs.draw_above is not None:
        if not has_pyav():
            log.info(
                "the overlay is WebM at a constant rate and without sound; pip install "
                "'pose-hrnet[video]' gives H.264 with the times and the sound of the source"
            )
        writer = open_writer(path, source.facts, _sound(source))
    shift_s = source.window.start_s if isinstance(source, Recorded) else 0.0
    lowest = LOWEST_SCORE if outputs.draw_above is None else outputs.draw_above
    return Overlay(writer, estimator.skeleton, lowest, shift_s)


def _sound(source: Source) -> Sound | None:
    """What is heard in a file."""
    if isinstance(source, Recorded) and isinstance(source.reader, ContainerReader):
        return source.reader.sound(source.window)
    return None


def _file_name(source: Source) -> str:
    return Path(source.name).name if isinstance(source, Recorded) else source.name


def files_of(output: Path, stem: str, outputs: VideoOutputs) -> list[Path]:
    """The files and folders that are written of a video, where nothing is in their way.

    Args:
        output: Folder.
        stem: What they are called.
        outputs: What is written.

    Raises:
        FileExistsError: If something is there that is not to be replaced.
    """
    paths = [*result_paths(output, stem, outputs.formats).values()]
    if outputs.draw_above is not None:
        paths.append(output / f"{stem}.poses{suffix()}")
    for path in paths:
        if not outputs.overwrite and (path.exists() or path.is_symlink()):
            raise FileExistsError(
                f"{path} is there already, and is not written over; move it away, choose another "
                "--output, or give --overwrite"
            )
        if path.is_dir() and not all(file.match(OPENPOSE_FILES) for file in path.iterdir()):
            raise FileExistsError(f"{path} holds other files, too; move it away")
    return paths


def remove_earlier(paths: Iterable[Path]) -> None:
    """Remove what an earlier run wrote, now that there is something new."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            for file in path.glob(OPENPOSE_FILES):
                file.unlink()
        else:
            path.unlink(missing_ok=True)
