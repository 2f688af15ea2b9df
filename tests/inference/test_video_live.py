"""Cameras and streams: the newest frame alone, drops counted, stalls outlived. No clocks."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from pose_hrnet.inference.video.frames import EVERYTHING, Window
from pose_hrnet.inference.video.live import LiveSource
from pose_hrnet.inference.video.sources import names_video, open_source
from tests.helpers.videos import number_of, picture


class Clock:
    """Seconds that a test says."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Script:
    """A capture that gives what a test puts into it, and waits for it in between."""

    codec = "H264"

    def __init__(self, clock, opens=True):
        self.clock, self.opens = clock, opens
        self.frames, self.stamp = [], 0.0
        self.change, self.waits = threading.Condition(), False
        self.released = threading.Event()

    def isOpened(self):
        return self.opens

    def read(self):
        with self.change:
            self.waits = True
            self.change.notify_all()
            self.change.wait_for(lambda: self.frames)
            self.waits = False
            image, self.stamp = self.frames.pop(0)
            self.change.notify_all()
        return image is not None, image

    def get(self, what):
        if what == cv2.CAP_PROP_FOURCC:
            return cv2.VideoWriter.fourcc(*self.codec)
        return 1000 * self.stamp

    def release(self):
        self.released.set()

    def send(self, number, stamp):
        """Hand over a frame, whoever waits for it; None: it stalls."""
        image = None if number is None else picture(number)[..., ::-1].copy()
        with self.change:
            self.frames.append((image, stamp))
            self.change.notify_all()

    def give(self, *numbers, stamp=0.0):
        """Hand over frames, and wait until they are taken in."""
        for number in numbers:
            with self.change:
                self.send(number, stamp)
                self.change.wait_for(lambda: not self.frames)
                if number is not None:  # it asks for the next one: this one is there
                    self.change.wait_for(lambda: self.waits)


@pytest.fixture
def clock():
    return Clock()


def live(clock, *captures, window=EVERYTHING, address=0, **options):
    coming = iter(captures)
    return LiveSource(
        address, name="camera 0", stem="camera_0", window=window, clock=clock,
        capture=lambda _: next(coming), **options,
    )  # fmt: skip


def test_the_newest_frame_is_given_and_the_others_are_counted(clock):
    camera = Script(clock)
    source = live(clock, camera)
    frames = iter(source)
    camera.give(0)
    first = next(frames)
    clock.now += 0.5
    camera.give(1, 2, 3)
    last = next(frames)
    assert [number_of(frame.image) for frame in (first, last)] == [0, 3]
    assert [(frame.index, frame.time_s) for frame in (first, last)] == [(0, 0.0), (3, 0.5)]
    assert source.dropped == 2
    assert source.state() == "2 dropped, 0 ms old"
    source.close()


def test_a_frame_that_waited_too_long_is_left_out(clock):
    camera = Script(clock)
    source = live(clock, camera, max_latency=0.2)
    frames = iter(source)
    camera.give(0)
    clock.now += 0.3
    later = threading.Timer(0.05, camera.give, args=(1,))
    later.start()
    assert next(frames).index == 1
    assert source.dropped == 1
    source.close()


def test_a_frame_that_came_late_by_the_clock_of_its_stream_is_left_out(clock):
    camera = Script(clock)
    source = live(clock, camera, max_latency=0.5)
    frames = iter(source)
    camera.give(0, stamp=1.0)
    assert next(frames).index == 0
    clock.now += 1.0
    camera.give(1, stamp=1.1)  # 0.9 s later than it should have come
    later = threading.Timer(0.05, camera.give, args=(2,), kwargs={"stamp": 1.8})
    later.start()
    assert next(frames).index == 2
    assert source.state() == "1 dropped, 200 ms old"
    source.close()


def test_a_stall_is_outlived(clock, caplog, monkeypatch):
    # Private: a test does not wait.
    monkeypatch.setattr("pose_hrnet.inference.video.newest._BETWEEN_TRIES_S", 0)
    first, dead, second = Script(clock), Script(clock, opens=False), Script(clock)
    source = live(clock, first, dead, second)
    frames = iter(source)
    first.give(0)
    assert next(frames).index == 0
    clock.now += 3
    first.give(None)
    second.give(1)
    frame = next(frames)
    assert (frame.index, frame.time_s, number_of(frame.image)) == (1, 3.0, 1)
    assert source.reconnects == 1
    assert "camera 0: no frame comes; it is opened anew" in caplog.text
    source.close()
    assert first.released.is_set()
    assert dead.released.is_set()


def test_a_source_that_does_not_come_back_has_ended(clock):
    camera = Script(clock)
    source = live(clock, camera, patience=5)
    frames = iter(source)
    camera.give(0)
    assert next(frames).index == 0
    clock.now += 6
    camera.give(None)
    assert list(frames) == []
    assert source.remarks == ["camera 0: no frame for 5 s; it has ended"]


def test_a_source_that_gives_nothing_is_one_sentence(clock):
    camera = Script(clock)
    frames = iter(live(clock, camera, patience=5))
    clock.now += 6
    camera.give(None)
    with pytest.raises(ValueError, match="camera 0 was opened and gave no frame in 5 s"):
        next(frames)


def test_a_source_that_is_closed_before_it_is_read_is_let_go(clock):
    camera = Script(clock)
    live(clock, camera).close()
    camera.give(None)
    assert camera.released.wait(60)


def test_a_source_that_is_forgotten_is_let_go(clock):
    camera = Script(clock)
    live(clock, camera)
    camera.give(None)
    assert camera.released.wait(60)


def test_what_came_while_models_were_loaded_is_not_given_late(clock):
    """A socket and a driver keep it; it is read at once, and the newest of it alone counts."""
    camera = Script(clock)
    source = live(clock, camera)
    camera.give(0, 1, 2)
    clock.now += 0.5
    camera.give(3)
    clock.now += 0.25
    frames = iter(source)
    first = next(frames)
    assert (number_of(first.image), first.index, first.time_s) == (3, 0, 0.0)
    assert source.state() == "0 dropped, 250 ms old"
    clock.now += 0.25
    camera.give(4)
    assert next(frames).time_s == 0.5
    source.close()


def test_what_came_long_before_it_is_read_is_left_out(clock):
    camera = Script(clock)
    source = live(clock, camera, patience=5)
    camera.give(0)
    clock.now += 6
    camera.give(None)
    with pytest.raises(ValueError, match="camera 0 ended before there was a frame to predict"):
        next(iter(source))


def test_what_fails_in_a_driver_is_told_as_it_is_and_the_camera_let_go(clock):
    camera = Script(clock)
    source = live(clock, camera)
    camera.get = lambda what: 1 / 0
    frames = iter(source)
    camera.send(0, 0.0)
    with pytest.raises(ZeroDivisionError):
        next(frames)
    assert camera.released.is_set()
    assert source.remarks == []


def test_who_ends_a_stalled_source_does_not_hear_that_it_ended_by_itself(clock):
    first, closed = Script(clock), Script(clock, opens=False)
    source = live(clock, first, *[closed] * 1000)
    frames = iter(source)
    first.give(0)
    assert next(frames).index == 0
    first.give(None)
    assert closed.released.wait(60)  # it tries again
    source.close()
    source._newest._thread.join(60)  # Private: whatever it says is said now
    assert list(frames) == []
    assert source.remarks == []


def test_what_waits_in_a_socket_is_let_go(clock):
    """Frames that come ever later than they were sent: another connection has none of them."""
    slow, fresh = Script(clock), Script(clock)
    source = live(clock, slow, fresh, max_latency=0.5)
    frames = iter(source)
    slow.give(0, stamp=1.0)
    for number in range(1, 40):
        clock.now += 0.2
        slow.send(number % 15, 1.0 + 0.1 * number)
    fresh.give(7)
    assert number_of(next(frames).image) == 7
    assert source.reconnects == 1
    source.close()


@pytest.mark.parametrize(
    ("address", "codec", "reconnects"),
    [("http://cam/mjpg", "MJPG", 0), ("http://cam/live", "H264", 1), ("rtsp://cam/", "MJPG", 1)],
)
def test_pictures_over_http_have_no_clock_to_fall_behind(clock, address, codec, reconnects):
    """FFmpeg counts 25 of them a second, also where a camera sends 10."""
    slow, fresh = Script(clock), Script(clock)
    slow.codec = codec
    source = live(clock, slow, fresh, address=address)
    slow.give(0, stamp=0.04)
    number = 1
    while number < 150 and not slow.released.is_set():
        number += 1
        clock.now += 0.1
        slow.send(0, 0.04 * number)
        with slow.change:
            slow.change.wait_for(lambda: slow.waits and not slow.frames, 0.2)
    (fresh if reconnects else slow).give(7)
    assert number_of(next(iter(source)).image) == 7
    assert source.reconnects == reconnects
    source.close()


def test_pictures_over_http_that_wait_in_a_socket_are_let_go(clock):
    """Those that are there when they are asked for, and ever older."""
    slow, fresh = Script(clock), Script(clock)
    slow.codec = "MJPG"
    source = live(clock, slow, fresh, address="http://cam/mjpg")
    slow.give(0, stamp=0.04)
    clock.now += 5
    with slow.change:
        for number in range(2, 50):
            slow.send(0, 0.04 * number)
    fresh.give(7)
    assert number_of(next(iter(source)).image) == 7
    assert source.reconnects == 1
    source.close()


def test_pictures_over_http_that_waited_in_a_socket_are_left_out(clock):
    camera = Script(clock)
    camera.codec = "MJPG"
    source = live(clock, camera, address="http://cam/mjpg", max_latency=0.5)
    for number in range(5):
        clock.now += 0.1
        camera.give(number)
    frames = iter(source)
    assert number_of(next(frames).image) == 4
    clock.now += 2  # without a processor
    camera.give(5, 6)

    def go_on():
        clock.now += 0.1
        camera.give(7)

    threading.Timer(0.05, go_on).start()
    assert number_of(next(frames).image) == 7
    assert source.state() == "2 dropped, 0 ms old"
    source.close()


def test_a_part_of_a_live_source(clock):
    camera = Script(clock)
    frames = iter(live(clock, camera, window=Window(1.0, 3.0, every=2)))
    got = []
    camera.give(0)
    for number in range(1, 8):
        clock.now += 0.5
        camera.give(number)
        if number in (2, 4):
            got.append(next(frames))
    assert [frame.index for frame in got] == [2, 4]
    assert list(frames) == []


def test_a_camera_that_is_absent_or_taken_is_one_sentence(clock):
    with pytest.raises(ValueError, match=r"camera 0 cannot be opened: there is none .* has it"):
        live(clock, Script(clock, opens=False))
    with pytest.raises(ValueError, match=r"camera 97 cannot be opened"):
        open_source(97)
    with pytest.raises(ValueError, match=r"/dev/video97 cannot be opened"):
        open_source("/dev/video97")
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:9/a cannot be opened"):
        open_source("http://me:secret@127.0.0.1:9/a")


class _Stream(BaseHTTPRequestHandler):
    """Motion JPEG of ten frames, as cameras on networks send it, and then silence or the end."""

    go_on = threading.Event()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(10):
            jpeg = cv2.imencode(".jpg", picture(number)[..., ::-1])[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
        self.go_on.wait(60)

    def log_message(self, *words):
        pass


@pytest.fixture
def motion_jpeg():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/stream"
    _Stream.go_on.set()
    server.shutdown()


def test_motion_jpeg_over_http(motion_jpeg):
    _Stream.go_on.set()
    assert names_video(motion_jpeg)
    source = open_source(motion_jpeg, patience=0.0, max_latency=60.0)
    frames = list(source)
    assert source.is_live
    assert source.stem == "127_0_0_1_stream"
    assert frames
    assert frames[-1].index == source.dropped + len(frames) - 1
    assert np.abs(frames[-1].image.astype(int) - picture(9)).mean() < 12


def test_a_program_ends_while_a_stream_is_silent(motion_jpeg):
    """Python's end would abort it if OpenCV came back from reading then."""
    _Stream.go_on.clear()
    program = (
        "from pose_hrnet.inference.video import newest, sources\n"
        "newest.READ_MS = 300\n"
        f"print(next(iter(sources.open_source({motion_jpeg!r}, max_latency=60.0))).index)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().isdecimal()
