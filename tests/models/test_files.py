"""Files of weights are read without running anything of them, or refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_hrnet.models.weights.load import initialise, load_network, save_model
from tests.helpers.networks import OFFICIAL_NAME, card_of, same, tiny


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("read", [load_network, lambda path: initialise(tiny(), path)])
def test_code_in_a_file_does_not_run(tmp_path: Path, read: Any, zipped: bool) -> None:
    contents = {"state_dict": tiny().state_dict(), "config": Trap(tmp_path / "sprung")}
    path = tmp_path / OFFICIAL_NAME
    torch.save(contents, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ValueError, match=r"Python objects \(\w+\.mkdir\).*save only the state_dic"
    ):
        read(path)
    assert not (tmp_path / "sprung").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("layout", ["safetensors", "zip", "legacy"])
def test_truncated_files_are_one_sentence(tmp_path: Path, layout: str) -> None:
    model, path = tiny(), tmp_path / "model"
    if layout == "safetensors":
        save_model(path, model.state_dict(), card_of(model))
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=layout == "zip")
    whole = path.read_bytes()
    for length in np.linspace(9, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match=r"model: the \w+ file is cut short.*again$"
        ) as raised:
            load_network(path)
        assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"x", "this is no checkpoint"),
        (b"<!DOCTYPE html><html>", "no checkpoint, but looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        (b"PK\x03\x04 no zip", "cut short, damaged or no checkpoint"),
        (b"\x80\x04\x95 no pickle", "cut short, damaged or no checkpoint"),
        (b"12345678{not json", "cut short or damaged"),
    ],
)
def test_other_files_are_one_sentence(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=f"model.pth: .*{message}"):
        load_network(path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([1, 2], "an object of type list"),
        ({}, "a dict with the keys none"),
        ({"epoch": 3, "model": "hrnet"}, "a dict with the keys 'epoch', 'model'; save"),
        ({"conv1.weight": torch.zeros(2)}, "no network that is known here.*conv1"),
        (
            {"stage2.0.branches.0.0.conv1.weight": torch.zeros(8, 8, 3, 3)},
            "is no conv.* conv1.w",
        ),
    ],
)
def test_torch_files_without_a_model(tmp_path: Path, contents: Any, message: str) -> None:
    torch.save(contents, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=message):
        load_network(tmp_path / "model.pth")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.pth: there is no such checkpoint"):
        load_network(tmp_path / "absent.pth")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path.name} is a folder; give a checkpoint"):
        load_network(tmp_path)


@pytest.mark.parametrize("prefix", ["", "model.", "module.net.", "pose_model.student."])
def test_what_stands_beside_the_network_does_not_stop_it(tmp_path: Path, prefix: str) -> None:
    """A criterion's weights, counters, and words, as Lightning saves them."""
    state: dict[str, Any] = {f"{prefix}{name}": v for name, v in tiny().state_dict().items()}
    state |= {"criterion.weight": torch.ones(17), "metric.total": torch.zeros(()), "note": "x"}
    path = tmp_path / OFFICIAL_NAME
    torch.save({"state_dict": state, "epoch": 3}, path)
    loaded = load_network(path).network
    for name, value in tiny().state_dict().items():
        assert loaded.state_dict()[name].shape == value.shape
        torch.testing.assert_close(loaded.state_dict()[name], state[f"{prefix}{name}"])


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    """The writer of safetensors has the metadata in any order."""
    model = tiny()
    written = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        save_model(path, model.state_dict(), card_of(model))
        written.add(path.read_bytes())
    assert len(written) == 1
    assert int.from_bytes(written.pop()[:8], "little") % 8 == 0
    assert same(load_network(path).network, model)


@pytest.mark.filterwarnings("error")
def test_other_protocols_of_pickle_are_nothing_to_tell(tmp_path: Path) -> None:
    path = tmp_path / OFFICIAL_NAME
    torch.save(tiny().state_dict(), path, pickle_protocol=3)
    assert same(load_network(path).network, tiny())
