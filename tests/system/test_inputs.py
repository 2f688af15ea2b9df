"""Regular files alone are opened, and no archive that unpacks to far more than it is."""

from __future__ import annotations

import os
import socket
import zipfile
from pathlib import Path

import pytest

from pose_hrnet.config.files import load_config
from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.formats.detections import load_boxes
from pose_hrnet.data.formats.mpii import read_mpii
from pose_hrnet.data.formats.results import read_results
from pose_hrnet.data.formats.skeletons import read_skeleton_file
from pose_hrnet.data.image_facts import read_facts
from pose_hrnet.data.images import ImageError, read_rgb
from pose_hrnet.data.shards.reader import read_index
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.inference.load import load_model
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.inspect import inspect_weights
from pose_hrnet.system import inputs
from pose_hrnet.system.inputs import (
    UnreadableFile,
    check_input,
    check_unpacked,
    open_input,
    parse_json,
    read_input,
)
from pose_hrnet.training.states import read_newest_state

posix = pytest.mark.skipif(os.name != "posix", reason="FIFOs and devices are of POSIX")


def special(folder: Path, kind: str, name: str) -> Path:
    path = folder / name
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            socket.socket(socket.AF_UNIX).bind(name)
        finally:
            os.chdir(here)
    else:
        path.mkdir()
    return path


def read_shards(path: Path) -> None:
    read_index(ShardStore(str(path.parent)))


def read_state(path: Path) -> None:
    read_newest_state(path.parent)


def read_card(path: Path) -> None:
    ModelCard.read_beside(path.with_suffix(""))


def score_truth(path: Path) -> None:
    read_results(path, 17)


READERS = [
    (read_rgb, "a.jpg"), (read_facts, "a.png"), (read_coco, "a.json"), (read_mpii, "a.json"),
    (load_boxes, "a.json"), (score_truth, "a.json"), (load_config, "a.yaml"),
    (read_skeleton_file, "a.yaml"), (ModelCard.read_yaml, "a.yaml"), (read_card, "a.onnx.json"),
    (load_model, "a.pth"), (load_model, "a.onnx"), (load_model, "a.yaml"),
    (inspect_weights, "a.safetensors"), (read_shards, "index.json"), (read_state, "last.pt"),
]  # fmt: skip
"""Whatever reads a file that somebody names."""


@posix
@pytest.mark.parametrize(("read", "name"), READERS)
@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "folder"])
def test_only_regular_files_are_read(tmp_path, kind, read, name):
    """Another process would hang here, or fill the memory."""
    path = special(tmp_path, kind, name)
    with pytest.raises((OSError, ValueError)) as error:
        read(path)
    said = str(error.value)
    assert kind in said
    assert str(path) in said
    assert "\n" not in said
    assert "[Errno" not in said


@posix
def test_a_regular_file_is_opened_and_others_say_what_they_are(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes(b"abc")
    check_input(path)
    assert read_input(path) == b"abc"
    link = tmp_path / "link"
    link.symlink_to(path)
    with open_input(link) as file:
        assert file.read() == b"abc"
    with pytest.raises(UnreadableFile, match="it is a FIFO") as error:
        read_input(special(tmp_path, "FIFO", "fifo"))
    assert error.value.reason == "it is a FIFO"
    with pytest.raises(FileNotFoundError, match="does not exist; check the path"):
        open_input(tmp_path / "absent")
    with pytest.raises(UnreadableFile, match="at most 0 MB are read"):
        read_input(path, 2)


@pytest.mark.parametrize("name", ["a\0b", "half \ud800", "x" * 5000, "some.txt/below"])
def test_names_that_no_file_can_have_are_one_sentence(tmp_path, name):
    (tmp_path / "some.txt").write_bytes(b"abc")
    with pytest.raises(UnreadableFile) as error:
        read_input(tmp_path / name)
    assert str(error.value).isprintable()
    with pytest.raises(ImageError, match="cannot be read"):
        read_rgb(tmp_path / name)


def test_archives_that_unpack_to_far_more_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "UNPACKED_ANYWAY", 1000)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data/0", bytes(1_000_000))
    for read in (inspect_weights, load_model):
        with pytest.raises(ValueError, match=r"bomb\.pth has 0 MB and would unpack to 1 MB"):
            read(path)
    path.rename(tmp_path / "last.pt")
    with pytest.raises(ValueError, match="would unpack"):
        read_newest_state(tmp_path)
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("weights/data/0", bytes(1_000_000))
    with plain.open("rb") as file:
        check_unpacked(plain, file)
        assert file.tell() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deep"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ("1" * 5000, "is not JSON: Exceeds the limit"),
        ("[NaN]", "JSON has no NaN"),
        (b"\xff", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_descriptions_in_json_are_read_or_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}
