"""``pose-hrnet track``: ids and smoothing for the results of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import one_sentence_errors, say
from pose_hrnet.cli.options import file_to_write, given
from pose_hrnet.system.choices import SmoothName
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.text import counted

if TYPE_CHECKING:
    from pose_hrnet.inference.video.offline import Offline
    from pose_hrnet.inference.video.smoothing import OneEuro


@one_sentence_errors
def track(
    results: Annotated[
        Path, typer.Argument(help="COCO keypoint results of a recording, of any program.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; without it NAME.tracks.json."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.001, max=100_000, help="Frames per second, of rows without time_s."),
    ] = None,
    smooth: Annotated[
        SmoothName,
        typer.Option(
            help="Of keypoints: as frames come (one_euro), or whole tracks, without lag (savgol, "
            "butterworth)."
        ),
    ] = "none",
    fill_gaps: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=60,
            help="Seconds for which a person may be away and is filled in, with savgol and "
            "butterworth; 0.2.",
        ),
    ] = None,
    max_unseen: Annotated[
        float | None,
        typer.Option(min=0, max=3600, help="Seconds after which a person is forgotten; 2."),
    ] = None,
    high_score: Annotated[
        float | None, typer.Option(min=0, help="Poses of it and above begin tracks; 0.2.")
    ] = None,
    low_score: Annotated[
        float | None, typer.Option(min=0, help="Poses of it and above continue them; 0.05.")
    ] = None,
    skeleton: Annotated[
        str, typer.Option(help="coco17, mpii16, crowdpose14, wholebody133 or a YAML.")
    ] = "coco17",
) -> None:
    """Give each person of a recording an id that stays, and smooth the keypoints.

    Rows keep all that they hold, and get track_id (-1: in no track), frame_index and time_s; where
    smoothed, raw_keypoints and smoothing, which names the filter.

    Example: `pose-hrnet track clip.poses.json --smooth savgol`
    """  # fmt: skip
    from pose_hrnet.data.formats.frames import in_words
    from pose_hrnet.data.formats.skeletons import find_skeleton
    from pose_hrnet.inference.video.tracked import track_file
    from pose_hrnet.inference.video.tracker import Tracker

    if fill_gaps is not None and smooth in ("none", "one_euro"):
        raise ValueError(
            f"--fill-gaps does nothing with --smooth {smooth}; give --smooth savgol or butterworth"
        )
    target = file_to_write(output or results.with_name(f"{results.stem}.tracks.json"))
    check_not_over(target, results)
    tracker = Tracker(**given(max_unseen=max_unseen, high_score=high_score, low_score=low_score))
    found = track_file(
        results,
        target,
        find_skeleton(skeleton, results),
        fps=fps,
        tracker=tracker,
        smooth=_filter(smooth, fill_gaps),
    )
    poses = found.recording.poses
    say(in_words(found.recording))
    tracks = found.tracks
    alone = len(poses) - (sum(tracks.values()) - found.filled)
    say(f"{counted(len(tracks), 'track')}; {counted(alone, 'pose')} in none; {target}")
    if len(poses) and not tracks:
        best = float(poses.scores.max())
        say(
            f"the best score is {best:g}; tracks begin with two frames of {tracker.high_score:g} "
            "and above, or of --high-score"
        )
    if found.filled:
        say(f"{counted(found.filled, 'pose')} filled in")


def _filter(name: SmoothName, fill_gaps: float | None) -> OneEuro | Offline | None:
    from pose_hrnet.inference.video.offline import Offline
    from pose_hrnet.inference.video.smoothing import OneEuro

    if name == "none":
        return None
    return OneEuro() if name == "one_euro" else Offline(name, **given(max_gap=fill_gaps))
