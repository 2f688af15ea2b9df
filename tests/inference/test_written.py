"""What a prediction has written is there whatever becomes of the rest."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_hrnet.data.formats.results import RESULTS_LOCK
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from pose_hrnet.inference.written import GrowingFile, overlay_names
from pose_hrnet.system.folders import FolderBusy, NotWritten, owned
from tests.helpers.builders import make_people, write_images


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "photos")


NAMES = ["000001.png", "000002.png", "000003.png"]


def ids_in(output):
    return [row["image_id"] for row in json.loads((output / "results.json").read_bytes())]


def test_a_file_is_whole_after_every_piece_and_after_one_that_fails(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource", reason="limits are a matter of Unix")
    path = tmp_path / "results.json"
    path.write_text("of an earlier run")
    file = GrowingFile(path, b"[", b"]")
    assert path.read_text() == "of an earlier run"
    for piece, expected in ((b"1", [1]), (b"", [1]), (b",2", [1, 2])):
        file.add(piece)
        assert json.loads(path.read_bytes()) == expected
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))  # as if the disk had no more
    try:
        with pytest.raises(NotWritten, match=r"results.json could not be written .*make room"):
            file.add(b"," + b"3" * 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert json.loads(path.read_bytes()) == [1, 2]
    file.add(b",4")
    assert json.loads(path.read_bytes()) == [1, 2, 4]


def test_every_name_and_size_costs_itself_alone(estimator, folder, tmp_path, caplog):
    picture = (folder / "000001.png").read_bytes()
    longest = "n" * 251 + ".png"
    (folder / longest).write_bytes(picture)
    command = "a\x1b[31m\nb.png"
    (folder / command).write_bytes(picture)
    cv2.imwrite(str(folder / "wide.png"), np.zeros((2, 65_600, 3), np.uint8))
    latin = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    try:
        latin.write_bytes(picture)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 only")
    done = predict_files(estimator, [folder], tmp_path / "out")
    assert (done.images, done.persons, done.failures) == (7, 7, ())
    assert ids_in(tmp_path / "out") == [*NAMES, command, "caf\\xe9.png", longest, "wide.png"]
    with (tmp_path / "out/keypoints.csv").open(newline="", encoding="utf-8") as table:
        names = {row["image"] for row in csv.DictReader(table)}
    assert str(folder / command) in names
    assert str(folder / "caf\\xe9.png") in names
    overlays = {path.name for path in (tmp_path / "out/overlays").iterdir()}
    assert len(overlays) == 6
    (missing,) = done.pictures_missing
    assert "wide.jpg cannot be written as an image of 65,600 x 2 pixels; JPEG takes" in missing
    assert missing in caplog.text


def test_names_that_are_cut_short_stay_apart():
    paths = [Path(folder) / ("ü" * 126 + f"{n}.png") for folder in "ab" for n in (1, 2)]
    names = overlay_names(paths)
    assert len(set(names.values())) == 4
    assert all(len(f"{name}.jpg".encode()) <= 255 for name in names.values())


def test_a_disk_that_fills_up_keeps_what_is_there(estimator, folder, tmp_path, monkeypatch):
    """First overlays go without it, then the results end; what they hold is whole."""
    asked = []

    def no_room(path, image):
        asked.append(path)
        raise NotWritten(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    monkeypatch.setattr("pose_hrnet.inference.written.write_image", no_room)
    done = predict_files(estimator, [folder], tmp_path / "out")
    assert ids_in(tmp_path / "out") == NAMES
    assert len(asked) == 1
    (said,) = done.pictures_missing
    assert said.endswith("choose another place; no more pictures are drawn")

    add = GrowingFile.add
    pieces = []

    def full(self, piece):
        pieces.append(piece)
        if len(pieces) > 4:  # the results and the table of two images
            raise NotWritten(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        add(self, piece)

    monkeypatch.setattr(GrowingFile, "add", full)
    estimator.batch_size, before = 1, estimator.batch_size
    with pytest.raises(NotWritten, match=r"results.json could not be written \(No space left"):
        predict_files(estimator, [folder], tmp_path / "out", outputs=Outputs(draw_above=None))
    estimator.batch_size = before
    assert ids_in(tmp_path / "out") == NAMES[:2]


def test_without_any_readable_image_the_results_are_empty(estimator, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = predict_files(estimator, [tmp_path / "bad.png"], tmp_path / "out")
    assert (done.images, len(done.failures)) == (0, 1)
    assert ids_in(tmp_path / "out") == []
    assert (tmp_path / "out/keypoints.csv").read_text().startswith("image,person,keypoint")


def test_two_predictions_do_not_share_a_folder(estimator, folder, tmp_path):
    with (
        owned(tmp_path / "out", RESULTS_LOCK),
        pytest.raises(FolderBusy, match="another process works"),
    ):
        predict_files(estimator, [folder], tmp_path / "out")
    predict_files(estimator, [folder], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"results.json", "keypoints.csv", "overlays"}
