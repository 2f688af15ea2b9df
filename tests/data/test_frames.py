"""Results of a recording: which frame a row is of, and when."""

from __future__ import annotations

import json

import pytest

from pose_hrnet.data.formats.frames import in_words, read_recording
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.motion import poses_at, standing


def row(left=10, **fields):
    """A result of one person."""
    (result,) = poses_at([standing(left)]).to_coco()
    return result | fields


def read(tmp_path, rows, **options):
    path = tmp_path / "results.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return read_recording(path, COCO17, **options)


def test_rows_say_their_frames_and_times_in_any_order(tmp_path):
    rows = [row(30, frame_index=2, time_s=0.1), row(10, frame_index=0, time_s=0.0),
            row(20, frame_index=2, time_s=0.1)]  # fmt: skip
    recording = read(tmp_path, rows)
    assert recording.frame_index.tolist() == [0, 2]
    assert recording.times.tolist() == [0.0, 0.1]
    assert recording.frames == [[1], [0, 2]]
    assert recording.poses.boxes_xyxy[:, 0].tolist() == [10, 30, 20]
    assert recording.rows == rows
    assert in_words(recording) == "3 poses in 2 frames, 0.1 s"


def test_times_alone_make_frames(tmp_path):
    recording = read(tmp_path, [row(time_s=0.5), row(time_s=0.5), row(time_s=0.75)])
    assert recording.frames == [[0, 1], [2]]
    assert recording.times.tolist() == [0.5, 0.75]


@pytest.mark.parametrize(
    "named",
    [
        [{"image_id": 7}, {"image_id": 10}, {"image_id": 7}],
        [{"image_id": "clip2_0007.jpg"}, {"image_id": "clip2_0010.jpg"}] * 2,
        [{"image_id": 0, "file_name": name} for name in ("f_7.png", "f_10.png")],
    ],
)
def test_image_ids_and_names_end_with_the_number_of_the_frame(tmp_path, named):
    recording = read(tmp_path, [row(**names) for names in named], fps=20)
    assert recording.frame_index.tolist() == [7, 10]
    assert recording.times.tolist() == [0.35, 0.5]


def test_frames_without_persons_are_frames(tmp_path):
    nobody = {"image_id": 1, "keypoints": [], "score": 0.0, "frame_index": 1, "time_s": 0.1}
    rows = [row(frame_index=0, time_s=0), nobody, row(frame_index=2, time_s=0.2)]
    recording = read(tmp_path, rows)
    assert recording.frames == [[0], [], [2]]
    assert recording.nobody == [[], [1], []]
    assert len(recording.poses) == 2


def test_keypoints_before_smoothing_are_taken_where_there_are(tmp_path):
    raw = row(50)["keypoints"]
    recording = read(tmp_path, [row(10, time_s=0, raw_keypoints=raw)])
    assert recording.poses.keypoints_image[0, 0, 0] == raw[0]


@pytest.mark.parametrize(
    ("boxes", "left"),
    [
        ({"box": [5, 6, 7, 8], "bbox": [1, 2, 3, 4]}, 5),
        ({"box": None, "bbox": [1, 2, 3, 4]}, 1),
        ({"box": None, "bbox": None}, 20),  # around the keypoints of somebody who stands at 10
        ({"box": [5, 6, 0, 8], "bbox": [5, 6]}, 20),
    ],
)
def test_boxes_are_those_of_the_row_or_around_the_keypoints(tmp_path, boxes, left):
    recording = read(tmp_path, [row(10, time_s=0, **boxes)])
    assert recording.poses.boxes_xyxy[0, 0] == left


FLAT = [10, 10, 0.9] * 17
BAD = {
    "[]": "holds no frames: its list is empty",
    "{}": "is not a list of COCO keypoint results",
    "[3]": r"is not a list of COCO keypoint results .*at `\$\[0\]`",
    "no time": "have no time_s; tell the frames per second of the recording, as in --fps 25",
    "some times": "row 1 of .* has no time_s, and others have",
    "back": "times of .* go back: row 0 is at 1 s, and row 1 after it at 0.5 s",
    "frames back": "times of .* go back: frame 0 is at 1 s, and frame 1 after it at 0.5 s",
    "two times": "frame 3 of .* is at 1 s in row 0 and at 2 s in row 1; a frame has one time",
    "no box": "row 0 of .* has neither box nor bbox, nor two keypoints of a score of 0.2",
    "skeleton": "row 1 of .* has 48 values in keypoints; expected x, y and score of the 17 key",
    "nan": r"JSON has no NaN; it was read as null",
    "huge": r"row 0 of .* holds 1e\+30; expected pixels, scores and seconds below 1e\+09",
    "no number": "row 0 of .* is of image 'clip', in which there is no number of a frame",
    "fps too": r"have their times \(time_s\); leave --fps out",
}


def bad(kind):
    return {
        "no time": [row()],
        "some times": [row(time_s=0), row()],
        "back": [row(time_s=1), row(time_s=0.5)],
        "frames back": [row(frame_index=0, time_s=1), row(frame_index=1, time_s=0.5)],
        "two times": [row(frame_index=3, time_s=1), row(frame_index=3, time_s=2)],
        "no box": [row(time_s=0, box=None, bbox=None, keypoints=FLAT)],
        "skeleton": [row(time_s=0), row(time_s=1, keypoints=[1.0] * 48)],
        "nan": json.dumps([row(time_s=0, score=float("nan"))]),
        "huge": [row(time_s=0, keypoints=[1e30] * 51)],
        "no number": [row(image_id="clip")],
        "fps too": [row(time_s=0)],
    }.get(kind, kind)


def test_a_field_that_is_no_text_is_refused_even_if_nobody_reads_it(tmp_path):
    path = tmp_path / "results.json"
    text = json.dumps([row(time_s=0, colour="blue")]).encode()
    path.write_bytes(text.replace(b"blue", b"\xff\xfe"))
    with pytest.raises(ValueError, match=r"results\.json is not a list of COCO keypoint results"):
        read_recording(path, COCO17)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path, kind):
    options = {"fps": 25} if kind in ("no number", "fps too") else {}
    with pytest.raises(ValueError, match=BAD[kind]) as found:
        read(tmp_path, bad(kind), **options)
    assert len(str(found.value).splitlines()) == 1
    assert len(str(found.value)) < 400
