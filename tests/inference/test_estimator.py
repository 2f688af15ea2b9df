"""The estimator: images as arrays in, poses out."""

from __future__ import annotations

import weakref
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from pose_hrnet import PoseEstimator
from pose_hrnet.inference.model import PoseModel
from tests.helpers.web import serve


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [
        cv2.resize(rng.integers(0, 255, (9, 11, 3), dtype=np.uint8), size)
        for size in ((320, 240), (200, 300), (90, 120))
    ]


BOXES = [
    [[10, 20, 110, 200], [50, 5, 300, 230]],
    [],
    [[0, 0, 90, 120], [5, 5, 60, 80], [1, 2, 50, 90]],
]


def test_batching_over_people_and_images_changes_nothing(estimator, images):
    together = estimator.predict_images(images, BOXES)
    assert together.image_ids.tolist() == [0, 0, 2, 2, 2]
    row = 0
    for image, boxes in zip(images, BOXES, strict=True):
        for box in boxes:
            alone = estimator(image, [box])
            np.testing.assert_allclose(
                together.keypoints_image[row], alone.keypoints_image[0], atol=1e-3
            )
            np.testing.assert_allclose(
                together.keypoint_scores[row], alone.keypoint_scores[0], atol=1e-5
            )
            row += 1


def test_without_boxes_the_image_is_the_crop(estimator, images):
    whole = estimator(images[0])
    boxed = estimator(images[0], [[0, 0, 320, 240]])
    np.testing.assert_array_equal(whole.keypoints_image, boxed.keypoints_image)
    assert whole.boxes_xyxy.tolist() == [[0, 0, 320, 240]]


def test_no_boxes_give_no_poses(estimator, images):
    poses = estimator(images[0], np.empty((0, 4)))
    assert len(poses) == 0
    assert poses.keypoints_image.shape == (0, 17, 2)


def test_poses_follow_a_shift_of_the_image(estimator, images):
    """Moving image content and box together moves the keypoints by as much."""
    image = images[0]
    moved = np.zeros((300, 400, 3), np.uint8)
    moved[40:280, 30:350] = image
    a = estimator(image, [[60, 40, 160, 200]]).keypoints_image
    b = estimator(moved, [[90, 80, 190, 240]]).keypoints_image
    np.testing.assert_allclose(b - a, np.broadcast_to((30, 40), a.shape), atol=1e-3)


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (np.zeros((4, 4), np.uint8), None, r"shape \(4, 4\)"),
        (np.zeros((4, 4, 3)), None, "type float64"),
        (np.zeros((4, 4, 3), np.uint8), [[1, 2, 3]], r"shape \(1, 3\); expected \(N, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), [[0, 0, 2, 2], [3, 0, 1, 2]], "box 1 is"),
        (np.zeros((4, 4, 3), np.uint8), [[0, 0, np.nan, 2]], "box 0 is"),
    ],
)
def test_bad_arrays_are_named(estimator, image, boxes, message):
    with pytest.raises(ValueError, match=message):
        estimator(image, boxes)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_large_images_do_not_pile_up(estimator, monkeypatch, batch_size):
    """Three of these are a full batch, and four batches may be in memory."""
    monkeypatch.setattr(estimator, "batch_size", batch_size)
    made, most = weakref.WeakValueDictionary(), []

    def large():
        for number in range(30):
            image = np.zeros((6000, 6000, 3), np.uint8)  # takes no memory before it is written to
            made[number] = image
            most.append(len(made))
            yield number, image, [[10, 10, 60, 80]]

    found = [key for key, _, _ in estimator.predict_stream(large())]
    assert found == list(range(30))
    assert max(most) <= 4 * min(3, batch_size)


def test_batches_go_on_over_the_ends_of_images(estimator, images, monkeypatch):
    """Eleven persons in four images are four batches of at most three, in order."""
    boxes = [BOXES[0], [], [*BOXES[2], *BOXES[2], [2, 2, 40, 50]], BOXES[0]]
    given, run = [], PoseModel.__call__

    def watch(model, crops):
        given.append(len(crops))
        return run(model, crops)

    expected = [
        estimator(i, b).keypoints_image for i, b in zip(pictures(images), boxes, strict=True)
    ]
    monkeypatch.setattr(PoseModel, "__call__", watch)
    found = list(estimator.predict_stream(zip("abcd", pictures(images), boxes, strict=True)))
    assert given == [3, 3, 3, 2]
    assert [key for key, _, _ in found] == list("abcd")
    for (_, image, poses), wanted, given_image in zip(
        found, expected, pictures(images), strict=True
    ):
        assert image is given_image
        np.testing.assert_allclose(poses.keypoints_image, wanted, atol=1e-3)


def pictures(images):
    return [*images, images[0]]


def test_pictures_come_as_paths_and_of_pillow_too(estimator, images, tmp_path):
    expected, path = estimator(images[0], BOXES[0]).keypoints_image, tmp_path / "photo.png"
    cv2.imwrite(str(path), images[0][..., ::-1])
    with serve() as web:
        address = web.put("photo.png", path.read_bytes())
        for picture in (address, Path(address)):  # which pathlib shortens
            np.testing.assert_array_equal(estimator(picture, BOXES[0]).keypoints_image, expected)
        with pytest.raises(ConnectionError, match="has no such file"):
            estimator(f"{web.url}/gone.png")
    with PIL.Image.open(path) as opened:
        for picture in (path, str(path), opened, opened.convert("RGBA")):
            np.testing.assert_array_equal(estimator(picture, BOXES[0]).keypoints_image, expected)
            assert len(estimator.predict_images([picture, images[1]])) == 2
    tensor = torch.from_numpy(images[0])
    for picture in (path.read_bytes(), tensor, tensor.permute(2, 0, 1)):
        np.testing.assert_array_equal(estimator(picture, BOXES[0]).keypoints_image, expected)
    for picture in (images[0][..., ::-1], tensor.flip(2)):
        found = estimator(picture, BOXES[0], bgr=True)
        np.testing.assert_array_equal(found.keypoints_image, expected)
    several = estimator([path, images[0]], [BOXES[0], BOXES[0]])
    np.testing.assert_array_equal(several.keypoints_image, np.concatenate([expected] * 2))
    grey = PIL.Image.fromarray(images[0]).convert("L")
    assert len(estimator(grey, BOXES[0])) == 2
    turned = PIL.Image.fromarray(np.rot90(images[0]).copy())
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    with PIL.Image.open(tmp_path / "turned.png") as opened:
        for picture in (tmp_path / "turned.png", opened):
            np.testing.assert_array_equal(estimator(picture, BOXES[0]).keypoints_image, expected)


@pytest.mark.parametrize(
    ("picture", "boxes", "message"),
    [
        (None, None, "the image is a NoneType; expected"),
        ([[[0, 0, 0]]], None, "the image is a list; expected"),
        (torch.zeros(4, 4, 3), None, r"shape \(4, 4, 3\) and type float32"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), None, r"the image has shape \(4, 4, 1\)"),
        (b"GIF89a", None, "the image"),
        (np.empty((0, 10, 3), np.uint8), None, r"the image has shape \(0, 10, 3\)"),
        (np.zeros((9, 9), np.uint8), None, r"the image has shape \(9, 9\)"),
        (np.zeros((9, 9, 3), np.uint8), [[1, 2], [3]], "boxes_xyxy are no rows of four numbers"),
        (np.zeros((9, 9, 3), np.uint8), "boxes", "boxes_xyxy are no rows of four numbers"),
        (np.zeros((9, 9, 3), np.uint8), {"a": 1}, "boxes_xyxy are no rows of four numbers"),
    ],
)
def test_what_is_no_picture_or_box_gets_a_sentence(estimator, picture, boxes, message):
    with pytest.raises(ValueError, match=message):
        estimator(picture, boxes)
    with pytest.raises(ValueError, match="takes several images; give a list"):
        estimator.predict_images("photo.jpg")
    with pytest.raises(FileNotFoundError):
        estimator("nowhere.jpg")


def test_a_detector_inside_finds_the_persons_of_images_without_boxes(checkpoint):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    boxes, counts = [[10, 10, 60, 90], [80, 5, 150, 110]], []

    def function(images):
        counts.append(len(images))
        return [(boxes, [0.9, 0.5]) if each.mean() > 1 else [] for each in images]

    estimator = PoseEstimator(checkpoint, detector=function)
    given = estimator(image, boxes)
    assert counts == []
    found = estimator(image)
    np.testing.assert_allclose(found.keypoints_image, given.keypoints_image, atol=1e-4)
    np.testing.assert_allclose(found.scores, given.scores * [0.9, 0.5], rtol=1e-5)
    several = estimator.predict_images([image, np.zeros_like(image), image])
    assert several.image_ids.tolist() == [0, 0, 2, 2]
    assert len(estimator(np.zeros_like(image))) == 0
    assert "detector: the function function" in estimator.summary
