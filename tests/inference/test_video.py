"""What a video leaves on the disk: rows for every frame, an overlay at its times, nothing lost."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pose_hrnet.inference.video import container, overlay, sources, writer
from pose_hrnet.inference.video.frames import Window
from pose_hrnet.inference.video.predict import VideoOutputs, predict_video
from pose_hrnet.inference.video.results import COLUMNS, video_formats
from pose_hrnet.inference.video.sound import Sound
from pose_hrnet.inference.video.sources import open_source
from pose_hrnet.inference.video.stream import Following
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.folders import NotWritten
from pose_hrnet.system.interrupts import Interrupted
from pose_hrnet.visualize.poses import draw_poses
from tests.helpers.videos import number_of, picture, times_of, turn, write_video

av = pytest.importorskip("av")
VARIABLE = np.cumsum([0, 0.04, 0.05, 0.1, 0.033, 0.033, 0.2, 0.011, 0.04, 0.04]).tolist()


class Stub:
    """In place of a model: a person in most frames."""

    detector, skeleton = None, COCO17

    def __init__(self, nobody=(), meanwhile=None):
        self.nobody, self.meanwhile = nobody, meanwhile

    def predict_stream(self, pictures):
        for key, image, _ in pictures:
            number = key[0].index
            if self.meanwhile is not None:
                self.meanwhile(number)
            count = 0 if number in self.nobody else 1
            points = np.tile(np.linspace(4, 40, 17)[:, None], (count, 1, 2)).astype(np.float32)
            poses = Poses(
                image_ids=object_array([0] * count),
                keypoints_image=points.reshape(count, 17, 2),
                keypoint_scores=np.full((count, 17), 0.9, np.float32),
                boxes_xyxy=np.tile(np.array([[2, 2, 42, 42]], np.float32), (count, 1)),
                scores=np.full(count, 0.9, np.float32),
                areas=np.full(count, 1600, np.float32),
            )
            yield (key[0], np.ones(count, np.float32)), image, poses

    def predict_images(self, images, boxes=None):
        raise NotImplementedError


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", VARIABLE, audio_s=0.8)


def predicted(clip, output, nobody=(), window=Window(), **options):  # noqa: B008
    return predict_video(Stub(nobody), open_source(clip, window), output, **options)


def rows_of(output, name="clip"):
    return json.loads((output / f"{name}.poses.json").read_text())


def test_every_frame_has_a_row_and_its_picture(clip, tmp_path):
    out = tmp_path / "out"
    done = predicted(clip, out, nobody=(0, 6))
    assert (done.frames, done.persons, done.tracks, done.notes) == (10, 8, 1, ())
    assert sorted(path.name for path in done.files) == [
        "clip.poses.csv", "clip.poses.json", "clip.poses.mp4",
    ]  # fmt: skip
    rows = rows_of(out)
    assert [row["frame_index"] for row in rows] == list(range(10))
    assert [row["time_s"] for row in rows] == pytest.approx(VARIABLE, abs=1e-3)
    assert [row["track_id"] for row in rows] == [None, *[1] * 5, None, *[1] * 3]
    assert [len(row["keypoints"]) for row in rows] == [0, *[51] * 5, 0, *[51] * 3]
    assert rows[1]["image_id"] == 1
    assert rows[1]["file_name"] == "clip.mp4"
    assert rows[1]["smoothing"].startswith("one_euro")
    assert len(rows[1]["raw_keypoints"]) == 51
    assert times_of(out / "clip.poses.mp4") == pytest.approx(VARIABLE, abs=1e-3)
    with av.open(str(out / "clip.poses.mp4")) as file:
        assert [stream.codec_context.name for stream in file.streams] == ["h264", "aac"]
        assert file.duration / 1e6 == pytest.approx(0.8, abs=0.05)
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    points = np.tile(np.linspace(4, 40, 17)[:, None], (1, 1, 2)).reshape(1, 17, 2)
    drawn = draw_poses(picture(3), points, np.full((1, 17), 0.9), labels=[1])
    assert np.abs(pictures[3].astype(int) - drawn).mean() < 8
    assert np.abs(pictures[6].astype(int) - picture(6)).mean() < 8  # nobody


def test_the_table_has_every_frame(clip, tmp_path):
    predicted(clip, tmp_path / "out", nobody=(4,))
    rows = list(csv.DictReader((tmp_path / "out/clip.poses.csv").open()))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 9 * 17 + 1
    assert {int(row["frame_index"]) for row in rows} == set(range(10))
    (empty,) = [row for row in rows if row["keypoint"] == ""]
    assert (empty["frame_index"], empty["x"], empty["track_id"]) == ("4", "", "")
    assert float(rows[20]["raw_x"]) == pytest.approx(float(rows[20]["x"]))


def test_parquet_and_openpose(clip, tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    formats = video_formats(["parquet", "openpose", "openpose-body25"])
    out = tmp_path / "out"
    predicted(clip, out, nobody=(2,), outputs=VideoOutputs(None, formats))
    table = pyarrow.parquet.read_table(out / "clip.poses.parquet").to_pydict()
    assert len(table["x"]) == 9 * 17 + 1
    assert set(table["frame_index"]) == set(range(10))
    assert set(table["track_id"]) == {None, 1}
    names = sorted(path.name for path in (out / "clip_openpose").iterdir())
    assert names == [f"clip_{n:012d}_keypoints.json" for n in range(10)]
    people = [json.loads((out / f"clip_openpose/{name}").read_text())["people"] for name in names]
    assert [len(each) for each in people] == [1, 1, 0, *[1] * 7]
    assert people[0][0]["person_id"] == [1]
    body25 = json.loads((out / f"clip_openpose_body25/{names[0]}").read_text())
    assert len(body25["people"][0]["pose_keypoints_2d"]) == 75
    with pytest.raises(ValueError, match="labelstudio describes image files"):
        video_formats(["labelstudio"])


def test_nothing_of_an_earlier_run_is_written_over_unless_asked(clip, tmp_path):
    out = tmp_path / "out"
    outputs = VideoOutputs(formats=("openpose",))
    predicted(clip, out, outputs=outputs)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match=r"clip\.poses\.json is there already"):
        predicted(clip, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = replace(outputs, overwrite=True)
    predicted(clip, out, nobody=range(10), outputs=again, window=Window(every=2))
    assert [row["keypoints"] for row in rows_of(out)] == [[]] * 5
    assert len(times_of(out / "clip.poses.mp4")) == 5
    assert len(list((out / "clip_openpose").iterdir())) == 5
    (out / "clip_openpose/mine.txt").touch()
    with pytest.raises(FileExistsError, match="holds other files, too"):
        predicted(clip, out, outputs=again)


def test_the_source_itself_is_never_written_over(clip):
    before = clip.read_bytes()
    predicted(clip, clip.parent)
    assert clip.read_bytes() == before
    assert (clip.parent / "clip.poses.mp4").exists()


def test_a_part_begins_at_its_beginning(clip, tmp_path):
    out = tmp_path / "out"
    predicted(clip, out, window=Window(0.15, 0.5))
    rows = rows_of(out)
    assert [row["frame_index"] for row in rows] == [3, 4, 5, 6, 7]
    assert [row["time_s"] for row in rows] == pytest.approx(VARIABLE[3:8], abs=1e-3)
    with av.open(str(out / "clip.poses.mp4")) as file:
        start = (file.start_time or 0) / 1e6
        times = [float(f.pts * f.time_base) for f in file.decode(video=0)]
        assert start == pytest.approx(0, abs=0.03)
        assert file.duration / 1e6 == pytest.approx(0.35, abs=0.05)
    assert times == pytest.approx([t - 0.15 for t in VARIABLE[3:8]], abs=1e-3)


@pytest.mark.parametrize("sound", ["pcm_s16le", "mp3"])
def test_sound_of_other_codecs_goes_with_it(tmp_path, sound):
    codec = {"mp3": "libmp3lame"}.get(sound, sound)
    path = write_video(tmp_path / "clip.mkv", VARIABLE, audio_s=0.8, sound=codec)
    predicted(path, tmp_path / "out")
    with av.open(str(tmp_path / "out/clip.poses.mp4")) as file:
        names = [stream.codec_context.name for stream in file.streams.audio]
        assert names == ["aac" if sound.startswith("pcm") else "mp3float"]
        assert file.duration / 1e6 == pytest.approx(0.8, abs=0.06)
    times = times_of(tmp_path / "out/clip.poses.mp4")
    assert times == pytest.approx(VARIABLE, abs=1e-3)


def test_odd_and_turned_videos_keep_their_shape(tmp_path):
    path = turn(write_video(tmp_path / "clip.mp4", VARIABLE, (64, 46)), (0, 1, -1, 0))
    predicted(path, tmp_path / "out")
    (frame, *_) = open_source(tmp_path / "out/clip.poses.mp4")
    assert frame.image.shape == (64, 46, 3)
    path = write_video(tmp_path / "odd.mkv", VARIABLE, (63, 47))
    predicted(path, tmp_path / "out")
    (frame, *_) = open_source(tmp_path / "out/odd.poses.mp4")
    assert frame.image.shape == (48, 64, 3)


def test_frames_of_another_size_are_fitted(tmp_path):
    parts = [
        write_video(tmp_path / name, VARIABLE[:5], size).read_bytes()
        for name, size in (("a.h264", (64, 48)), ("b.h264", (48, 64)))
    ]
    (tmp_path / "c.h264").write_bytes(b"".join(parts))
    done = predicted(tmp_path / "c.h264", tmp_path / "out")
    assert (done.frames, done.notes) == (10, ())
    frames = list(open_source(tmp_path / "out/c.poses.mp4"))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 10


def test_without_pyav_the_overlay_is_webm(tmp_path, monkeypatch, caplog):
    path = write_video(tmp_path / "clip.mp4", [n / 25 for n in range(10)])
    for module in (sources, writer, container):
        monkeypatch.setattr(module, "has_pyav", lambda: False)
    monkeypatch.setattr("pose_hrnet.inference.video.predict.has_pyav", lambda: False)
    with caplog.at_level("INFO"):
        done = predicted(path, tmp_path / "out")
    assert "WebM at a constant rate and without sound; pip install" in caplog.text
    assert [path.name for path in done.files][-1] == "clip.poses.webm"
    frames = cv2.VideoCapture(str(tmp_path / "out/clip.poses.webm"))
    assert sum(frames.grab() for _ in range(30)) == 10


def test_a_truncated_video_gives_what_it_has(tmp_path):
    path = write_video(tmp_path / "clip.mp4", [n / 25 for n in range(50)], (320, 240),
                       options={"movflags": "faststart"})  # fmt: skip
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    done = predicted(path, tmp_path / "out")
    assert 0 < done.frames < 50
    assert "cut off or damaged" in done.notes[0]
    assert len(rows_of(tmp_path / "out")) == done.frames
    assert len(times_of(tmp_path / "out/clip.poses.mp4")) == done.frames


def test_an_interrupt_keeps_what_is_done_and_it_plays(clip, tmp_path):
    def stop(number):
        if number == 6:
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "out"
    with pytest.raises(Interrupted, match=r"interrupted after \d frames; what was done is in"):
        predict_video(Stub(meanwhile=stop), open_source(clip), out)
    rows = rows_of(out)
    assert 4 <= len(rows) < 10
    assert times_of(out / "clip.poses.mp4") == pytest.approx(VARIABLE[: len(rows)], abs=1e-3)


def test_a_disk_that_fills_under_the_overlay_costs_it_alone(tmp_path, monkeypatch, caplog):
    path = write_video(tmp_path / "clip.mp4", [n / 5 for n in range(15)], (640, 480))
    monkeypatch.setattr(writer, "PIECE", "100000")
    predicted(path, tmp_path / "roomy")
    size = (tmp_path / "roomy/clip.poses.mp4").stat().st_size
    write, room = writer._File.write, [size // 2]  # Private: the disk is a make-believe one

    def until_full(self, content):
        room[0] -= len(content)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(writer._File, "write", until_full)
    done = predicted(path, tmp_path / "out")
    assert done.frames == 15
    assert len(rows_of(tmp_path / "out")) == 15
    (note,) = done.notes
    assert "clip.poses.mp4 could not be written (No space left on device)" in note
    assert "no more of the overlay is drawn" in note
    assert note in caplog.text
    played = [number_of(frame.image) for frame in open_source(tmp_path / "out/clip.poses.mp4")]
    assert 0 < len(played) < 15


def test_a_disk_that_is_full_at_once_costs_the_overlay_alone(clip, tmp_path, monkeypatch):
    """FFmpeg crashes if its header could not be written, and it is asked to go on."""

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._File, "write", full)  # Private: as above
    done = predicted(clip, tmp_path / "out")
    assert done.frames == len(rows_of(tmp_path / "out")) == 10
    assert "No space left on device" in done.notes[0]


def test_keypoints_of_any_score_are_drawn_where_that_is_asked_for(clip, tmp_path, monkeypatch):
    asked = []

    def drawn(image, points, scores, *, min_score, **options):
        asked.append(min_score)
        return image

    monkeypatch.setattr(overlay, "draw_poses", drawn)
    predicted(clip, tmp_path / "out", outputs=VideoOutputs(draw_above=0.0))
    assert asked == [0.0] * 10


def test_an_encoder_that_fails_costs_the_overlay_alone_and_the_sound_is_closed(
    clip, tmp_path, monkeypatch
):
    closed, close = [], Sound.close

    def fails(self, container):
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    def closes(self):
        closed.append(self)
        close(self)

    monkeypatch.setattr(Sound, "close", closes)
    predicted(clip, tmp_path / "fine")
    assert len(closed) == 1
    monkeypatch.setattr(Sound, "add_to", fails)
    done = predicted(clip, tmp_path / "out")
    assert done.frames == len(rows_of(tmp_path / "out")) == 10
    assert "clip.poses.mp4: FFmpeg cannot encode the video (" in done.notes[0]
    assert len(closed) == 2


def test_a_disk_that_fills_under_the_results_keeps_them_whole(clip, tmp_path, monkeypatch):
    from pose_hrnet.inference.video import results

    class Full(results.GrowingFile):
        pieces = 0

        def add(self, piece):
            self.pieces += 1
            if self.pieces > 4:
                raise NotWritten(self.path, OSError(errno.ENOSPC, "No space left on device"))
            super().add(piece)

    monkeypatch.setattr(results, "GrowingFile", Full)
    with pytest.raises(NotWritten, match=r"clip\.poses\.json could not be written"):
        predicted(clip, tmp_path / "out")
    assert [row["frame_index"] for row in rows_of(tmp_path / "out")] == [0, 1, 2, 3]
    assert len(times_of(tmp_path / "out/clip.poses.mp4")) == 4


def test_a_source_without_frames_leaves_nothing(clip, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="has no frame from 7 s"):
        predicted(clip, out, window=Window(7))
    assert not out.exists()


def test_ids_and_smoothing_can_be_left_out(clip, tmp_path):
    predicted(clip, tmp_path / "out", how=Following(track=False, smooth=False))
    row = rows_of(tmp_path / "out")[0]
    assert "smoothing" not in row
    assert "track_id" not in row
    assert row["frame_index"] == 0


def test_a_window_needs_a_screen(clip, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ValueError, match="--show needs a screen"):
        predicted(clip, tmp_path / "out", outputs=VideoOutputs(show=True))
