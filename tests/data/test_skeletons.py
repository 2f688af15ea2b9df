"""Keypoint sets are read from annotations and YAML; what is guessed is guessed right, and told."""

from __future__ import annotations

import json
import logging
import re

import pytest
import yaml

from pose_hrnet.data.formats.skeletons import DEFAULT_SIGMA, find_skeleton
from pose_hrnet.data.people import people_to_learn, people_to_predict, read_annotations
from pose_hrnet.keypoints.skeleton import (
    COCO17,
    SKELETONS,
    WHOLEBODY133,
    Skeleton,
    guess_flip_pairs,
)
from tests.helpers.builders import make_people, write_annotations
from tests.helpers.command_line import run_here

FIVE = ("nose", "left_shoulder", "right_shoulder", "left_wrist", "right_wrist")


@pytest.fixture
def annotate(tmp_path):
    """Write an annotation file of these categories, or of one with these keypoints."""

    def write(*keypoints, categories=None, skeleton=()):
        one = {"id": 1, "name": "person", "keypoints": keypoints, "skeleton": skeleton}
        path = tmp_path / "people.json"
        content = {"images": [], "annotations": [], "categories": categories or [one]}
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def extras(tmp_path):
    def write(text):
        path = tmp_path / "five.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("known", SKELETONS.values(), ids=SKELETONS)
def test_known_sets_are_found_by_their_names_and_flip_left_to_right(annotate, known, caplog):
    names = known.keypoint_names
    # CrowdPose's official file has COCO's limbs, beyond its own 14 keypoints.
    found = find_skeleton(None, annotate(*names, skeleton=[[16, 14], [17, 15]]))
    assert found is known
    assert find_skeleton(known.name, annotate("x")) is known
    assert caplog.messages == []
    if known is WHOLEBODY133:  # of a face, numbers and not names say what exchanges
        return
    for name, flipped in zip(names, known.flip_index, strict=True):
        other = {"left": "right", "righ": "left"}.get(name[:4], "")
        expected = other + name.removeprefix("left").removeprefix("right") if other else name
        assert names[flipped] == expected
    assert {*known.flip_pairs} == {*guess_flip_pairs(names)[0]}


def test_what_a_category_does_not_say_is_guessed_and_told_in_one_line(annotate, caplog):
    path = annotate(*FIVE, "left_ankle", "right_ankle", "bag", skeleton=[[1, 2], [2, 4]])
    with caplog.at_level(logging.INFO):
        found = find_skeleton(None, path)
    assert found.name == "people"
    assert found.flip_pairs == ((1, 2), (3, 4), (5, 6))
    assert found.flip_index == (0, 2, 1, 4, 3, 6, 5, 7)
    assert found.links == ((0, 1), (1, 3))
    assert found.sigmas == (0.026, 0.079, 0.079, 0.062, 0.062, 0.089, 0.089, DEFAULT_SIGMA)
    assert found.upper_body == (0, 1, 2, 3, 4)
    assert found.joint_weights == (1.0,) * 8
    (line,) = caplog.messages
    assert "flip pairs left_shoulder-right_shoulder, left_wrist-right_wrist" in line
    assert "sigmas COCO's, and 0.05 for bag" in line
    assert "upper body nose, left_shoulder" in line


def test_a_side_without_its_other_is_told(annotate, caplog):
    with caplog.at_level(logging.INFO):
        assert find_skeleton(None, annotate("nose", "left_tail")).flip_pairs == ()
    assert "left_tail without its other side" in caplog.text


def test_a_yaml_says_otherwise_and_then_nothing_is_guessed(annotate, extras, caplog):
    path = extras(
        "name: five\n"
        "flip_pairs: [[left_wrist, right_wrist]]\n"
        "links: [[nose, left_wrist]]\n"
        "sigmas: [0.1, 0.2, 0.3, 0.4, 0.5]\n"
        "joint_weights: {nose: 2}\n"
        "upper_body: []\n"
    )
    with caplog.at_level(logging.INFO):
        found = find_skeleton(path, annotate(*FIVE, skeleton=[[1, 2]]))
    assert caplog.messages == []
    assert found == Skeleton(
        "five", FIVE, ((3, 4),), ((0, 3),), (0.1, 0.2, 0.3, 0.4, 0.5), (),
        (2.0, 1.0, 1.0, 1.0, 1.0),
    )  # fmt: skip


def test_a_yaml_changes_some_sigmas_and_may_name_the_keypoints(annotate, extras):
    found = find_skeleton(extras("sigmas: {left_wrist: 0.2}"), annotate(*FIVE))
    assert found.sigmas == (0.026, 0.079, 0.079, 0.2, 0.062)
    assert found.flip_pairs == ((1, 2), (3, 4))
    named = find_skeleton(extras("keypoints: [a, left_b, right_b]"), annotate("nose"))
    assert named.keypoint_names == ("a", "left_b", "right_b")
    assert named.flip_pairs == ((1, 2),)


def test_links_that_count_from_zero_are_understood(annotate):
    assert find_skeleton(None, annotate(*FIVE, skeleton=[[0, 1], [4, 2]])).links == (
        (0, 1),
        (4, 2),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip_pairs: [[left_ear, nose]]", "names 'left_ear' in flip_pairs, but"),
        ("flip_pairs: [[nose, left_wrist], [nose, right_wrist]]", "['nose'] in more than one"),
        ("sigmas: [0.1, 0.2]", "has 2 sigmas for 5 keypoints (nose"),
        ("sigmas: {knee: 0.1}", "names 'knee' in sigmas"),
        ("sigmas: {nose: 0}", "gives 'nose' 0.0 in sigmas; give one above 0"),
        ("joint_weights: [1]", "has 1 joint_weights for 5"),
        ("upper_body: [hat]", "names 'hat' in upper_body"),
        ("links: [[nose]]", "is no skeleton"),
        ("flippairs: []", "unknown field `flippairs`; its keys are name"),
        ("flip_pairs: [", "is not valid YAML"),
        ("keypoints: [a, a]", "several keypoints called ['a']"),
    ],
)  # fmt: skip
def test_a_wrong_yaml_is_one_sentence(annotate, extras, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        find_skeleton(extras(text), annotate(*FIVE))


def test_categories_that_name_no_keypoints_are_one_sentence(annotate):
    person = {"id": 1, "name": "person"}
    with pytest.raises(ValueError, match=r"no keypoint names in category 'person'; write them"):
        find_skeleton(None, annotate(categories=[person]))
    pairs = (1, "cat", FIVE), (2, "dog", FIVE[:4])
    two = [{"id": i, "name": n, "keypoints": names} for i, n, names in pairs]
    with pytest.raises(
        ValueError, match=r"'cat' \(id 1\), 'dog' \(id 2\).*--category.*--skeleton"
    ):
        find_skeleton(None, annotate(categories=two))
    assert find_skeleton(None, annotate(categories=two), "dog").num_keypoints == 4


@pytest.mark.parametrize(
    ("skeleton", "links", "told"),
    [
        ([[1, 9], [1, 2]], ((0, 1),), r"1 limb .* 1 to 5, such as \[1, 9\]"),
        ([[1, 2, 3]], (), "1 limb"),
        ("all", (), "1 limb .* such as all"),
        ([FIVE[:2], ["nose", "tail"]], ((0, 1),), "1 limb .* such as .*tail"),
        ([FIVE[:2]], ((0, 1),), None),
        ([[0, 4]], ((0, 4),), None),
    ],
)
def test_limbs_that_are_none_are_left_out_since_only_drawings_need_them(
    annotate, caplog, skeleton, links, told
):
    assert find_skeleton(None, annotate(*FIVE, skeleton=skeleton)).links == links
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [bool(re.search(told, message)) for message in warnings] == [True] * bool(told)


def test_an_unknown_choice_is_one_sentence(annotate):
    with pytest.raises(
        ValueError,
        match=r"'coco18' is neither coco17, .*, wholebody133 nor a YAML",
    ):
        find_skeleton("coco18", annotate(*FIVE))
    with pytest.raises(FileNotFoundError, match=r"no skeleton file absent\.yaml"):
        find_skeleton("absent.yaml", annotate(*FIVE))


def test_coco_is_unchanged():
    assert SKELETONS["coco17"] is COCO17


@pytest.mark.parametrize("category", [{"name": "mouse"}, {"name": "mouse", "keypoints": []}, {}])
def test_a_yaml_of_keypoints_suits_a_category_of_any_name(tmp_path, category):
    """The only category there is, whatever it is called, in all that reads a data set."""
    path = write_annotations(make_people(8), tmp_path / "mice.json")
    content = json.loads(path.read_text()) | {"categories": [{"id": 1, **category}]}
    path.write_text(json.dumps(content))
    names = [f"point_{k}" for k in range(17)]
    (tmp_path / "mouse.yaml").write_text(yaml.safe_dump({"keypoints": names, "flip_pairs": []}))
    skeleton = find_skeleton(str(tmp_path / "mouse.yaml"), path)
    assert len(people_to_learn(path, skeleton)) == 8
    assert len(people_to_predict(read_annotations(path), None, skeleton)) == 8
    results = [
        {key: row[key] for key in ("image_id", "category_id", "keypoints")} | {"score": 1.0}
        for row in content["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    options = ("--annotations", path, "--skeleton", tmp_path / "mouse.yaml")
    assert "1.000" in run_here("score", tmp_path / "results.json", *options)[0]
    assert "8 of them fit" in run_here("data", "validate", *options)[0]
