"""What `predict --format` writes is what the other programs read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from pose_hrnet.data.people import read_annotations
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats import writer
from pose_hrnet.inference.formats.coco_annotations import coco_annotations
from pose_hrnet.inference.formats.labelstudio import labelstudio_task
from pose_hrnet.inference.formats.mmpose import mmpose_instances
from pose_hrnet.inference.formats.openpose import BODY25, openpose_people
from pose_hrnet.inference.formats.writer import FormatFiles, Outputs, finished
from pose_hrnet.inference.formats.yolo import yolo_lines
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17, MPII16, Skeleton
from tests.helpers.builders import make_people, write_images
from tests.helpers.command_line import run_here

SIZE = (320, 240)
EVERY = tuple(name for name in writer.PLACES if name != "parquet")


def some_poses(n=2, seed=0):
    random = np.random.default_rng(seed)
    points = random.uniform([5, 5], [300, 220], (n, 17, 2)).astype(np.float32)
    points[0, 3] = -4.5, 20  # outside of the image
    return Poses(
        image_ids=object_array(["a.jpg"] * n),
        keypoints_image=points,
        keypoint_scores=random.uniform(0, 1, (n, 17)).astype(np.float32),
        boxes_xyxy=np.array([[-3, 4, 200, 250], [50, 60, 320, 240]], np.float32)[:n],
        scores=np.array([0.9, 0.5], np.float32)[:n],
        areas=np.ones(n, np.float32),
    )


def files(output, names=("a.jpg",), formats=EVERY, skeleton=COCO17, ids=None, **options):
    paths = [Path(name) for name in names]
    output.mkdir(exist_ok=True)
    return FormatFiles(
        output,
        formats,
        skeleton,
        names={path: path.stem for path in paths},
        ids=ids or {path: path.name for path in paths},
        min_score=0.3,
        **options,
    )


def test_pycocotools_and_training_read_the_annotations(tmp_path):
    poses = some_poses()
    with finished(files(tmp_path / "out", formats=("coco-annotations",))) as written:
        written.add(Path("a.jpg"), poses, SIZE)
    path = tmp_path / "out/annotations.json"
    truth = COCO(path)
    assert truth.loadImgs(1)[0] == {"id": 1, "file_name": "a.jpg", "width": 320, "height": 240}
    rows = truth.loadAnns(truth.getAnnIds())
    assert rows[0]["bbox"] == [0, 4, 200, 236]
    assert rows[0]["area"] == 200 * 236
    keypoints = np.reshape([row["keypoints"] for row in rows], (2, 17, 3))
    labelled = poses.keypoint_scores >= 0.3
    labelled[0, 3] = False
    assert (keypoints[..., 2] == 2 * labelled).all()
    np.testing.assert_allclose(
        keypoints[labelled][:, :2], poses.keypoints_image[labelled], atol=6e-4
    )
    assert not keypoints[~labelled].any()
    assert [row["num_keypoints"] for row in rows] == labelled.sum(axis=1).tolist()
    category = read_annotations(path).category()
    assert category.keypoint_names == COCO17.keypoint_names
    assert [tuple(pair) for pair in category.skeleton] == [(a + 1, b + 1) for a, b in COCO17.links]


def test_ids_that_annotations_gave_are_kept(tmp_path):
    ids = {Path("a.jpg"): 77, Path("b.jpg"): 12}
    with finished(
        files(tmp_path / "out", ("a.jpg", "b.jpg"), ("coco-annotations",), ids=ids)
    ) as written:
        written.add(Path("a.jpg"), some_poses(1), SIZE)
        written.add(Path("b.jpg"), some_poses(2), SIZE)
    content = json.loads((tmp_path / "out/annotations.json").read_bytes())
    assert [row["image_id"] for row in content["annotations"]] == [77, 12, 12]
    assert [row["id"] for row in content["annotations"]] == [1, 2, 3]


def test_openpose_in_own_order_and_as_body25():
    poses = some_poses()
    own = openpose_people(poses, COCO17)
    assert own["version"] == 1.3
    for person, pose in enumerate(own["people"]):  # as Pose2Sim takes them
        values = np.array(pose["pose_keypoints_2d"])
        np.testing.assert_allclose(values[::3], poses.keypoints_image[person, :, 0])
        np.testing.assert_allclose(values[1::3], poses.keypoints_image[person, :, 1])
        np.testing.assert_allclose(values[2::3], poses.keypoint_scores[person])
    (first, _) = openpose_people(poses, COCO17, "body25")["people"]
    body = np.reshape(first["pose_keypoints_2d"], (25, 3))
    left, right = (COCO17.keypoint_names.index(f"{side}_shoulder") for side in ("left", "right"))
    np.testing.assert_allclose(body[1, :2], poses.keypoints_image[0, [left, right]].mean(axis=0))
    assert np.float32(body[1, 2]) == poses.keypoint_scores[0, [left, right]].min()
    np.testing.assert_allclose(body[4, :2], poses.keypoints_image[0, 10])  # the right wrist
    assert not body[BODY25.index("left_big_toe") :].any()  # COCO has no feet
    assert len({*BODY25}) == 25


def test_a_skeleton_without_its_keypoints_is_no_body25(tmp_path):
    hand = Skeleton("hand", ("thumb", "palm"), (), (), (0.1, 0.1), (), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"\(hand\) are none of OpenPose's BODY_25; use --format"):
        files(tmp_path / "out", formats=("openpose-body25",), skeleton=hand)
    assert openpose_people(some_poses()[[]], MPII16, "body25")["people"] == []


def test_ultralytics_reads_the_text():
    poses = some_poses()
    rows = np.array([line.split() for line in yolo_lines(poses, SIZE).splitlines()], np.float64)
    assert rows.shape == (2, 5 + 17 * 3)
    points = rows[:, 5:].reshape(2, 17, 3)
    assert rows.min() >= 0  # its reader takes nothing outside of 0 to 1
    assert points[..., :2].max() <= 1
    inside = np.clip(poses.keypoints_image, 0, None)
    np.testing.assert_allclose(points[..., :2] * SIZE, inside, atol=1e-3)
    np.testing.assert_allclose(points[..., 2], poses.keypoint_scores, rtol=1e-5)
    np.testing.assert_allclose(rows[0, :5], [0, 100 / 320, 122 / 240, 200 / 320, 236 / 240], 1e-5)
    assert yolo_lines(poses[[]], SIZE) == ""


def test_mmpose_instances():
    poses = some_poses()
    (first, second) = mmpose_instances(poses)
    assert {*first} == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}
    np.testing.assert_allclose(first["keypoints"], poses.keypoints_image[0])
    assert second["bbox"] == [[50, 60, 320, 240]]
    assert second["bbox_score"] == 0.5


def test_label_studio_takes_percents_and_persons():
    poses = some_poses()
    task = labelstudio_task(poses, "a.jpg", SIZE, COCO17, min_score=0.3, categories={1: "person"})
    assert task["data"] == {"image": "a.jpg"}
    regions = task["predictions"][0]["result"]
    boxes = [region for region in regions if region["type"] == "rectanglelabels"]
    assert boxes[0]["value"] == {
        "x": 0, "y": 4 / 2.4, "width": 62.5, "height": pytest.approx(236 / 2.4), "rotation": 0,
        "rectanglelabels": ["person"],
    }  # fmt: skip
    points = [region for region in regions if region["type"] == "keypointlabels"]
    shown = (poses.keypoint_scores >= 0.3).sum() - (poses.keypoint_scores[0, 3] >= 0.3)
    assert len(points) == shown
    for region in points:
        person = int(region["parentID"][1:])
        k = COCO17.keypoint_names.index(region["value"]["keypointlabels"][0])
        at = np.array([region["value"]["x"], region["value"]["y"]]) * SIZE / 100
        np.testing.assert_allclose(at, poses.keypoints_image[person, k], rtol=1e-6)
    assert len({region["id"] for region in regions}) == len(regions)


def test_a_parquet_table_has_a_row_a_keypoint(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    poses = some_poses()
    with finished(files(tmp_path / "out", ("a.jpg", "b.jpg"), ("parquet",))) as written:
        written.add(Path("a.jpg"), poses, SIZE)
        written.add(Path("b.jpg"), poses[[]], SIZE)
    table = parquet.read_table(tmp_path / "out/keypoints.parquet").to_pydict()
    assert table["keypoint"] == [*COCO17.keypoint_names] * 2
    assert table["person"] == [0] * 17 + [1] * 17
    np.testing.assert_array_equal(table["x"], poses.keypoints_image[..., 0].ravel())
    assert {*table["right"]} == {200.0, 320.0}


def test_without_the_extra_one_sentence_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'pose-hrnet\[parquet\]'"):
        files(tmp_path / "out", formats=("parquet",))


def test_what_another_run_made_stays(tmp_path):
    for name in EVERY:
        place = tmp_path / "out" / writer.PLACES[name]
        with finished(files(tmp_path / "out", formats=(name,))) as written:
            written.add(Path("a.jpg"), some_poses(), SIZE)
        (made,) = [place] if place.is_file() else place.iterdir()
        before = made.read_bytes()
        with pytest.raises(FileExistsError, match="is there already, and is not written over"):
            files(tmp_path / "out", formats=(name,))
        assert made.read_bytes() == before


def test_categories_keep_their_ids_and_names_and_are_the_classes_in_order(tmp_path):
    poses = replace(some_poses(), category_ids=object_array(["b", 7]))
    known = {7: "cat", 2: "dog", "b": "bird"}
    formats = ("yolo", "coco-annotations", "labelstudio")
    with finished(files(tmp_path / "out", formats=formats, categories=known)) as written:
        written.add(Path("a.jpg"), poses, SIZE)
    lines = (tmp_path / "out/yolo/a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "0"]
    content = json.loads((tmp_path / "out/annotations.json").read_bytes())
    assert {each["id"]: each["name"] for each in content["categories"]} == known
    assert [row["category_id"] for row in content["annotations"]] == ["b", 7]
    (task,) = json.loads((tmp_path / "out/labelstudio.json").read_bytes())
    regions = task["predictions"][0]["result"]
    labels = [each["value"].get("rectanglelabels") for each in regions]
    assert [each for each in labels if each] == [["bird"], ["cat"]]


def test_a_prediction_takes_the_categories_of_the_annotations(estimator, tmp_path):
    photos = write_images(make_people(2), tmp_path / "photos")
    names = sorted(path.name for path in photos.iterdir())
    kinds = [{"id": i, "name": n, "keypoints": list(COCO17.keypoint_names)}
             for i, n in ((4, "cat"), (9, "dog"))]  # fmt: skip
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    (tmp_path / "all.json").write_text(
        json.dumps({"images": images, "annotations": [], "categories": kinds})
    )
    boxes = [{"file_name": names[0], "bbox": [5, 5, 50, 60], "category_id": i} for i in (9, 4)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    predict_files(
        estimator, [photos], tmp_path / "out", boxes=tmp_path / "boxes.json",
        annotations=tmp_path / "all.json", outputs=Outputs(None, formats=("yolo",)),
    )  # fmt: skip
    lines = (tmp_path / f"out/yolo/{Path(names[0]).stem}.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "0"]


def test_an_end_in_between_keeps_what_was_added(tmp_path):
    def ended():
        with finished(files(tmp_path / "out")) as written:
            written.add(Path("a.jpg"), some_poses(), SIZE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended()
    assert len(json.loads((tmp_path / "out/annotations.json").read_bytes())["annotations"]) == 2
    assert len(json.loads((tmp_path / "out/labelstudio.json").read_bytes())) == 1


def test_a_prediction_writes_all_of_them_below_its_folder(estimator, tmp_path):
    photos = write_images(make_people(4), tmp_path / "photos")
    count = len(list(photos.iterdir()))
    (photos / ("n" * 251 + ".png")).write_bytes((photos / "000001.png").read_bytes())
    (photos / "..png").write_bytes((photos / "000001.png").read_bytes())
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    inputs = [photos, photos / "..png"]  # a hidden file has to be named
    done = predict_files(estimator, inputs, out, outputs=Outputs(None, formats=EVERY))
    assert done.images == count + 2
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(out in path.parents for path in new)
    for name in ("openpose", "openpose_body25", "yolo", "mmpose"):
        assert len(list((out / name).iterdir())) == count + 2
    listed = json.loads((out / "annotations.json").read_bytes())["images"]
    assert len({image["file_name"] for image in listed}) == count + 2


def test_the_command_line_knows_the_formats(tmp_path):
    photos = write_images(make_people(1), tmp_path / "photos")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/labelstudio.json").write_text("mine")
    _, said = run_here("predict", photos, "--output", tmp_path / "out", "--format", "coco", code=2)
    assert "--format has 'coco'; give one or more of coco-annotations, openpose" in said
    formats = "yolo,labelstudio"
    _, said = run_here(
        "predict", photos, "--output", tmp_path / "out", "--format", formats, code=2
    )
    assert "labelstudio.json is there already" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labelstudio.json"]


def test_a_keypoint_at_the_border_is_in_the_image():
    poses = some_poses(1)
    poses.keypoints_image[0, 0] = 319, 239
    poses.keypoints_image[0, 1] = 319.5, 239
    poses.keypoint_scores[0, :2] = 1
    (row,) = coco_annotations(poses, SIZE, image_id=1, first_id=1, min_score=0.3)
    assert row["keypoints"][:3] == [319, 239, 2]
    assert row["keypoints"][3:6] == [0, 0, 0]
