"""Files, folders, patterns and addresses, as image files."""

from __future__ import annotations

import logging

import pytest
from PIL import Image, features

from pose_hrnet.data.web_images import image_suffixes
from pose_hrnet.inference.image_files import check_some_open, find_images
from tests.helpers.builders import make_people, write_images
from tests.helpers.web import serve


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "photos")


def test_an_image_given_twice_is_found_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "folder.png").mkdir()
    first = folder / "000002.png"
    found = find_images([first, folder, first.relative_to(folder), folder / "../photos"])
    assert [path.name for path in found] == ["000002.png", "000001.png", "000003.png"]


def test_folders_are_searched_for_everything_that_opens_by_name(tmp_path, caplog):
    formats = {"a.jfif": "JPEG", "b.JPG": "JPEG", "c.gif": "GIF", "d.jp2": "JPEG2000"}
    formats |= {"e.ppm": "PPM", "f.tif": "TIFF", "g.webp": "WEBP"}
    if features.check("avif"):
        formats["h.avif"] = "AVIF"
    for name, kind in formats.items():
        Image.new("RGB", (32, 32)).save(tmp_path / name, kind)
    for name in ("notes.txt", "film.mp4", "photo.heic", "more.txt"):
        (tmp_path / name).write_text("not looked at")
    with caplog.at_level(logging.INFO):
        assert [path.name for path in find_images([tmp_path])] == sorted(formats)
    (told,) = caplog.messages
    assert "4 files that are no images by their suffix: 2 .txt, 1 .mp4, 1 .heic" in told
    assert not {".eps", ".pdf"} & {*image_suffixes()}


def test_what_an_earlier_prediction_drew_is_no_input(tmp_path):
    folder = write_images(make_people(2), tmp_path / "photos")
    images = find_images([folder])
    out = folder / "first" / "out"
    (out / "overlays").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(out / "overlays" / "a.jpg")
    assert len(find_images([folder])) == len(images) + 1  # a folder of that name may be anyone's
    for name in ("results.json", "keypoints.csv"):
        (out / name).write_text("")
    assert find_images([folder]) == images
    assert find_images([out / "overlays" / "a.jpg"]) == [out / "overlays" / "a.jpg"]
    with pytest.raises(ValueError, match="not at 1 picture of earlier runs"):
        find_images([f"{out}/overlays/*.jpg"])


def test_a_pattern_finds_what_a_shell_would_find(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "notes.txt").write_text("none")
    (folder / "deep" / "down").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "deep" / "down" / "a.png")
    every = sorted(folder.glob("*.png"))

    def names(*patterns):
        return [path.name for path in find_images(patterns)]

    assert names("photos/*.png") == [path.name for path in every]
    assert names("photos/00000[12].png", "photos/*2.png") == ["000001.png", "000002.png"]
    assert names("photos/**/*.png") == names("photos") == ["000001.png", "000002.png",
                                                           "000003.png", "a.png"]  # fmt: skip
    assert names("photos/d*") == ["a.png"]  # a folder
    Image.new("RGB", (8, 8)).save(folder / "b[1].png")
    assert names("photos/b[1].png") == ["b[1].png"]  # a file of that name counts first


def test_links_to_folders_above_end_no_search(folder, monkeypatch):
    """Two of them would be followed 2 ** 40 times."""
    for name in ("up", "again"):
        (folder / name).symlink_to("..")
    monkeypatch.chdir(folder)
    found = [path.name for path in find_images(["**"])]
    assert found == [path.name for path in find_images([folder])]
    assert [path.name for path in find_images(["../*/**/*.png"])] == found
    assert [path.name for path in find_images([f"{folder}/**/*.png"])] == found


def test_hidden_files_are_passed_over_and_broken_ones_are_not(folder, caplog):
    """macOS writes one beside each image; what a broken link lacks is told when it is read."""
    caplog.set_level("INFO")
    before = find_images([folder])
    (folder / "._000001.png").touch()
    (folder / "gone.png").symlink_to("nowhere.png")
    assert [path for path in find_images([folder]) if path not in before] == [folder / "gone.png"]
    assert "passed over 1 file" in caplog.text


def test_a_pattern_that_finds_nothing_is_told(folder):
    with pytest.raises(FileNotFoundError, match=r"no file is found by .*\*\.webp"):
        find_images([f"{folder}/*.webp"])
    (folder / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=r"there is no image in .*passed over 1 \.txt"):
        find_images([f"{folder}/*.txt"])
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg does not exist; give image fil"):
        find_images([folder / "photo.jpg"])


def test_images_by_address_are_kept_beside_the_others(folder, tmp_path):
    data = (folder / "000001.png").read_bytes()
    with serve() as web:
        address = web.put("people/one.png", data)
        found = find_images([address, folder, address], downloads=tmp_path / "got")
    assert found[0] == tmp_path / "got" / "one.png"
    assert found[0].read_bytes() == data
    assert len(found) == 4
    with pytest.raises(ValueError, match="cannot be kept; download it"):
        find_images([address])


def test_one_image_or_damaged_one_is_enough(folder, tmp_path):
    others = [tmp_path / "a.txt", tmp_path / "b.jpg"]
    for other in others:
        other.write_text("no image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for enough in (folder / "000001.png", tmp_path / "empty.jpg", tmp_path / "gone.jpg"):
        check_some_open([*others, enough])
    with pytest.raises(ValueError, match=r"none of 2 files is an image: image .*a\.txt is not an"):
        check_some_open(others)
