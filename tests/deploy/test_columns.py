"""The core of bulk prediction: images in, columns out, whoever calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_hrnet import PoseEstimator, load_model
from pose_hrnet.deploy.bulk.columns import (
    KINDS,
    SPARK_SCHEMA,
    BulkEstimator,
    Sick,
    rows_by_image,
)
from pose_hrnet.deploy.bulk.images import BulkImage
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from pose_hrnet.models.weights.identity import identity_of
from pose_hrnet.system.download import sha256_of
from tests.helpers.builders import make_people, write_images
from tests.helpers.bulk import check_same, save_small

PLAIN = Outputs(draw_above=None)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def estimator(checkpoint):
    return PoseEstimator(load_model(checkpoint, backend="eager", device="cpu"), batch_size=3)


@pytest.fixture
def bulk(estimator):
    return BulkEstimator(estimator, model="small", sha256="ab")


@pytest.fixture
def paths(tmp_path):
    folder = write_images(make_people(12), tmp_path / "photos")
    return sorted(map(str, folder.iterdir()))


def rows_of(columns):
    assert list(columns) == list(KINDS)
    assert len({len(column) for column in columns.values()}) == 1
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def two_persons(images):
    """A detector: the same two in each image."""
    box = np.array([[10, 20, 100, 200], [50, 10, 250, 230]], np.float32)
    return [(box, np.array([0.9, 0.5], np.float32)) for _ in images]


def test_rows_are_what_predict_writes(bulk, paths, tmp_path):
    rows = rows_of(bulk(paths))
    assert [row["path"] for row in rows] == paths
    assert {(row["width"], row["height"]) for row in rows} == {(320, 240)}
    assert {(row["model"], row["model_sha256"], row["error"]) for row in rows} == {
        ("small", "ab", None)
    }
    predict_files(bulk.estimator, paths, tmp_path / "out", outputs=PLAIN)
    check_same(rows, tmp_path / "out/results.json")


def test_bytes_are_as_good_as_paths(bulk, paths):
    contents = [Path(path).read_bytes() for path in paths]
    assert bulk(paths, contents) == bulk(paths)
    assert bulk(paths, [memoryview(each) for each in contents]) == bulk(paths)


def test_a_detector_finds_the_persons_whose_scores_count(bulk, paths, tmp_path):
    found = PoseEstimator(bulk.estimator.model, batch_size=3, detector=two_persons)
    rows = rows_of(BulkEstimator(found, model="small", sha256="ab")(paths))
    assert [row["person"] for row in rows] == [0, 1] * len(paths)
    predict_files(found, paths, tmp_path / "out", boxes=found.detector, outputs=PLAIN)
    check_same(rows, tmp_path / "out/results.json")


def test_boxes_that_are_given_come_before_the_detector(bulk, paths):
    found = PoseEstimator(bulk.estimator.model, detector=two_persons)
    boxes = [[[10, 20, 100, 200]], [], [[10, 20, 100, 200, 0.5], [0, 0, 320, 240, 1]]]
    rows = rows_of(BulkEstimator(found, model="m", sha256="")(paths[:3], boxes=boxes))
    assert [row["person"] for row in rows] == [0, None, 0, 1]
    assert rows[0]["box_xyxy"] == [10, 20, 100, 200]
    assert rows[2]["score"] == pytest.approx(0.5 * np.mean(rows[2]["keypoint_scores"]))
    nobody = {name for name, value in rows[1].items() if value is None}
    assert nobody >= {"box_xyxy", "score", "keypoints", "keypoint_scores", "error"}


def test_rows_by_image_are_one_value_for_each_input(bulk, paths):
    """As Daft wants them (docs/scale.md)."""
    found = PoseEstimator(bulk.estimator.model, detector=two_persons)
    boxes = [[], [[10, 20, 100, 200]], [[10, 20, 100, 200], [0, 0, 320, 240]]]
    columns = BulkEstimator(found, model="m", sha256="")(paths[:3], boxes=boxes)
    images = rows_by_image(columns)
    assert [[row["person"] for row in rows] for rows in images] == [[None], [0], [0, 1]]
    assert [row["path"] for rows in images for row in rows] == columns["path"]
    assert rows_by_image(bulk([])) == []


def test_what_cannot_be_read_is_a_row_with_its_error(bulk, paths, tmp_path):
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.jpg"
    broken.write_bytes(b"no image")
    empty.write_bytes(b"")
    given = [
        paths[0], str(broken), paths[1], str(empty), str(tmp_path / "none.jpg"), "nosuch://a/b.jpg",
    ]  # fmt: skip
    rows = rows_of(bulk(given))
    assert [row["path"] for row in rows] == given
    assert [row["error"] is None for row in rows] == [True, False, True, False, False, False]
    said = [row["error"] for row in rows if row["error"]]
    for words, sentence in zip(
        ("not an image", "is empty", "does not exist", "nosuch"), said, strict=True
    ):
        assert words in sentence
        assert "\n" not in sentence
    whole = rows_of(bulk(paths[:2]))
    assert [rows[0]["keypoints"], rows[2]["keypoints"]] == [row["keypoints"] for row in whole]


def test_boxes_that_are_none_are_an_error_of_their_image_alone(bulk, paths):
    boxes = [[[0, 0, 320, 240]], [[5, 5, 5, 9]], [[1, 2, 3]], [[0, 0, float("nan"), 1]]]
    rows = rows_of(bulk(paths[:4], boxes=boxes))
    assert [row["error"] is None for row in rows] == [True, False, False, False]
    assert "(N, 5) with scores" in rows[2]["error"]


def test_an_error_of_a_batch_belongs_to_its_image_alone(bulk, paths):
    def stumbles(images):
        if any(image.shape[0] == 100 for image in images):
            raise RuntimeError("cuda: out of memory\nat line 3")
        return two_persons(images)

    found = PoseEstimator(bulk.estimator.model, detector=stumbles)
    images = [
        BulkImage("a", np.zeros((240, 320, 3), np.uint8)),
        BulkImage("b", np.zeros((100, 320, 3), np.uint8)),
        BulkImage("c", np.zeros((240, 320, 3), np.uint8), frame_index=3, time_s=0.5),
    ]
    rows = rows_of(BulkEstimator(found, model="m", sha256="").rows_of(images))
    assert [row["path"] for row in rows] == ["a", "a", "b", "c", "c"]
    assert rows[2]["error"] == "b could not be posed (cuda: out of memory at line 3)"
    assert (rows[2]["width"], rows[2]["height"], rows[2]["person"]) == (320, 100, None)
    assert {(row["frame_index"], row["time_s"]) for row in rows[3:]} == {(3, 0.5)}


def test_a_device_that_fails_at_everything_is_said_and_makes_no_rows(bulk, paths):
    """As CUDA after an error that stays: no image can be blamed."""
    given = []

    def breaks(images):
        given.extend(images)
        if len(given) > 2:
            raise RuntimeError("CUDA error: an illegal memory access")
        return two_persons(images)

    found = PoseEstimator(bulk.estimator.model, detector=breaks)
    with pytest.raises(Sick, match=r"also at a blank image .CUDA error: an illegal memory access"):
        BulkEstimator(found, model="m", sha256="")(paths)


def test_a_model_that_fails_behind_a_detector_is_seen_too(bulk, paths, monkeypatch):
    """On a blank image a detector finds nobody."""
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    found = PoseEstimator(
        bulk.estimator.model,
        detector=lambda images: [two_persons([1])[0] if i.any() else empty for i in images],
    )
    monkeypatch.setattr(type(bulk.estimator.model), "finish", lambda *_: 1 / 0)
    with pytest.raises(Sick, match="division by zero"):
        BulkEstimator(found, model="m", sha256="")(paths)


def test_as_many_of_each(bulk, paths):
    with pytest.raises(ValueError, match="1 contents for 2 paths; give one for each"):
        bulk(paths[:2], [b""])
    with pytest.raises(ValueError, match="0 boxes for 2 paths"):
        bulk(paths[:2], boxes=[])
    assert rows_of(bulk([])) == []


def test_loading_names_the_model_and_its_hash(checkpoint, paths):
    bulk = BulkEstimator.load(checkpoint, detector=two_persons, backend="eager", device="cpu")
    (first, *_) = rows_of(bulk(paths[:1]))
    assert first["model"] == str(checkpoint)
    assert first["model_sha256"] == sha256_of(checkpoint) == identity_of(checkpoint).sha256


def test_spark_calls_it_on_pandas_frames(bulk, paths):
    """The example of docs/scale.md, as `mapInPandas` would run it."""
    pandas = pytest.importorskip("pandas")

    def pose(batches):
        for batch in batches:
            yield pandas.DataFrame(bulk(batch["path"].tolist(), batch["content"].tolist()))

    frames = [
        pandas.DataFrame({"path": part, "content": [Path(path).read_bytes() for path in part]})
        for part in (paths[:2], paths[2:])
    ]
    found = pandas.concat(pose(iter(frames)))
    assert found["path"].tolist() == paths
    assert [column.split()[0] for column in SPARK_SCHEMA.split(", ")] == list(found.columns)
    assert rows_of(bulk(paths))[4]["keypoints"] == found["keypoints"].tolist()[4]
