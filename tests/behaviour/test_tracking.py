"""Tracking and smoothing, judged by clips under known motion.

Drawn people with the errors of a model, and, where the reference data is, people cut out of
photographs with what PP-TinyPose says of them.
"""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.video.tracker import Tracker
from tests.helpers.judged import (
    SMOOTHERS,
    errors,
    judge_ids,
    lag_frames,
    online,
    persons_of,
    play,
)
from tests.helpers.scenarios import (
    as_photographed,
    crossing,
    drawn_set,
    hidden,
    photographed_set,
    predict,
    separate,
    simulate,
    walker,
)


@pytest.fixture(scope="module")
def drawn():
    return drawn_set()


@pytest.fixture(scope="module")
def still(drawn):
    return play(separate(*drawn), simulate)


def mean(ids, name):
    return np.mean([getattr(each, name) for each in ids])


def test_drawn_persons_who_are_separate_keep_their_ids_whatever_the_camera_does(still):
    for each in still:
        ids = judge_ids(each, Tracker())
        assert (ids.switches, ids.idf1 > 0.95, ids.hota > 0.95) == (0, True, True), each.clip.name


def test_drawn_persons_who_cross_keep_their_ids(drawn):
    own = [judge_ids(each, Tracker()) for each in play(crossing(*drawn, 6), simulate)]
    assert [ids.switches for ids in own] == [0] * 6
    assert mean(own, "idf1") >= 0.97
    assert mean(own, "hota") >= 0.97


def test_where_frames_are_few_boxes_alone_lose_who_crosses(drawn):
    clips = play(crossing(*drawn, 9, rate=8), simulate)
    own = [judge_ids(each, Tracker()) for each in clips]
    boxes = [judge_ids(each, Tracker(keypoints=False)) for each in clips]
    assert mean(own, "idf1") >= 0.97
    assert mean(own, "hota") >= 0.95
    assert mean(boxes, "idf1") < 0.95
    assert mean(boxes, "hota") < mean(own, "hota") - 0.01


def test_a_drawn_person_who_is_hidden_for_a_second_comes_back_as_the_same(drawn):
    for each in play(hidden(*drawn), simulate):
        shares, _, _ = each.clip.seen()
        away = each.clip.times[shares[:, 0] < 0.05]
        assert away[-1] - away[0] > 0.9
        assert judge_ids(each, Tracker()).switches == 0, each.clip.name


@pytest.mark.parametrize("name", ["one_euro", "savgol", "butterworth"])
def test_drawn_persons_shake_half_as_much_and_are_not_farther_off(still, name):
    persons = [person for each in still for person in persons_of(each)]
    position, shake = errors(persons, SMOOTHERS["none"])
    smooth_position, smooth_shake = errors(persons, SMOOTHERS[name])
    assert smooth_shake < 0.5 * shake
    assert smooth_position < position


def test_online_smoothing_of_who_walks_is_less_than_a_frame_behind(drawn):
    (each,) = play([walker(*drawn)], simulate)
    assert abs(lag_frames(persons_of(each)[0], online)) < 1


@pytest.fixture(scope="module")
def tinypose(shared, tmp_path_factory):
    pytest.importorskip("openvino")
    card = tmp_path_factory.mktemp("card") / "tinypose.yaml"
    facts = {
        "model": str(shared / "models/tinypose_128x96/model.xml"), "input_wh": [96, 128],
        "codec": "dark", "blur_kernel": 3, "alignment": "official", "flip_shift": 1,
    }  # fmt: skip
    card.write_text(yaml.safe_dump(facts))
    estimator = PoseEstimator(load_model(card, flip_test=False))
    return lambda clip, found: predict(clip, found, estimator)


@pytest.fixture(scope="module")
def photographs(shared):
    folder = shared / "coco"
    annotations = folder / "annotations/person_keypoints_val.json"
    return photographed_set(folder / "val", annotations), (folder / "val", annotations)


@pytest.mark.slow
def test_photographed_persons_keep_their_ids_where_they_cross(photographs, tinypose):
    (layers, background), _ = photographs
    clips = play(crossing(layers, background, 27), tinypose)
    own = [judge_ids(each, Tracker()) for each in clips]
    boxes = [judge_ids(each, Tracker(keypoints=False)) for each in clips]
    assert mean(own, "idf1") >= 0.97
    assert mean(own, "hota") >= 0.95
    assert mean(boxes, "hota") < 0.95


@pytest.mark.slow
def test_photographs_under_a_moving_camera(photographs, tinypose):
    """No switch; half the shaking, and nearer to the truth, by what PP-TinyPose says."""
    clips = play(as_photographed(*photographs[1], count=5), tinypose)
    assert [judge_ids(each, Tracker()).switches for each in clips] == [0] * 5
    persons = [person for each in clips for person in persons_of(each)]
    position, shake = errors(persons, SMOOTHERS["none"])
    for name in ("one_euro", "savgol", "butterworth"):
        smooth_position, smooth_shake = errors(persons, SMOOTHERS[name])
        assert smooth_shake < 0.5 * shake, name
        assert smooth_position < position, name
