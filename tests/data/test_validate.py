"""A broken data set is described whole; a real one is in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pose_hrnet.data.validation.checks import Finding
from pose_hrnet.data.validation.validate import Report, validate
from pose_hrnet.keypoints.skeleton import COCO17

WIDTH, HEIGHT = 320, 240
NAMES = list(COCO17.keypoint_names)


def image(row: int, **changes: object) -> dict[str, object]:
    return {"id": row, "file_name": f"{row}.png", "width": WIDTH, "height": HEIGHT} | changes


def person(row: int, **changes: object) -> dict[str, object]:
    """A faultless annotation of image `row`: eyes, shoulders, hips; medium or large by turns."""
    side = 40 if row % 2 else 150
    points = np.zeros((17, 3), int)
    points[[1, 2, 5, 6, 11, 12]] = [
        (90, 80, 2), (80, 80, 2), (95, 90, 2), (75, 90, 2), (92, 100, 1), (78, 100, 1)
    ]  # fmt: skip
    values = {
        "id": 1000 + row,
        "image_id": row,
        "category_id": 1,
        "bbox": [70, 70, side, side],
        "area": 0.8 * side**2,
        "iscrowd": 0,
        "num_keypoints": 6,
        "keypoints": points.ravel().tolist(),
    } | changes
    return {key: value for key, value in values.items() if value is not None}


def write(
    folder: Path,
    people: list[dict[str, object]],
    images: list[dict[str, object]] | None = None,
    **category: object,
) -> Path:
    path = folder / "people.json"
    category = {"id": 1, "name": "person", "keypoints": NAMES} | category
    images = [image(row) for row in range(len(people))] if images is None else images
    path.write_text(
        json.dumps({"images": images, "annotations": people, "categories": [category]})
    )
    return path


def people(count: int = 12, **changes: object) -> list[dict[str, object]]:
    return [person(row, **changes) for row in range(count)]


def moved(x: float, y: float) -> list[float]:
    """Keypoints of `person` with the left eye elsewhere."""
    keypoints = list(person(0)["keypoints"])
    keypoints[3:5] = [x, y]
    return keypoints


def the(report: Report, kind: str) -> Finding:
    """The one finding of this kind."""
    (finding,) = [finding for finding in report if finding.kind == kind]
    return finding


def test_a_faultless_file_has_no_findings(tmp_path):
    report = validate(write(tmp_path, people()))
    assert report.findings == ()
    assert report.ok
    assert (report.images, report.persons, report.training_persons) == (12, 12, 12)
    assert report.images_opened == 0


@pytest.mark.parametrize(
    ("kind", "severity", "changes"),
    [
        ("box is empty", "error", {"bbox": [70, 70, 0, 10]}),
        ("box is not finite", "error", {"bbox": [70, 70, float("nan"), 10]}),
        ("unknown image id", "error", {"image_id": 77}),
        ("malformed annotation", "error", {"keypoints": "none"}),
        ("area is 0 or less", "warning", {"area": 0}),
        ("area is missing", "warning", {"area": None}),
        ("area is larger than the box", "warning", {"area": 151**2}),
        ("num_keypoints is wrong", "warning", {"num_keypoints": 5}),
        ("num_keypoints is wrong", "warning", {"num_keypoints": 7}),
        ("num_keypoints is wrong", "warning", {"num_keypoints": 10**12}),
        ("labelled keypoint outside the image", "warning", {"keypoints": moved(-1, 80)}),
        ("labelled keypoint outside the image", "warning", {"keypoints": moved(90, HEIGHT)}),
        ("labelled keypoint far from the box", "warning", {"keypoints": moved(300, 80)}),
        ("crowd with labelled keypoints", "warning", {"iscrowd": 1}),
    ],
)
def test_one_bad_person_is_one_finding(tmp_path, kind, severity, changes):
    rows = people()
    rows[4] = person(4, **changes)
    report = validate(write(tmp_path, rows))
    finding = the(report, kind)
    assert (finding.severity, finding.count, finding.examples) == (severity, 1, ("1004",))
    assert finding.effect == ""
    assert report.ok == (severity != "error")
    others = {finding.kind for finding in report} - {kind}
    assert others <= {"image without persons"}


@pytest.mark.parametrize(
    ("kind", "effect", "changes"),
    [
        ("area of every person is 0", "AP 0", {"area": 0}),
        ("no labelled keypoint", "AP -1", {"keypoints": None, "num_keypoints": 0}),
        ("all persons are crowds", "AP -1", {"iscrowd": 1}),
        ("num_keypoints is wrong", "AP -1", {"num_keypoints": 0}),
        ("no usable person", "AP -1", {"bbox": [0, 0, 0, 0]}),
    ],
)
def test_files_without_an_ap_are_errors_that_say_so(tmp_path, kind, effect, changes):
    report = validate(write(tmp_path, people(**changes)))
    assert (the(report, kind).severity, the(report, kind).effect) == ("error", effect)
    assert not report.ok


def test_missing_sizes_of_persons_are_foretold(tmp_path):
    small = validate(write(tmp_path, people(area=50.0)))
    assert the(small, "no medium person").effect == "APM -1"
    assert the(small, "no large person").effect == "APL -1"
    medium = validate(write(tmp_path, people(area=1024.0, bbox=[70, 70, 40, 40])))
    assert [finding.effect for finding in medium] == ["APL -1"]
    assert medium.ok


def test_ids_of_another_type_and_exchanged_ids_are_explained(tmp_path):
    texts = [person(row, image_id=str(row)) for row in range(12)]
    finding = the(validate(write(tmp_path, texts)), "unknown image id")
    assert "(str)" in finding.meaning
    assert "(int)" in finding.meaning
    assert finding.effect == "AP -1"
    exchanged = [person(row, id=row, image_id=1000 + row) for row in range(12)]
    finding = the(validate(write(tmp_path, exchanged)), "unknown image id")
    assert "look exchanged" in finding.meaning


def test_left_and_right_are_compared_on_faces(tmp_path):
    keypoints = np.array(person(0)["keypoints"]).reshape(17, 3)
    mirrored = keypoints[list(COCO17.flip_index)].ravel().tolist()
    report = validate(write(tmp_path, people(keypoints=mirrored)))
    assert the(report, "left and right look exchanged").count == 12
    few = people()
    few[3] = person(3, keypoints=mirrored)
    assert not validate(write(tmp_path, few)).findings


def test_the_category_is_checked(tmp_path):
    other = people(category_id=4)
    report = validate(write(tmp_path, other, id=4))
    assert the(report, "category id is not 1").effect == "AP 0"
    report = validate(write(tmp_path, people(), keypoints=None))
    assert the(report, "category without keypoint names").severity == "warning"
    renamed = ["nose_tip", *NAMES[1:]]
    report = validate(write(tmp_path, people(), keypoints=renamed))
    assert the(report, "keypoint names differ from the skeleton").examples == (
        "nose_tip for nose",
    )


def test_the_list_of_images_is_checked(tmp_path):
    listed = [image(row) for row in range(15)]
    listed[2] = image(2, width=0)
    listed[14] = image(14, file_name="13.png")
    report = validate(write(tmp_path, people(), listed))
    assert the(report, "image size is missing").examples == ("2.png",)
    assert the(report, "file name of several images").examples == ("13.png",)
    empty = the(report, "image without persons")
    assert (empty.severity, empty.count) == ("info", 3)
    assert [finding.severity for finding in report] == ["warning", "warning", "info"]


def make_images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for row in range(count):
        Image.fromarray(pixels).save(folder / f"{row}.png", compress_level=1)


def turned(orientation: int) -> dict[str, object]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"format": "JPEG", "exif": exif}


def test_every_image_is_opened(tmp_path):
    names = [
        "image file is missing",
        "image file is empty",
        "image file is truncated",
        "image file is not an image",
        "image size differs from the annotations",
        "EXIF rotation not applied",
        "EXIF rotation in doubt",
        "grayscale image",
        "CMYK image",
        "16-bit image",
        "image with transparency",
    ]
    make_images(tmp_path, 13)
    pictures = [tmp_path / f"{row}.png" for row in range(13)]
    whole = Image.open(pictures[12]).copy()
    pictures[0].unlink()
    pictures[1].write_bytes(b"")
    pictures[2].write_bytes(pictures[2].read_bytes()[:5000])
    pictures[3].write_bytes(b"<html>")
    whole.resize((50, 60)).save(pictures[4])
    whole.save(pictures[5], **turned(6))
    whole.save(pictures[6], **turned(3))
    whole.convert("L").save(pictures[7])
    whole.convert("CMYK").save(pictures[8], format="JPEG")
    Image.fromarray(np.eye(HEIGHT, WIDTH).astype(np.uint16) << 12).save(pictures[9])
    whole.convert("RGBA").save(pictures[10])
    whole.transpose(Image.Transpose.ROTATE_90).save(pictures[11], **turned(6))

    report = validate(write(tmp_path, people(13)), tmp_path, workers=2)
    for row, kind in enumerate(names):
        finding = the(report, kind)
        assert finding.examples[0] == f"{row}.png", kind
        assert finding.severity == ("error" if row < 5 else "warning" if row == 6 else "info")
    assert the(report, "EXIF rotation applied").examples == ("11.png",)
    assert the(report, "grayscale image").count == 2, "16-bit PNGs of Pillow are gray"
    assert len(report.findings) == len(names) + 1
    assert report.images_opened == 12
    assert not report.ok


def test_a_wrong_image_folder_is_recognised(tmp_path):
    path = write(tmp_path, people())
    (tmp_path / "elsewhere").mkdir()
    finding = the(validate(path, tmp_path / "elsewhere"), "image file is missing")
    assert finding.count == 12
    assert finding.meaning == f"no file lies in {tmp_path / 'elsewhere'}"
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        validate(path, tmp_path / "absent")


def test_progress_counts_images(tmp_path):
    make_images(tmp_path, 12)
    seen: list[object] = []

    class Watcher:
        def advance(self, amount: int = 1, note: str = "") -> None:
            seen.append(amount)

        @contextmanager
        def task(self, name: str, total: int, unit: str) -> Iterator[Watcher]:
            seen.append((total, unit))
            yield self

    assert validate(write(tmp_path, people()), tmp_path, progress=Watcher()).ok
    assert seen == [(12, "images"), *[1] * 12]


def detections(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "boxes.json"
    box = {"category_id": 1, "bbox": [70, 70, 40, 40], "score": 0.9}
    path.write_text(json.dumps([box | row for row in rows]))
    return path


def test_detections_are_checked(tmp_path):
    path = write(tmp_path, people(4))
    every = [{"image_id": row} for row in range(4)]
    assert validate(path, detections=detections(tmp_path, *every)).ok
    report = validate(
        path,
        detections=detections(
            tmp_path, *every[1:], {"image_id": 9}, {"image_id": 1, "score": None}
        ),
    )
    assert the(report, "detection of an image that is not annotated").severity == "info"
    assert the(report, "malformed detection").severity == "error"
    assert the(report, "image with persons but without detections").examples == ("0.png",)


def test_detections_with_ids_of_another_type_are_an_error(tmp_path):
    path = write(tmp_path, people(4))
    report = validate(path, detections=detections(tmp_path, {"image_id": "2"}))
    finding = the(report, "detection of an image that is not annotated")
    assert (finding.severity, finding.effect) == ("error", "AP 0")
    assert "write both in one way" in finding.meaning
    assert the(report, "no usable detection").effect == "AP 0"


def test_a_file_that_cannot_be_read_at_all_is_raised(tmp_path):
    path = tmp_path / "people.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="is not a COCO annotation file"):
        validate(path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_data_is_in_order(shared, split):
    path = shared / "coco" / "annotations" / f"person_keypoints_{split}.json"
    report = validate(path, shared / "coco" / split, workers=2)
    assert report.ok
    assert {finding.kind for finding in report} <= {"grayscale image"}


@pytest.mark.parametrize("name", ["val2017", "val2014_100_recovered"])
def test_real_annotations_are_in_order(shared, name):
    report = validate(shared / "coco_scale" / f"person_keypoints_{name}.json")
    assert {finding.kind for finding in report} <= {"image without persons"}


def test_the_real_sample_and_its_detections_are_in_order(shared):
    sample = shared / "coco_sample"
    report = validate(
        sample / "person_keypoints.json", sample, detections=sample / "person_detections.json"
    )
    assert report.findings == ()


def damaged_jpeg(path: Path) -> None:
    """A JPEG whose compressed pixels are overwritten in the middle."""
    rng = np.random.default_rng(0)
    picture = (
        rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    Image.fromarray(picture).save(path, "JPEG", quality=80)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\x00" * 40
    path.write_bytes(data)


def test_pictures_that_decode_but_show_nothing_right_are_named(tmp_path):
    make_images(tmp_path, 5)
    damaged_jpeg(tmp_path / "0.png")
    Image.fromarray(np.full((HEIGHT, WIDTH), 200, np.int32)).save(tmp_path / "1.png", "TIFF")
    Image.fromarray(np.full((HEIGHT, WIDTH), 200, np.uint16)).save(tmp_path / "2.png")
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "3.png")
    report = validate(write(tmp_path, people(5)), tmp_path)
    assert the(report, "JPEG is damaged inside").examples == ("0.png",)
    assert the(report, "JPEG is damaged inside").severity == "error"
    assert the(report, "image file is unreadable").examples == ("1.png",)
    assert the(report, "image of one colour").examples == ("2.png",)
    exchanged = the(report, "width and height of the annotations are exchanged")
    assert (exchanged.severity, exchanged.examples) == ("error", ("3.png",))


@pytest.mark.parametrize(
    ("box", "kind", "count"),
    [
        ((70, 70, 310, 230), "box looks like x1, y1, x2, y2", 12),
        ((0.2, 0.3, 0.4, 0.5), "box in parts of the image, not pixels", 12),
        ((70, 70, 0.5, 40), "box is smaller than a pixel", 12),
        ((200, 70, 190, 40), "box ends beyond the image", 12),
        ((-60, 70, 190, 40), "box ends beyond the image", 12),
    ],
)
def test_boxes_in_other_units_or_formats_are_told(tmp_path, box, kind, count):
    path = write(tmp_path, people(12, bbox=list(box)))
    assert the(validate(path), kind).count == count
    path = write(tmp_path, people(12))
    boxes = detections(tmp_path, *({"image_id": row, "bbox": list(box)} for row in range(12)))
    report = validate(path, detections=boxes)
    assert the(report, f"detection: {kind}").count == count


def test_whatever_a_reader_refuses_is_an_error(tmp_path):
    names = ["nose", "eye", "eye", *NAMES[3:]]
    twice = the(
        validate(write(tmp_path, people(), keypoints=names)), "keypoints that cannot be learned"
    )
    assert "several keypoints called ['eye']" in twice.meaning
    unnamed = validate(write(tmp_path, people(), keypoints=None))
    assert the(unnamed, "keypoints that cannot be learned").severity == "error"
    assert validate(write(tmp_path, people(), keypoints=None), skeleton=COCO17).ok
    points = validate(write(tmp_path, people(bbox=[10, 10, 1, 1])))
    assert the(points, "no person to train on").count == 12
    rows = people() + [person(row, id=row, category_id=9) for row in range(5)]
    images = [image(row) for row in range(12)]
    unlisted = the(validate(write(tmp_path, rows, images)), "unknown category id")
    assert (unlisted.severity, unlisted.count) == ("error", 5)
