"""Annotation files: what is read, and what is left out and said of it."""

from __future__ import annotations

import gzip
import logging
import re

import numpy as np
import pytest

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.formats.persons import read_persons
from pose_hrnet.data.formats.rows import is_list
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.annotation_files import CATEGORY, IMAGES, NAN, keypoints, person, write


def test_columns_hold_what_the_file_says(tmp_path):
    path = write(
        tmp_path,
        person(5),
        person("x", image_id="cam-2", iscrowd=1, bbox=[-3, 0, 50.25, 60], keypoints=None),
        person(6, category_id=2, bbox=[0, 0, 0, 0]),
    )
    people = load_people(path)
    assert people.images.ids == (7, "cam-2")
    assert people.images.file_names == ("a/street.jpg", "b/street.jpg")
    assert people.images.sizes_wh.tolist() == [[640, 480], [320, 240]]
    assert people.ids.tolist() == [5, "x"]
    assert people.image_ids == [7, "cam-2"]
    assert people.boxes_xywh.tolist() == [[10, 20, 100, 200], [-3, 0, 50.25, 60]]
    assert people.keypoints_image[0, :3].tolist() == [[30, 40], [35.5, 41], [0, 0]]
    assert people.visibility[:, :3].tolist() == [[2, 1, 0], [0, 0, 0]]
    assert people.areas.tolist() == [12000.5, 12000.5]
    assert people.is_crowd.tolist() == [False, True]
    assert people.scores.tolist() == [1, 1]
    for name in ("boxes_xywh", "keypoints_image", "areas", "scores"):
        assert getattr(people, name).dtype == np.float32, name


def test_missing_fields_have_defaults(tmp_path):
    bare = person(area=None, iscrowd=None, num_keypoints=None, segmentation=None)
    path = write(tmp_path, bare, images=[{"id": 7, "file_name": "a.jpg"}])
    people = load_people(path, on_bad="raise")
    assert people.areas.tolist() == [100 * 200]
    assert not people.is_crowd.any()
    assert people.images.sizes_wh.tolist() == [[0, 0]]
    clipped = labelled_people(people)
    assert clipped.boxes_xywh.tolist() == [[10, 20, 99, 199]], "no size to clip against"


def test_nothing_is_asked_of_keypoints_that_are_not_labelled(tmp_path):
    path = write(tmp_path, person(keypoints=keypoints((30, 40, 2), (NAN, NAN, 0), (9, 9, 0))))
    people = load_people(path, on_bad="raise")
    assert people.keypoints_image[0, :3].tolist() == [[30, 40], [0, 0], [0, 0]]


BAD_ROWS = {
    "box is not finite": {"bbox": [10, NAN, 100, 200]},
    "box is empty": {"bbox": [10, 20, 0, 200]},
    "box is outside the image": {"bbox": [640, 20, 10, 10]},
    "box is not four numbers": {"bbox": [10, 20, 100]},
    "wrong number of keypoints": {"keypoints": keypoints()[:-3]},
    "keypoint is not finite": {"keypoints": keypoints((30, NAN, 2))},
    "visibility is not 0, 1 or 2": {"keypoints": keypoints((30, 40, 3))},
    "duplicate annotation id": {"id": 1},
    "unknown image id": {"image_id": 8},
    "malformed annotation": {"bbox": "10 20 100 200"},
}
MORE_BAD_ROWS = [
    *BAD_ROWS.items(),
    ("box is not finite", {"bbox": [10, float("inf"), 100, 200]}),
    ("box is not finite", {"bbox": [10, 20, 1e300, 200]}),
    ("box is not finite", {"bbox": [10, 20, 8e25, 8e25]}),
    ("box is empty", {"bbox": [10, 20, 100, -1]}),
    ("box is outside the image", {"bbox": [-50, 20, 50, 10]}),
    ("box is outside the image", {"bbox": [10, 480, 50, 10]}),
    ("box is not four numbers", {"bbox": None}),
    ("visibility is not 0, 1 or 2", {"keypoints": keypoints((30, 40, NAN))}),
    ("visibility is not 0, 1 or 2", {"keypoints": keypoints((30, 40, 1.5))}),
    ("malformed annotation", {"image_id": None}),
    ("malformed annotation", {"keypoints": {"nose": [1, 2, 2]}}),
]


@pytest.mark.parametrize(("kind", "change"), MORE_BAD_ROWS)
def test_a_bad_row_is_left_out_and_reported(tmp_path, caplog, kind, change):
    path = write(tmp_path, person(1), person(**({"row_id": 99} | change)), person(3))
    with caplog.at_level(logging.WARNING):
        people = load_people(path)
    assert people.ids.tolist() == [1, 3]
    bad_id = change.get("id", 99)
    (warning,) = caplog.messages
    assert f"1 row left out: {kind} (1: {bad_id})" in warning
    assert str(path) in warning
    (problem,) = read_persons(read_coco(path), COCO17).problems
    assert (problem.kind, problem.id) == (kind, bad_id)
    with pytest.raises(ValueError, match=re.escape(f"{path}: annotation {bad_id} ")):
        load_people(path, on_bad="raise")


def test_one_warning_counts_all_bad_rows(tmp_path, caplog):
    bad = [person(**({"row_id": 10 + i} | change)) for i, change in enumerate(BAD_ROWS.values())]
    more = [person(30 + i, bbox=[0, 0, 0, 0]) for i in range(4)]
    assert len(load_people(write(tmp_path, person(1), *bad, *more))) == 1
    (warning,) = caplog.messages
    assert f"{len(bad) + 4} rows left out" in warning
    assert "box is empty (5: 11, 30, 31, ...)" in warning


def test_bad_images_are_reported_and_the_first_of_an_id_counts(tmp_path):
    images = [
        *IMAGES,
        {"id": 7, "file_name": "again.jpg", "width": 1, "height": 1},
        {"id": 8},
        {"file_name": "no_id.jpg"},
        {"id": 9, "file_name": None},
    ]
    file = read_persons(read_coco(write(tmp_path, person(1), images=images)), COCO17)
    assert file.people.images.file_names == ("a/street.jpg", "b/street.jpg")
    kinds = [(problem.kind, problem.id) for problem in file.problems]
    assert kinds == [
        ("duplicate image id", 7),
        ("malformed image", "#4"),
        ("image without file name", 8),
        ("image without file name", 9),
    ]


def test_people_of_ids_that_differ_in_type_are_explained(tmp_path):
    path = write(tmp_path, person(image_id="7"), person(2, image_id="0007"))
    with pytest.raises(ValueError, match=r"no usable person.*'7' \(str\).*id 7 \(int\)"):
        load_people(path)


def test_exchanged_ids_are_explained(tmp_path):
    path = write(tmp_path, person(7, image_id=900), person("cam-2", image_id=901))
    with pytest.raises(ValueError, match="id and image_id of the annotations look exchanged"):
        load_people(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": None}, "images"),
        ({"images": {"7": "a.jpg"}}, "images"),
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]},
            r"'cat' \(id 1\), 'dog' \(id 2\)",
        ),
        ({"categories": [CATEGORY | {"keypoints": ["nose"]}]}, "1 keypoint .*has 17"),
        (
            {"categories": [CATEGORY | {"keypoints": list(COCO17.keypoint_names[::-1])}]},
            "in the file's order",
        ),
        ({"categories": [CATEGORY | {"id": 2}]}, r"unknown category id .1: 1"),
    ],
)
def test_a_file_of_the_wrong_form_is_one_sentence(tmp_path, changes, sentence):
    path = write(tmp_path, person(), **changes)
    with pytest.raises(ValueError, match=sentence) as error:
        load_people(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "images: []", '{"images": []}', "\xff"])
def test_a_file_that_is_no_annotation_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "people.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"people\.json is not a COCO annotation file") as error:
        load_people(path)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = write(tmp_path, person(), categories=[CATEGORY | {"name": 5}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_people(path, category="5")) == 1
    path.write_text("\ufeff[]", encoding="utf-8")
    assert is_list(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{}".encode("utf-16"), "it is in UTF-16; save it in UTF-8"),
        (gzip.compress(b"{}", mtime=0), "it is compressed with gzip; unpack it"),
        (b"PK\x03\x04", "it is a zip archive; unpack it"),
    ],
)
def test_what_is_no_text_is_told_by_its_first_bytes(tmp_path, data, reason):
    (tmp_path / "people.json").write_bytes(data)
    with pytest.raises(ValueError, match=rf"is not a COCO .*categories\): {reason}$"):
        load_people(tmp_path / "people.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json does not exist"):
        load_people(tmp_path / "absent.json")


def test_the_category_is_chosen_by_its_keypoints_name_or_id(tmp_path):
    dog = {"id": 3, "name": "dog", "keypoints": list(COCO17.keypoint_names)}
    categories = [{"id": 2, "name": "car"}, CATEGORY | {"id": 5}]
    path = write(
        tmp_path, person(1, category_id=5), person(2, category_id=2), categories=categories
    )
    assert load_people(path).ids.tolist() == [1]
    path = write(tmp_path, person(1), person(2, category_id=3), categories=[CATEGORY, dog])
    assert load_people(path).ids.tolist() == [1], "a person, among several with keypoints"
    assert load_people(path, category="dog").ids.tolist() == [2]
    assert load_people(path, category=3).ids.tolist() == [2]
    assert load_people(path, category="3").ids.tolist() == [2]
    with pytest.raises(ValueError, match=r"expected one category 'cat': name it .--category"):
        load_people(path, category="cat")


def test_categories_of_equal_keypoints_are_learned_together_and_keep_their_ids(tmp_path):
    names = list(COCO17.keypoint_names)
    kinds = {2: "bison", 3: "argali sheep", 5: "fish"}
    categories = [{"id": i, "name": name, "keypoints": names} for i, name in kinds.items()]
    rows = [person(i, category_id=i) for i in kinds]

    def loaded(category=None, categories=categories):
        people = load_people(write(tmp_path, *rows, categories=categories), category=category)
        return people.category_ids.tolist()

    assert loaded() == loaded("all") == [2, 3, 5]
    assert loaded("argali sheep, 5") == [3, 5]
    assert loaded("bison") == [2]
    assert loaded(categories=None) == [2, 3, 5], "a file without categories"
    categories[2]["keypoints"] = names[:-1]
    with pytest.raises(ValueError, match=r"several of equal keypoints: name it .--category"):
        loaded()
    with pytest.raises(ValueError, match="other keypoints in category 'fish' than in 'bison'"):
        loaded("bison,fish")
    assert loaded("2,3") == [2, 3]


BROKEN = {
    "deep": ('{"id": 7, "x": ' + "[" * 3000 + "]" * 3000 + "}", "nested too deep"),
    "surrogate": ('{"id": 7, "image_id": "\\ud800"}', "half of a surrogate pair"),
    "digits": ('{"id": ' + "7" * 5000 + "}", "out of range"),
    "escape": ('{"id": 7, "image_id": "\\q"}', "malformed: invalid escape"),
    "control": ('{"id": 7, "image_id": "\x00"}', "malformed: invalid character"),
    "comma": ('{"id": 7,,}', "malformed"),
    "latin-1": ('{"id": "\xe9"}', "can't decode byte"),
}


@pytest.mark.parametrize(("row", "message"), BROKEN.values(), ids=list(BROKEN))
def test_one_broken_row_costs_itself_alone(tmp_path, row, message):
    good = '{"id": %d, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}'
    path = tmp_path / "some.json"
    text = (
        '{"info": {"by": "[{"}, "images": [{"id": 1, "file_name": "}]\\"a.jpg"}, BAD],'
        f'"annotations": [{good % 1}, BAD , {good % 2}], "categories": [{{"id": 1}}]}}'
    )
    path.write_bytes(text.replace("BAD", row).encode("latin-1"))
    file = read_coco(path)
    assert [*file.rows.ids] == [1, 2]
    assert file.images.file_names == ('}]"a.jpg',)
    for problem in file.problems:
        noun = problem.kind.removeprefix("malformed ")
        assert problem.sentence.startswith((f"{noun} 7 cannot be read", f"{noun} '#1' cannot"))
        assert message in problem.sentence
        assert len(problem.sentence) < 400
    assert len(file.problems) == 2


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, '{"images": [[', "nul", '"'])
def test_a_broken_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"some\.json is not a COCO annotation file") as error:
        read_coco(path)
    assert len(str(error.value)) < 400 + len(str(path))
