"""Frames with poses: each frame once, in order, with ids that stay; in batches and one by one."""

from __future__ import annotations

import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pose_hrnet import PoseEstimator
from pose_hrnet.inference.detection.boxes import PersonBoxes
from pose_hrnet.inference.video.frames import Facts, Frame, Recorded
from pose_hrnet.inference.video.stream import Following, pose_frames
from pose_hrnet.keypoints.records import Poses
from tests.helpers.videos import number_of, picture, write_video

pytest.importorskip("av")
TIMES = [number / 10 for number in range(12)]


class Walkers:
    """Finds a person a frame, who walks to the right; nobody in some frames."""

    threshold, summary = 0.4, "made up"

    def __init__(self, nobody=(), score=0.9):
        self.nobody, self.score, self.calls, self.seen = nobody, score, 0, 0

    def __call__(self, images):
        self.calls += 1
        found = []
        for image in images:
            number = number_of(image)
            self.seen += 1
            count = int(number not in self.nobody)
            box = np.array([[4 + number, 4, 24 + number, 44]], np.float32)[:count]
            found.append(PersonBoxes(box, np.full(count, self.score, np.float32)))
        return found


@pytest.fixture
def walking(estimator):
    """An estimator whose keypoints are sure, and lie across the box."""

    def made(detector, batch_size=3):
        walking = PoseEstimator(estimator.model, batch_size=batch_size, detector=detector)
        predict_stream = walking.predict_stream

        def sure_poses(pictures):
            for key, image, poses in predict_stream(pictures):
                scores = np.full_like(poses.keypoint_scores, 0.9)
                low, high = np.split(poses.boxes_xyxy[:, None], 2, axis=2)
                spread = np.linspace(0.1, 0.9, scores.shape[1])[:, None]
                sure = replace(
                    poses,
                    keypoints_image=(low + spread * (high - low)).astype(np.float32),
                    keypoint_scores=scores,
                    scores=scores.mean(axis=1),
                )
                yield key, image, sure

        walking.predict_stream = sure_poses
        return walking

    return made


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", TIMES)


@pytest.mark.parametrize("detect_every", [1, 4])
def test_every_frame_comes_once_with_its_persons(walking, clip, detect_every):
    detector = Walkers()
    frames = list(walking(detector).stream(clip, detect_every=detect_every))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx(TIMES)
    for frame in frames:
        poses = frame.poses
        assert poses.track_ids.tolist() == [1]  # from the first frame on
        assert poses.frame_index.tolist() == [frame.index]
        assert poses.time_s.tolist() == [frame.time_s]
        assert poses.image_ids.tolist() == [frame.index]
        assert poses.plot().shape == (48, 64, 3)
        assert poses.smoothing.startswith("one_euro")
        assert poses.raw_keypoints_image.shape == (1, 17, 2)
    if detect_every > 1:
        assert detector.seen < 12
        boxes = np.stack([frame.poses.boxes_xyxy[0] for frame in frames])
        assert np.isfinite(boxes).all()


def test_frames_without_persons_are_frames(walking, clip):
    frames = list(walking(Walkers(nobody=(0, 5, 6, 11))).stream(clip))
    assert [len(frame.poses) for frame in frames] == [0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0]
    assert {number for frame in frames for number in frame.poses.track_ids.tolist()} == {1}


def test_without_tracks_poses_are_those_of_the_images(estimator, clip):
    estimator = PoseEstimator(estimator.model, batch_size=3, detector=Walkers())
    frames = list(estimator.stream(clip, track=False))
    assert [frame.poses.track_ids for frame in frames] == [None] * 12
    for frame in frames[:3]:
        alone = PoseEstimator(estimator.model, batch_size=3)(frame.image, frame.poses.boxes_xyxy)
        assert frame.poses.keypoints_image == pytest.approx(alone.keypoints_image, abs=1e-3)
    with pytest.raises(ValueError, match="need to know who is who"):
        Following(detect_every=2, track=False, smooth=False)


def test_a_score_is_that_of_the_keypoints_times_that_of_the_box(walking, clip):
    (frame, *_) = walking(Walkers(score=0.5)).stream(clip)
    assert frame.poses.scores == pytest.approx([0.45])


def test_without_a_detector_a_frame_is_one_person(estimator, clip):
    frames = list(estimator.stream(clip, end=0.25))
    assert [frame.poses.boxes_xyxy.tolist() for frame in frames] == [[[0, 0, 64, 48]]] * 3


def test_a_part_of_a_video(walking, clip):
    frames = list(walking(Walkers()).stream(clip, start=0.3, end=0.9, every=2))
    assert [frame.index for frame in frames] == [4, 6, 8]


def test_images_in_the_order_of_time(walking, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(11)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), picture(number)[..., ::-1])
    frames = list(walking(Walkers()).stream(sorted(paths), rate=5))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 5 for n in range(11)])


class Drips:
    """A reader that gives frames as a test lets it."""

    def __init__(self, count):
        self.facts, self.notes = Facts(count), []
        self.count, self.given, self.closed = count, 0, False

    def __iter__(self):
        for number in range(self.count):
            self.given += 1
            yield number / 10, lambda number=number: picture(number % 15)

    def close(self):
        self.closed = True


def test_frames_are_decoded_in_another_thread_and_not_all_at_once(walking):
    reader = Drips(200)
    threads = set()

    class Spy(Walkers):
        def __call__(self, images):
            threads.add(threading.current_thread())
            return super().__call__(images)

    frames = pose_frames(walking(Spy()), Recorded("drips", "drips", reader))
    next(frames)
    assert reader.given < 60
    assert threading.main_thread() not in threads
    frames.close()
    assert reader.closed


def test_after_an_error_nothing_is_decoded_any_more_when_the_file_is_closed(walking):
    """FFmpeg crashes if a file is closed in the midst of a frame."""
    at_work = []

    class Watched(Drips):
        def close(self):
            names = [thread.name for thread in threading.enumerate()]
            at_work.extend(name for name in names if name.startswith("ahead"))
            super().close()

    class Fails(Walkers):
        def __call__(self, images):
            raise ValueError("no detector")

    reader = Watched(50)
    frames = pose_frames(walking(Fails()), Recorded("d", "d", reader), Following(detect_every=3))
    with pytest.raises(ValueError, match="no detector"):
        next(frames)
    assert reader.closed
    assert at_work == []


class Live:
    """A live source of frames that are there."""

    name, stem, is_live, facts, total = "camera", "camera", True, Facts(), None

    def __init__(self, count):
        self.count, self.notes, self.remarks, self.closed = count, [], [], False

    def __iter__(self):
        for number in range(self.count):
            yield Frame(number, number / 10, picture(number))

    def stop_if(self, asked):
        pass

    def state(self):
        return "3 dropped"

    def close(self):
        self.closed = True


def test_of_live_sources_no_frame_waits_for_another(walking):
    source, detector = Live(5), Walkers()
    frames = pose_frames(walking(detector, batch_size=32), source)
    first = next(frames)
    assert first.index == 0
    assert first.poses.track_ids.tolist() == [-1]
    assert detector.seen == 1
    assert next(frames).poses.track_ids.tolist() == [1]
    assert isinstance(first.poses, Poses)
    frames.close()
    assert source.closed
