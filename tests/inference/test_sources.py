"""What the images are called that are predicted, and which boxes are theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pose_hrnet.inference.image_files import find_images
from pose_hrnet.inference.sources import identify
from tests.helpers.builders import make_people, write_images

BOX = [10, 10, 50, 80]


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "photos")


@pytest.fixture
def numbered(tmp_path):
    """Images 1, 2 and 3, counted in the order of their sorted names, as some programs do."""
    folder = tmp_path / "numbered"
    folder.mkdir()
    names = ["1.png", "10.png", "2.png"]
    for name in names:
        Image.new("RGB", (64, 48)).save(folder / name)
    rows = [{"id": i, "file_name": name} for i, name in enumerate(names, start=1)]
    categories = [{"id": 5, "name": "person", "keypoints": ["nose"]}]
    content = {"images": rows, "annotations": [], "categories": categories}
    (tmp_path / "numbered.json").write_text(json.dumps(content))
    return [folder / name for name in names]


def write_boxes(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text(json.dumps([{"bbox": BOX, **entry} for entry in entries]))
    return path


def places(paths, boxes, annotations=None):
    """The first coordinate of each box of each file."""
    found = identify(paths, boxes, annotations).boxes
    return {path.name: boxes[:, 0].tolist() for path, boxes in found.items()}


def boxed(*keys):
    return [{**key, "bbox": [place, 10, 50, 80]} for place, key in enumerate(keys)]


def test_a_category_is_chosen_among_boxes(tmp_path, numbered):
    """By name where annotations know names, else by id."""
    boxes = boxed(*({"file_name": "1.png", "category_id": number} for number in (1, 5, 6)))
    path = write_boxes(tmp_path / "boxes.json", *boxes)
    assert places(numbered, path) == {"1.png": [0.0]}
    for category, expected in (("5", [1.0]), ("5, 6", [1.0, 2.0])):
        found = identify(numbered, path, category=category)
        assert found.boxes[numbered[0]][:, 0].tolist() == expected
    assert found.category_ids[numbered[0]] == [5, 6]
    annotations = tmp_path / "numbered.json"
    named = write_boxes(tmp_path / "named.json", *({**b, "category_id": "dog"} for b in boxes))
    assert len(identify(numbered, named, category="dog").boxes[numbered[0]]) == 3
    found = identify(numbered, path, annotations, category="person")
    assert found.boxes[numbered[0]][:, 0].tolist() == [1.0]
    with pytest.raises(ValueError, match="has the categories 'person' \\(id 5\\); expected one"):
        identify(numbered, path, annotations, category="dog")
    with pytest.raises(ValueError, match="3 entries, 0 with category_id 'dog' or none"):
        identify(numbered, path, category="dog")


def test_annotations_say_which_image_has_which_id(tmp_path, numbered, caplog):
    annotations = tmp_path / "numbered.json"
    sources = identify(numbered, annotations=annotations)
    assert list(sources.image_ids.values()) == [1, 2, 3]
    assert set(map(tuple, sources.category_ids.values())) == {(5,)}
    expected = {"1.png": [0.0], "10.png": [1.0], "2.png": [2.0]}
    by_id = write_boxes(tmp_path / "id.json", *boxed(*({"image_id": i} for i in (1, 2, 3))))
    assert places(numbered, by_id, annotations) == expected
    names = [{"file_name": path.name} for path in numbered]
    by_name = write_boxes(tmp_path / "name.json", *boxed(*names))
    assert places(numbered, by_name, annotations) == places(numbered, by_name) == expected
    assert not caplog.messages


def test_a_number_in_a_name_is_taken_for_the_id_with_a_warning_only(tmp_path, numbered, caplog):
    ids = [{"image_id": i} for i in (1, 2, 10)]
    boxes = write_boxes(tmp_path / "boxes.json", *boxed(*ids))
    assert places(numbered, boxes) == {"1.png": [0.0], "2.png": [1.0], "10.png": [2.0]}
    (warning,) = caplog.messages
    assert "taken for the numbers in the files' names" in warning
    assert "(--annotations)" in warning


def test_results_go_by_names_unless_a_file_has_ids(tmp_path, numbered):
    assert list(identify(numbered).image_ids.values()) == ["1.png", "10.png", "2.png"]
    ids = write_boxes(tmp_path / "ids.json", {"image_id": 1}, {"image_id": 2})
    assert list(identify(numbered, ids).image_ids.values()) == ["1.png", "10.png", "2.png"]
    both = write_boxes(tmp_path / "both.json", {"image_id": 7, "file_name": "10.png"})
    assert list(identify(numbered, both).image_ids.values()) == ["1.png", 7, "2.png"]


def test_files_of_one_name_go_by_their_paths(tmp_path, folder):
    other = write_images(make_people(2), tmp_path / "more")
    paths = find_images([folder, other])
    assert list(identify(paths).image_ids.values()) == [
        str(folder / "000001.png"), "000002.png", "000003.png", str(other / "000001.png")
    ]  # fmt: skip
    boxes = write_boxes(tmp_path / "boxes.json", {"file_name": "more/000001.png"})
    assert [path.parent.name for path in identify(paths, boxes).boxes] == ["more"]


def test_what_does_not_fit_is_said(tmp_path, numbered, caplog):
    annotations = tmp_path / "numbered.json"
    stranger = tmp_path / "numbered" / "new.png"
    Image.new("RGB", (8, 8)).save(stranger)
    boxes = write_boxes(tmp_path / "boxes.json", {"image_id": 2}, {"file_name": "gone.png"})
    sources = identify([*numbered, stranger], boxes, annotations)
    assert sources.image_ids[stranger] == "new.png"
    unlisted, without = caplog.messages
    assert "does not list 1 image, such as new.png; their results go by their names" in unlisted
    assert "1 box without an image here, such as gone.png" in without
    with pytest.raises(
        ValueError, match=r"lists none of the images, such as new\.png, but 1\.png"
    ):
        identify([stranger], None, annotations)
    crossed = write_boxes(tmp_path / "crossed.json", {"image_id": 2, "file_name": "2.png"})
    with pytest.raises(ValueError, match="two images of the annotations"):
        identify(numbered, crossed, annotations)
    twice = tmp_path / "copy" / "1.png"
    twice.parent.mkdir()
    Image.new("RGB", (8, 8)).save(twice)
    with pytest.raises(ValueError, match=r"are both image 1 \(1.png\)"):
        identify([*numbered, twice], None, annotations)
