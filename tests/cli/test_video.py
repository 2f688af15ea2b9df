"""``pose-hrnet predict`` of videos: options, exit codes, one sentence on what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from pose_hrnet.cli.video import VideoOptions
from pose_hrnet.inference.video.container import ContainerReader
from pose_hrnet.models.weights.load import save_model
from tests.helpers.command_line import run_here
from tests.helpers.networks import card_of, tiny
from tests.helpers.videos import picture, write_video

pytest.importorskip("av")
TIMES = [number / 10 for number in range(10)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = tiny()
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, network.state_dict(), card_of(network))
    return path


@pytest.fixture
def predict(weights, tmp_path):
    def run(*arguments, code=0):
        options = ["--whole-image", "-c", weights, "--backend", "eager", "-o", tmp_path / "out"]
        return run_here("predict", *options, *arguments, code=code)

    return run


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", TIMES)


def rows_of(path):
    return json.loads(path.read_text())


def test_a_video_is_predicted_and_said(predict, clip, tmp_path):
    said, errors = predict(clip)
    assert "clip: 10 frames, 10 poses of 1 person," in said
    assert "frames/s; written: " in said
    assert len(rows_of(tmp_path / "out/clip.poses.json")) == 10
    _, errors = predict(clip, code=2)
    assert "clip.poses.json is there already" in errors
    said, _ = predict(clip, "--overwrite", "--start", "0.25", "--end", "0:00.75", "--no-track")
    assert "clip: 5 frames, 5 poses, " in said
    assert [row["frame_index"] for row in rows_of(tmp_path / "out/clip.poses.json")] == [
        3, 4, 5, 6, 7,
    ]  # fmt: skip


def test_several_videos_are_done_one_after_the_other(predict, clip, tmp_path):
    (tmp_path / "other").mkdir()
    second = write_video(tmp_path / "other/clip.mp4", TIMES[:4])
    (tmp_path / "bad.mp4").write_text("no video")
    said, errors = predict(clip, second, tmp_path / "bad.mp4", "--no-overlays", code=1)
    assert "bad.mp4 cannot be opened as a video" in errors
    assert len(rows_of(tmp_path / "out/clip.poses.json")) == 10
    assert len(rows_of(tmp_path / "out/clip_2.poses.json")) == 4
    assert "clip_2: 4 frames" in said
    assert not (tmp_path / "out/clip.poses.mp4").exists()


def test_images_are_frames_if_asked(predict, tmp_path):
    (tmp_path / "walk").mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"walk/{number}.png"), picture(number))
    said, _ = predict(tmp_path / "walk", "--rate", "5")
    assert "walk: 3 frames" in said
    times = [row["time_s"] for row in rows_of(tmp_path / "out/walk.poses.json")]
    assert times == pytest.approx([0, 0.2, 0.4])


def test_part_of_a_video_that_is_cut_off_is_exit_code_1(predict, tmp_path):
    path = write_video(tmp_path / "a.mkv", [n / 25 for n in range(50)], (320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said, errors = predict(path, "--no-overlays", code=1)
    assert "a: " in said
    assert "it is cut off or damaged" in errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["97"], "camera 97 cannot be opened"),
        (["gone.mp4"], "gone.mp4 does not exist"),
        (["rtsp://127.0.0.1:9/a"], "rtsp://127.0.0.1:9/a cannot be opened"),
        (["CLIP", "photo.jpg"], "clip.mp4 is a video, and photo.jpg not"),
        (["photo.jpg", "--start", "3"], "--start is of videos, and photo.jpg holds images"),
        (["photo.jpg", "--no-track"], "--no-track is of videos"),
        (["CLIP", "--rate", "5"], "--rate is of images"),
        (["CLIP", "--start", "3:"], "'3:' is no time; give seconds, or 1:02.5"),
        (["CLIP", "--start", "2", "--end", "1"], "the end, 1 s, is not after the start, 2 s"),
        (["CLIP", "--start", "50"], "clip.mp4 has no frame from 50 s; it lasts"),
        (["CLIP", "--show-heatmaps"], "--show-heatmaps is of images"),
        (["CLIP", "--format", "yolo"], "--format yolo describes image files"),
        (["CLIP", "--no-track", "--detect-every", "3"], "need to know who is who"),
    ],
)
def test_what_cannot_be_is_one_sentence(predict, clip, tmp_path, arguments, sentence):
    given = [clip if word == "CLIP" else word for word in arguments]
    _, errors = predict(*given, code=2)
    assert sentence in errors
    assert not (tmp_path / "out").exists()


def test_videos_are_opened_one_at_a_time_and_closed_whatever_happens(
    predict, clip, tmp_path, monkeypatch
):
    events = []

    class Told(ContainerReader):
        def __init__(self, address, name):
            super().__init__(address, name)
            events.append(f"open {Path(name).name}")

        def close(self):
            super().close()
            if (closed := f"close {Path(self._address).name}") not in events:
                events.append(closed)

    monkeypatch.setattr("pose_hrnet.inference.video.sources.ContainerReader", Told)
    second, third = (write_video(tmp_path / f"{name}.mp4", TIMES[:3]) for name in "bc")
    predict(clip, second, third, "--no-overlays")
    assert events == [
        f"{what} {name}.mp4" for name in ("clip", "b", "c") for what in ("open", "close")
    ]
    events.clear()
    _, errors = predict(third, tmp_path / "clip.mp4", second, code=2)
    assert "is there already" in errors
    assert events == []
    predict(second, "--overwrite", "--checkpoint", tmp_path / "gone.pth", code=2)
    assert events == ["open b.mp4", "close b.mp4"]


def test_no_model_is_loaded_for_what_is_no_video(predict, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    _, errors = predict(tmp_path / "bad.mp4", "--checkpoint", tmp_path / "gone.pth", code=2)
    assert "bad.mp4 cannot be opened as a video" in errors
    assert not (tmp_path / "out").exists()


def test_options_have_names():
    options = VideoOptions(start=0.0, track=False, show=True, detect_every=3)
    assert options.names == ["--start", "--detect-every", "--show", "--no-track"]
    assert VideoOptions().names == []
