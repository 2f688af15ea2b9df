"""An image is found by its id or its name, and never by a number in its name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.data.formats.identity import ImageIndex, rows_by_number
from pose_hrnet.keypoints.records import Images

NAMES = ("train/1.jpg", "val/1.jpg", "val/sub/2.jpg", "M\u00fcller.png", "a.b.png", "0007")


def index(ids=(10, 11, 1, 13, "x", 15), names=NAMES) -> ImageIndex:
    return ImageIndex(Images(tuple(ids), names, np.zeros((len(ids), 2), np.int32)))


@pytest.mark.parametrize(
    ("image_id", "file_name", "row"),
    [
        (10, None, 0),
        (1, None, 2),  # the id, not the name 1.jpg
        ("x", None, 4),
        (2, None, None),
        ("2", None, None),  # a number in text: of which of the two?
        ("1", None, None),
        ("2.jpg", None, 2),
        ("val/1.jpg", None, 1),
        (None, "val\\1.jpg", 1),
        (None, "./val/1.jpg", 1),
        (None, "1.jpg", None),  # two of them
        (None, "sub/2.jpg", 2),
        (None, "2", 2),
        (None, unicodedata.normalize("NFD", "M\u00fcller.png"), 3),
        (None, "a.b", 4),
        (None, "0007", 5),
        (99, "2.jpg", 2),
        (None, None, None),
    ],
)
def test_the_id_decides_and_then_the_name(image_id, file_name, row):
    assert index().row(image_id, file_name) == row


def test_an_id_and_a_name_of_two_images_are_told():
    assert index().contradicts(1, "val/1.jpg")
    assert not index().contradicts(1, "2.jpg")
    assert not index().contradicts(99, "2.jpg")


def test_a_path_ends_with_the_name_of_its_image():
    assert index().at(Path("/data/coco/val/1.jpg")) == 1
    assert index().at(Path("photos/2.jpg")) == 2
    assert index().at(Path("photos/1.jpg")) is None


def test_numbers_in_names_are_those_that_one_file_has():
    names = ["a/01.jpg", "b/1.jpg", "000000000002.jpg", "x3.jpg", f"{'9' * 30}.jpg", "\u00b2.jpg"]
    assert rows_by_number(names) == {2: 2}
