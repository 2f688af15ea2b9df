"""Frames out equal frames in, each at its own time: containers, rates, turns, damage."""

from __future__ import annotations

import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pose_hrnet.inference.video import sources
from pose_hrnet.inference.video.container import turned
from pose_hrnet.inference.video.frames import Facts, Window
from pose_hrnet.inference.video.sources import names_video, open_source
from tests.helpers.videos import number_of, picture, turn, write_video

pytest.importorskip("av")
VARIABLE = np.cumsum([0, 0.04, 0.05, 0.1, 0.033, 0.033, 0.2, 0.011, 0.04, 0.04]).tolist()
PAL = [number / 25 for number in range(10)]
NTSC = [number * 1001 / 30000 for number in range(10)]
RATES = {"variable": VARIABLE, "25": PAL, "29.97": NTSC}
FILES = [
    *[(suffix, name) for suffix in (".mp4", ".mov", ".mkv", ".webm", ".ts") for name in RATES],
    *[(".flv", "variable"), (".m4v", "variable"), (".3gp", "25"), (".wmv", "25")],
    *[(suffix, name) for suffix in (".avi", ".mpg") for name in ("25", "29.97")],
]
OWN_CLOCK = {"25": Fraction(25), "29.97": Fraction(30000, 1001)}
"""Of containers whose clock ticks once a frame."""


@pytest.fixture(params=["pyav", "opencv"])
def reader(request, monkeypatch):
    monkeypatch.setattr(sources, "has_pyav", lambda: request.param == "pyav")
    return request.param


def written(path, name, **options):
    ticks = OWN_CLOCK.get(name) if path.suffix in (".avi", ".mpg") else None
    ticks = Fraction(1000) if path.suffix == ".wmv" else ticks
    return write_video(path, RATES[name], rate=ticks, **options)


@pytest.mark.parametrize(("suffix", "name"), FILES, ids="".join)
def test_frames_out_are_frames_in_at_their_times(reader, suffix, name, tmp_path):
    source = open_source(written(tmp_path / f"a{suffix}", name))
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time_s for frame in frames] == pytest.approx(RATES[name], abs=1e-3)
    assert [note for note in source.notes if "cut off" in note] == []


@pytest.mark.parametrize("size_wh", [(63, 47), (64, 47), (65, 48)])
def test_odd_sizes_stay(reader, size_wh, tmp_path):
    frames = list(open_source(write_video(tmp_path / "a.mkv", PAL, size_wh)))
    assert len(frames) == 10
    assert {frame.image.shape for frame in frames} == {(size_wh[1], size_wh[0], 3)}


TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", TURNS)
def test_turned_video_comes_upright(reader, degrees, tmp_path):
    path = turn(write_video(tmp_path / "a.mp4", PAL), TURNS[degrees])
    (frame, *_) = open_source(path)
    upright = np.rot90(picture(0), -degrees // 90)
    assert frame.image.shape == upright.shape
    assert np.abs(frame.image.astype(int) - upright).mean() < 8


def test_mirrors_of_display_matrices():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert (turned(image, (-1, 0, 0, 1)) == image[:, ::-1]).all()
    assert (turned(image, (1, 0, 0, -1)) == image[::-1]).all()
    assert (turned(image, (0, 1, 1, 0)) == image.transpose(1, 0, 2)).all()


def test_a_video_whose_sound_begins_first_begins_when_it_says(tmp_path):
    late = [0.5 + time_s for time_s in PAL]
    path = write_video(tmp_path / "a.mp4", late, audio_s=1.0)
    assert [frame.time_s for frame in open_source(path)] == pytest.approx(late, abs=1e-3)


def test_part_of_a_video(reader, tmp_path):
    path = write_video(tmp_path / "a.mp4", VARIABLE)
    source = open_source(path, Window(0.04, 0.5, every=2))
    frames = list(source)
    assert [frame.index for frame in frames] == [2, 4, 6]
    assert [number_of(frame.image) for frame in frames] == [2, 4, 6]
    assert source.total == 4  # about
    with pytest.raises(ValueError, match=r"has no frame from 7 s; it lasts 0\.5"):
        list(open_source(path, Window(7)))
    with pytest.raises(ValueError, match="the end, 2 s, is not after the start, 3 s"):
        Window(3, 2)


@pytest.mark.parametrize(
    ("window", "facts", "frames"),
    [
        (Window(), Facts(100, 25, 4.0), 100),
        (Window(1, 3, every=2), Facts(100, 25, 4.0), 25),
        (Window(1, 30), Facts(100, 25, 4.0), 75),
        (Window(9), Facts(100, 25, 4.0), 0),
        (Window(every=4), Facts(100, 25), 25),
        (Window(1, 3), Facts(), 50),
        (Window(1, 30), Facts(None, 25, 4.0), 75),
        (Window(1), Facts(None, 25, 4.0), None),
        (Window(1), Facts(), None),
    ],
)
def test_about_how_many_frames_a_part_has(window, facts, frames):
    assert window.frames_of(facts) == frames


def test_a_truncated_file_gives_the_frames_it_has_and_says_so(reader, tmp_path):
    path = write_video(tmp_path / "a.mp4", [n / 25 for n in range(50)], (320, 240),
                       options={"movflags": "faststart"})  # fmt: skip
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 4 // 5])
    source = open_source(path)
    frames = list(source)
    assert 0 < len(frames) < 50
    assert [frame.index for frame in frames] == list(range(len(frames)))
    (note,) = source.notes
    assert f"a.mp4: it is cut off or damaged: {len(frames)} of" in note


def test_a_truncated_matroska_says_so(tmp_path):
    path = write_video(tmp_path / "a.mkv", [n / 25 for n in range(50)], (320, 240))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    source = open_source(path)
    assert 0 < len(list(source)) < 50
    assert "cut off or damaged" in source.notes[-1]


def test_damage_inside_costs_itself_alone(tmp_path):
    path = write_video(tmp_path / "a.avi", PAL, (160, 120), rate=Fraction(25))
    content = bytearray(path.read_bytes())
    at = content.find(b"00dc", len(content) // 2) + 8  # a frame of its own, whose content goes
    content[at : at + 600] = bytes(600)
    path.write_bytes(content)
    source = open_source(path)
    times = [frame.time_s for frame in source]
    assert len(times) == 9
    assert {round(25 * time_s) for time_s in times} < set(range(10))
    assert "a part of it cannot be decoded behind" in source.notes[0]


def test_two_recordings_in_one_file_go_on(tmp_path):
    """As parts of MPEG-TS are joined: the clock begins anew."""
    part = write_video(tmp_path / "a.ts", [n / 25 for n in range(60)]).read_bytes()
    (tmp_path / "b.ts").write_bytes(part + part)
    source = open_source(tmp_path / "b.ts")
    times = [frame.time_s for frame in source]
    assert len(times) == 120
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(4.76, abs=0.1)
    assert "its clock goes back" in source.remarks[0]
    assert not source.notes, "nothing is missing"


def test_frames_without_times_are_counted(tmp_path):
    source = open_source(write_video(tmp_path / "a.h264", PAL))
    assert [frame.time_s for frame in source] == pytest.approx(PAL, abs=1e-6)
    assert "10 frames without a time, counted at 25 a second" in source.remarks[0]


def test_frames_of_several_sizes(tmp_path):
    """As of a phone that is turned in a call."""
    parts = [
        write_video(tmp_path / name, PAL, size).read_bytes()
        for name, size in (("a.h264", (64, 48)), ("b.h264", (48, 64)))
    ]
    (tmp_path / "c.h264").write_bytes(b"".join(parts))
    shapes = [frame.image.shape for frame in open_source(tmp_path / "c.h264")]
    assert shapes == [(48, 64, 3)] * 10 + [(64, 48, 3)] * 10


def test_a_sequence_of_images(tmp_path):
    paths = [tmp_path / f"frame_{n}.png" for n in range(12)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), picture(number)[..., ::-1])
    paths[3].write_bytes(b"\x89PNG but not really")
    source = open_source(sorted(paths), rate=10)
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, *range(4, 12)]
    assert [frame.time_s for frame in frames][:5] == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert len(source.notes) == 1
    assert "frame_3.png" in source.notes[0]


def test_what_is_no_video_is_one_sentence(reader, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mp4 does not exist"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(OSError, match="it is a folder"):
        open_source(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4 is empty"):
        open_source(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be opened as a video"):
        open_source(tmp_path / "text.mp4")
    write_video(tmp_path / "cut.mp4", PAL)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"cut\.mp4 (cannot be opened|holds no video|gives no)"):
        list(open_source(tmp_path / "cut.mp4"))


def test_a_codec_that_nobody_knows_is_named(tmp_path):
    path = write_video(tmp_path / "a.avi", PAL, rate=Fraction(25))
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZZZZ"))
    with pytest.raises(ValueError, match=r"a\.avi.* (no decoder|cannot be decoded)"):
        list(open_source(path))


def test_sound_alone_is_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=44_100)
        silence = np.zeros((1, 1024), np.float32)
        for number in range(5):
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 44_100, 1024 * number
            file.mux(stream.encode(samples))
        file.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"a\.mp4 holds no video, only audio"):
        open_source(tmp_path / "a.mp4")


def test_a_video_of_no_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", PAL[:1], rate=Fraction(25))
    content = path.read_bytes()
    movi = content.find(b"movi")
    path.write_bytes(content[: movi - 4] + struct.pack("<I", 4) + b"movi")
    with pytest.raises(ValueError, match=r"a\.avi (gives no frame|holds no video|cannot be)"):
        list(open_source(path))


def test_a_playlist_in_a_file_opens_nothing_else(tmp_path):
    secret = write_video(tmp_path / "secret.ts", PAL)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/{secret.name}\n"
    (tmp_path / "a.mp4").write_text(playlist)
    with pytest.raises(ValueError, match=r"cannot be opened as a video|gives no frame"):
        list(open_source(tmp_path / "a.mp4"))


def test_what_a_word_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "clip.MP4").touch()
    videos = [
        "0",
        "rtsp://host/stream",
        "http://host/a.mjpg",
        "clip.MP4",
        "gone.mkv",
        "/dev/video0",
    ]
    assert [word for word in videos if not names_video(word)] == []
    assert [word for word in ("7", "photo.jpg", "photos", "photo") if names_video(word)] == []
