"""Data sets become one set of persons with one skeleton, by the names of the keypoints."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.config.files import load_config
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.data.people import (
    check_keypoints,
    join,
    labelled_people,
    load_people,
    map_keypoints,
    people_to_learn,
    read_annotations,
)
from pose_hrnet.evaluation.scorer import Scorer
from pose_hrnet.keypoints.records import People
from pose_hrnet.keypoints.skeleton import COCO17, CROWDPOSE14, MPII16, Skeleton
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import training_crops, training_data
from tests.helpers import mpii_files
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.training_runs import NETWORK

THREE = Skeleton(
    "three", ("crown", "left_wrist", "right_wrist"), ((1, 2),), (), (0.05,) * 3, (), (1.0,) * 3
)


@pytest.fixture
def coco(tmp_path):
    return write_annotations(make_people(6), tmp_path / "coco.json")


@pytest.fixture
def mpii(tmp_path):
    return mpii_files.write(
        tmp_path / "mpii.json", mpii_files.row("x.png"), mpii_files.row("y.png")
    )


def test_kinds_are_told_by_their_content(coco, mpii, tmp_path):
    assert (read_annotations(coco).kind, read_annotations(mpii).kind) == ("coco", "mpii")
    content = json.loads(coco.read_text())
    content["images"][1]["crowdIndex"] = 0.5  # not the first
    crowd = tmp_path / "crowd.json"
    crowd.write_text("\n " + json.dumps(content))
    assert read_annotations(crowd).kind == "crowdpose"
    assert find_skeleton(None, mpii) is MPII16
    assert find_skeleton("coco17", mpii) is COCO17


def test_keypoints_are_mapped_by_name(mpii):
    people = people_to_learn(mpii, THREE, mapping={"crown": "head_top"})
    joints = mpii_files.JOINTS - 1
    np.testing.assert_allclose(people.keypoints_image[1], joints[[9, 15, 10]])
    people = people_to_learn(mpii, THREE)
    assert people.visibility.tolist() == [[0, 2, 2]] * 2
    assert people.keypoints_image[:, 0].tolist() == [[0, 0]] * 2
    as_coco = people_to_learn(mpii, COCO17)
    assert as_coco.visibility[0].tolist() == [0] * 5 + [2] * 12


def test_mapping_loses_no_visibility_and_the_same_skeleton_changes_nothing(coco):
    people = labelled_people(load_people(coco))
    hidden = replace(people, visibility=people.visibility - np.uint8(1))
    mapped = map_keypoints(hidden, COCO17, THREE, {"crown": "nose"}, coco)
    assert (mapped.visibility == 1).all()
    same = people_to_learn(coco, COCO17)
    np.testing.assert_array_equal(same.keypoints_image, people.keypoints_image)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"crown": "hat"}, "names 'hat', which is no keypoint of the file (right_ankle,"),
        ({"hat": "head_top"}, "names 'hat', which is no keypoint to learn (crown,"),
    ],
)
def test_a_mapping_of_unknown_names_is_one_sentence(mpii, mapping, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        people_to_learn(mpii, THREE, mapping=mapping)


def test_data_sets_without_a_keypoint_to_learn_are_one_sentence(mpii, tmp_path):
    other = Skeleton("other", ("tail",), (), (), (0.05,), (), (1.0,))
    with pytest.raises(
        ValueError, match=r"none of the keypoints to learn by name.*give a mapping"
    ):
        people_to_learn(mpii, other)
    empty = mpii_files.write(tmp_path / "empty.json", mpii_files.row(joints_vis=[0] * 16))
    with pytest.raises(ValueError, match="no person with labelled keypoints to learn from"):
        people_to_learn(empty, MPII16)


def test_other_keypoints_than_the_models_are_one_sentence(coco, mpii):
    with pytest.raises(ValueError, match=r"has 17 keypoints \(nose.*the model predicts 14"):
        check_keypoints(read_annotations(coco), CROWDPOSE14)
    with pytest.raises(ValueError, match=r"has 16 keypoints .*the model predicts 17"):
        check_keypoints(read_annotations(mpii), COCO17)
    assert check_keypoints(read_annotations(coco), COCO17).id == 1


def renamed(coco, **names):
    """The file with other names in its category."""
    content = json.loads(coco.read_text())
    category = content["categories"][0]
    category["keypoints"] = [names.get(name, name) for name in category["keypoints"]]
    coco.write_text(json.dumps(content))
    return coco


def test_other_names_are_not_read_by_their_place(coco, caplog):
    hooves = {name: f"hoof{k}" for k, name in enumerate(COCO17.keypoint_names)}
    renamed(coco, **hooves)
    with pytest.raises(ValueError, match=r"has 17 keypoints \(hoof0, .*the model predicts 17"):
        check_keypoints(read_annotations(coco), COCO17)
    with pytest.raises(ValueError, match="none of the keypoints to learn by name"):
        people_to_learn(coco, COCO17)


def test_one_other_name_is_told_when_scored_and_not_learnt(coco, caplog):
    renamed(coco, nose="snout")
    check_keypoints(read_annotations(coco), COCO17)
    assert "read in the model's order, snout as nose" in caplog.text
    people = people_to_learn(coco, COCO17)
    assert people.visibility[0].tolist() == [0] + [2] * 16


def test_spellings_of_the_same_names_are_the_same(coco, caplog):
    before = people_to_learn(coco, COCO17)
    spelt = {name: name.replace("left_", "L.").title() for name in COCO17.keypoint_names}
    renamed(coco, **spelt | {"right_knee": "rknee", "right_hip": "hipRight"})
    check_keypoints(read_annotations(coco), COCO17)
    after = people_to_learn(coco, COCO17)
    np.testing.assert_array_equal(after.visibility, before.visibility)
    np.testing.assert_array_equal(after.keypoints_image, before.keypoints_image)
    assert caplog.text == ""


def test_a_skeleton_file_without_keypoints_adds_to_mpii(mpii, tmp_path):
    path = tmp_path / "more.yaml"
    path.write_text("sigmas: {pelvis: 0.2}")
    skeleton = find_skeleton(str(path), mpii)
    assert skeleton.keypoint_names == MPII16.keypoint_names
    assert skeleton.sigmas[6] == 0.2


def test_head_sizes_without_pckh_are_one_sentence(coco, tmp_path):
    changes = {"annotations": coco, "images": tmp_path, "head_sizes": tmp_path / "gt.mat"}
    data = load_config("demo").data.val.model_copy(update=changes)
    with pytest.raises(ValueError, match=r"gt\.mat are for PCKh, .* is coco; leave out"):
        Scorer.of(read_annotations(coco), data, COCO17)


def test_concatenated_people_keep_their_images(coco, mpii, tmp_path):
    a = people_to_learn(coco, THREE, mapping={"crown": "nose"})
    b = people_to_learn(mpii, THREE)
    both, folder = join([(a, tmp_path / "a", 2), (b, tmp_path / "b", 1)])
    assert len(both) == 2 * 6 + 2
    names = [both.images.file_names[i] for i in both.image_index]
    assert [str(folder / n) for n in names[5:8]] == [
        str(tmp_path / "a" / "000003.png"),
        str(tmp_path / "a" / "000001.png"),
        str(tmp_path / "a" / "000001.png"),
    ]
    assert names[-1] == str(tmp_path / "b" / "y.png")
    np.testing.assert_array_equal(both.boxes_xywh[6:12], a.boxes_xywh)
    assert join([(a, tmp_path, 1)]) == (a, tmp_path)
    with pytest.raises(ValueError, match=r"People of \[3, 17\] keypoints cannot be joined"):
        People.concatenate([a, labelled_people(load_people(coco))])


def test_crops_of_mixed_data_sets_come_from_their_own_folders(coco, mpii, tmp_path):
    people = make_people(6)
    write_images(people, tmp_path / "a", seed=1)
    images = replace(people.images, file_names=("x.png", "y.png", "z.png"))
    write_images(replace(people, images=images), tmp_path / "b", seed=2)
    sets = [
        {"annotations": str(coco), "images": str(tmp_path / "a"), "repeat": 2},
        {
            "annotations": str(mpii),
            "images": str(tmp_path / "b"),
            "mapping": {"nose": "upper_neck"},
        },
    ]
    val = [f"data.val.annotations={coco}", f"data.val.images={tmp_path / 'a'}"]
    tiny = [*NETWORK, "codec.input_wh=[32, 64]", "data.workers=0", "train.batch_size=14"]
    config = load_config("demo", [f"data.train={json.dumps(sets)}", *val, *tiny])
    _, card = build_model(config)
    assert card.skeleton is COCO17, "the first data set's"
    data = training_data(config, card)
    learnt, crops = data.people, training_crops(config, card, data)
    (batch,) = crop_loader(crops, batch_size=len(learnt), workers=0, shuffle=True)
    assert np.asarray(batch.readable).all()
    assert len(learnt) == 14
    assert learnt.visibility[-1].tolist() == [2, 0, 0, 0, 0] + [2] * 12


def test_metrics_that_do_not_apply_are_one_sentence(coco, mpii, tmp_path):
    data = load_config("demo").data.val
    path, file = {"annotations": coco, "images": tmp_path}, read_annotations(coco)
    with pytest.raises(ValueError, match="has COCO-style annotations, to which the metric mpii"):
        Scorer.of(file, data.model_copy(update={**path, "metric": "mpii"}), COCO17)
    with pytest.raises(ValueError, match="crowdpose has 14 keypoints, but 'coco17' has 17"):
        Scorer.of(file, data.model_copy(update={**path, "metric": "crowdpose"}), COCO17)
    with pytest.raises(ValueError, match="PCKh scores annotated persons"):
        Scorer.of(read_annotations(mpii), data.model_copy(update={"boxes": coco}), MPII16)
    assert Scorer.of(file, data.model_copy(update=path), COCO17).metric == "coco"


def test_the_first_data_set_may_name_the_keypoints_itself(coco, tmp_path):
    content = json.loads(coco.read_text())
    del content["categories"][0]["keypoints"]
    nameless = tmp_path / "nameless.json"
    nameless.write_text(json.dumps(content))
    named = f"data.train={{annotations: {nameless}, images: x, skeleton: coco17}}"
    _, card = build_model(load_config("demo", [*NETWORK, named]))
    assert card.skeleton is COCO17
    unnamed = f"data.train={{annotations: {nameless}, images: x}}"
    with pytest.raises(ValueError, match="keypoint"):
        build_model(load_config("demo", [*NETWORK, unnamed]))
