"""Annotations of other programs come in as they are written; those that go out come back."""

from __future__ import annotations

import json
import os
import zipfile

import cv2
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from pose_hrnet.data.convert.convert import convert, format_of
from pose_hrnet.data.people import read_annotations
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here


def content(path):
    return json.loads(path.read_bytes())


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><labels>
  <label><name>person</name><type>skeleton</type><svg>&lt;line x1="1" data-type="edge"
    data-node-from="1" data-node-to="3"&gt;&lt;/line&gt;&lt;circle r="1" data-node-id="1"
    data-label-name="nose"&gt;&lt;/circle&gt;&lt;circle data-node-id="3"
    data-label-name="right_eye"&gt;&lt;/circle&gt;</svg></label>
  <label><name>nose</name><type>points</type><parent>person</parent></label>
  <label><name>left_eye</name><type>points</type><parent>person</parent></label>
  <label><name>right_eye</name><type>points</type><parent>person</parent></label>
</labels></job></meta>
<image id="0" name="day/a.jpg" width="640" height="480">
  <skeleton label="person" source="manual" z_order="0" group_id="4">
    <points label="right_eye" source="manual" outside="0" occluded="1" points="12.34,56.78"/>
    <points label="nose" source="manual" outside="0" occluded="0" points="100.50,90.25"/>
    <points label="left_eye" source="manual" outside="1" occluded="0" points="1.00,2.00"/>
  </skeleton>
  <box label="person" group_id="4" xtl="10.5" ytl="20.25" xbr="110.5" ybr="220.25"/>
  <skeleton label="person"><points label="nose" outside="0" occluded="0" points="5,7"/></skeleton>
  <skeleton label="person"><points label="nose" outside="1" points="5,7"/></skeleton>
</image>
<image id="1" name="day/b.jpg" width="640" height="480"></image>
</annotations>"""


def test_cvat_skeletons(tmp_path):
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT)
    done = convert(path, tmp_path / "out")
    assert (done.images, done.persons) == (2, 2)
    read = content(tmp_path / "out/annotations.json")
    first, second = read["annotations"]
    assert first["keypoints"] == [100.5, 90.25, 2, 0, 0, 0, 12.34, 56.78, 1]
    assert first["bbox"] == [10.5, 20.25, 100, 200]
    assert second["bbox"] == [4, 6, 2, 2]  # around the one keypoint
    (category,) = read["categories"]
    assert category["keypoints"] == ["nose", "left_eye", "right_eye"]
    assert category["skeleton"] == [[1, 3]]
    assert read["images"][0] == {"id": 1, "file_name": "day/a.jpg", "width": 640, "height": 480}
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", CVAT)
        archive.writestr("images/a.jpg", b"")
    convert(tmp_path / "task.zip", tmp_path / "zip")
    assert content(tmp_path / "zip/annotations.json") == read


def test_cvat_coco_keypoints_in_a_zip(tmp_path):
    convert_me = {
        "images": [{"id": 3, "file_name": "a.jpg", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1.5, 2, 30, 40],
                         "keypoints": [3.25, 4, 2, 0, 0, 0], "num_keypoints": 1, "area": 1200.0,
                         "iscrowd": 0, "segmentation": []}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"], "skeleton": []}],
    }  # fmt: skip
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations/person_keypoints_default.json", json.dumps(convert_me))
    convert(tmp_path / "task.zip", tmp_path / "out")
    (row,) = content(tmp_path / "out/annotations.json")["annotations"]
    assert row["keypoints"] == [3.25, 4, 2, 0, 0, 0]
    assert (row["bbox"], row["area"]) == ([1.5, 2, 30, 40], 1200)


def test_cvat_tracks(tmp_path):
    path = tmp_path / "video.xml"
    path.write_text(
        "<annotations><meta><original_size><width>64</width><height>48</height></original_size>"
        '</meta><track id="0" label="person"><skeleton frame="7" keyframe="1"><points label="a" '
        'outside="0" occluded="0" points="3.5,4.5"/></skeleton><skeleton frame="8">'
        '<points label="a" outside="1" points="3.5,4.5"/></skeleton></track></annotations>'
    )
    convert(path, tmp_path / "out")
    read = content(tmp_path / "out/annotations.json")
    assert [image["file_name"] for image in read["images"]] == ["frame_000007.png"]
    assert read["annotations"][0]["keypoints"] == [3.5, 4.5, 2]


def region(kind, name, value, **other):
    return {
        "id": name, "type": kind, "original_width": 640, "original_height": 400,
        "image_rotation": 0, "value": value, **other,
    }  # fmt: skip


def point(name, x, y, label="nose", **other):
    return region("keypointlabels", name, {"x": x, "y": y, "keypointlabels": [label]}, **other)


def box(name, x, y, width, height):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return region("rectanglelabels", name, {**value, "rectanglelabels": ["person"]})


def write_tasks(path, results, image="/data/local-files/?d=day/a.jpg"):
    path.write_text(
        json.dumps(
            [
                {
                    "id": 1,
                    "data": {"image": image},
                    "annotations": [
                        {"was_cancelled": True, "result": []},
                        {"was_cancelled": False, "result": results},
                    ],
                }
            ]
        )
    )
    return path


def test_label_studio_persons_by_parent_relation_and_place(tmp_path):
    results = [
        box("p", 0, 0, 50, 50),
        box("q", 10, 10, 20, 20),
        point("k1", 12.5, 12.5, parentID="p"),
        point("k2", 90, 90, "left_eye"),
        {"type": "relation", "from_id": "k2", "to_id": "p", "direction": "right"},
        point("k3", 15, 20),  # in both; the smaller one's
        {"id": "k3", "type": "choices", "value": {"choices": ["Occluded"]}},
    ]
    convert(write_tasks(tmp_path / "tasks.json", results), tmp_path / "out")
    read = content(tmp_path / "out/annotations.json")
    assert read["images"] == [{"id": 1, "file_name": "day/a.jpg", "width": 640, "height": 400}]
    first, second = read["annotations"]
    assert first["bbox"] == [0, 0, 320, 200]
    assert first["keypoints"][:6] == [80, 50, 2, 576, 360, 2]
    assert second["keypoints"][:6] == [96, 80, 1, 0, 0, 0]
    assert read["categories"][0]["keypoints"] == list(COCO17.keypoint_names)


def test_label_studio_without_rectangles_is_one_person(tmp_path):
    results = [point("k", 25, 50), point("l", 10, 10, "left_eye")]
    convert(write_tasks(tmp_path / "t.json", results, "http://x/upload/1/7-a.jpg"), tmp_path / "o")
    read = content(tmp_path / "o/annotations.json")
    assert read["images"][0]["file_name"] == "7-a.jpg"
    assert read["annotations"][0]["num_keypoints"] == 2


def test_lsp_and_its_extended_set(tmp_path):
    random = np.random.default_rng(0)
    joints = random.uniform(1, 150, (3, 14, 5))
    joints[2] = random.integers(0, 2, (14, 5))
    savemat(tmp_path / "joints.mat", {"joints": joints})
    convert(tmp_path / "joints.mat", tmp_path / "out")
    read = content(tmp_path / "out/annotations.json")
    assert [image["file_name"] for image in read["images"]][:2] == ["im0001.jpg", "im0002.jpg"]
    keypoints = np.reshape([row["keypoints"] for row in read["annotations"]], (5, 14, 3))
    np.testing.assert_array_equal(keypoints[..., :2], joints[:2].T)
    np.testing.assert_array_equal(keypoints[..., 2], 2 - joints[2].T)  # 1 says hidden
    names = read["categories"][0]["keypoints"]
    assert (names[0], names[13]) == ("right_ankle", "head_top")
    savemat(tmp_path / "more.mat", {"joints": joints.transpose(1, 0, 2)})
    convert(tmp_path / "more.mat", tmp_path / "more")
    read = content(tmp_path / "more/annotations.json")
    assert read["images"][0]["file_name"] == "im00001.jpg"
    keypoints = np.reshape([row["keypoints"] for row in read["annotations"]], (5, 14, 3))
    np.testing.assert_array_equal(keypoints[..., 2], 2 * joints[2].T)  # 1 says labelled
    assert not keypoints[keypoints[..., 2] == 0].any()


@pytest.mark.parametrize("missing", ["categories", "keypoints"])
def test_keypoints_that_a_coco_file_does_not_name(tmp_path, missing):
    path = write_annotations(make_people(4), tmp_path / "people.json")
    said = content(path)
    del (said if missing == "categories" else said["categories"][0])[missing]
    path.write_text(json.dumps(said))
    _, error = run_here("data", "convert", path, "--output", tmp_path / "out", code=2)
    assert "choose a skeleton" in error
    run_here("data", "convert", path, "--output", tmp_path / "out", "--skeleton", "coco17")
    read = content(tmp_path / "out/annotations.json")
    assert read["categories"][0]["keypoints"] == list(COCO17.keypoint_names)
    assert [row["keypoints"] for row in read["annotations"]] == [
        row["keypoints"] for row in said["annotations"]
    ]
    with pytest.raises(ValueError, match="annotation 1 has 51 keypoint values; expected 48"):
        convert(path, tmp_path / "other", skeleton="mpii16")
    write_images(make_people(4), tmp_path / "images")
    shards = ("data", "shard", "--annotations", path, "--images", tmp_path / "images", "--size",
              "64x32", "--workers", 1, "--output", tmp_path / "shards")  # fmt: skip
    run_here(*shards, code=2)
    run_here(*shards, "--skeleton", "coco17")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e12])
def test_absurd_joints_are_refused(tmp_path, value):
    joints = np.full((3, 14, 2), 1.0)
    joints[0, 3, 1] = value
    savemat(tmp_path / "joints.mat", {"joints": joints})
    with pytest.raises(ValueError, match="joints has numbers that are not of a size as images"):
        convert(tmp_path / "joints.mat", tmp_path / "out")
    assert not (tmp_path / "out").exists()


DLC = """scorer,me,me,me,me
bodyparts,snout,snout,tail,tail
coords,x,y,x,y
labeled-data/v/img1.png,10.123456789,20.5,,
labeled-data/v/img2.png,,,,
"""


def test_deeplabcut_one_animal_and_several(tmp_path):
    path = tmp_path / "CollectedData_me.csv"
    path.write_text(DLC)
    done = convert(path, tmp_path / "out")
    assert (done.images, done.persons) == (2, 1)
    read = content(tmp_path / "out/annotations.json")
    assert read["annotations"][0]["keypoints"] == [10.123456789, 20.5, 2, 0, 0, 0]
    assert read["images"][0] == {"id": 1, "file_name": "labeled-data/v/img1.png"}
    path.write_text(
        "scorer,,,me,me,me,me\nindividuals,,,m1,m1,m2,m2\nbodyparts,,,snout,snout,snout,snout\n"
        "coords,,,x,y,x,y\nlabeled-data,v,img1.png,1,2,3.5,4\n"
    )
    convert(path, tmp_path / "several")
    read = content(tmp_path / "several/annotations.json")
    assert [row["keypoints"] for row in read["annotations"]] == [[1, 2, 2], [3.5, 4, 2]]
    assert read["images"][0]["file_name"] == "labeled-data/v/img1.png"


def bad_yolo(line, **changes):
    def make(folder):
        (folder / "images").mkdir()
        (folder / "labels").mkdir()
        cv2.imwrite(str(folder / "images/a.png"), np.zeros((20, 20, 3), np.uint8))
        (folder / "labels/a.txt").write_text(line)
        data = {"train": "images", "kpt_shape": [1, 3], "names": ["person"], **changes}
        (folder / "data.yaml").write_text(yaml.safe_dump(data))
        return folder

    return make


def bad_file(name, text):
    def make(folder):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    return make


def packed(path, name, data):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return path


BAD = {
    "columns": (bad_yolo("0 1 1 1 1 0.5 0.5"), "line 1 has 7 numbers; expected 8"),
    "text": (bad_yolo("0 1 x 1 1 .5 .5 2"), "number 3 is 'x'; expected a number"),
    "pixels": (bad_yolo("0 .5 .5 1 1 12 8 2"), "keypoint_1 is at 12 8; expected parts"),
    "score": (bad_yolo("0 .5 .5 1 1 .5 .5 .7"), "is 0.7; expected 0, 1 or 2"),
    "class": (bad_yolo("3 .5 .5 1 1 .5 .5 2"), "the class is 3; .* has 1"),
    "nan": (bad_yolo("0 nan .5 1 1 .5 .5 2"), "is 'nan'; expected a number"),
    "flip": (bad_yolo("", flip_idx=[4]), r"flip_idx is \[4\]; expected each of 0 to 0"),
    "shape": (bad_yolo("", kpt_shape=[1, 4]), r"kpt_shape is \[1, 4\]"),
    "no folder": (bad_yolo("", train="pictures"), "neither a folder of images nor a list"),
    "doctype": (
        bad_file("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>'),
        "declares a document type",
    ),
    "no xml": (bad_file("a.xml", "<annotations><image>"), r"is not XML \("),
    "no skeletons": (
        bad_file("a.xml", '<annotations><image name="a" width="1" height="1"/></annotations>'),
        "has no skeletons",
    ),
    "escape": (
        bad_file("a.xml", CVAT.replace("day/a.jpg", "../../a.jpg")),
        "names an image '../../a.jpg'; expected a path below",
    ),
    "twice": (bad_file("a.xml", CVAT.replace("day/b.jpg", "day/a.jpg")), "has 1 image twice"),
    "bomb": (
        lambda folder: packed(folder / "a.zip", "annotations.xml", b" " * 70_000_000),
        "holds 70 MB of XML and JSON, far above its size",
    ),
    "size": (bad_file("a.xml", CVAT.replace("480", "0")), "height is '0'; expected pixels"),
    "list as value": (
        bad_file(
            "a.json",
            json.dumps(
                [
                    {
                        "data": {},
                        "annotations": [{"result": [{"type": "keypointlabels", "value": [1]}]}],
                    }
                ]
            ),
        ),
        "has keypointlabels None; expected one name",
    ),
    "no zip": (bad_file("a.zip", "PK"), "is no zip that can be read"),
    "no tasks": (bad_file("a.json", "[1]"), "expected a list of tasks"),
    "json min": (bad_file("a.json", '[{"image": "a.jpg"}]'), "export as JSON, not as JSON-MIN"),
    "no mat": (bad_file("a.mat", "joints"), "is not LSP's joints.mat"),
    "dlc": (bad_file("a.csv", "a,b\n1,2\n"), "is not DeepLabCut's CollectedData CSV"),
    "half": (
        bad_file("a.csv", DLC.replace("20.5", "")),
        "line 4, snout has one coordinate",
    ),
    "short": (bad_file("a.csv", DLC + "img3.png,1\n"), "line 6 has 2 columns; the header has 5"),
    "later": (
        bad_file("a.csv", DLC + "\n\nimg3.png,1\n"),
        "line 8 has 2 columns; the head",
    ),
    "nul": (
        bad_file("a.csv", DLC.replace("snout", "sn\0out")),
        r"names a keypoint or category 'sn.x00out'; expected words without control",
    ),
    "likelihood": (
        bad_file("a.csv", "scorer,m,m\nbodyparts,a,a\ncoords,x,likelihood\n0,1,1\n"),
        "likelihood is of predictions",
    ),
    "unknown": (bad_file("a.txt", ""), "is of no known format by its name"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_faulty_gets_one_sentence_and_leaves_nothing(case, tmp_path):
    make, sentence = BAD[case]
    (tmp_path / "in").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        convert(make(tmp_path / "in"), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_devices_and_missing_files_are_no_annotations(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        format_of(tmp_path / "none.xml")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.xml")
        with pytest.raises(OSError, match="it is a FIFO"):
            convert(tmp_path / "pipe.xml", tmp_path / "out")


def test_labels_without_sizes_need_the_images(tmp_path):
    (tmp_path / "a.csv").write_text(DLC)
    with pytest.raises(ValueError, match=r"the size of 2 images.*give the folder of the images"):
        convert(tmp_path / "a.csv", tmp_path / "out", to="yolo")


def test_keypoints_out_of_their_image_are_told(tmp_path, caplog):
    path = tmp_path / "a.xml"
    path.write_text(CVAT.replace("12.34,56.78", "700,56.78"))
    convert(path, tmp_path / "out", to="yolo")
    assert "keypoints out of their images: 1" in caplog.text
    first = (tmp_path / "out/labels/train/day/a.txt").read_text().splitlines()[0]
    assert first.endswith(" 0.000000 0.000000 0")


def test_the_command_line_converts_and_overwrites_nothing(tmp_path):
    (tmp_path / "a.xml").write_text(CVAT)
    said, _ = run_here("data", "convert", tmp_path / "a.xml", "--output", tmp_path / "out")
    assert "2 persons in 2 images" in said
    assert read_annotations(tmp_path / "out/annotations.json").category().name == "person"
    before = (tmp_path / "out/annotations.json").read_bytes()
    _, said = run_here("data", "convert", tmp_path / "a.xml", "--output", tmp_path / "out", code=2)
    assert "annotations.json is there already" in said
    assert (tmp_path / "out/annotations.json").read_bytes() == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["annotations.json"]
