"""A results file of a recording -> the same with track ids, and smoothed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_hrnet.data.formats.frames import Recording, persons_of, read_recording
from pose_hrnet.inference.video.offline import Offline, fill_times
from pose_hrnet.inference.video.smoothing import OneEuro
from pose_hrnet.inference.video.tracker import UNCONFIRMED, Tracker
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import encode_json, replace_file


@dataclass(frozen=True, eq=False)
class Tracked:
    """A recording with tracks.

    Attributes:
        recording: As it was read.
        poses: Its persons with `track_ids`, `frame_index` and `time_s`, smoothed if asked for;
            then those that were filled in.
        filled: How many these are, at the end.
    """

    recording: Recording
    poses: Poses
    filled: int = 0

    @property
    def tracks(self) -> dict[int, int]:
        """How many frames each track has."""
        ids = self.poses.track_ids
        assert ids is not None
        numbers, counts = np.unique(ids[ids != UNCONFIRMED], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def track(recording: Recording, tracker: Tracker) -> Tracked:
    """Give ids; also the first hit of a track has it, as what comes after it is known."""
    columns = recording.poses
    count = len(columns)
    ids = np.full(count, UNCONFIRMED, np.int64)
    frames = persons_of(recording)
    before = slice(0)
    for persons, time_s in zip(frames, recording.times.tolist(), strict=True):
        tracked = tracker.update(columns[persons], time_s)
        assert tracked.track_ids is not None
        ids[persons] = tracked.track_ids
        for row, number in tracker.first_hits.items():
            ids[before.start + row] = number
        before = persons
    lengths = [len(persons) for persons in recording.frames]
    poses = replace(
        columns,
        track_ids=ids,
        frame_index=np.repeat(recording.frame_index, lengths),
        time_s=np.repeat(recording.times, lengths),
    )
    return Tracked(recording, poses)


def smooth_online(tracked: Tracked, smoother: OneEuro) -> Tracked:
    """Smooth frame by frame, as a stream is."""
    parts = [
        smoother.update(tracked.poses[persons], time_s)
        for persons, time_s in zip(
            persons_of(tracked.recording), tracked.recording.times.tolist(), strict=True
        )
    ]
    poses = Poses.concatenate(parts)
    return replace(tracked, poses=replace(poses, smoothing=smoother.description))


def smooth_offline(tracked: Tracked, how: Offline) -> Tracked:
    """Smooth whole tracks, and fill in persons who are away for no longer than it says.

    A pose that is filled in has the keypoint scores and the score of its weaker neighbour, and no
    raw keypoints.
    """
    poses = tracked.poses
    assert poses.track_ids is not None
    assert poses.time_s is not None
    smooth = poses.keypoints_image.copy()
    added: list[Poses] = []
    for number in tracked.tracks:
        rows = np.flatnonzero(poses.track_ids == number)
        for piece in how.pieces(poses.time_s[rows]):
            own = poses[rows[piece]]
            whole, is_new = _filled_in(own, tracked.recording, how.max_gap)
            sizes = whole.boxes_xyxy[:, 2:] - whole.boxes_xyxy[:, :2]
            assert whole.time_s is not None
            points = how.smooth(
                whole.time_s,
                whole.keypoints_image.astype(np.float64),
                whole.keypoint_scores.astype(np.float64),
                sizes.max(axis=1).astype(np.float64),
            ).astype(np.float32)
            smooth[rows[piece]] = points[~is_new]
            added.append(replace(whole, keypoints_image=points)[is_new])
    done = replace(poses, keypoints_image=smooth, raw_keypoints_image=poses.keypoints_image)
    new = [replace(each, raw_keypoints_image=each.keypoints_image) for each in added]
    joined = replace(Poses.concatenate([done, *new]), smoothing=how.description)
    return replace(tracked, poses=joined, filled=len(joined) - len(poses))


def _filled_in(
    own: Poses, recording: Recording, max_gap: float
) -> tuple[Poses, np.ndarray[Any, np.dtype[np.bool_]]]:
    """A piece of a track with the frames between in which its person is missing.

    Returns:
        The poses in order of time, and which of them are new.
    """
    assert own.time_s is not None
    missing = fill_times(own.time_s, recording.times, max_gap)
    if not len(missing):
        return own, np.zeros(len(own), bool)
    after = np.searchsorted(own.time_s, missing)
    share = (missing - own.time_s[after - 1]) / (own.time_s[after] - own.time_s[after - 1])

    def between(values: Any) -> Any:
        weight = share.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
        return values[after - 1] * (1 - weight) + values[after] * weight

    new = replace(
        own[after],
        keypoints_image=between(own.keypoints_image),
        keypoint_scores=np.minimum(own.keypoint_scores[after - 1], own.keypoint_scores[after]),
        boxes_xyxy=between(own.boxes_xyxy),
        scores=np.minimum(own.scores[after - 1], own.scores[after]),
        time_s=missing,
        frame_index=recording.frame_index[np.searchsorted(recording.times, missing)],
        image_ids=object_array([_image_id(recording, time_s) for time_s in missing]),
    )
    whole = Poses.concatenate([own, new])
    assert whole.time_s is not None
    order = np.argsort(whole.time_s, kind="stable")
    return whole[order], order >= len(own)


def _image_id(recording: Recording, time_s: float) -> Any:
    """That the rows of a frame have, or its number."""
    frame = int(np.searchsorted(recording.times, time_s))
    return next(
        (recording.rows[at]["image_id"] for at in recording.frames[frame]),
        int(recording.frame_index[frame]),
    )


def write_tracked(tracked: Tracked, path: Path) -> None:
    """Write the results again, frame by frame, with what was found.

    A row keeps all that it held; ``keypoints``, and the ``bbox`` of rows with a ``box``, are the
    smoothed ones, beside which stand ``raw_keypoints`` and ``smoothing``. Poses that were filled
    in say ``filled``; rows of frames without persons stay.

    Raises:
        OSError: If it cannot be written; an earlier file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary, temporary.open("wb") as file:
        file.write(b"[")
        for number, row in enumerate(_rows(tracked)):
            file.write((b",\n" if number else b"") + encode_json(row))
        file.write(b"]")


def _rows(tracked: Tracked) -> Iterator[dict[str, Any]]:
    recording, results = tracked.recording, tracked.poses.to_coco()
    persons = [at for frame in recording.frames for at in frame]
    smoothed = tracked.poses.raw_keypoints_image is not None
    of_row = dict(zip(persons, results, strict=False))
    filled: dict[int, list[dict[str, Any]]] = {}
    for result in results[len(persons) :]:
        filled.setdefault(result["frame_index"], []).append(result)
    for f, frame in enumerate(recording.frames):
        index = int(recording.frame_index[f])
        when = {"frame_index": index, "time_s": float(recording.times[f])}
        yield from (recording.rows[at] | when for at in recording.nobody[f])
        for at in frame:
            row, result = recording.rows[at], of_row[at]
            kept = ["track_id", "frame_index", "time_s"]
            if smoothed:
                kept += ["keypoints", "raw_keypoints", "smoothing"]
                kept += ["bbox"] if "box" in row else []
            yield row | {name: result[name] for name in kept}
        for result in filled.get(index, []):
            yield result | {"raw_keypoints": None, "filled": True}


def track_file(
    results: Path,
    output: Path,
    skeleton: Skeleton,
    *,
    fps: float | None = None,
    tracker: Tracker | None = None,
    smooth: OneEuro | Offline | None = None,
) -> Tracked:
    """Track the persons of a results file, and write it with their ids.

    Args:
        results: COCO keypoint results of a recording; see `pose_hrnet.data.formats.frames`.
        output: The file to write.
        skeleton: Whose keypoints they are.
        fps: Frames per second, where the rows have no times.
        tracker: A new one; None: as it is made by itself.
        smooth: None: keypoints stay as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the output cannot be written.
        ValueError: If the file is no results of a recording, as `read_recording` says.
    """
    tracked = track(read_recording(results, skeleton, fps=fps), tracker or Tracker())
    if isinstance(smooth, OneEuro):
        tracked = smooth_online(tracked, smooth)
    elif smooth is not None:
        tracked = smooth_offline(tracked, smooth)
    write_tracked(tracked, output)
    return tracked
