"""The hint says what is known; and names that differ in spelling alone are read."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from PIL import Image

from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.data.missing import why_missing, why_unreadable
from pose_hrnet.keypoints.records import Images


@pytest.mark.parametrize(
    ("there", "asked", "told"),
    [
        ("val/a.jpg", "a.jpg", r"a\.jpg lies in .*/val, but is called a\.jpg"),
        ("a.jpg", "val/a.jpg", r"a\.jpg lies in .*, but is called val/a\.jpg"),
        ("a.JPG", "a.jpg", r"a\.jpg is called a\.JPG there"),
        ("a.png", "a.jpg", r"a\.jpg is called a\.png there; correct the suffix"),
        ("x.jpg", "a.jpg", r"has other files, such as x\.jpg; is this the folder"),
        (None, "a.jpg", "no file lies in"),
    ],
)
def test_the_hint_is_what_the_folder_shows(tmp_path, there, asked, told):
    if there:
        (tmp_path / there).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / there)
    assert re.search(told, why_missing(tmp_path, [asked]))


def test_a_folder_that_is_none_is_named(tmp_path):
    assert "absent does not exist" in why_missing(tmp_path / "absent", ["a.jpg"])
    (tmp_path / "file").write_text("")
    assert "file is no folder" in why_missing(tmp_path / "file", ["a.jpg"])


def test_images_that_are_there_have_their_own_reason(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    images = Images((1, 2), ("gone.png", "a.png"), np.array([[1, 1], [40, 60]], np.int32))
    assert "width and height are exchanged" in why_unreadable(tmp_path, images)
    gone = Images((1,), ("gone.png",), np.array([[1, 1]], np.int32))
    assert "has other files, such as a.png" in why_unreadable(tmp_path, gone)


def test_backslashes_and_decomposed_umlauts_are_read(tmp_path):
    composed, apart = (unicodedata.normalize(form, "M\u00fcller.png") for form in ("NFC", "NFD"))
    (tmp_path / "val").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "val" / composed)
    Image.new("RGB", (8, 8)).save(tmp_path / f"x{apart}")
    for name in (f"val\\{composed}", f"val/{apart}", f"val\\{apart}", f"x{composed}"):
        assert read_rgb(image_path(tmp_path, name)).shape == (8, 8, 3)
    with pytest.raises(ImageError, match="leads out of the image folder"):
        image_path(tmp_path / "val", f"..\\x{apart}")
